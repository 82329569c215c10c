//! One agent for one state directory and one set of pins.
//!
//! Locks are the kernel's (`flock(2)`): they end with the process that holds them,
//! however it ends, so there is nothing to clean up and no stale lock.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock, fstat, major, minor};
use thiserror::Error;

use crate::store::{self, StoreError};

/// The lock's name within the state directory. The file is never removed: a lock
/// on a file without a name excludes no other process.
const FILE_NAME: &str = "agent.lock";

/// An exclusive lock, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why a lock could not be had.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another agent holds the state directory.
    #[error("another netpolicy agent{} runs with the state directory {}", named(*pid), dir.display())]
    StateInUse {
        /// The directory.
        dir: PathBuf,
        /// The other agent, if it is known.
        pid: Option<u32>,
    },
    /// Another agent holds the pins.
    #[error("another netpolicy agent{} enforces with the pins in {}", named(*pid), dir.display())]
    PinsInUse {
        /// The directory in bpffs.
        dir: PathBuf,
        /// The other agent, if it is known.
        pid: Option<u32>,
    },
    /// The state directory cannot be used.
    #[error(transparent)]
    Directory(#[from] StoreError),
    /// A failure of the operating system.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done: "lock".
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl LockError {
    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::StateInUse { .. } => Some(
                "stop that agent first, or give this one its own directory (NETPOLICY_STATE_DIR)",
            ),
            Self::PinsInUse { .. } => Some(
                "stop that agent first, or give this one its own directory in bpffs (NETPOLICY_BPFFS_DIR)",
            ),
            Self::Directory(error) => error.hint(),
            Self::Io { .. } => None,
        }
    }
}

/// Locks the state directory for this process, before anything in it is opened.
/// Makes the directory if it is missing.
///
/// # Errors
/// [`LockError::StateInUse`] and [`LockError::Directory`]; failures to open and lock.
pub fn state(dir: &Path) -> Result<Lock, LockError> {
    store::directory(dir)?;
    let path = dir.join(FILE_NAME);
    let fault = |action, source| LockError::Io {
        action,
        path: path.clone(),
        source,
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|source| fault("open", source))?;
    if !try_lock(&file).map_err(|source| fault("lock", source))? {
        let mut text = String::new();
        // Between locking and writing the file is empty; then the pid is not known.
        let _ = file.read_to_string(&mut text);
        return Err(LockError::StateInUse {
            dir: dir.to_path_buf(),
            pid: text.trim().parse().ok(),
        });
    }
    // Only for the message above: a full disk must not keep the agent from starting.
    let _ = file
        .rewind()
        .and_then(|()| file.set_len(0))
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(Lock { _file: file })
}

/// Locks the pins in the bpffs directory `dir` for this process. The directory
/// exists and bpffs is mounted by now: a lock taken below the mount point
/// would lock another directory.
///
/// # Errors
/// [`LockError::PinsInUse`]; failures to open and lock.
pub fn pins(dir: &Path) -> Result<Lock, LockError> {
    let fault = |action, source| LockError::Io {
        action,
        path: dir.to_path_buf(),
        source,
    };
    let file = File::open(dir).map_err(|source| fault("open", source))?;
    if !try_lock(&file).map_err(|source| fault("lock", source))? {
        return Err(LockError::PinsInUse {
            dir: dir.to_path_buf(),
            pid: holder(&file),
        });
    }
    Ok(Lock { _file: file })
}

/// The process that holds the lock on the pins in `dir`, if there is one and it is known. Takes
/// no lock, which would keep a starting agent out.
#[must_use]
pub fn holder_of_pins(dir: &Path) -> Option<u32> {
    holder(&File::open(dir).ok()?)
}

/// Takes the lock unless another process holds it.
fn try_lock(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Who holds the lock on a file that nothing can be written to, by `/proc/locks`.
fn holder(file: &File) -> Option<u32> {
    let stat = fstat(file).ok()?;
    let id = format!(
        "{:02x}:{:02x}:{}",
        major(stat.st_dev),
        minor(stat.st_dev),
        stat.st_ino
    );
    holder_in(&std::fs::read_to_string("/proc/locks").ok()?, &id)
}

/// Finds "1: FLOCK ADVISORY WRITE pid major:minor:inode 0 EOF" (proc_locks(5)).
fn holder_in(locks: &str, id: &str) -> Option<u32> {
    locks.lines().find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        match fields[..] {
            [_, "FLOCK", _, _, pid, of, ..] if of == id => pid.parse().ok(),
            _ => None,
        }
    })
}

/// " (pid 12)", if it is known.
fn named(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_agent_reports_the_holder_of_the_state() {
        let dir = tempfile::tempdir().unwrap();
        let state_dir = dir.path().join("state");
        let first = state(&state_dir).unwrap();
        let error = state(&state_dir).unwrap_err();
        let expected = format!(
            "another netpolicy agent (pid {}) runs with the state directory {}",
            std::process::id(),
            state_dir.display()
        );
        assert_eq!(error.to_string(), expected);
        assert!(error.hint().is_some());
        drop(first);
        state(&state_dir).unwrap();
    }

    #[test]
    fn left_over_lock_file_does_not_prevent_a_start() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE_NAME), "4194303999\nnonsense").unwrap();
        let _lock = state(dir.path()).unwrap();
        let text = std::fs::read_to_string(dir.path().join(FILE_NAME)).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
    }

    #[test]
    fn second_agent_reports_the_holder_of_the_pins() {
        // tmpfs shows the same device number in stat and /proc/locks, as bpffs does.
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let first = pins(dir.path()).unwrap();
        match pins(dir.path()).unwrap_err() {
            LockError::PinsInUse { pid, .. } => assert_eq!(pid, Some(std::process::id())),
            error => panic!("{error}"),
        }
        drop(first);
        pins(dir.path()).unwrap();
    }

    #[test]
    fn a_directory_that_is_missing_or_a_file_is_said_so() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing");
        let error = pins(&missing).unwrap_err().to_string();
        assert!(
            error.contains("cannot open") && error.contains("missing"),
            "{error}"
        );
        std::fs::write(&missing, "").unwrap();
        let error = state(&missing).unwrap_err();
        assert!(
            matches!(
                error,
                LockError::Directory(StoreError::NotADirectory { .. })
            ),
            "{error}"
        );
    }

    #[test]
    fn the_lock_table_is_read() {
        let table = "1: POSIX  ADVISORY  WRITE 7 08:01:42 0 EOF\n\
                     1: -> FLOCK  ADVISORY  WRITE 8 08:01:42 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 9 08:01:42 0 EOF\n";
        assert_eq!(holder_in(table, "08:01:42"), Some(9));
        assert_eq!(holder_in(table, "08:01:4"), None);
        assert_eq!(holder_in("garbage", "08:01:42"), None);
    }
}
