//! `cargo xtask fuzz`: mutated texts in search of a crash.

use anyhow::Result;
use xshell::cmd;

use crate::setup::{self, Purpose};
use crate::workspace;

/// Builds the fuzzer with optimisations and runs it; `args` go to it. The short run
/// among the tests has overflow checks.
///
/// # Errors
/// When it does not build, or a text was not read as it should be.
pub(crate) fn fuzz(args: &[String]) -> Result<()> {
    setup::setup(Purpose::Build)?;
    let shell = workspace::shell()?;
    cmd!(
        shell,
        "cargo run --release --quiet --package netpolicy-tests --bin netpolicy-fuzz -- {args...}"
    )
    .quiet()
    .run()?;
    Ok(())
}
