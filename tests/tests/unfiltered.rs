//! Interfaces that are not filtered are named, and those that are covered really are.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::time::Duration;

use netpolicy_tests::host::NIC;
use netpolicy_tests::netns::{End, join};
use netpolicy_tests::{DatabaseHost, NetNs, Options, Outcome, traffic};
use serde_json::{Value, json};

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
