//! A Debian of another architecture: what the tests find in their root file system there.
//!
//! Its packages are unpacked and not configured, which takes a processor that runs them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use xshell::{Shell, cmd};

use super::apt::Apt;
use super::image;
use crate::target::Target;
use crate::{setup, workspace};

/// What the tests start.
const PACKAGES: [&str; 18] = [
    "base-files",
    "bash",
    "bpftool",
    "busybox-static",
    "coreutils",
    "dash",
    "ethtool",
    "findutils",
    "grep",
    "iproute2",
    "kmod",
    "libc-bin",
    "libgcc-s1",
    "mount",
    "nftables",
    "procps",
    "sed",
    "util-linux",
];

/// Files of this machine's that say who its users are.
const USERS: [&str; 3] = ["passwd", "group", "nsswitch.conf"];

/// Where a kernel of another architecture finds this machine's file system.
pub(super) const HOST: &str = "/host";

/// See the module.
pub(super) struct Root {
    path: PathBuf,
    apt: Apt,
}

impl Root {
    /// Brings QEMU and the cross compiler, and makes the Debian, once.
    ///
    /// # Errors
    /// When something cannot be had.
    pub(super) fn prepare(shell: &Shell, target: Target) -> Result<Self> {
        target.prepare(shell)?;
        setup::program(
            shell,
            &format!("qemu-system-{}", target.machine()),
            target.debian_qemu(),
        )?;
        let directory = image::directory()?.join(target.debian());
        let apt = Apt::of(target, &directory)?;
        let path = directory.join("root");
        if !path.exists() {
            eprintln!(
                "a Debian for {} is missing: downloaded with apt-get, some 50 MB, once",
                target.debian()
            );
            let archives = apt.fetch(shell, &directory, &PACKAGES)?;
            let draft = directory.join("new");
            shell.remove_path(&draft)?;
            unpack(shell, &archives, &draft)?;
            fs::rename(&draft, &path).with_context(|| format!("make {}", path.display()))?;
            shell.remove_path(directory.join("cache/archives"))?;
        }
        Ok(Self { path, apt })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// apt for its architecture.
    pub(super) fn apt(&self) -> &Apt {
        &self.apt
    }

    /// The program that the kernel starts first.
    pub(super) fn busybox(&self) -> PathBuf {
        self.path.join("bin/busybox")
    }
}

fn unpack(shell: &Shell, archives: &[PathBuf], to: &Path) -> Result<()> {
    for archive in archives {
        cmd!(shell, "dpkg-deb --extract {archive} {to}")
            .quiet()
            .run()?;
    }
    for name in USERS {
        let from = Path::new("/etc").join(name);
        if from.exists() {
            shell.copy_file(from, to.join("etc").join(name))?;
        }
    }
    for directory in ["dev", "host", "proc", "root", "run", "sys", "tmp"] {
        shell.create_dir(to.join(directory))?;
    }
    // Some releases of dash make it when they are configured.
    let shell_path = to.join("bin/sh");
    if !shell_path.is_symlink() {
        symlink("dash", &shell_path).with_context(|| format!("make {}", shell_path.display()))?;
    }
    // Tests look for files of the sources where these were when they were compiled.
    let sources = workspace::root();
    let there = to.join(sources.strip_prefix("/").unwrap_or(sources));
    if let Some(parent) = there.parent() {
        shell.create_dir(parent)?;
    }
    let target = format!("{HOST}{}", sources.display());
    symlink(target, &there).with_context(|| format!("make {}", there.display()))
}
