//! `cargo xtask test`: all tests, with root's rights for those that need a kernel.

use anyhow::Result;
use clap::Args;
use xshell::cmd;

use crate::build::{self, Profile};
use crate::setup::{self, Purpose};
use crate::{tools, workspace};

/// What to test, and how thoroughly.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Try all of what each run tries a part of: millions of random frames, and a kill at
    /// every system call of a change; takes some twenty minutes more
    #[arg(long)]
    long: bool,
    /// For `cargo test`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// Read by `tests/tests/differential.rs` and `faults.rs`.
const LONG_VARIABLE: &str = "NETPOLICY_TEST_LONG";

/// Runs `cargo test` on the workspace, and the kernel tests once more with the other
/// engine; what is left of `typed` goes to both.
///
/// # Errors
/// When a test fails, or root's rights cannot be had.
pub(crate) fn test(arguments: &Arguments, typed: Vec<String>) -> Result<()> {
    let mut args = typed;
    // As typed: the parser takes away a leading `--`, which cargo must see.
    let own = args.iter().position(|arg| arg == "--long");
    if let Some(at) = own.filter(|_| arguments.long) {
        args.remove(at);
    }
    let args = &args;
    setup::setup(Purpose::Test)?;
    let binary = build::build(Profile::Dev)?;
    let shell = workspace::shell()?;
    // The tests are in another package than the binary, so cargo does not tell them.
    shell.set_var(build::BINARY_VARIABLE, &binary);
    // Root's CARGO_HOME may be another one.
    let toolchain = tools::pinned_toolchain(workspace::root())?;
    shell.set_var(tools::TOOLS_DIR_VARIABLE, tools::tools_dir(&toolchain)?);
    if arguments.long {
        shell.set_var(LONG_VARIABLE, "1");
    }
    workspace::tests_as_root(&shell)?;
    cmd!(shell, "cargo test --workspace {args...}").run()?;
    println!("Once more, with the LPM engine:");
    shell.set_var("NETPOLICY_ENGINE", "lpm");
    cmd!(shell, "cargo test --package netpolicy-tests {args...}").run()?;
    Ok(())
}
