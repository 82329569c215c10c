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
mod filters;
mod frame;
mod generator;
mod lists;
mod machine;
mod matrix;
mod random;
mod rate;
mod report;
mod sources;
mod wire;

use std::process::ExitCode;

use clap::Parser;
use report::Report;

/// Measure netpolicy beside its references.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench")]
struct Args {
    /// The headline figures only
    #[arg(long)]
    quick: bool,
    /// One JSON object a line for every measurement, on standard output
    #[arg(long)]
    json: bool,
    /// Leave out lists of more entries than this
    #[arg(long, value_name = "ENTRIES", default_value_t = 4_000_000)]
    largest: usize,
    /// Only benchmarks whose name contains this ("rate", "apply")
    #[arg(value_name = "NAME")]
    only: Option<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mut report = Report::new(args.json);
    report.note(&machine::describe());
    let wanted = |name: &str| args.only.as_deref().is_none_or(|only| name.contains(only));
    if wanted("rate") {
        if args.quick {
            matrix::quick(&mut report);
        } else {
            matrix::full(&mut report, args.largest);
        }
    }
    if wanted("apply") {
        apply::run(&mut report, args.quick);
    }
    report.finish();
    ExitCode::SUCCESS
}
