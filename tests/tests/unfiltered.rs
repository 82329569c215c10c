//! Interfaces that are not filtered are named, and those that are covered really are.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use netpolicy_tests::command::assert_has;
use netpolicy_tests::host::{LIMIT, NIC, filtered, wait_for};
use netpolicy_tests::netns::{End, join};
use netpolicy_tests::packet::{CLIENT_MAC, HOST_V4, Packet};
use netpolicy_tests::traffic::{RawSocket, SynStream};
use netpolicy_tests::{DatabaseHost, NetNs, Options, Outcome, pins, traffic, wiring};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const ALLOWED: &str = "10.0.0.1";
const BLOCKED: &str = "10.66.0.1";
const POLICY: &str = "policy create office --block 10.66.0.0/16";

fn other<'a>(status: &'a Value, name: &str) -> &'a Value {
    let others = status["enforcement"]["others"].as_array().unwrap();
    let found = others.iter().find(|other| other["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {status}"))
}

fn faults(status: &Value) -> String {
    status["faults"].to_string()
}

/// A second NIC of the host, and what it is joined with.
fn second_nic(host: &DatabaseHost) -> NetNs {
    let other = NetNs::new();
    join(
        End {
            ns: host.db(),
            interface: "nic1",
            mac: "02:00:00:00:00:03",
        },
        End {
            ns: &other,
            interface: "nic1",
            mac: "02:00:00:00:00:04",
        },
    );
    other
}

#[test]
fn second_nic_with_an_address_is_a_fault_until_configuration_accepts_it() {
    let mut host = DatabaseHost::start();
    assert_eq!(faults(&host.status()), "[]");
    let _other = second_nic(&host);
    host.db().add_address("nic1", "172.30.9.1/24");
    let status = host.status();
    let named = "interface nic1 (veth, 172.30.9.1";
    assert!(faults(&status).contains(named), "{status}");
    assert_eq!(other(&status, "nic1")["covered_by"], json!([]));
    let shown = host.line("status");
    assert_eq!(shown.code, Some(1), "{}", shown.stdout);
    assert!(
        shown
            .stdout
            .contains("Not filtered   nic1 (veth, 172.30.9.1"),
        "{}",
        shown.stdout
    );

    assert!(host.stop_agent().success());
    // Without an agent as well.
    let status = host.status();
    assert!(faults(&status).contains(named), "{status}");

    host.write("config.toml", "unfiltered_interfaces = [\"nic*\"]\n");
    host.start_agent();
    let status = host.status();
    assert_eq!(faults(&status), "[]", "{status}");
    assert_eq!(other(&status, "nic1")["accepted"], true);
    let shown = host.ok("status");
    assert!(shown.contains("as configured"), "{shown}");
}

#[test]
fn tunnel_over_a_filtered_nic_is_named() {
    let host = DatabaseHost::start();
    host.db().ip(&[
        "link", "add", "vx0", "type", "vxlan", "id", "7", "dstport", "4789", "dev", NIC,
    ]);
    host.db().add_address("vx0", "172.30.5.1/24");
    host.db().ip(&["link", "set", "vx0", "up"]);
    let status = host.status();
    assert!(
        faults(&status).contains("interface vx0 (vxlan, 172.30.5.1"),
        "{status}"
    );
}

/// Connects from an address of another namespace to one of the host's.
fn connect(from: &NetNs, source: &str, to: &str) -> Outcome {
    let to = SocketAddr::new(to.parse().unwrap(), 5432);
    traffic::attempt(
        from,
        source.parse().unwrap(),
        to,
        Duration::from_millis(700),
    )
}

/// Where a connection comes from.
enum Side {
    Clients,
    Behind,
}

impl Side {
    fn of<'a>(&self, host: &'a DatabaseHost, behind: &'a NetNs) -> &'a NetNs {
        match self {
            Self::Clients => host.clients(),
            Self::Behind => behind,
        }
    }
}

