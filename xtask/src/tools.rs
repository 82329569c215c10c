//! Which toolchain is pinned, and where the tools built for it are kept.
//!
//! Shared with the build scripts and the tests, which include this file, so that what
//! set-up installs is what they look for. Only `std` and `anyhow` here, and
//! nothing is installed or run.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Overrides [`tools_dir`].
pub(crate) const TOOLS_DIR_VARIABLE: &str = "NETPOLICY_TOOLS_DIR";

/// The toolchain that `rust-toolchain.toml` of this workspace pins: "1.95.0".
///
/// # Errors
/// When the file cannot be read or names no channel.
pub(crate) fn pinned_toolchain(workspace: &Path) -> Result<String> {
    let file = workspace.join("rust-toolchain.toml");
    let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    let channel = channel(&text);
    channel.with_context(|| format!("{}: no line `channel = \"…\"`", file.display()))
}

/// The channel in the text of a `rust-toolchain.toml`.
fn channel(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let value = line
            .trim()
            .strip_prefix("channel")?
            .trim_start()
            .strip_prefix('=')?;
        let (channel, _) = value.trim_start().strip_prefix('"')?.split_once('"')?;
        (!channel.is_empty()).then(|| channel.to_owned())
    })
}

/// Where the tools for this toolchain are kept, apart from those of any other:
/// `$NETPOLICY_TOOLS_DIR`, else `$CARGO_HOME/netpolicy-tools/<toolchain>`.
///
/// # Errors
/// When neither these nor `HOME` are set.
pub(crate) fn tools_dir(toolchain: &str) -> Result<PathBuf> {
    if let Some(dir) = env::var_os(TOOLS_DIR_VARIABLE).filter(|dir| !dir.is_empty()) {
        return std::path::absolute(dir).context("make the tools directory's path absolute");
    }
    let cargo_home = cargo_home().with_context(|| format!("or set {TOOLS_DIR_VARIABLE}"))?;
    Ok(cargo_home.join("netpolicy-tools").join(toolchain))
}

/// Where cargo keeps what it downloads: `$CARGO_HOME`, else `~/.cargo`.
///
/// # Errors
/// When neither it nor `HOME` are set.
pub(crate) fn cargo_home() -> Result<PathBuf> {
    match env::var_os("CARGO_HOME").filter(|dir| !dir.is_empty()) {
        Some(dir) => std::path::absolute(dir).context("make CARGO_HOME absolute"),
        None => Ok(env::home_dir()
            .context("set HOME or CARGO_HOME")?
            .join(".cargo")),
    }
}

/// The linker of BPF programs among the tools.
pub(crate) fn bpf_linker(tools_dir: &Path) -> PathBuf {
    tools_dir.join("bin").join("bpf-linker")
}

/// A subcommand of cargo among the tools.
pub(crate) fn cargo_tool(tools_dir: &Path, name: &str) -> PathBuf {
    tools_dir.join("bin").join(name)
}

/// The environment of the tests' Python programs among the tools.
pub(crate) fn python_environment(tools_dir: &Path) -> PathBuf {
    tools_dir.join("python")
}

/// Its interpreter.
pub(crate) fn python(tools_dir: &Path) -> PathBuf {
    python_environment(tools_dir).join("bin").join("python")
}

/// Packages of npm among the tools.
pub(crate) fn node_packages(tools_dir: &Path) -> PathBuf {
    tools_dir.join("npm")
}

/// TypeScript's checker among them.
pub(crate) fn tsc(tools_dir: &Path) -> PathBuf {
    let packages = node_packages(tools_dir).join("node_modules");
    packages.join("typescript").join("bin").join("tsc")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_channel_is_read_whatever_the_spacing() {
        let plain = "[toolchain]\nchannel = \"1.95.0\"\nprofile = \"minimal\"\n";
        assert_eq!(channel(plain).as_deref(), Some("1.95.0"));
        assert_eq!(
            channel("  channel=\"1.96.1\" # why").as_deref(),
            Some("1.96.1")
        );
    }

    #[test]
    fn a_commented_or_missing_channel_is_none() {
        assert_eq!(channel("# channel = \"1.95.0\"\n"), None);
        assert_eq!(channel("channel = \"\"\n"), None);
        assert_eq!(channel("channels = \"1.95.0\"\n"), None);
        assert_eq!(channel(""), None);
    }

    #[test]
    fn this_workspace_pins_a_release() {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let toolchain = pinned_toolchain(&workspace).unwrap();
        assert!(
            toolchain.starts_with(|c: char| c.is_ascii_digit()),
            "{toolchain}"
        );
    }
}
