//! `cargo xtask bench`: the figures, measured on this machine.

use anyhow::Result;
use xshell::cmd;

use crate::build::{self, Profile};
use crate::setup::{self, Purpose};
use crate::workspace;

/// Builds with optimisations and runs the benchmarks; `args` go to them, and standard output
/// is theirs alone. Only for all of them are the programs of other filters installed;
/// otherwise they are measured where they are there.
///
/// # Errors
/// When something does not build, or a benchmark fails.
pub(crate) fn bench(args: &[String]) -> Result<()> {
    let is_quick = args
        .iter()
        .any(|arg| matches!(arg.as_str(), "--quick" | "--help" | "-h"));
    setup::setup(if is_quick {
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
