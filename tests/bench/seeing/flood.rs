//! The agent while attempts of a million denied sources come as fast as this machine can send
//! them, on another processor.

use std::{
    fmt::Write as _,
    thread,
    time::{Duration, Instant},
};

use netpolicy_tests::host::DatabaseHost;

use super::{
    Plan,
    agent::{REPORTED, host, remembered, sources},
    at_most,
};
use crate::{
    apply::resident,
    bans::churn::ticks,
    lists::{self, Family, Kind},
    passing::bursts::Bursts,
    random::Random,
    report::{Measured, Report},
};

const SOURCES: u32 = 1_000_000;

/// Their network, which is blocked.
const NET: u8 = 11;

/// Other rules of the same list: attribution goes through all of them.
const RULES: usize = 90_000;

/// Of a processor, at the most.
const CPU: f64 = 0.15;

/// MiB that memory may grow by once there is no room for more sources.
const GROWTH: f64 = 2.0;

/// Sources that are remembered by then: the room for denied ones, less what goes at once.
const ROOM: u64 = 85_000;

/// How long the flood's first look is, which reports each attempt.
const SETTLE: Duration = Duration::from_secs(3);

/// Between two looks at memory.
const LOOK: Duration = Duration::from_secs(5);

pub(super) fn run(report: &mut Report, plan: Plan) {
    report.progress("seeing: a flood from a million denied sources");
    let mut host = host();
    policies(&host);
    let mut bursts = Bursts::new(&sources(NET, SOURCES));
    while remembered(&host, "--denied") < ROOM {
        bursts.send(host.clients(), Some(REPORTED), Duration::from_secs(3));
        thread::sleep(Duration::from_secs(1));
    }
    bursts.send(host.clients(), None, SETTLE);
    let pid = host.agent().pid();
    let judged = host.counter("host", "blocked");
    let begin = (Instant::now(), ticks(pid));
    let mut memory = vec![resident(pid, "VmRSS:")];
    while begin.0.elapsed() < plan.flood {
        bursts.send(host.clients(), None, LOOK);
        memory.push(resident(pid, "VmRSS:"));
    }
    let seconds = begin.0.elapsed().as_secs_f64();
    let cpu = (ticks(pid) - begin.1) / seconds;
    let rate = (host.counter("host", "blocked") - judged) as f64 / seconds / 1e6;
    let entries = SOURCES as usize;
    let figure = "flood of 1,000,000 denied sources";
    report.seen(Measured::of(figure, "native XDP", entries, "Mpps", &[rate]));
    report.seen(at_most(
        "flood of 1,000,000 denied sources: agent's CPU",
        entries,
        ("of a core", CPU),
        &[cpu],
    ));
    let figure = "flood of 1,000,000 denied sources: agent's memory";
    report.seen(Measured::of(figure, "agent", entries, "MiB", &memory));
    // Without the first quarter, in which memory for the largest bursts is allocated once; and of
    // several looks, as single ones meet a write or none.
    let quarter = (memory.len() / 4).max(1);
    let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len().max(1) as f64;
    let second = &memory[quarter..(2 * quarter).min(memory.len())];
    let growth = mean(&memory[memory.len() - quarter..]) - mean(second);
    report.seen(at_most(
        "flood of 1,000,000 denied sources: growth of agent's memory, last quarter less second",
        entries,
        ("MiB", GROWTH),
        &[growth],
    ));
    let course: Vec<String> = memory.iter().map(|mib| format!("{mib:.0}")).collect();
    report.progress(&format!("MiB, every 5 s: {}", course.join(" ")));
}

/// One policy that blocks them, and 90,000 others.
fn policies(host: &DatabaseHost) {
    let mut random = Random(RULES as u64);
    let mut text = String::from("11.0.0.0/8\n");
    for net in lists::list(Kind::Mix, Family::V4, RULES, &mut random) {
        let _ = writeln!(text, "{net}");
    }
    host.write("blocked.txt", text);
    host.ok("policy create bench --block-file blocked.txt --force --yes");
}
