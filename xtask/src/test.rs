//! `cargo xtask test`: all tests, with root's rights for those that need a kernel.

use anyhow::{Context as _, Result, ensure};
use xshell::{Shell, cmd};

use crate::build::{self, Profile};
use crate::setup::{self, Purpose};
use crate::workspace;

/// Runs `cargo test` on the workspace; `args` go to it.
///
/// # Errors
/// When a test fails, or root's rights cannot be had.
pub(crate) fn test(args: &[String]) -> Result<()> {
    setup::setup(Purpose::Test)?;
    let binary = build::build(Profile::Dev)?;
    let shell = workspace::shell()?;
    // The tests are in another package than the binary, so cargo does not tell them.
    shell.set_var(build::BINARY_VARIABLE, &binary);
    if !workspace::is_root() {
        run_as_root(&shell)?;
    }
    cmd!(shell, "cargo test --workspace {args...}").run()?;
    Ok(())
}

/// Lets cargo start the built tests through sudo, while it builds as the user.
fn run_as_root(shell: &Shell) -> Result<()> {
    ensure!(
        workspace::has_sudo(),
        "the tests load an XDP program and make network namespaces, which only root may, and \
         there is no sudo: run `cargo xtask test` as root"
    );
    let verbose = cmd!(shell, "rustc --verbose --version").quiet().read()?;
    let host = verbose.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("rustc does not tell the host's target")?;
    shell.set_var(runner_variable(host), "sudo --preserve-env");
    println!("The tests run as root, by sudo.");
    Ok(())
}

/// Cargo's variable for the program that starts a target's executables.
fn runner_variable(target: &str) -> String {
    format!(
        "CARGO_TARGET_{}_RUNNER",
        target.to_uppercase().replace(['-', '.'], "_")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runner_s_variable_is_spelt_as_cargo_reads_it() {
        assert_eq!(
            runner_variable("x86_64-unknown-linux-gnu"),
            "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER"
        );
    }
}
