//! From a command typed to its policy in force, and what the agent and the kernel then
//! hold in memory; with the binary as users run it.

use std::{fs, net::Ipv4Addr, thread, time::Duration};

use netpolicy_common::Engine;
use netpolicy_tests::host::{DatabaseHost, Options};
use netpolicy_user::config::EngineChoice;

use crate::{
    command::milliseconds,
    kernel_memory, large_state,
    lists::Family,
    random::Random,
    report::{Figure, Report, quantile},
};

const MIB: f64 = (1 << 20) as f64;

/// A change at one end, then at the other: the time after which a state is steady.
const SETTLE: Duration = Duration::from_millis(500);

/// Applies policies of this many rules, then changes them by one rule `changes` times.
pub(crate) fn run(report: &mut Report, engine: EngineChoice, entries: usize, changes: usize) {
    let name = Engine::from(engine).name();
    report.progress(&format!("apply {entries} {name}"));
    let mut host = DatabaseHost::with(&Options {
        config: format!("engine = \"{name}\"\n"),
        ..Options::default()
    });
    let mut figure = |bench, value, unit| {
        report.figure(Figure {
            bench,
            engine: name,
            family: "",
            sources: "",
            entries,
            value,
            unit,
        });
    };
    let file = large_state::write(&host, &large_state::lists(entries));
    figure(
        "apply",
        milliseconds(&host, &format!("apply -f {file}")),
        "ms",
    );
    thread::sleep(SETTLE);
    let pid = host.agent().pid();
    figure("agent-memory-peak", resident(pid, "VmHWM:"), "MiB");
    figure("agent-memory", resident(pid, "VmRSS:"), "MiB");
    let live = host.bpffs_dir().join("live");
    figure(
        "kernel-memory",
        kernel_memory::of(&live) as f64 / MIB,
        "MiB",
    );
    if changes == 0 {
        return;
    }
    let times = change(&host, changes);
    figure("change-first", times[0], "ms");
    figure("change-p50", quantile(&times[1..], 0.5), "ms");
    figure("change-p99", quantile(&times[1..], 0.99), "ms");
    thread::sleep(SETTLE);
    figure(
        "kernel-memory-changed",
        kernel_memory::of(&live) as f64 / MIB,
        "MiB",
    );
    figure("agent-memory-changed", resident(pid, "VmRSS:"), "MiB");
}

/// Adds a rule somewhere and removes it again, and so on; the time of each command.
fn change(host: &DatabaseHost, changes: usize) -> Vec<f64> {
    let mut random = Random(changes as u64);
    let mut times = Vec::with_capacity(changes + 1);
    while times.len() <= changes {
        let source = Ipv4Addr::from(Family::V4.address(&mut random) as u32);
        for verb in ["add", "remove"] {
            let policy = large_state::policy(0);
            let line = format!("policy alter {policy} --{verb}-block {source}");
            times.push(milliseconds(host, &line));
        }
    }
    times
}

/// What the kernel says of a process's resident memory, in MiB.
pub(crate) fn resident(pid: u32, field: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("read a status");
    let kib: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.split_whitespace().next())
        .and_then(|kib| kib.parse().ok())
        .expect("a process's memory");
    kib / 1024.0
}
