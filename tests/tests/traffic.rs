//! Real connections through a real NIC: which sources connect, which do not, and when.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use netpolicy_common::HOST_SCOPE;
use netpolicy_tests::host::NIC;
use netpolicy_tests::packet::{DOT1AD, DOT1Q, Packet};
use netpolicy_tests::rules::{self, Loaded};
use netpolicy_tests::{DatabaseHost, Outcome};
use netpolicy_user::datapath::BypassEntry;

const ALLOWED: &str = "10.0.0.1";
const BLOCKED: &str = "10.66.0.1";
const UNLISTED: &str = "192.168.7.7";
const ALLOWED6: &str = "fd00::1";
const BLOCKED6: &str = "fd00:bad::1";
const UNLISTED6: &str = "fd77::1";

const OFFICE: &str = "policy create office --allow 10.0.0.0/8 --allow fd00::/16 \
                      --block 10.66.0.0/16 --block fd00:bad::/32";

fn echoes(stream: &mut TcpStream, text: &[u8]) -> bool {
    let mut answer = vec![0; text.len()];
    stream.write_all(text).is_ok() && stream.read_exact(&mut answer).is_ok() && answer == text
}

#[test]
fn allow_block_default_deny_and_deny_first() {
    let host = DatabaseHost::start();
    host.assert_connects(&[(ALLOWED, 5432), (BLOCKED, 5432), (UNLISTED6, 5432)]);
    host.ok(OFFICE);
    host.assert_times_out(&[
        // Allowed as part of 10.0.0.0/8, but a block wins.
        (BLOCKED, 5432),
        (BLOCKED6, 5432),
        // On no list, while an allow list is in force.
        (UNLISTED, 5432),
        (UNLISTED6, 8080),
    ]);
    host.assert_connects(&[(ALLOWED, 5432), (ALLOWED, 8080), (ALLOWED6, 5432)]);
    assert_eq!(host.counter("host", "blocked"), 2);
    assert_eq!(host.counter("host", "not-allowed"), 2);
    assert_eq!(host.counter("host", "allowed"), 3);

    host.ok("policy deactivate office --yes");
    host.assert_connects(&[(BLOCKED, 5432), (UNLISTED6, 5432)]);
}

#[test]
fn a_closed_port_still_refuses_and_a_dropped_attempt_says_nothing() {
    let host = DatabaseHost::start();
    host.ok(OFFICE);
    assert_eq!(host.connect(ALLOWED, 9), Outcome::Refused);
    assert_eq!(host.connect_briefly(BLOCKED, 9), Outcome::TimedOut);
}

#[test]
fn failsafe_ports_stay_open() {
    let host = DatabaseHost::start();
    host.ok("policy create nobody --block 10.0.0.0/8 --block fd00::/8");
    host.assert_connects(&[(BLOCKED, 22), (BLOCKED6, 22)]);
    host.assert_times_out(&[(BLOCKED, 5432), (BLOCKED6, 5432)]);
    assert_eq!(host.counter("host", "failsafe"), 2);
}

#[test]
fn services_are_judged_by_their_own_lists() {
    let host = DatabaseHost::start();
    host.ok("service add postgres --port 5432,6432");
    host.ok("service add metrics --port 7000-7010 --combine and");
    host.ok(OFFICE);
    host.ok("policy create dba --allow 192.168.7.0/24 --allow fd77::/16 --service postgres");
    host.ok("policy create scrape --allow 10.1.0.0/16 --allow 192.168.0.0/16 --service metrics");
    host.assert_connects(&[
        (UNLISTED, 5432),
        (UNLISTED, 6432),
        (UNLISTED6, 5432),
        (ALLOWED, 8080),
        ("10.1.2.3", 7005),
    ]);
    host.assert_times_out(&[
        (ALLOWED, 5432),
        (UNLISTED, 8080),
        // `and`: the service alone, or the host alone, is not enough.
        (UNLISTED, 7005),
        (ALLOWED, 7005),
    ]);
    assert_eq!(host.counter("postgres", "allowed"), 3);
    assert_eq!(host.counter("metrics", "not-allowed"), 2);

    // Without a policy of its own a service is governed by the host's.
    host.ok("unbind dba --service postgres --yes");
    host.assert_connects(&[(ALLOWED, 5432)]);
    host.assert_times_out(&[(UNLISTED, 5432), (BLOCKED, 6432)]);
}

