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
    reason = "figures for people; random numbers"
)]

mod apply;
mod bound;
mod cache;
mod chase;
mod command;
mod effect;
mod filters;
mod frame;
mod generator;
mod house;
mod interrupt;
mod kernel_memory;
mod lists;
mod machine;
mod matrix;
mod random;
mod rate;
mod report;
mod results;
mod sources;
mod sql;
mod verdict;
mod walk;
mod wire;
mod write;

use std::{path::PathBuf, process::ExitCode, time::Instant};

use clap::Parser;
use lists::Family;
use netpolicy_tests::binary::workspace;
use netpolicy_user::config::EngineChoice;
use report::{Figure, Report};

/// Measure netpolicy beside its references.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench")]
struct Args {
    /// The headline figures only, in less than a minute
    #[arg(long)]
    quick: bool,
    /// One JSON object a line for every measurement, on standard output
    #[arg(long)]
    json: bool,
    /// Leave out lists of more entries than this
    #[arg(long, value_name = "ENTRIES", default_value_t = 4_000_000)]
    largest: usize,
    /// Write results.jsonl, results.md and plots, to docs/benchmarks unless told where
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    save: Option<Option<PathBuf>>,
    /// Only these benchmarks
    #[arg(value_name = "NAME", value_parser = ["chase", "bound", "rate", "verdict", "write", "effect", "apply", "sql"])]
    only: Vec<String>,
}

const SIZES: [usize; 5] = [1_000, 10_000, 100_000, 1_000_000, 4_000_000];
const ENGINES: [EngineChoice; 2] = [EngineChoice::Flat, EngineChoice::Lpm];

/// Single changes to measure: enough for the slowest in a hundred.
const CHANGES: usize = 200;

/// Sizes at which single changes are measured; they take a while.
const CHANGED: [usize; 2] = [100_000, 4_000_000];

fn main() -> ExitCode {
    let args = Args::parse();
    if !nix::unistd::geteuid().is_root() {
        eprintln!(
            "error: the benchmarks make network namespaces and load XDP programs, which only \
             root may: run `cargo xtask bench`, or as root"
        );
        return ExitCode::FAILURE;
    }
    interrupt::clean_up_when_interrupted();
    let mut report = Report::new(args.json);
    let machine = machine::describe();
    report.note(&machine);
    let begin = Instant::now();
    if args.quick {
        quick(&args, &mut report);
    } else {
        full(&args, &mut report);
    }
    report.finish();
    report.progress(&format!("{:.0} s", begin.elapsed().as_secs_f64()));
    if let Some(dir) = args.save {
        let dir = dir.unwrap_or_else(|| workspace().join("docs/benchmarks"));
        results::save(&dir, &machine, &report);
    }
    ExitCode::SUCCESS
}

impl Args {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}

fn quick(args: &Args, report: &mut Report) {
    if args.wants("apply") {
        apply::run(report, EngineChoice::Flat, 100_000, 20);
    }
    if args.wants("rate") {
        matrix::quick(report);
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
