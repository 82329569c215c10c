//! What an agent takes of memory and of a processor while nothing happens.

use std::{fs, path::Path, thread, time::Duration};

use super::{Plan, Turns, sites};
use crate::{apply::resident, report::Report};

/// Of the other build's memory.
const MEMORY: f64 = 0.7;

/// Of a processor, in percent.
const CPU: f64 = 0.3;

/// How long an agent is left alone before it is watched.
const SETTLE: Duration = Duration::from_secs(10);

pub(super) fn run(report: &mut Report, plan: Plan, entries: usize, against: Option<&Path>) {
    report.progress(&format!("start: idle with {entries} rules"));
    let mut sites = sites(entries, against);
    let names: Vec<_> = sites.iter().map(|site| site.name).collect();
    let columns = || {
        names
            .iter()
            .map(|name| (*name, Vec::new()))
            .collect::<Vec<_>>()
    };
    let mut memory = [columns(), columns()];
    let mut cpu = columns();
    // First as the change left the agents, then as they are after a start.
    for memory in &mut memory {
        thread::sleep(SETTLE);
        let pids: Vec<_> = sites
            .iter_mut()
            .map(|site| site.host.agent().pid())
            .collect();
        let before: Vec<_> = pids.iter().map(|pid| seconds(*pid)).collect();
        thread::sleep(plan.watched);
        for (at, pid) in pids.into_iter().enumerate() {
            let used = seconds(pid) - before[at];
            cpu[at].1.push(100.0 * used / plan.watched.as_secs_f64());
            memory[at].1.push(resident(pid, "VmRSS:"));
        }
        for site in &mut sites {
            site.host.kill_agent();
            site.host.start_agent();
        }
    }
    let figures = [
        "idle: resident memory after the change",
        "idle: resident memory after a start",
    ];
    let measured = |figure, unit, target, ratio| Turns {
        figure,
        entries,
        unit,
        target,
        ratio,
    };
    for (figure, memory) in figures.into_iter().zip(&memory) {
        measured(figure, "MiB", None, Some(MEMORY)).report(report, memory);
    }
    measured("idle: CPU", "% of a core", Some(CPU), None).report(report, &cpu);
}

/// Seconds of a processor that all threads of a process have used (`schedstat`, to the
/// nanosecond: in ticks an idle agent uses a handful).
fn seconds(pid: u32) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("list the threads");
    let used = tasks.flatten().filter_map(|task| {
        // One that ended meanwhile used little.
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    });
    used.sum::<f64>() / 1e9
}
