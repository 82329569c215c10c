//! `cargo xtask bench`: the figures, measured on this machine.

use anyhow::{Context as _, Result};
use xshell::cmd;

use crate::build::{self, Profile};
use crate::setup::{self, Purpose};
use crate::{objects, workspace};

/// The last commit before attempts that pass were reported: `bench seeing` measures the program
/// next to the one of then, whose maps had the same form.
const BEFORE_SEEING: &str = "c5e819fd";

/// Tells the benchmarks where that program's object is.
const BEFORE_VARIABLE: &str = "NETPOLICY_BENCH_BEFORE";

/// Builds with optimisations and runs the benchmarks; `args` go to them, and standard output
/// is theirs alone. Only for all of them, and for those of traffic that passes and of bans, are the
/// programs of other filters installed; otherwise they are measured where they are there.
///
/// # Errors
/// When something does not build, or a benchmark fails.
pub(crate) fn bench(args: &[String]) -> Result<()> {
    let has = |wanted: &[&str]| args.iter().any(|arg| wanted.contains(&arg.as_str()));
    let is_quick = has(&["--quick"]) && !has(&["passing", "bans", "start"]);
    let is_seeing = has(&["seeing"]) && !has(&["rate", "passing", "bans", "start"]);
    setup::setup(if is_quick || is_seeing || has(&["--help", "-h"]) {
        Purpose::Run
    } else {
        Purpose::Bench
    })?;
    let binary = build::build(Profile::Release)?;
    let shell = workspace::shell()?;
    shell.set_var(build::BINARY_VARIABLE, &binary);
    if has(&["seeing"]) {
        let binaries = binary.parent().context("find the built binaries")?;
        let before = objects::of_commit(binaries, BEFORE_SEEING, "netpolicy-xdp")?;
        if let Some(before) = before {
            shell.set_var(BEFORE_VARIABLE, before);
        }
    }
    workspace::tests_as_root(&shell)?;
    cmd!(
        shell,
        "cargo run --release --quiet --package netpolicy-tests --bin netpolicy-bench -- {args...}"
    )
    .quiet()
    .run()?;
    Ok(())
}
