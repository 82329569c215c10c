//! `cargo xtask lint`: formatting, lints, documentation and licences, warnings being errors.

use anyhow::Result;
use xshell::cmd;

use crate::setup::{self, Purpose};
use crate::{tools, workspace};

/// Runs the checks.
///
/// # Errors
/// When one fails; the later ones are then not run.
pub(crate) fn lint() -> Result<()> {
    // The lints of netpolicy-user need the XDP program that is built into it.
    setup::setup(Purpose::Lint)?;
    let shell = workspace::shell()?;
    cmd!(shell, "cargo fmt --all --check").run()?;
    let toolchain = tools::pinned_toolchain(workspace::root())?;
    let deny = tools::cargo_tool(&tools::tools_dir(&toolchain)?, "cargo-deny");
    // What every crate says of itself, in `deny.toml`: no network, a second.
    cmd!(
        shell,
        "{deny} --offline --workspace --log-level warn check licenses bans sources"
    )
    .run()?;
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
