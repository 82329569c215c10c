//! Patterns of interfaces: what they select, interfaces that appear or are renamed, and what is
//! judged once.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use netpolicy_tests::command::assert_has;
use netpolicy_tests::host::{LIMIT, NIC, filtered, wait_for};
use netpolicy_tests::netns::{End, join, run};
use netpolicy_tests::packet::Packet;
use netpolicy_tests::traffic::RawSocket;
use netpolicy_tests::{DatabaseHost, NetNs};
use netpolicy_user::datapath;
use netpolicy_user::netdev::{Netdevs, Watch};
use nix::sys::signal::Signal;
use serde_json::Value;

const BLOCKED: &str = "10.66.0.1";
const POLICY: &str = "policy create office --block 10.66.0.0/16";

fn faults(status: &Value) -> String {
    status["faults"].to_string()
}

/// A veth pair, both ends in the host's namespace.
fn pair(host: &DatabaseHost, name: &str) {
    let peer = format!("{name}p");
    host.db()
        .ip(&["link", "add", name, "up", "type", "veth", "peer", &peer]);
}

/// The time from netlink's first notification of an interface until it runs a program.
fn open_time(host: &DatabaseHost, name: &str) -> Duration {
    host.db().run(|| {
        let (watch, mut netdevs) = (Watch::open().unwrap(), Netdevs::open().unwrap());
        let (ns, interface) = (host.db().name().to_owned(), name.to_owned());
        let maker = std::thread::spawn(move || {
            let peer = format!("{interface}p");
            let add = [
                "link", "add", &interface, "up", "type", "veth", "peer", &peer,
            ];
            run("ip", &[&["-n", ns.as_str()][..], &add].concat())
        });
        let deadline = Instant::now() + LIMIT;
        while !(watch.drain().unwrap() && netdevs.by_name(name).unwrap().is_some()) {
            assert!(Instant::now() < deadline, "{name} does not appear");
            std::thread::sleep(Duration::from_micros(200));
        }
        let appeared = Instant::now();
        let runs = |netdevs: &mut Netdevs| {
            let device = netdevs.by_name(name).unwrap();
            device.is_some_and(|device| !datapath::running(&device).is_empty())
        };
        while !runs(&mut netdevs) {
            assert!(appeared.elapsed() < LIMIT, "{}", host.status());
            std::thread::sleep(Duration::from_micros(200));
        }
        maker.join().unwrap();
        appeared.elapsed()
    })
}

#[test]
fn star_filters_what_is_there_and_what_appears_except_what_is_excluded() {
    let host = DatabaseHost::configured("[\"*\", \"!lo\", \"!docker*\", \"!*p\"]");
    host.ok(POLICY);
    assert_eq!(filtered(&host.status()), [NIC]);
    host.assert_times_out(&[(BLOCKED, 5432)]);
    // As Docker makes its bridge and a container's end in it.
    host.db().ip(&["link", "add", "docker0", "type", "bridge"]);
    host.db().add_address("docker0", "172.17.0.1/16");
    pair(&host, "veth9");
    host.db().ip(&["link", "set", "veth9", "master", "docker0"]);
    let mut times: Vec<_> = (0..20)
        .map(|i| open_time(&host, &format!("nic{}", i + 1)))
        .collect();
    times.sort_unstable();
    println!(
        "an appearing interface is filtered after {:?} (median), {:?} at most",
        times[10], times[19]
    );
    // Machines that run tests are busy; the median is what it takes.
    assert!(times[10] < Duration::from_millis(100), "{times:?}");
    let status = wait_for(
        &host,
        "the port of an excluded bridge is let go",
        |status| !filtered(status).contains(&"veth9"),
    );
    assert_eq!(filtered(&status).len(), 21, "{status}");
    assert_eq!(faults(&status), "[]", "{status}");
    let shown = host.ok("status");
    assert_has(&shown, &["docker0", "as configured"]);
    // What goes is no fault of a pattern.
    host.db().ip(&["link", "del", "nic1"]);
    let status = wait_for(&host, "nic1 is gone", |status| filtered(status).len() == 20);
    assert_eq!(
        (faults(&status).as_str(), host.line("status").code),
        ("[]", Some(0))
    );
}