#[test]
fn observe_mode_counts_and_reports_but_drops_nothing() {
    let host = DatabaseHost::start();
    host.ok(OFFICE);
    host.ok("host set --mode observe --yes");
    host.assert_connects(&[(BLOCKED, 5432), (UNLISTED6, 5432), (ALLOWED, 5432)]);
    assert_eq!(host.counter("host", "observed-blocked"), 1);
    assert_eq!(host.counter("host", "observed-not-allowed"), 1);
    assert_eq!(host.counter("host", "allowed"), 1);
    host.ok("host set --mode enforce");
    host.assert_times_out(&[(BLOCKED, 5432)]);

    host.ok("service add lab --port 8080");
    host.ok("policy create trial --block 10.0.0.0/8 --service lab --yes");
    host.assert_times_out(&[(ALLOWED, 8080)]);
    host.ok("service alter lab --mode observe --yes");
    host.assert_connects(&[(ALLOWED, 8080)]);
    assert_eq!(host.counter("lab", "observed-blocked"), 1);
}

#[test]
fn a_bypass_lets_one_source_in_until_it_is_revoked() {
    let host = DatabaseHost::start();
    host.ok("service add postgres --port 5432");
    host.ok(OFFICE);
    host.assert_times_out(&[(BLOCKED, 5432)]);
    host.ok(&format!("bypass grant {BLOCKED} --minutes 1"));
    host.ok("bypass grant fd00:bad::/64 --minutes 1 --service postgres");
    host.assert_connects(&[(BLOCKED, 5432), (BLOCKED, 8080), (BLOCKED6, 5432)]);
    host.assert_times_out(&[("10.66.0.2", 5432), (BLOCKED6, 8080)]);
    host.ok(&format!("bypass revoke {BLOCKED}"));
    host.assert_times_out(&[(BLOCKED, 5432)]);
    host.assert_connects(&[(BLOCKED6, 5432)]);
}

#[test]
fn bypass_expires_in_the_kernel_without_an_agent() {
    let host = DatabaseHost::without_agent();
    let ruleset = rules::ruleset(&[rules::policy("office", None, &["10.66.0.0/16"], &[])]);
    let mut loaded = Loaded::new(&ruleset);
    let expires = Instant::now() + Duration::from_millis(1500);
    let entry = BypassEntry {
        scope: HOST_SCOPE,
        source: "10.66.0.1/32".parse().unwrap(),
        remaining: Duration::from_millis(1500),
    };
    host.db().run(|| {
        loaded.datapath().attach(NIC).unwrap();
        loaded.datapath().set_bypasses(&[entry]).unwrap();
    });
    host.assert_connects(&[(BLOCKED, 5432)]);
    host.assert_times_out(&[("10.66.0.2", 5432)]);
    // No process is left: only the pins hold the program.
    let pins = loaded.abandon();
    std::thread::sleep(
        expires.saturating_duration_since(Instant::now()) + Duration::from_millis(50),
    );
    host.assert_times_out(&[(BLOCKED, 5432)]);
    drop(pins);
    host.assert_connects(&[(BLOCKED, 5432)]);
}

#[test]
fn open_connections_survive_a_new_block() {
    let host = DatabaseHost::start();
    let mut v4 = host.session(BLOCKED, 5432);
    let mut v6 = host.session(BLOCKED6, 5432);
    assert!(echoes(&mut v4, b"before") && echoes(&mut v6, b"before"));
    host.ok("policy create nobody --allow 203.0.113.0/24");
    host.assert_times_out(&[(BLOCKED, 5432), (BLOCKED6, 5432)]);
    assert!(echoes(&mut v4, b"after"));
    assert!(echoes(&mut v6, &vec![b'x'; 100_000]));
}

