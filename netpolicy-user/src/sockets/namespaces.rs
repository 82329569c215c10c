//! The other network namespaces of this machine: containers.
//!
//! Finds them by the processes in them and by the files that keep them, and runs work in
//! one on a thread of its own, so that no other thread changes its namespace.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;

use nix::sched::{CloneFlags, setns};

use super::error::SocketsError;

/// Where `ip netns` and Docker keep namespaces, also those without a process.
const KEPT: [&str; 2] = ["/run/netns", "/run/docker/netns"];

/// The network namespaces that were found, the calling thread's left out.
pub(super) struct Namespaces {
    files: Vec<File>,
    /// Whether there are processes that may not be looked at.
    pub(super) some_hidden: bool,
}

impl Namespaces {
    pub(super) fn find() -> Result<Self, SocketsError> {
        let failed = |source| SocketsError::System {
            what: "look at the own network namespace",
            source,
        };
        let own = fs::metadata("/proc/thread-self/ns/net").map_err(failed)?;
        let mut seen = HashSet::from([own.ino()]);
        let mut found = Self {
            files: Vec::new(),
            some_hidden: false,
        };
        for path in candidates() {
            // A process that has ended is no hindrance.
            let opened = File::open(&path).and_then(|file| Ok((file.metadata()?, file)));
            match opened {
                // All namespaces are in one file system, other files are not.
                Ok((is, file)) if is.dev() == own.dev() && seen.insert(is.ino()) => {
                    found.files.push(file);
                }
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    found.some_hidden = true;
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// Runs work in one of them, by its place; `None`: it may not be entered.
    pub(super) fn run<T: Send>(&mut self, at: usize, work: impl FnOnce() -> T + Send) -> Option<T> {
        let file = self.files.get(at)?;
        let inside = || setns(file, CloneFlags::CLONE_NEWNET).map(|()| work());
        let result = thread::scope(|scope| scope.spawn(inside).join());
        let result = result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        self.some_hidden |= result.is_err();
        result.ok()
    }
}

fn candidates() -> impl Iterator<Item = PathBuf> {
    let names = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
    let processes = names(Path::new("/proc"));
    let processes = processes.filter(|entry| {
        let name = entry.file_name();
        name.as_encoded_bytes().iter().all(u8::is_ascii_digit)
    });
    let processes = processes.map(|entry| entry.path().join("ns/net"));
    let kept = KEPT.iter().flat_map(move |dir| names(Path::new(dir)));
    processes.chain(kept.map(|entry| entry.path()))
}