#[test]
fn pattern_that_matches_nothing_is_a_fault_until_something_does() {
    let mut host = DatabaseHost::configured("[\"nic*\", \"driver:wireguard\", \"wan*\", \"!*p\"]");
    let status = host.wait_for_state("partial");
    assert_has(
        &faults(&status),
        &["interface driver:wireguard is not filtered: it matches no"],
    );
    assert_has(
        &faults(&status),
        &["interface wan* is not filtered: it matches no interface"],
    );
    assert_eq!(host.line("status").code, Some(1));
    let checked = host.line("config check");
    assert_has(
        &checked.stderr,
        &["note: \"driver:wireguard\" matches no interface here"],
    );
    pair(&host, "wan0");
    let _ = wait_for(&host, "wan0 is filtered", |status| {
        filtered(status) == [NIC, "wan0"]
    });
    // A reload takes another pattern, and lets go of what none selects.
    host.write(
        "config.toml",
        "interfaces = [\"driver:veth\", \"!wan0\", \"!*p\"]\n",
    );
    host.agent().signal(Signal::SIGHUP);
    let _ = wait_for(&host, "reloaded", |status| {
        filtered(status) == [NIC] && faults(status) == "[]"
    });
}

#[test]
fn interface_is_filtered_once_it_carries_an_address_of_the_network() {
    let host = DatabaseHost::configured("[\"nic0\", \"address:172.31.0.0/16\"]");
    pair(&host, "lan0");
    assert_has(
        &faults(&host.wait_for_state("partial")),
        &["address:172.31.0.0/16"],
    );
    let begun = Instant::now();
    host.db().add_address("lan0", "172.31.0.1/24");
    let _ = wait_for(&host, "lan0 is filtered", |status| {
        filtered(status) == ["lan0", NIC]
    });
    // Not only at the next look.
    assert!(begun.elapsed() < Duration::from_secs(5));
    // What is filtered stays so without its address, until the agent starts again.
    host.db().ip(&["addr", "flush", "dev", "lan0"]);
    let status = host.wait_for_state("partial");
    assert_eq!(filtered(&status), ["lan0", NIC], "{status}");
}

#[test]
fn renamed_interface_stays_filtered_and_its_new_name_is_told() {
    let host = DatabaseHost::configured("[\"nic0\", \"old0\", \"lan*\", \"!*p\"]");
    host.ok(POLICY);
    for name in ["old0", "tmp0"] {
        pair(&host, name);
    }
    let _ = wait_for(&host, "old0 is filtered", |status| {
        filtered(status) == [NIC, "old0"]
    });
    let rename = |from: &str, to: &str| {
        host.db().ip(&["link", "set", from, "down"]);
        host.db().ip(&["link", "set", from, "name", to]);
        host.db().ip(&["link", "set", to, "up"]);
    };
    rename("old0", "new0");
    rename("tmp0", "lan0");
    let status = wait_for(&host, "both are filtered", |status| {
        filtered(status) == ["lan0", "new0", NIC]
    });
    let status = match faults(&status).contains("called new0") {
        true => status,
        false => wait_for(&host, "it is told", |status| {
            faults(status).contains("called new0")
        }),
    };
    assert_has(
        &faults(&status),
        &["interface old0 is not filtered: it is called new0 now, and stays filtered"],
    );
}

/// SYNs that the host's policies blocked.
fn blocked(host: &DatabaseHost) -> u64 {
    host.counter("host", "blocked")
}

