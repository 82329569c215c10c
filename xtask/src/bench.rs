//! `cargo xtask bench`: the figures, measured on this machine.

use anyhow::Result;
use xshell::cmd;

use crate::build::{self, Profile};
use crate::setup::{self, Purpose};
use crate::workspace;

/// Builds with optimisations and runs the benchmarks; `args` go to them, and standard output
/// is theirs alone. Only for all of them, and for those of traffic that passes and of bans, are the
/// programs of other filters installed; otherwise they are measured where they are there.
///
/// # Errors
/// When something does not build, or a benchmark fails.
pub(crate) fn bench(args: &[String]) -> Result<()> {
    let has = |wanted: &[&str]| args.iter().any(|arg| wanted.contains(&arg.as_str()));
    let is_quick = has(&["--quick"]) && !has(&["passing", "bans", "start"]);
    setup::setup(if is_quick || has(&["--help", "-h"]) {
        Purpose::Run
    } else {
        Purpose::Bench
    })?;
    let binary = build::build(Profile::Release)?;
    let shell = workspace::shell()?;
    shell.set_var(build::BINARY_VARIABLE, &binary);
    workspace::tests_as_root(&shell)?;
    cmd!(
        shell,
        "cargo run --release --quiet --package netpolicy-tests --bin netpolicy-bench -- {args...}"
    )
    .quiet()
    .run()?;
    Ok(())
}
