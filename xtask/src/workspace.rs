//! Where the workspace is, and the shell in which tasks run their commands.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use xshell::Shell;

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

/// The directory of a profile's binaries: beside the one of this very program, so
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
