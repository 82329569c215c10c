//! What a full memory of sources takes in the agent, also after questions to it.
//!
//! It runs with `NETPOLICY_TEST_LONG=1` alone: with fewer sources, what the agent takes anyway
//! hides what they take.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::fs;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use netpolicy_tests::DatabaseHost;
use netpolicy_tests::observations::{fill_rates, fill_sources};
use netpolicy_tests::packet::Packet;

/// Their networks, a rule for each /16 of them.
const ALLOWED: u8 = 10;
const DENIED: u8 = 11;

/// Sources of each rule: about 200,000 of all 512.
const ADDRESSES: u16 = 390;

/// The most that all of them take, and 400 days of numbers, bytes.
const MOST: u64 = 48 << 20;

/// Longer than the agent takes to write down what it was told.
const WRITTEN: Duration = Duration::from_secs(12);

const QUESTIONS: [&str; 6] = [
    "sources",
    "sources --denied --since 1h --sort attempts",
    "sources --denied --net 24 --sort attempts",
    "rates --step day --since 400d",
    "policy evaluate -f candidate.toml",
    "top --once",
];

/// A policy that allows and blocks 256 networks each; of the candidate some less.
fn policies(is_candidate: bool) -> String {
    let nets = |first: u8| {
        let mut nets = String::new();
        for second in (0..=u8::MAX).filter(|second| !is_candidate || second % 16 != 3) {
            write!(nets, "\"{first}.{second}.0.0/16\", ").unwrap();
        }
        nets
    };
    let (allow, block) = (nets(ALLOWED), nets(DENIED));
    format!("[[policy]]\nname = \"office\"\nallow = [{allow}]\nblock = [{block}]\n")
}

/// A field of the agent's status, bytes.
fn memory(host: &mut DatabaseHost, field: &str) -> u64 {
    let pid = host.agent().pid();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let kib = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = kib.unwrap().split_whitespace().next().unwrap();
    kib.parse::<u64>().unwrap() * 1024
}

fn wait_for_total(host: &DatabaseHost, total: u64) {
    let begun = Instant::now();
    while host.json("sources --limit 1")["total"] != total {
        assert!(begun.elapsed() < Duration::from_secs(60));
        sleep(Duration::from_millis(200));
    }
}

#[test]
fn full_memory_takes_at_most_48_mib_also_after_many_questions() {
    if std::env::var_os("NETPOLICY_TEST_LONG").is_none_or(|value| value == "0") {
        return;
    }
    let mut host = DatabaseHost::start();
    host.write("policy.toml", policies(false));
    host.write("candidate.toml", policies(true));
    host.ok("apply -f policy.toml");
    sleep(WRITTEN);
    let before = memory(&mut host, "VmRSS:");
    let raw = host.raw();
    for (first, second) in [ALLOWED, DENIED]
        .into_iter()
        .flat_map(|first| (0..=u8::MAX).map(move |second| (first, second)))
    {
        raw.send(&Packet::syn(&format!("{first}.{second}.0.1"), 8080).build());
        sleep(Duration::from_millis(1));
    }
    wait_for_total(&host, 512);
    sleep(WRITTEN);
    host.kill_agent();
    assert!(fill_rates(&host.state_dir()) >= 400);
    let sources = fill_sources(&host.state_dir(), ADDRESSES) as u64;
    assert!((199_000..=200_000).contains(&sources));
    host.start_agent();
    wait_for_total(&host, sources);
    let started = memory(&mut host, "VmRSS:");
    for line in QUESTIONS {
        let times = (0..5).map(|_| {
            let begun = Instant::now();
            host.ok(line);
            begun.elapsed()
        });
        let mut times: Vec<Duration> = times.collect();
        times.sort_unstable();
        println!("{line}: {:?}, at most {:?}", times[2], times[4]);
    }
    scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for line in QUESTIONS.iter().cycle().take(4 * QUESTIONS.len()) {
                    host.ok(line);
                }
            });
        }
    });
    sleep(WRITTEN);
    let after = memory(&mut host, "VmRSS:");
    let peak = memory(&mut host, "VmHWM:");
    println!("{before} bytes without, {started} with, {after} after questions, {peak} at most");
    assert!(after - before <= MOST, "{} more", after - before);
    let file = fs::metadata(host.state_dir().join("observations.db")).unwrap();
    assert!(file.len() <= 64 << 20, "{} bytes on disk", file.len());
}
