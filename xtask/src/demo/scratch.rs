//! The demonstration agent's files: a directory with a bpffs of its own in it, so that
//! removing both removes every pin and with it every link, map and program.

use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Context as _, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Where the directories are: only root writes there, and the next boot clears it.
const PARENT: &str = "/run";

/// Their names, before the process id.
const PREFIX: &str = "netpolicy-demo-";

/// The directory, removed when dropped.
#[derive(Debug)]
pub(super) struct Scratch {
    dir: PathBuf,
}

impl Scratch {
    /// Makes it.
    ///
    /// # Errors
    /// When it exists, or bpffs cannot be mounted.
    pub(super) fn create() -> Result<Self> {
        let dir = Path::new(PARENT).join(format!("{PREFIX}{}", process::id()));
        let mut builder = DirBuilder::new();
        builder.mode(0o700);
        builder
            .create(&dir)
            .with_context(|| format!("create {}", dir.display()))?;
        let scratch = Self { dir };
        let bpffs = bpffs(&scratch.dir);
        builder
            .create(&bpffs)
            .with_context(|| format!("create {}", bpffs.display()))?;
        mount(
            Some("bpf"),
            &bpffs,
            Some("bpf"),
            MsFlags::empty(),
            Some("mode=0700"),
        )
        .with_context(|| format!("mount a bpffs at {}", bpffs.display()))?;
        // Without it the machine's own configuration would be read.
        let config = scratch.config();
        fs::write(&config, "").with_context(|| format!("write {}", config.display()))?;
        Ok(scratch)
    }

    /// The agent's socket.
    pub(super) fn socket(&self) -> PathBuf {
        self.dir.join("agent.sock")
    }

    /// The agent's log.
    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("agent.log")
    }

    fn config(&self) -> PathBuf {
        self.dir.join("config.toml")
    }

    /// What tells the agent, and the commands, to use it.
    pub(super) fn environment(&self) -> Vec<(&'static str, OsString)> {
        vec![
            ("NETPOLICY_SOCKET", self.socket().into()),
            ("NETPOLICY_STATE_DIR", self.dir.join("state").into()),
            (
                "NETPOLICY_BPFFS_DIR",
                bpffs(&self.dir).join("netpolicy").into(),
            ),
            ("NETPOLICY_CONFIG", self.config().into()),
            // An operator on SSH is not in its network.
            ("NETPOLICY_FROM", "none".into()),
        ]
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.dir);
    }
}

fn bpffs(dir: &Path) -> PathBuf {
    dir.join("bpf")
}

fn remove(dir: &Path) {
    // A detached mount goes even while a process uses it. What fails here fails again
    // below, visibly: a directory with a mount in it cannot be removed.
    let _ = umount2(&bpffs(dir), MntFlags::MNT_DETACH);
    let _ = fs::remove_dir_all(dir);
}

/// Removes the directories of demonstrations that were killed before they could.
pub(super) fn remove_left_behind() {
    for entry in fs::read_dir(PARENT).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(owner);
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            remove(&entry.path());
        }
    }
}

/// The process that made a directory of this name; `None`: none of this demonstration.
fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_of_a_demonstration_have_an_owner() {
        assert_eq!(owner("netpolicy-demo-17"), Some(17));
        assert_eq!(owner("netpolicy-demo-"), None);
        assert_eq!(owner("netpolicy-demo-17.bak"), None);
        assert_eq!(owner("netpolicy"), None);
    }
}
