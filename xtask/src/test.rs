//! `cargo xtask test`: all tests, with root's rights for those that need a kernel.

use anyhow::Result;
use xshell::cmd;

use crate::build::{self, Profile};
use crate::setup::{self, Purpose};
use crate::{tools, workspace};

/// Runs `cargo test` on the workspace, and the kernel tests once more with the other
/// engine; `args` go to both.
///
/// # Errors
/// When a test fails, or root's rights cannot be had.
pub(crate) fn test(args: &[String]) -> Result<()> {
    setup::setup(Purpose::Test)?;
    let binary = build::build(Profile::Dev)?;
    let shell = workspace::shell()?;
    // The tests are in another package than the binary, so cargo does not tell them.
    shell.set_var(build::BINARY_VARIABLE, &binary);
    // Root's CARGO_HOME may be another one.
    let toolchain = tools::pinned_toolchain(workspace::root())?;
    shell.set_var(tools::TOOLS_DIR_VARIABLE, tools::tools_dir(&toolchain)?);
    workspace::tests_as_root(&shell)?;
    cmd!(shell, "cargo test --workspace {args...}").run()?;
    println!("Once more, with the LPM engine:");
    shell.set_var("NETPOLICY_ENGINE", "lpm");
    cmd!(shell, "cargo test --package netpolicy-tests {args...}").run()?;
    Ok(())
}
