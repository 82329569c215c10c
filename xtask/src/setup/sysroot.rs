//! Where the pinned toolchain is.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use xshell::{Shell, cmd};

/// The pinned toolchain's directory.
///
/// # Errors
/// When there is none, or rustc is another release: without rustup nothing else
/// would notice.
pub(super) fn pinned(shell: &Shell, toolchain: &str) -> Result<PathBuf> {
    let verbose = cmd!(shell, "rustc --verbose --version")
        .quiet()
        .read()
        .with_context(|| {
            format!("Rust {toolchain} is missing: run `rustup toolchain install {toolchain}`")
        })?;
    let found = release(&verbose).context("rustc does not tell its release")?;
    ensure!(
        found == toolchain,
        "netpolicy is built with Rust {toolchain}, and rustc is {found}: install rustup \
         (https://rustup.rs), which takes the right one by itself"
    );
    Ok(cmd!(shell, "rustc --print sysroot").quiet().read()?.into())
}

/// The release in the answer of `rustc --verbose --version`.
fn release(verbose: &str) -> Option<&str> {
    verbose
        .lines()
        .find_map(|line| line.strip_prefix("release: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_read_from_its_own_line() {
        let text =
            "rustc 1.95.0 (59807616e 2026-04-14)\nhost: x\nrelease: 1.95.0\nLLVM version: 22";
        assert_eq!(release(text), Some("1.95.0"));
        assert_eq!(release("rustc 1.95.0"), None);
    }
}