#[test]
fn attempt_through_stacked_interfaces_is_counted_once_with_patterns_and_at_each_name() {
    let mut host = DatabaseHost::configured("[\"*\", \"!lo\"]");
    host.ok(POLICY);
    // A bridge with a port, and a macvlan on another interface.
    let (behind, below) = (NetNs::new(), NetNs::new());
    for (other, interface, mac) in [(&behind, "port0", "03"), (&below, "base0", "05")] {
        let mac = |last: &str| format!("02:00:00:00:{mac}:{last}");
        join(
            End {
                ns: host.db(),
                interface,
                mac: &mac("01"),
            },
            End {
                ns: other,
                interface,
                mac: &mac("02"),
            },
        );
    }
    for line in [
        "link add br0 address 02:00:00:00:09:01 type bridge",
        "link set port0 master br0",
        "link set br0 up",
        "link add link base0 name mac0 address 02:00:00:00:09:09 type macvlan mode private",
        "link set mac0 up",
    ] {
        host.db().ip(&line.split(' ').collect::<Vec<_>>());
    }
    let status = wait_for(&host, "what needs a filter has one", |status| {
        filtered(status) == ["base0", "br0", NIC]
    });
    assert_eq!(faults(&status), "[]", "{status}");
    let (through_bridge, through_macvlan) = (
        RawSocket::new(&behind, "port0"),
        RawSocket::new(&below, "base0"),
    );
    let syn = |source: &str, to: [u8; 6]| {
        let mut frame = Packet::syn(source, 5432).build();
        frame[..6].copy_from_slice(&to);
        frame
    };
    let bridge = [2, 0, 0, 0, 9, 1];
    let macvlan = [2, 0, 0, 0, 9, 9];
    let send = |expected: u64, host: &DatabaseHost| {
        let before = blocked(host);
        through_bridge.send(&syn(BLOCKED, bridge));
        through_macvlan.send(&syn(BLOCKED, macvlan));
        let deadline = Instant::now() + LIMIT;
        while blocked(host) < before + expected {
            assert!(
                Instant::now() < deadline,
                "{} of {expected}",
                blocked(host) - before
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(blocked(host), before + expected);
    };
    send(2, &host);
    // Names are taken at their word: the first filter drops it, so it is counted there alone; what
    // passes is judged at both.
    let names = "interfaces = [\"nic0\", \"br0\", \"port0\", \"base0\", \"mac0\"]\n";
    host.write("config.toml", names);
    host.agent().signal(Signal::SIGHUP);
    let _ = wait_for(&host, "reloaded", |status| filtered(status).len() == 5);
    send(2, &host);
    let passed = |host: &DatabaseHost| host.counter("host", "not-blocked");
    let before = passed(&host);
    through_macvlan.send(&syn("10.0.0.9", macvlan));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(passed(&host), before + 2);
}

#[test]
fn wrong_entries_are_reported_all_at_once_with_their_place() {
    let host = DatabaseHost::without_agent();
    for (interfaces, expected) in [
        (
            "[\"!docker*\"]",
            "\"!docker*\" excludes, and nothing is selected",
        ),
        (
            "[\"eth0\", \"!eth*\"]",
            "interface \"eth0\" is named, and excluded by \"!eth*\"",
        ),
        ("[\"*\", \"driver:\"]", "names no driver"),
        (
            "[\"address:here\"]",
            "is no address: expected \"address:any\"",
        ),
        ("[\"kind:veth\"]", "\"driver:NAME\", \"address:any\""),
        ("[\"!!eth0\"]", "is not an interface name"),
    ] {
        host.write("wrong.toml", format!("interfaces = {interfaces}\n"));
        let said = host.line("config check wrong.toml").failed(1).to_owned();
        assert_has(&said, &["wrong.toml:1:", expected]);
    }
    host.write(
        "wrong.toml",
        "interfaces = [\"driver:\", \"lo\"]\nunfiltered_interfaces = [\"!x\"]\n",
    );
    let said = host.line("config check wrong.toml").failed(1).to_owned();
    assert_has(&said, &["1:15", "1:26", "2:26"]);
    host.write(
        "right.toml",
        "interfaces = [\"*\", \"!lo\", \"!docker*\", \"driver:mlx*\"]\n",
    );
    host.ok("config check right.toml");
}
