//! `cargo xtask build`: builds the binary, in which the XDP program is.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use xshell::cmd;

use crate::target::Target;
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
    /// As tests are built: what would make them wait is optimised.
    Test,
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
            Self::Dev | Self::Test => "debug",
            Self::Release => "release",
        }
    }

    /// What selects it of cargo.
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Dev => &[],
            Self::Test => &["--profile", "test"],
            Self::Release => &["--release"],
        }
    }
}

/// Builds `netpolicy-net`, which tests and packages need and nothing else, and returns where it is.
///
/// # Errors
/// When it does not build.
pub(crate) fn net(profile: Profile) -> Result<PathBuf> {
    let shell = workspace::shell()?;
    let profiled = profile.options();
    let binary = workspace::binaries(profile.directory())?.join("netpolicy-net");
    workspace::run_aside(cmd!(
        shell,
        "cargo build --package netpolicy-net --bin netpolicy-net {profiled...}"
    ))?;
    binary
        .canonicalize()
        .with_context(|| format!("find the built {}", binary.display()))
}

/// Builds both binaries as tests use them and returns where they are: `netpolicy`, then
/// `netpolicy-net`. Their crates have the features that the tests turn on, so that cargo does not
/// build them once more for the tests.
///
/// # Errors
/// When they do not build.
pub(crate) fn for_tests() -> Result<(PathBuf, PathBuf)> {
    let shell = workspace::shell()?;
    let binaries = workspace::binaries(Profile::Test.directory())?;
    let _ahead = objects::begin(&binaries, &["netpolicy-xdp"])?;
    workspace::run_aside(cmd!(
        shell,
        "cargo build --profile test --package netpolicy-user --package netpolicy-net --package netpolicy-tests --bin netpolicy --bin netpolicy-net"
    ))?;
    let found = |name: &str| {
        let binary = binaries.join(name);
        let found = binary.canonicalize();
        found.with_context(|| format!("find the built {}", binary.display()))
    };
    Ok((found("netpolicy")?, found("netpolicy-net")?))
}

/// Builds `netpolicy` and returns where it is.
///
/// # Errors
/// When it does not build.
pub(crate) fn build(profile: Profile) -> Result<PathBuf> {
    build_with(profile, None, &[])
}

/// Builds `netpolicy` for the demonstration and returns where it is: quickly, without the console
/// and `netpolicy top`, which it does not show.
///
/// # Errors
/// When it does not build.
pub(crate) fn for_demonstration() -> Result<PathBuf> {
    build_with(Profile::Dev, None, &["--no-default-features"])
}

/// The same for another architecture, whose compiler is there.
///
/// # Errors
/// When it does not build.
pub(crate) fn build_for(profile: Profile, target: Option<Target>) -> Result<PathBuf> {
    build_with(profile, target, &[])
}

fn build_with(profile: Profile, target: Option<Target>, features: &[&str]) -> Result<PathBuf> {
    let shell = workspace::shell()?;
    let options = target.map(Target::cargo_options).unwrap_or_default();
    if let Some((variable, linker)) = target.and_then(Target::linker) {
        shell.set_var(variable, linker);
    }
    let profiled = profile.options();
    let mut binaries = workspace::binaries(profile.directory())?;
    if let ([_, triple], Some(all)) = (options.as_slice(), binaries.parent()) {
        binaries = all.join(triple).join(profile.directory());
    }
    let binary = binaries.join("netpolicy");
    let _ahead = objects::begin(&binaries, &["netpolicy-xdp"])?;
    workspace::run_aside(cmd!(
        shell,
        "cargo build --package netpolicy-user --bin netpolicy {features...} {profiled...} {options...}"
    ))?;
    binary
        .canonicalize()
        .with_context(|| format!("find the built {}", binary.display()))
}
