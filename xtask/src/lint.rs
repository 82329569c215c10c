//! `cargo xtask lint`: formatting, lints, documentation and the types of the console's page,
//! warnings being errors; and licences and sources of all crates.

use anyhow::Result;
use xshell::{Shell, cmd};

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
    page(&shell)?;
    crates(&shell)?;
    cmd!(
        shell,
        "cargo clippy --workspace --all-targets -- -D warnings"
    )
    .run()?;
    // As it ships: the workspace's tests turn on the feature `openapi`.
    cmd!(
        shell,
        "cargo clippy --package netpolicy-user -- -D warnings"
    )
    .run()?;
    // As the demonstration has it.
    cmd!(
        shell,
        "cargo clippy --package netpolicy-user --no-default-features -- -D warnings"
    )
    .run()?;
    cmd!(shell, "cargo doc --workspace --no-deps")
        .env("RUSTDOCFLAGS", "-D warnings")
        .run()?;
    Ok(())
}

/// The types that the console's page states in JSDoc.
///
/// # Errors
/// When a use is not as they say.
fn page(shell: &Shell) -> Result<()> {
    let toolchain = tools::pinned_toolchain(workspace::root())?;
    let tsc = tools::tsc(&tools::tools_dir(&toolchain)?);
    let config = workspace::root().join("netpolicy-user/console/jsconfig.json");
    cmd!(shell, "node {tsc} --project {config}").run()?;
    Ok(())
}

/// Licences, banned crates and sources of all crates, as `deny.toml` has them.
///
/// # Errors
/// When one is not allowed.
pub(crate) fn crates(shell: &Shell) -> Result<()> {
    let toolchain = tools::pinned_toolchain(workspace::root())?;
    let deny = tools::cargo_tool(&tools::tools_dir(&toolchain)?, "cargo-deny");
    workspace::run_aside(cmd!(
        shell,
        "{deny} --workspace --locked --log-level warn check licenses bans sources"
    ))
}
