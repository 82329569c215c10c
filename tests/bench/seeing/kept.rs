//! A full memory: what it takes on disk and in the agent, and how fast questions are answered.

use std::{
    fmt::Write as _,
    thread,
    time::{Duration, Instant},
};

use netpolicy_tests::observations::fill_rates;
use netpolicy_user::store::observations_bytes;

use super::{
    Plan,
    agent::{REPORTED, host, remembered, sources, wait_for},
    at_most,
};
use crate::{apply::resident, command::milliseconds, passing::bursts::Bursts, report::Report};

/// Of each verdict.
const SOURCES: u32 = 100_000;

/// Their networks.
const ALLOWED: u8 = 10;
const DENIED: u8 = 11;

/// How long it takes to send as many.
const SENDING: Duration = Duration::from_millis(SOURCES as u64 * 1000 / REPORTED as u64);

/// MiB at the most, on disk and more in memory than without.
const DISK: f64 = 64.0;
const MEMORY: f64 = 48.0;

/// Milliseconds of a command.
const ANSWER: f64 = 100.0;

const MIB: f64 = (1 << 20) as f64;

/// Longer than the agent takes to write down what it was told.
const WRITTEN: Duration = Duration::from_secs(12);

/// What is typed, and how it is called in the results.
const COMMANDS: [(&str, &str); 6] = [
    ("full memory: sources", "sources"),
    (
        "full memory: sources --denied --since 1h --sort attempts",
        "sources --denied --since 1h --sort attempts",
    ),
    (
        "full memory: sources --denied --net 24 --sort attempts",
        "sources --denied --net 24 --sort attempts",
    ),
    (
        "full memory: rates --step day --since 400d",
        "rates --step day --since 400d",
    ),
    (
        "full memory: policy evaluate -f FILE",
        "policy evaluate -f candidate.toml",
    ),
    ("full memory: top --once", "top --once"),
];

pub(super) fn run(report: &mut Report, plan: Plan) {
    report.progress("seeing: a full memory");
    let mut host = host();
    host.write("policy.toml", policies(false));
    host.write("candidate.toml", policies(true));
    host.ok("apply -f policy.toml");
    thread::sleep(WRITTEN);
    let pid = host.agent().pid();
    let before = resident(pid, "VmRSS:");
    for (net, verdict) in [(ALLOWED, "--allowed"), (DENIED, "--denied")] {
        let mut bursts = Bursts::new(&sources(net, SOURCES));
        // A loaded machine loses some on the way.
        while remembered(&host, verdict) < u64::from(SOURCES) {
            bursts.send(host.clients(), Some(REPORTED), SENDING);
            thread::sleep(Duration::from_secs(2));
        }
    }
    thread::sleep(WRITTEN);
    // It inherits that this process has signals blocked, and would not hear another one.
    host.kill_agent();
    let days = fill_rates(&host.state_dir());
    let begin = Instant::now();
    host.start_agent();
    wait_for(&host, "sources --limit 1", |page| {
        page["total"].as_u64() == Some(2 * u64::from(SOURCES))
    });
    report.progress(&format!(
        "started in {:.1} s",
        begin.elapsed().as_secs_f64()
    ));
    let rates = host.json("rates --step day --since 400d");
    let found = rates["buckets"].as_array().map_or(0, Vec::len);
    assert!(found >= days, "{found} buckets of {days} days");
    let entries = 2 * SOURCES as usize;
    // Of which `top --once` tells rates.
    thread::sleep(WRITTEN);
    for (figure, line) in COMMANDS {
        milliseconds(&host, line);
        let times = (0..plan.commands).map(|_| milliseconds(&host, line));
        let times: Vec<f64> = times.collect();
        report.seen(at_most(figure, entries, ("ms", ANSWER), &times));
    }
    thread::sleep(WRITTEN);
    let pid = host.agent().pid();
    let more = resident(pid, "VmRSS:") - before;
    report.seen(at_most(
        "full memory: more in the agent than without",
        entries,
        ("MiB", MEMORY),
        &[more],
    ));
    let bytes = observations_bytes(&host.state_dir()).expect("a file of the memory");
    report.seen(at_most(
        "full memory: on disk",
        entries,
        ("MiB", DISK),
        &[bytes as f64 / MIB],
    ));
}

/// A policy that lets 256 networks in and blocks as many: so rules enough decide to fill what is
/// counted by rule.
fn policies(is_candidate: bool) -> String {
    let nets = |first: u8| {
        let mut nets = String::new();
        for second in 0..=u8::MAX {
            // The candidate denies some more, and some less.
            if !is_candidate || second % 16 != 3 {
                let _ = write!(nets, "\"{first}.{second}.0.0/16\", ");
            }
        }
        nets
    };
    format!(
        "[[policy]]\nname = \"bench\"\nallow = [{}]\nblock = [{}]\n",
        nets(ALLOWED),
        nets(DENIED)
    )
}
