//! The `netpolicy` binary under test.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The binary: the one that `NETPOLICY_BIN` names, else built from this workspace,
/// once a process (cargo makes it once for all of them).
///
/// # Panics
/// When it cannot be built.
#[must_use]
pub fn netpolicy() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("NETPOLICY_BIN") {
        Some(path) => PathBuf::from(path),
        None => build("netpolicy-user", "netpolicy"),
    })
}

/// The second binary: the one that `NETPOLICY_NET_BIN` names, else built from this workspace.
///
/// # Panics
/// When it cannot be built.
#[must_use]
pub fn netpolicy_net() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("NETPOLICY_NET_BIN") {
        Some(path) => PathBuf::from(path),
        None => build("netpolicy-net", "netpolicy-net"),
    })
}

fn build(package: &str, program: &str) -> PathBuf {
    let out = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--profile", "test"])
        .args(["--package", package, "--bin", program])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(workspace())
        .stderr(Stdio::inherit())
        .output()
        .expect("start cargo");
    assert!(out.status.success(), "{program} does not build");
    let text = String::from_utf8_lossy(&out.stdout);
    let messages = text
        .lines()
        .filter_map(|l| serde_json::from_str::<serde_json::Value>(l).ok());
    let mut executable =
        messages.filter_map(|m| Some(PathBuf::from(m.get("executable")?.as_str()?)));
    executable
        .next_back()
        .expect("cargo names the executable that it built")
}

/// The workspace's directory.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies in the workspace")
}