/// Some kernels are built without VLAN devices (`CONFIG_VLAN_8021Q`).
#[expect(
    clippy::print_stdout,
    reason = "what a test leaves out is in its output"
)]
fn has_vlan_devices(ns: &NetNs) -> bool {
    let mut command = ns.command("ip");
    command.args([
        "link", "add", "link", NIC, "name", "try0", "type", "vlan", "id", "9",
    ]);
    let has = command.output().is_ok_and(|out| out.status.success());
    if has {
        ns.ip(&["link", "del", "try0"]);
    } else {
        println!("this kernel has no VLAN devices: they are left out");
    }
    has
}

fn add_vlan(ns: &NetNs, lower: &str, name: &str, id: &str) {
    ns.ip(&[
        "link", "add", "link", lower, "name", name, "type", "vlan", "id", id,
    ]);
    ns.ip(&["link", "set", name, "up"]);
}

#[test]
fn interfaces_over_filtered_ones_are_covered_and_their_packets_judged() {
    let config = "interfaces = [\"nic0\", \"nic1\"]\n".to_owned();
    let mut host = DatabaseHost::with(&Options {
        config,
        agent: false,
    });
    let behind = second_nic(&host);
    let (db, clients) = (host.db(), host.clients());
    let has_vlans = has_vlan_devices(db);
    if has_vlans {
        // A VLAN on either side, and a VLAN on the VLAN.
        for (ns, address) in [(db, "172.30.7.1/24"), (clients, "172.30.7.2/24")] {
            add_vlan(ns, NIC, "vlan7", "7");
            ns.add_address("vlan7", address);
        }
        add_vlan(db, "vlan7", "vlan7.8", "8");
    }
    // A macvlan that no other on the same parent reaches, and one that others do.
    for (name, mode, address, mac) in [
        ("mac0", "private", "172.30.8.1/24", "02:00:00:00:08:01"),
        ("mac1", "bridge", "172.30.6.1/24", "02:00:00:00:06:01"),
    ] {
        db.ip(&[
            "link", "add", "link", NIC, "name", name, "address", mac, "type", "macvlan", "mode",
            mode,
        ]);
        db.add_address(name, address);
        db.ip(&["link", "set", name, "up"]);
    }
    clients.add_address(NIC, "172.30.8.2/24");
    clients.add_neighbour(NIC, "172.30.8.1".parse().unwrap(), "02:00:00:00:08:01");
    // A bridge whose one port is filtered.
    db.ip(&["link", "add", "br0", "type", "bridge"]);
    db.ip(&["link", "set", "nic1", "master", "br0"]);
    db.add_address("br0", "172.30.9.1/24");
    db.ip(&["link", "set", "br0", "up"]);
    behind.add_address("nic1", "172.30.9.2/24");

    let mut paths = vec![
        (Side::Clients, "172.30.8.2", "172.30.8.1"),
        (Side::Behind, "172.30.9.2", "172.30.9.1"),
    ];
    let mut covered = vec![("mac0", "nic0"), ("br0", "nic1")];
    if has_vlans {
        paths.push((Side::Clients, "172.30.7.2", "172.30.7.1"));
        covered.extend([("vlan7", "nic0"), ("vlan7.8", "nic0")]);
    }
    for (side, source, to) in &paths {
        let from = side.of(&host, &behind);
        assert_eq!(
            connect(from, source, to),
            Outcome::Connected,
            "{source} to {to}"
        );
    }
    let mut command = host.command();
    command.arg("agent");
    host.spawn(command);
    host.wait_for_agent();
    host.ok("policy create office --block 172.30.0.0/16");
    let status = host.status();
    for (name, by) in covered {
        assert_eq!(other(&status, name)["covered_by"], json!([by]), "{status}");
    }
    assert_eq!(other(&status, "mac1")["covered_by"], json!([]), "{status}");
    assert!(faults(&status).contains("interface mac1"), "{status}");
    assert!(!faults(&status).contains("vlan7"), "{status}");
    for (side, source, to) in &paths {
        let from = side.of(&host, &behind);
        assert_eq!(
            connect(from, source, to),
            Outcome::TimedOut,
            "{source} to {to}"
        );
    }
    // A port that is not filtered takes that away from the bridge.
    host.db().ip(&[
        "link", "add", "tap7", "type", "veth", "peer", "name", "tap8",
    ]);
    host.db().ip(&["link", "set", "tap7", "master", "br0"]);
    let status = host.status();
    assert_eq!(other(&status, "br0")["covered_by"], json!([]), "{status}");
    assert!(
        faults(&status).contains("interface br0 (bridge, 172.30.9.1"),
        "{status}"
    );
}

