//! `--existing cut` on a host that tracks many connections.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use netpolicy_tests::command::assert_has;
use netpolicy_tests::conntrack::{Conntrack, Entry};
use netpolicy_tests::forwarding::{Forwarding, PUBLISHED, lives};
use netpolicy_tests::packet::HOST_V4;

const TRACKED: u32 = 100_000;
const DENIED: u32 = 1_000;

/// CPU time of a process, in its own code and in the kernel's.
fn cpu(pid: u32) -> [Duration; 2] {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    // USER_HZ.
    let time = |at: usize| Duration::from_millis(fields[at].parse::<u64>().unwrap() * 10);
    [time(11), time(12)]
}

#[test]
fn cut_among_100000_tracked_connections_takes_seconds_and_ends_what_is_denied() {
    let mut forwarding = Forwarding::dnat("");
    let mut blocked = forwarding.host().session("10.66.255.1", PUBLISHED);
    let mut allowed = forwarding.host().session("10.0.255.1", PUBLISHED);
    forwarding.host().db().run(|| {
        let conntrack = Conntrack::new();
        for n in 0..TRACKED {
            // Each a source of its own; the first of them in the network that is denied.
            let first = if n < DENIED { 0x0a42_0000 } else { 0x0a80_0000 };
            let client = SocketAddrV4::new(Ipv4Addr::from(first + n), 40_000);
            conntrack.add(&Entry {
                original: (
                    client,
                    SocketAddrV4::new(HOST_V4.parse().unwrap(), PUBLISHED),
                ),
                reply: (
                    SocketAddrV4::new(Ipv4Addr::new(172, 17, 0, 9), 5432),
                    client,
                ),
                zone: 0,
            });
        }
    });
    let pid = forwarding.host_mut().agent().pid();
    let host = forwarding.host();
    for line in ["--existing cut --dry-run", "--existing cut"] {
        let (before, start) = (cpu(pid), Instant::now());
        let done = host.line(&format!("policy create abuse --block 10.66.0.0/16 {line}"));
        let done = match line.contains("dry") {
            true => done.ok(),
            false => done.left_open(),
        };
        let (after, took) = (cpu(pid), start.elapsed());
        let [user, system] = [0, 1].map(|at| after[at] - before[at]);
        println!("{line}: {took:?}, of the agent's CPU {user:?} and {system:?} in the kernel");
        assert_has(done, &["1001 of 100002 connected clients"]);
        // In a debug build some 2 s for each look at all entries.
        assert!(
            user + system < Duration::from_secs(20),
            "{user:?} {system:?}"
        );
        if !line.contains("dry") {
            assert_has(
                done,
                &["closed 1 open connection; 1000 could not be closed:\n"],
            );
        }
    }
    assert!(!lives(&mut blocked));
    assert!(lives(&mut allowed));
}
