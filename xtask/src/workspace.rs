//! Where the workspace is, and the shell in which tasks run their commands.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use xshell::{Cmd, Shell, cmd};

use crate::tools;

/// The workspace's directory.
pub(crate) fn root() -> &'static Path {
    let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest_dir.parent().unwrap_or(manifest_dir)
}

/// A shell in the workspace whose cargo and rustc are the pinned ones.
///
/// # Errors
/// When the current directory is gone or `rust-toolchain.toml` cannot be read.
pub(crate) fn shell() -> Result<Shell> {
    let shell = Shell::new().context("find the current directory")?;
    shell.change_dir(root());
    // Otherwise `cargo +nightly xtask …` would hand its choice down to them.
    shell.set_var("RUSTUP_TOOLCHAIN", tools::pinned_toolchain(root())?);
    Ok(shell)
}

/// Shows and runs a command that only prepares for what a task was asked for. All that it
/// prints goes to standard error: standard output is the task's own, and may be JSON lines.
///
/// # Errors
/// When it cannot be started, or fails.
pub(crate) fn run_aside(command: Cmd<'_>) -> Result<()> {
    let shown = command.to_string();
    eprintln!("$ {shown}");
    let status = Command::from(command)
        .stdin(Stdio::null())
        .stdout(io::stderr())
        .status()
        .with_context(|| format!("start `{shown}`"))?;
    ensure!(status.success(), "`{shown}` failed ({status})");
    Ok(())
}

/// The directory of a profile's binaries: next to the one of this very program, so
/// that whatever cargo was told about target directories holds.
///
/// # Errors
/// When the system cannot tell where this program is.
pub(crate) fn binaries(profile: &str) -> Result<PathBuf> {
    let this = env::current_exe().context("find this program")?;
    let target = this.parent().and_then(Path::parent);
    Ok(target.context("find the target directory")?.join(profile))
}

/// A path as one would type it in the workspace.
pub(crate) fn shown(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}

/// Whether this process is root's.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Whether `sudo` is there to become root with.
pub(crate) fn has_sudo() -> bool {
    which::which("sudo").is_ok()
}

/// Lets cargo start built tests and benchmarks through sudo, while it builds as the
/// user.
///
/// # Errors
/// When the user is not root and there is no sudo.
pub(crate) fn tests_as_root(shell: &Shell) -> Result<()> {
    if is_root() {
        return Ok(());
    }
    ensure!(
        has_sudo(),
        "the tests load an XDP program and make network namespaces, which only root may, and \
         there is no sudo: run `cargo xtask test` as root"
    );
    let verbose = cmd!(shell, "rustc --verbose --version").quiet().read()?;
    let host = verbose.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("rustc does not tell the host's target")?;
    shell.set_var(runner_variable(host), "sudo --preserve-env");
    eprintln!("The tests run as root, by sudo.");
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
