//! `cargo xtask bench`: what netpolicy costs and how fast it is, measured against
//! named references in the same run.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark's output is its purpose"
)]
#![expect(
    clippy::expect_used,
    reason = "what is missing ends a benchmark, and its guards clean up"
)]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "rounded figures; random numbers"
)]

mod answer;
mod apply;
mod bans;
mod bound;
mod cache;
mod chase;
mod choice;
mod command;
mod effect;
mod filters;
mod frame;
mod generator;
mod interrupt;
mod kernel_memory;
mod large_state;
mod lists;
mod machine;
mod matrix;
mod part;
mod passing;
mod quick;
mod random;
mod rate;
mod report;
mod results;
mod seeing;
mod sources;
mod sql;
mod start;
mod verdict;
mod walk;
mod wire;
mod write;

use std::{path::PathBuf, process::ExitCode, time::Instant};

use choice::Choice;
use clap::{CommandFactory as _, Parser, error::ErrorKind};
use lists::Family;
use machine::Machine;
use netpolicy_tests::binary::workspace;
use netpolicy_user::config::EngineChoice;
use part::Part;
use report::{Figure, Report};

/// Measure netpolicy and its references.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench")]
struct Args {
    /// The headline figures only, in at most 45 seconds with everything built
    #[arg(long)]
    quick: bool,
    /// One JSON object a line for every measurement, on standard output
    #[arg(long)]
    json: bool,
    /// Leave out lists of more entries than this; the full run keeps those of hosts, of a country
    /// and for established packets
    #[arg(long, value_name = "ENTRIES", default_value_t = 4_000_000)]
    largest: usize,
    /// Write results.jsonl, results.md and plots, to docs/benchmarks unless told where
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    save: Option<Option<PathBuf>>,
    /// Of passing, bans, start or seeing, only this part; may be repeated
    #[arg(long = "part", value_name = "PART", value_enum, requires = "only")]
    parts: Vec<Part>,
    /// Of start: another `netpolicy` to measure next to this one
    #[arg(long, value_name = "BINARY", requires = "only")]
    against: Option<PathBuf>,
    /// Only these benchmarks; of them `--quick` has apply, rate, passing, bans, start and seeing. The
    /// last four are run only if they are named: passing takes 2 to 4 minutes, 15 without `--quick`;
    /// bans 2, and 8; start 2, and 5; seeing 2, and 14
    #[arg(value_name = "NAME", value_parser = NAMES)]
    only: Vec<String>,
}

const NAMES: [&str; 13] = [
    "chase", "bound", "rate", "verdict", "answer", "write", "effect", "apply", "sql", PASSING,
    BANS, START, SEEING,
];
/// Take as long as many of the others together: measured only where they are named.
const PASSING: &str = "passing";
const BANS: &str = "bans";
const START: &str = "start";
const SEEING: &str = "seeing";
const SIZES: [usize; 5] = [1_000, 10_000, 100_000, 1_000_000, 4_000_000];
const ENGINES: [EngineChoice; 2] = [EngineChoice::Flat, EngineChoice::Lpm];

/// Single changes to measure: enough for the slowest in a hundred.
const CHANGES: usize = 200;

/// Sizes at which single changes are measured; they take a while.
const CHANGED: [usize; 2] = [100_000, 4_000_000];

