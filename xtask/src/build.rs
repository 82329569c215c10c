//! `cargo xtask build`: builds the binary, in which the XDP program is.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use xshell::cmd;

use crate::{objects, workspace};

/// Names a binary to use instead of the one that would be built.
pub(crate) const BINARY_VARIABLE: &str = "NETPOLICY_BIN";

/// Names the second binary, likewise.
pub(crate) const NET_VARIABLE: &str = "NETPOLICY_NET_BIN";

/// Cargo's profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Quick to build.
    Dev,
    /// With optimisations.
    Release,
}

impl Profile {
    pub(crate) fn of(release: bool) -> Self {
        if release { Self::Release } else { Self::Dev }
    }

    /// Its directory under the target directory.
    fn directory(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }
}

/// Builds `netpolicy-net`, which tests and packages need and nothing else, and returns where it is.
///
/// # Errors
/// When it does not build.
pub(crate) fn net(profile: Profile) -> Result<PathBuf> {
    let shell = workspace::shell()?;
    let release: &[&str] = match profile {
        Profile::Dev => &[],
        Profile::Release => &["--release"],
    };
    let binary = workspace::binaries(profile.directory())?.join("netpolicy-net");
    workspace::run_aside(cmd!(
        shell,
        "cargo build --package netpolicy-net --bin netpolicy-net {release...}"
    ))?;
    binary
        .canonicalize()
        .with_context(|| format!("find the built {}", binary.display()))
}

/// Builds `netpolicy` and returns where it is.
///
/// # Errors
/// When it does not build.
pub(crate) fn build(profile: Profile) -> Result<PathBuf> {
    let shell = workspace::shell()?;
    let release: &[&str] = match profile {
        Profile::Dev => &[],
        Profile::Release => &["--release"],
    };
    let binaries = workspace::binaries(profile.directory())?;
    let binary = binaries.join("netpolicy");
    let _ahead = objects::begin(&binaries, &["netpolicy-xdp"])?;
    workspace::run_aside(cmd!(
        shell,
        "cargo build --package netpolicy-user --bin netpolicy {release...}"
    ))?;
    binary
        .canonicalize()
        .with_context(|| format!("find the built {}", binary.display()))
}
