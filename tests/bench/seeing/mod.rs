//! `cargo xtask bench seeing`: what it costs to remember who came, packets and agent alike.

mod agent;
mod exact;
mod flood;
mod idle;
mod kept;
mod program;

use std::time::Duration;

use crate::report::{Measured, Report};

/// A part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// Verdicts with attempts reported, next to the program before attempts that pass were
    Program,
    /// Hits at 20,000 denied attempts a second
    Exact,
    /// An agent that has nothing to do
    Idle,
    /// Many sources and numbers of 400 days: disk, memory, answers
    Kept,
    /// The agent under a flood from a million denied sources
    SourceFlood,
}

/// How long everything takes.
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// Turns of each program, and how often each is loaded: where its code lies is chance.
    turns: usize,
    loads: usize,
    /// How long attempts come to be counted.
    exact: Duration,
    idle: Duration,
    flood: Duration,
    /// How often each command is run.
    commands: usize,
}

/// About 2 minutes.
const QUICK: Plan = Plan {
    turns: 41,
    loads: 1,
    exact: Duration::from_secs(3),
    idle: Duration::from_secs(15),
    flood: Duration::from_secs(20),
    commands: 5,
};

/// About 14 minutes, of which 10 are the flood.
const FULL: Plan = Plan {
    turns: 101,
    loads: 3,
    exact: Duration::from_secs(10),
    idle: Duration::from_secs(60),
    flood: Duration::from_secs(600),
    commands: 21,
};

/// Measures these parts of it, or all.
pub(crate) fn run(report: &mut Report, is_quick: bool, parts: &[Part]) {
    let plan = if is_quick { QUICK } else { FULL };
    let wants = |part: Part| parts.is_empty() || parts.contains(&part);
    if wants(Part::Program) {
        program::run(report, plan);
    }
    if wants(Part::Exact) {
        exact::run(report, plan);
    }
    if wants(Part::Idle) {
        idle::run(report, plan);
    }
    if wants(Part::Kept) {
        kept::run(report, plan);
    }
    if wants(Part::SourceFlood) {
        flood::run(report, plan);
    }
}

/// A figure of the agent's, which is to be at most so much.
fn at_most(
    figure: &'static str,
    entries: usize,
    (unit, most): (&'static str, f64),
    values: &[f64],
) -> Measured {
    Measured {
        target: Some(most),
        is_less_better: true,
        ..Measured::of(figure, "agent", entries, unit, values)
    }
}
