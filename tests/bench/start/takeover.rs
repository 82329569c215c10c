//! An agent that takes over what is in force, from its start until it answers.

use std::path::Path;

use super::{Plan, Turns, sites};
use crate::report::Report;

/// Of the other build's time.
const TIMES: f64 = 0.5;

/// Milliseconds until the status is answered meanwhile.
const STATUS: f64 = 100.0;

pub(super) fn run(report: &mut Report, plan: Plan, entries: usize, against: Option<&Path>) {
    report.progress(&format!("start: taking over {entries} rules"));
    let mut sites = sites(entries, against);
    let names: Vec<_> = sites.iter().map(|site| site.name).collect();
    let columns = || {
        names
            .iter()
            .map(|name| (*name, Vec::new()))
            .collect::<Vec<_>>()
    };
    let (mut taken, mut asked) = (columns(), columns());
    // The first one reads the files into memory.
    for round in 0..=plan.rounds {
        for at in 0..sites.len() {
            let at = (round + at) % sites.len();
            let site = &mut sites[at];
            site.host.kill_agent();
            let (until, status) = site.start();
            if round > 0 {
                taken[at].1.push(until.as_secs_f64() * 1e3);
                asked[at].1.push(status.as_secs_f64() * 1e3);
            }
        }
    }
    let measured = Turns {
        figure: "taking over: the agent answers",
        entries,
        unit: "ms",
        target: None,
        ratio: Some(TIMES),
    };
    measured.report(report, &taken);
    let measured = Turns {
        figure: "taking over: the status is answered",
        target: Some(STATUS),
        ratio: None,
        ..measured
    };
    measured.report(report, &asked);
}
