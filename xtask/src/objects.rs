//! The BPF objects, built concurrently with everything else, and those of an earlier commit.
//!
//! Cargo would begin with them last: only one crate waits for them, and a crate comes first
//! that many wait for. So the last processor would wait for the objects alone.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{fs, io};

use anyhow::{Context as _, Result, ensure};
use xshell::cmd;

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
    let target_dir = binaries.parent().context("find the target directory")?;
    let (mut command, _) = command_in(workspace::root(), target_dir, objects)?;
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("start rustup")?;
    Ok(Ahead { child })
}

/// Builds a binary of `netpolicy-ebpf` as it was at a commit, next to the binaries of a profile,
/// unless it is there; where its object is. `None`: this checkout has no such history.
///
/// # Errors
/// When it does not build.
pub(crate) fn of_commit(binaries: &Path, commit: &str, object: &str) -> Result<Option<PathBuf>> {
    let target_dir = binaries.parent().context("find the target directory")?;
    let target_dir = target_dir.join("history").join(commit);
    let sources = target_dir.join("sources");
    if !sources.exists() && !checked_out(commit, &sources)? {
        return Ok(None);
    }
    let (mut command, built) = command_in(&sources, &target_dir, &[object])?;
    if !built.exists() {
        eprintln!("Building {object} of commit {commit}");
        let status = command.stdout(io::stderr()).status();
        let status = status.context("start rustup")?;
        ensure!(
            status.success(),
            "{object} of commit {commit} does not build"
        );
    }
    Ok(Some(built))
}

/// Writes the files of a commit into a new directory; `false`: git does not have it.
fn checked_out(commit: &str, to: &Path) -> Result<bool> {
    let shell = workspace::shell()?;
    let archive = to.with_extension("tar");
    fs::create_dir_all(to.parent().context("find the directory above")?)
        .with_context(|| format!("make the directory of {}", to.display()))?;
    let made = cmd!(shell, "git archive --output {archive} {commit}")
        .quiet()
        .ignore_status()
        .ignore_stderr()
        .output();
    if !made.is_ok_and(|output| output.status.success()) {
        return Ok(false);
    }
    // Under another name until it is whole.
    let new = to.with_extension("new");
    fs::create_dir_all(&new).with_context(|| format!("make {}", new.display()))?;
    cmd!(shell, "tar --extract --file {archive} --directory {new}")
        .quiet()
        .run()?;
    fs::rename(&new, to).with_context(|| format!("make {}", to.display()))?;
    Ok(true)
}

/// The command that builds binaries of `netpolicy-ebpf` of a workspace, and where the object of the
/// first of them will be.
fn command_in(root: &Path, target_dir: &Path, objects: &[&str]) -> Result<(Command, PathBuf)> {
    let toolchain = tools::pinned_toolchain(root)?;
    let tools_dir = tools::tools_dir(&toolchain)?;
    let endian = if cfg!(target_endian = "little") {
        "little"
    } else {
        "big"
    };
    let objects_of_this_host = command::Objects {
        workspace: root,
        toolchain: &toolchain,
        sysroot: &command::sysroot(&toolchain)?,
        cargo_home: &tools::cargo_home()?,
        linker: &tools::bpf_linker(&tools_dir),
        arch: std::env::consts::ARCH,
        target: command::target(endian).context("find the BPF target")?,
        with_log: false,
        target_dir,
    };
    let first = objects.first().context("name an object")?;
    let built = objects_of_this_host.built(first);
    Ok((objects_of_this_host.command(objects)?, built))
}

impl Drop for Ahead {
    fn drop(&mut self) {
        // What is built, is built: the next build goes on from there.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
