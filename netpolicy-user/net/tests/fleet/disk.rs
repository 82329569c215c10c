//! A file system of its own for a directory, that can be full.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A tmpfs, unmounted at the end.
pub(crate) struct Disk(PathBuf);

impl Disk {
    /// Mounts one.
    pub(crate) fn mount(dir: &Path, mebibytes: u32) -> Self {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"])
            .arg(dir)
            .status();
        assert!(mounted.unwrap().success());
        Self(dir.to_owned())
    }

    /// Leaves no byte free.
    pub(crate) fn fill(&self) {
        let mut filler = File::create(self.filler()).unwrap();
        let mut part = 1 << 20;
        while part > 0 {
            // What does not fit as a whole is tried in smaller parts.
            match filler.write(&vec![0; part]) {
                Ok(written) if written == part => {}
                Ok(_) | Err(_) => part /= 4,
            }
        }
    }

    /// Gives back what [`Self::fill`] took.
    pub(crate) fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a process may be about to end.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
