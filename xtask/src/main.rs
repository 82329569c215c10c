//! `cargo xtask`: netpolicy's build, run and test tasks, one file each.
//!
//! What is here drives cargo, the built binary and the machine's own tools; nothing
//! of netpolicy itself is in this crate, and netpolicy needs nothing of it.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a task's output is for the person who started it"
)]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

mod agent;
mod bench;
mod build;
mod demo;
mod dist;
mod docs;
mod fuzz;
mod kernels;
mod lint;
mod load;
mod objects;
mod process;
mod programs;
mod run;
mod setup;
mod stop;
mod target;
mod test;
mod tools;
mod workspace;

use setup::Purpose;

/// Build, run and test netpolicy.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Install what is missing; every other task does so by itself
    Setup {
        /// What it is to suffice for; each includes the ones before it
        #[arg(long = "for", value_enum, default_value_t = Purpose::Test)]
        purpose: Purpose,
    },
    /// Build netpolicy, its XDP program included
    Build {
        /// With optimisations
        #[arg(long)]
        release: bool,
    },
    /// Show what netpolicy does, in network namespaces made for it; or filter a NIC
    Run(run::Args),
    /// Attach to a NIC with the policies that its store holds (at first none), and
    /// run the agent in the foreground
    Load {
        /// The interface to filter
        #[arg(long, value_name = "NIC")]
        iface: String,
    },
    /// Run all tests; arguments go to `cargo test`
    Test(test::Arguments),
    /// Measure; arguments go to the benchmarks (`--help` tells them)
    Bench {
        /// For the benchmarks
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Read mutated SQL and policy files in search of a crash; arguments go to the
    /// fuzzer (`--help` tells them)
    Fuzz {
        /// For the fuzzer
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run the kernel tests under Debian's Linux 6.1 and 6.12, in qemu
    Kernels(kernels::Args),
    /// Write the generated parts of `docs/` from what the program says of itself
    Docs {
        /// Write nothing; fail if a page differs
        #[arg(long)]
        check: bool,
    },
    /// Check formatting, lints, documentation and licences
    Lint,
    /// Make the packages: .deb, .rpm, tarball, debug symbols, bill of materials
    Dist(dist::Args),
}

fn main() -> ExitCode {
    let result = match Args::parse().task {
        Task::Setup { purpose } => setup::setup(purpose),
        Task::Build { release } => build_and_say(release),
        Task::Run(args) => run::run(&args),
        Task::Load { iface } => load::load(&iface),
        Task::Test(arguments) => test::test(&arguments, std::env::args().skip(2).collect()),
        Task::Bench { args } => bench::bench(&args),
        Task::Fuzz { args } => fuzz::fuzz(&args),
        Task::Kernels(args) => kernels::run(&args),
        Task::Docs { check } => docs::docs(check),
        Task::Lint => lint::lint(),
        Task::Dist(args) => dist::dist(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<stop::Interrupted>() => ExitCode::from(130),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn build_and_say(release: bool) -> Result<()> {
    setup::setup(Purpose::Build)?;
    let binary: PathBuf = build::build(build::Profile::of(release))?;
    println!("{}", workspace::shown(&binary));
    Ok(())
}
