//! `cargo xtask bench start`: how soon a host filters again, and what an agent takes that has
//! nothing to do; with `--against`, next to another build, by turns.

mod early;
mod idle;
mod site;
mod takeover;

use std::{path::Path, time::Duration};

use site::Site;

use crate::report::{Measured, Report};

/// A part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// From the start of `netpolicy early` until the interface filters
    Early,
    /// From the agent's start until it answers, with the same rules in force already
    TakeOver,
    /// Memory and processor time of an agent that has nothing to do
    #[value(name = "resting")]
    Idle,
}

/// How long everything takes.
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// Starts that are measured.
    rounds: usize,
    /// How long an idle agent is watched.
    watched: Duration,
}

/// About 1 minute.
const QUICK: Plan = Plan {
    rounds: 5,
    watched: Duration::from_secs(15),
};

/// About 4 minutes.
const FULL: Plan = Plan {
    rounds: 15,
    watched: Duration::from_secs(60),
};

/// Measures these parts of it, or all. `against`: another `netpolicy`.
pub(crate) fn run(report: &mut Report, is_quick: bool, parts: &[Part], against: Option<&Path>) {
    let plan = if is_quick { QUICK } else { FULL };
    let wants = |part: Part| parts.is_empty() || parts.contains(&part);
    if wants(Part::Early) {
        for entries in [100_000, 4_000_000] {
            early::run(report, plan, entries);
        }
    }
    if wants(Part::TakeOver) {
        takeover::run(report, plan, 4_000_000, against);
    }
    if wants(Part::Idle) {
        idle::run(report, plan, 100_000, against);
    }
}

/// The build under test, and the other one.
const NAMES: [&str; 2] = ["netpolicy", "the other build"];

/// Hosts with these rules, of the build under test and of the other one, if there is one.
fn sites(entries: usize, against: Option<&Path>) -> Vec<Site> {
    let mut sites = vec![Site::new(NAMES[0], entries, None)];
    sites.extend(against.map(|binary| Site::new(NAMES[1], entries, Some(binary))));
    sites
}

/// What is measured.
#[derive(Clone, Copy)]
struct Turns {
    figure: &'static str,
    entries: usize,
    unit: &'static str,
    /// Of the build under test.
    target: Option<f64>,
    /// Through the other build's, of the same round.
    ratio: Option<f64>,
}

impl Turns {
    /// Reports values of builds, a round each; the less the better.
    fn report(self, report: &mut Report, columns: &[(&'static str, Vec<f64>)]) {
        let of = |name, unit, values: &[f64]| Measured {
            bench: "start",
            is_less_better: true,
            ..Measured::of(self.figure, name, self.entries, unit, values)
        };
        for (at, (name, values)) in columns.iter().enumerate() {
            report.start(Measured {
                target: self.target.filter(|_| at == 0),
                ..of(name, self.unit, values)
            });
        }
        if let [(name, ours), (other, theirs)] = columns {
            let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a / b).collect();
            report.start(Measured {
                against: Some(other),
                target: self.ratio,
                ..of(name, "times", &ratios)
            });
        }
    }
}
