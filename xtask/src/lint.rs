//! `cargo xtask lint`: formatting, lints and documentation, warnings being errors.

use anyhow::Result;
use xshell::cmd;

use crate::setup::{self, Purpose};
use crate::workspace;

/// Runs the checks.
///
/// # Errors
/// When one fails; the later ones are then not run.
pub(crate) fn lint() -> Result<()> {
    // The lints of netpolicy-user need the XDP program that is built into it.
    setup::setup(Purpose::Build)?;
    let shell = workspace::shell()?;
    cmd!(shell, "cargo fmt --all --check").run()?;
    cmd!(
        shell,
        "cargo clippy --workspace --all-targets -- -D warnings"
    )
    .run()?;
    cmd!(shell, "cargo doc --workspace --no-deps")
        .env("RUSTDOCFLAGS", "-D warnings")
        .run()?;
    Ok(())
}