/// A veth pair, both ends in the host's namespace.
fn pair(host: &DatabaseHost, name: &str) {
    let peer = format!("{name}p");
    host.db()
        .ip(&["link", "add", name, "up", "type", "veth", "peer", &peer]);
}

/// SYNs that the host's policies blocked.
fn blocked(host: &DatabaseHost) -> u64 {
    host.counter("host", "blocked")
}

/// Whether this kernel can make an interface by this line.
fn makes(ns: &NetNs, line: &str) -> bool {
    let mut command = ns.command("ip");
    command.args(line.split(' '));
    command.output().is_ok_and(|out| out.status.success())
}

#[test]
fn bridge_or_bond_that_is_formed_later_takes_over_without_a_gap() {
    for (master, how) in [
        ("br0", "link add br0 type bridge"),
        (
            "bond0",
            "link add bond0 type bond mode active-backup miimon 100",
        ),
    ] {
        let host = DatabaseHost::configured("[\"*\", \"!lo\"]");
        host.ok(POLICY);
        let pause = Duration::from_micros(500);
        let stream = SynStream::start(host.clients(), NIC, &[ALLOWED, BLOCKED], 5432, pause);
        stream.wait_for_answers(ALLOWED, 50);
        if !makes(host.db(), how) {
            println!("this kernel has no {master}: left out");
            let _ = stream.stop();
            continue;
        }
        // A bond takes only what is down.
        for line in [
            format!("link set {NIC} down"),
            format!("link set {NIC} master {master}"),
            format!("link set {NIC} up"),
            format!("link set {master} up"),
        ] {
            host.db().ip(&line.split(' ').collect::<Vec<_>>());
        }
        host.db().ip(&["addr", "flush", "dev", NIC]);
        host.db().add_address(master, &format!("{HOST_V4}/24"));
        let (via, mac) = (wiring::CLIENT_V4, wiring::text(CLIENT_MAC));
        host.db().add_neighbour(master, via.parse().unwrap(), &mac);
        host.db()
            .ip(&["route", "replace", "default", "via", via, "dev", master]);
        stream.wait_for_answers(ALLOWED, 50);
        let status = wait_for(&host, "the port is let go", |status| {
            filtered(status) == [master]
        });
        assert_eq!(faults(&status), "[]", "{status}");
        stream.wait_for_answers(ALLOWED, 50);
        let (sent, answers) = stream.stop();
        let let_in = answers.get(&BLOCKED.parse().unwrap()).copied();
        assert_eq!(let_in.unwrap_or(0), 0, "of {sent} attempts by {master}");
    }
}

/// A port of the host's, with what is behind it.
fn port(host: &DatabaseHost, interface: &str) -> NetNs {
    let behind = NetNs::new();
    let end = |ns, mac| End { ns, interface, mac };
    join(
        end(host.db(), "02:00:00:00:03:01"),
        end(&behind, "02:00:00:00:03:02"),
    );
    behind
}