fn main() -> ExitCode {
    let args = Args::parse();
    args.refuse_what_quick_has_not();
    if !nix::unistd::geteuid().is_root() {
        eprintln!(
            "error: the benchmarks make network namespaces and load XDP programs, which only \
             root may: run `cargo xtask bench`, or as root"
        );
        return ExitCode::FAILURE;
    }
    interrupt::clean_up_when_interrupted();
    let begin = Instant::now();
    let mut report = Report::new(args.json, Machine::look(&args.choices()));
    if args.quick {
        quick::run(&mut report, |name| args.wants(name), args.largest, begin);
    } else {
        full(&args, &mut report);
    }
    if args.names(PASSING) {
        let part = |part: &Part| match part {
            Part::Passing(part) => Some(*part),
            _ => None,
        };
        let parts: Vec<_> = args.parts.iter().filter_map(part).collect();
        passing::run(&mut report, args.quick, &parts);
    }
    if args.names(BANS) {
        let part = |part: &Part| match part {
            Part::Bans(part) => Some(*part),
            _ => None,
        };
        let parts: Vec<_> = args.parts.iter().filter_map(part).collect();
        bans::run(&mut report, args.quick, &parts);
    }
    if args.names(START) {
        let part = |part: &Part| match part {
            Part::Start(part) => Some(*part),
            _ => None,
        };
        let parts: Vec<_> = args.parts.iter().filter_map(part).collect();
        start::run(&mut report, args.quick, &parts, args.against.as_deref());
    }
    if args.names(SEEING) {
        let part = |part: &Part| match part {
            Part::Seeing(part) => Some(*part),
            _ => None,
        };
        let parts: Vec<_> = args.parts.iter().filter_map(part).collect();
        seeing::run(&mut report, args.quick, &parts);
    }
    report.finish();
    report.progress(&format!("{:.0} s", begin.elapsed().as_secs_f64()));
    if let Some(dir) = args.save {
        let dir = dir.unwrap_or_else(|| workspace().join("docs/benchmarks"));
        results::save(&dir, &report);
    }
    ExitCode::SUCCESS
}

impl Args {
    /// Ends the program, as for any wrong argument, if the quick run is to measure what it
    /// does not: it would measure nothing.
    fn refuse_what_quick_has_not(&self) {
        let mut only = self.only.iter();
        let other = only.find(|name| !quick::NAMES.contains(&name.as_str()));
        if let Some(name) = other.filter(|_| self.quick) {
            let message = format!(
                "invalid value '{name}' for '[NAME]...' with '--quick'\n  [possible values: {}]",
                quick::NAMES.join(", ")
            );
            Self::command()
                .error(ErrorKind::InvalidValue, message)
                .exit();
        }
    }

    /// The filters of which rates are to be measured.
    fn choices(&self) -> Vec<Choice> {
        if !self.wants("rate") {
            let has_peers = self.names(PASSING) || self.names(BANS);
            let peers = passing::PEERS.into_iter();
            peers.filter(|_| has_peers).collect()
        } else if self.quick {
            quick::choices(self.largest)
        } else {
            matrix::WITH_HOSTS.to_vec()
        }
    }

    /// Whether a benchmark is named.
    fn names(&self, name: &str) -> bool {
        self.only.iter().any(|only| only == name)
    }

    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}

fn full(args: &Args, report: &mut Report) {
    let sizes = || SIZES.into_iter().filter(|size| *size <= args.largest);
    if args.wants("chase") {
        chase::run(report);
    }
    if args.wants("bound") {
        let cache = machine::second_level_cache();
        for family in [Family::V4, Family::V6] {
            report.figure(Figure {
                bench: "most-hosts-in-cache",
                engine: "",
                family: family.name(),
                sources: "",
                entries: cache / 64,
                value: bound::most_hosts(family, cache) as f64,
                unit: "hosts",
            });
        }
        // Measured with the rates, if those are wanted too.
        if !args.wants("rate") {
            matrix::bounds(report, sizes);
        }
    }
    if args.wants("sql") {
        sql::run(report, 100_000);
    }
    if args.wants("rate") {
        matrix::full(report, sizes);
    }
    if args.wants("verdict") {
        for family in [Family::V4, Family::V6] {
            sizes().for_each(|entries| verdict::run(report, family, entries));
        }
    }
    if args.wants("answer") {
        answer::run(report);
    }
    if args.wants("effect") {
        sizes().for_each(|entries| effect::run(report, entries));
    }
    for engine in ENGINES {
        for entries in sizes() {
            if args.wants("write") {
                write::run(report, engine, entries);
            }
            if args.wants("apply") {
                let changes = if CHANGED.contains(&entries) {
                    CHANGES
                } else {
                    0
                };
                apply::run(report, engine, entries, changes);
            }
        }
    }
}
