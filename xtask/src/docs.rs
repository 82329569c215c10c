//! `cargo xtask docs`: the generated parts of the documents.

use anyhow::Result;
use xshell::cmd;

use crate::setup::{self, Purpose};
use crate::workspace;

/// Writes them, or only compares them with the program.
///
/// # Errors
/// When netpolicy does not build, or a page cannot be written or differs.
pub(crate) fn docs(check: bool) -> Result<()> {
    setup::setup(Purpose::Build)?;
    let shell = workspace::shell()?;
    let check = check.then_some("--check");
    cmd!(
        shell,
        "cargo run --quiet --package netpolicy-tests --bin netpolicy-docs -- {check...}"
    )
    .quiet()
    .run()?;
    Ok(())
}