#[test]
fn tagged_fragmented_and_cut_attempts_are_dropped_at_the_nic() {
    // The stack of this kernel need not know VLANs: the NIC's filter sees the frames
    // as they are, and its counters say what it made of them.
    let host = DatabaseHost::start();
    host.ok(OFFICE);
    let raw = host.raw();
    let syn = || Packet::syn(BLOCKED, 5432);
    let dropped = [
        syn().tag(DOT1Q),
        syn().tag(DOT1AD).tag(DOT1Q),
        syn().tag(DOT1Q).tag(DOT1Q).tag(DOT1Q),
        Packet::syn(BLOCKED6, 5432).tag(DOT1Q),
        syn().options(40),
        syn().fragment(0, true).cut_transport(8),
    ];
    for packet in &dropped {
        raw.send(&packet.build());
    }
    raw.send(&syn().cut_transport(8).build());
    raw.send(&Packet::syn(ALLOWED, 5432).tag(DOT1Q).build());
    let expected = [
        ("blocked", dropped.len() as u64),
        ("unclassified-dropped", 1),
        ("allowed", 1),
    ];
    let counts = || expected.map(|(reason, _)| (reason, host.counter("host", reason)));
    let deadline = Instant::now() + Duration::from_secs(2);
    while counts() != expected && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(counts(), expected);
}

#[test]
fn denied_attempts_are_reported_as_they_happen() {
    let host = DatabaseHost::start();
    host.ok(OFFICE);
    let log = host.file("monitor.log");
    let mut command = host.command();
    command.args(["monitor", "--output", "json"]);
    let monitor = netpolicy_tests::process::Process::start(command, &log);
    let deadline = Instant::now() + Duration::from_secs(5);
    // The stream starts some time after the process; every attempt is one event.
    let events = loop {
        host.raw()
            .send(&Packet::tcp_from(BLOCKED6, 4711, 5432, "S").build());
        std::thread::sleep(Duration::from_millis(50));
        let lines = monitor.log();
        let complete = lines.rfind('\n').map_or("", |end| &lines[..end]);
        if !complete.is_empty() {
            let parse = |l: &str| serde_json::from_str::<serde_json::Value>(l).unwrap();
            break complete.lines().map(parse).collect::<Vec<_>>();
        }
        assert!(Instant::now() < deadline, "no event is reported: {lines}");
    };
    let event = &events[0];
    assert_eq!(event["event"], "denied", "{event}");
    assert_eq!(event["source"], BLOCKED6);
    assert_eq!(event["source_port"], 4711);
    assert_eq!(event["destination"], "2001:db8:ff::1");
    assert_eq!(event["destination_port"], 5432);
    assert_eq!(event["interface"], NIC);
    assert_eq!(event["scope"], "host");
    assert_eq!(event["reason"], "blocked");
    assert_eq!(event["action"], "drop");
    let rule = event["rule"].as_str().unwrap();
    assert!(
        rule.contains("office") && rule.contains("fd00:bad::/32"),
        "{rule}"
    );
}

#[test]
fn events_are_limited_and_losses_counted_but_every_packet_is() {
    let host = DatabaseHost::with(&netpolicy_tests::Options {
        // The memory of sources is told of more.
        config: "events_per_second = 100\n[memory]\nenabled = false\n".to_owned(),
        agent: true,
    });
    host.ok(OFFICE);
    let raw = host.raw();
    let frame = Packet::syn(BLOCKED, 5432).build();
    let attempts = 5000;
    for _ in 0..attempts {
        raw.send(&frame);
    }
    let deadline = Instant::now() + Duration::from_secs(2);
    while host.counter("host", "blocked") < attempts && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(host.counter("host", "blocked"), attempts);
    let counters = host.json("counters");
    let count = |name: &str| counters[name].as_u64().unwrap();
    let [sent, limited, overflowed] =
        ["events_sent", "events_limited", "events_overflowed"].map(count);
    assert_eq!(sent + limited + overflowed, attempts, "{counters}");
    assert!(limited > attempts / 2 && sent >= 1, "{counters}");
}

#[test]
fn monitor_ends_with_the_agent_and_says_so() {
    let mut host = DatabaseHost::start();
    let mut command = host.command();
    command.arg("monitor");
    let log = host.file("monitor.log");
    let mut monitor = netpolicy_tests::process::Process::start(command, &log);
    std::thread::sleep(Duration::from_millis(300));
    host.kill_agent();
    assert_eq!(
        monitor.wait(Duration::from_secs(5)).code(),
        Some(1),
        "{}",
        monitor.log()
    );
    assert!(monitor.log().contains("error: "), "{}", monitor.log());
}
