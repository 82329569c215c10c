//! `cargo xtask kernels`: the kernel tests under other Linux kernels, in qemu.
//!
//! Each kernel is a package of Debian's. It boots with this machine's file system as its
//! root, read-only, under a layer in memory: so it runs the test programs that were built
//! here, with this machine's libraries and tools, and changes nothing here. Debian's cloud
//! kernels take some five seconds to boot in software emulation. They lack drivers that
//! Debian's kernel for all machines has, PPP among them.
//!
//! A kernel of another architecture has a Debian of its own as its root, and programs that were
//! cross-built.

mod apt;
mod foreign;
mod guest;
mod image;

use anyhow::{Result, ensure};
use clap::ValueEnum;

use crate::build::{self, Profile};
use crate::programs;
use crate::setup::{self, Purpose};
use crate::stop::Stop;
use crate::target::Target;
use crate::workspace;

/// Test programs that run where none is named: what the verifier, the packet path and the
/// agent do differently from kernel to kernel.
const TESTS: [&str; 19] = [
    "verifier",
    "packets",
    "verdicts",
    "counters",
    "differential",
    "evasion",
    "hooks",
    "link_layers",
    "reset_frames",
    "resets",
    "bans",
    "exceptions",
    "traffic",
    "interfaces",
    "existing",
    "drift",
    "survival",
    "confirm",
    "cli",
];

/// A series of kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Series {
    /// Debian 12's kernel
    #[value(name = "6.1")]
    V6_1,
    /// Debian 13's kernel, which Debian 12 has too
    #[value(name = "6.12")]
    V6_12,
    /// The same with drivers for all machines: PPP is among them (107 MB to download)
    #[value(name = "6.12-amd64")]
    V6_12Amd64,
}

impl Series {
    /// The package that depends on the newest kernel of the series, for an architecture.
    fn package(self, target: Target) -> String {
        let arch = target.debian();
        match self {
            Self::V6_1 => format!("linux-image-cloud-{arch}"),
            Self::V6_12 => format!("linux-image-6.12-cloud-{arch}"),
            Self::V6_12Amd64 => "linux-image-6.12-amd64".to_owned(),
        }
    }
}

/// How the processor is emulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Acceleration {
    /// In software; works on every machine
    Tcg,
    /// By the processor itself; needs /dev/kvm
    Kvm,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Kernels to boot, one after the other
    #[arg(long = "kernel", value_name = "SERIES", value_enum, default_values = ["6.1", "6.12"])]
    kernels: Vec<Series>,
    /// The architecture [default: this machine's]
    #[arg(long = "target", value_enum, value_name = "TRIPLE")]
    target: Option<Target>,
    /// How the processor is emulated
    #[arg(long, value_enum, default_value = "tcg")]
    acceleration: Acceleration,
    /// Seconds that one test program may take
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    timeout: u32,
    /// With the LPM engine
    #[arg(long)]
    lpm: bool,
    /// Test programs of `tests/tests` [default: those that depend on the kernel]
    #[arg(value_name = "TEST")]
    tests: Vec<String>,
}

/// Builds the test programs, boots each kernel and runs them there.
///
/// # Errors
/// When something is not to be had or does not build, or a test fails.
pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(
        workspace::is_root(),
        "`cargo xtask kernels` shares this machine's file system with the kernel that it boots, \
         which only root may: run it as root"
    );
    let target = match args.target {
        Some(target) => target,
        None => Target::host()?,
    };
    let is_amd64 = args.kernels.contains(&Series::V6_12Amd64);
    ensure!(
        target == Target::X86_64 || !is_amd64,
        "6.12-amd64 is a kernel for x86-64: name 6.1 or 6.12 for {}",
        target.triple()
    );
    ensure!(
        !target.is_foreign() || args.acceleration == Acceleration::Tcg,
        "this machine's processor cannot run {}: leave --acceleration out",
        target.triple()
    );
    setup::setup(Purpose::Kernels)?;
    let shell = workspace::shell()?;
    let foreign = match target.is_foreign() {
        true => Some(foreign::Root::prepare(&shell, target)?),
        false => None,
    };
    let binary = build::build_for(Profile::Test, Some(target))?;
    let mut selection = vec!["--package".to_owned(), "netpolicy-tests".to_owned()];
    if let Some((variable, linker)) = target.linker() {
        shell.set_var(variable, linker);
    }
    selection.extend(target.cargo_options().into_iter().map(str::to_owned));
    for name in tests(args) {
        selection.extend(["--test".to_owned(), name]);
    }
    let programs = programs::build(&shell, &selection)?;
    let series = args.kernels.iter();
    let kernels: Vec<_> = series
        .map(|series| image::prepare(&shell, *series, target, foreign.as_ref()))
        .collect::<Result<_>>()?;
    let stop = Stop::install()?;
    let mut failed = Vec::new();
    for kernel in &kernels {
        println!("Linux {}:", kernel.version);
        let boot = guest::Boot {
            kernel,
            binary: &binary,
            programs: &programs,
            target,
            root: foreign.as_ref(),
            acceleration: args.acceleration,
            timeout: args.timeout,
            engine: if args.lpm { "lpm" } else { "flat" },
        };
        let results = boot.run(&stop)?;
        for program in &programs {
            match results.get(&program.name) {
                Some(0) => println!("  {}: passed", program.name),
                Some(status) => {
                    println!("  {}: failed (exit status {status})", program.name);
                    failed.push(format!("{} on {}", program.name, kernel.version));
                }
                None => {
                    println!("  {}: not run to its end", program.name);
                    failed.push(format!("{} on {}", program.name, kernel.version));
                }
            }
        }
    }
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

/// The named tests, or the usual ones.
fn tests(args: &Args) -> Vec<String> {
    if args.tests.is_empty() {
        TESTS.iter().map(ToString::to_string).collect()
    } else {
        args.tests.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_test_programs_exist() {
        for name in TESTS {
            let source = workspace::root().join(format!("tests/tests/{name}.rs"));
            assert!(source.exists(), "{}", source.display());
        }
    }
}
