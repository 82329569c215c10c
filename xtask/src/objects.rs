//! The BPF objects, built concurrently with everything else.
//!
//! Cargo would begin with them last: only one crate waits for them, and a crate comes first
//! that many wait for. So the last processor would wait for the objects alone.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

use crate::{tools, workspace};

#[path = "../../netpolicy-ebpf/command.rs"]
mod command;

/// A build of objects that has begun. Ends with this value at the latest.
pub(crate) struct Ahead {
    child: Child,
}

/// Begins to build these binaries of `netpolicy-ebpf`, into the target directory in which
/// `binaries` are those of a profile. That it fails is found by the build script that needs
/// the object, which says why.
///
/// # Errors
/// When it cannot begin.
pub(crate) fn begin(binaries: &Path, objects: &[&str]) -> Result<Ahead> {
    let toolchain = tools::pinned_toolchain(workspace::root())?;
    let tools_dir = tools::tools_dir(&toolchain)?;
    let endian = if cfg!(target_endian = "little") {
        "little"
    } else {
        "big"
    };
    let objects_of_this_host = command::Objects {
        workspace: workspace::root(),
        toolchain: &toolchain,
        sysroot: &command::sysroot(&toolchain)?,
        cargo_home: &tools::cargo_home()?,
        linker: &tools::bpf_linker(&tools_dir),
        arch: std::env::consts::ARCH,
        target: command::target(endian).context("find the BPF target")?,
        with_log: false,
        target_dir: binaries.parent().context("find the target directory")?,
    };
    let mut command: Command = objects_of_this_host.command(objects)?;
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("start rustup")?;
    Ok(Ahead { child })
}

impl Drop for Ahead {
    fn drop(&mut self) {
        // What is built, is built: the next build goes on from there.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