#[test]
fn ports_are_filtered_while_their_bridge_cannot_be_also_from_boot() {
    // A bridge has no native XDP.
    let mut host = DatabaseHost::with(&Options {
        config: "interfaces = [\"*\", \"!lo\"]\nhook = \"native\"\nengine = \"flat\"\n".to_owned(),
        agent: false,
    });
    host.start_configured();
    host.ok(POLICY);
    let behind = port(&host, "port0");
    let both = |status: &Value| filtered(status) == [NIC, "port0"];
    let _ = wait_for(&host, "port0 is filtered", both);
    host.db().ip(&["link", "add", "br0", "type", "bridge"]);
    host.db().ip(&["link", "set", "port0", "master", "br0"]);
    host.db().ip(&["link", "set", "br0", "up"]);
    let is_told = |status: &Value| faults(status).contains("interface br0 is not filtered");
    let _ = wait_for(&host, "the bridge is a fault", is_told);
    let through = RawSocket::new(&behind, "port0");
    let is_judged = |host: &DatabaseHost| {
        let before = blocked(host);
        let mut frame = Packet::syn(BLOCKED, 5432).build();
        frame[..6].copy_from_slice(&[2, 0, 0, 0, 3, 1]);
        through.send(&frame);
        let begun = Instant::now();
        while blocked(host) == before {
            assert!(begun.elapsed() < LIMIT, "{}", host.status());
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    // Some looks later, too.
    std::thread::sleep(Duration::from_secs(2));
    assert!(both(&host.status()), "{}", host.status());
    is_judged(&host);
    // At boot nothing is attached.
    let snapshot = host.state_dir().join("early.snapshot");
    let begun = Instant::now();
    let revision = |content: Vec<u8>| content.get(48).copied();
    while std::fs::read(&snapshot).ok().and_then(revision) != Some(1) {
        assert!(begun.elapsed() < LIMIT, "no snapshot");
        std::thread::sleep(Duration::from_millis(10));
    }
    for early in [true, false] {
        host.kill_agent();
        pins::remove(host.bpffs_dir());
        if early {
            let said = host.ok("early");
            assert_has(
                &said,
                &[
                    "interface br0 is not filtered: ",
                    "interface port0 is filtered",
                ],
            );
            is_judged(&host);
        }
        host.start_configured();
        let is_so = |status: &Value| both(status) && is_told(status);
        let _ = wait_for(&host, "the port is filtered", is_so);
        is_judged(&host);
    }
}

#[test]
fn port_of_an_excluded_bridge_is_a_fault_unless_it_leads_to_a_guest() {
    let mut host = DatabaseHost::configured("[\"*\", \"!lo\", \"!br*\", \"!*p\"]");
    host.db().ip(&[
        "link", "add", "vx0", "up", "type", "vxlan", "id", "7", "dstport", "4789", "dev", NIC,
    ]);
    pair(&host, "veth9");
    let all = [NIC, "veth9", "vx0"];
    let _ = wait_for(&host, "all are filtered", |status| filtered(status) == all);
    host.db().ip(&["link", "add", "br0", "type", "bridge"]);
    for port in ["veth9", "vx0"] {
        host.db().ip(&["link", "set", port, "master", "br0"]);
    }
    let status = wait_for(&host, "both are let go", |status| filtered(status) == [NIC]);
    let status = match faults(&status).contains("a port of br0") {
        true => status,
        // The kernel is asked at once, what is wrong is published a moment later.
        false => wait_for(&host, "it is told", |status| {
            faults(status).contains("a port of br0")
        }),
    };
    assert_has(
        &faults(&status),
        &["interface vx0 is not filtered: it is a port of br0, which `interfaces` excludes"],
    );
    assert!(!faults(&status).contains("veth9"), "{status}");
    assert_eq!(host.line("status").code, Some(1));
    assert_has(
        &host.line("config check").stderr,
        &["note: interface vx0 is a port of br0, which is excluded"],
    );
    host.write(
        "config.toml",
        "interfaces = [\"*\", \"!lo\", \"!br*\", \"!*p\", \"!vx0\"]\n",
    );
    host.agent().signal(Signal::SIGHUP);
    let _ = wait_for(&host, "it is as configured", |status| {
        faults(status) == "[]"
    });
}
