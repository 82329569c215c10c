//! Errors of the store, in the operator's words.
//!
//! The cases are what the agent and its operator can act on, whatever keeps the state; what a
//! database or the system says is the source of one, and is not matched on.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::objects::MISSING;

/// What to do to begin with no policy, in every case in which the state is of no use.
#[doc(hidden)]
#[macro_export]
macro_rules! begin_without_policy {
    () => {
        "to begin with no policy: `netpolicy detach`, `netpolicy store reset`, start the agent, apply your policy file, `netpolicy attach`"
    };
}

/// Why the store could not do what was asked. Nothing of the change was stored,
/// and the store can still be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another process holds the database's lock.
    #[error("the state database {} is locked by another process (waited {seconds} s)", path.display())]
    Busy {
        /// The database.
        path: PathBuf,
        /// How long it was waited for, seconds.
        seconds: u64,
    },
    /// The database's content is damaged.
    #[error("the state database {} is damaged: {detail}", path.display())]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// A SQLite database, but of another program.
    #[error(
        "{} is not netpolicy's: it is an SQLite database with application id {found:#x}, expected {expected:#x}",
        path.display()
    )]
    Foreign {
        /// The database.
        path: PathBuf,
        /// Its application id.
        found: u32,
        /// netpolicy's application id.
        expected: u32,
    },
    /// Written by a newer netpolicy, whose data this one cannot understand.
    #[error(
        "the state database {} has format version {found}, written by a newer netpolicy; this one reads up to {supported}",
        path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// The database's format version.
        found: i64,
        /// The newest format version known here.
        supported: i64,
    },
    /// The database or its file system cannot be written.
    #[error("{} is read-only", path.display())]
    ReadOnly {
        /// The database or its directory.
        path: PathBuf,
    },
    /// No space is left for the database.
    #[error("no space left for the state database {}", path.display())]
    Full {
        /// The database.
        path: PathBuf,
    },
    /// The operating system refuses access.
    #[error("no permission to read and write {}", path.display())]
    NoPermission {
        /// The database or its directory.
        path: PathBuf,
    },
    /// The state directory's path leads to something else.
    #[error("the state directory {} is not a directory", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// The database's path leads to something else.
    #[error("the state database {} is not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The file system lacks what the store needs, such as memory shared between processes.
    #[error("the file system of {} {why}", path.display())]
    FileSystem {
        /// The database.
        path: PathBuf,
        /// "does not support" what.
        why: String,
    },
    /// The files of a database in use are gone, or are others.
    #[error("the state database {} is lost, nothing can be stored: {why}", path.display())]
    Lost {
        /// The database.
        path: PathBuf,
        /// What happened to it.
        why: String,
    },
    /// There is no state where there was one.
    #[error(
        "the state database {} is {what}, but {} says that it was filled: starting would let every source in",
        path.display(), marker.display()
    )]
    Emptied {
        /// The database.
        path: PathBuf,
        /// The file that says that it was filled.
        marker: PathBuf,
        /// "missing" or "empty".
        what: &'static str,
    },
    /// The log next to the database is another one's.
    #[error(
        "the state database {} and the log {} do not belong together: {why}; SQLite would replay the log over it",
        path.display(), log.display()
    )]
    OtherLog {
        /// The database.
        path: PathBuf,
        /// The log.
        log: PathBuf,
        /// What gives it away.
        why: &'static str,
    },
    /// Not what `netpolicy backup` makes.
    #[error("{} is not a whole backup: {why}", path.display())]
    NotABackup {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// No such revision is kept.
    #[error("there is no revision {revision}{}", kept(*oldest, *newest))]
    NoSuchRevision {
        /// The one asked for.
        revision: u64,
        /// The oldest one kept; 0: none is.
        oldest: u64,
        /// The newest one; 0: none is.
        newest: u64,
    },
    /// The state holds something that the database's format cannot.
    #[error("the state cannot be stored: {detail}")]
    Unstorable {
        /// What it is.
        detail: String,
    },
    /// A failure of the operating system.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done: "create", "open".
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Any other failure of what keeps the state.
    #[error("cannot {action} in the state database {}: {source}", path.display())]
    Failed {
        /// What was being done: "store a revision".
        action: &'static str,
        /// The database.
        path: PathBuf,
        /// What it says.
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl StoreError {
    /// Which object is missing, where that is why a state cannot be read: "chunk …: it is missing".
    #[must_use]
    pub fn missing_object(&self) -> Option<&str> {
        match self {
            Self::Corrupt { detail, .. } if detail.ends_with(MISSING) => Some(detail),
            _ => None,
        }
    }

    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Busy { .. } => {
                "another netpolicy agent or an sqlite3 shell may hold it; `fuser -v` on that file names the process"
            }
            Self::Corrupt { .. } => {
                concat!(
                    "the kernel keeps enforcing what was last applied; restore a backup with `netpolicy restore FILE`; ",
                    begin_without_policy!()
                )
            }
            Self::Foreign { .. } => {
                "point state_dir (NETPOLICY_STATE_DIR) at a directory of netpolicy's own, or move that file away"
            }
            Self::Newer { .. } => {
                "install the netpolicy version that wrote it or a later one, or restore the backup made before that upgrade"
            }
            Self::ReadOnly { .. } => {
                "remount the file system writable, or point state_dir (NETPOLICY_STATE_DIR) elsewhere"
            }
            Self::Full { .. } => "free some space on that file system, then repeat the change",
            Self::NoPermission { .. } => "run as root, or make it accessible to this user",
            Self::NotADirectory { .. } => {
                "move that file away, or point state_dir (NETPOLICY_STATE_DIR) at a directory"
            }
            Self::NotAFile { .. } => "move it away; netpolicy makes the file itself",
            Self::FileSystem { .. } => {
                "point state_dir (NETPOLICY_STATE_DIR) at a local file system such as ext4 or xfs"
            }
            Self::Lost { .. } => {
                "what is in force stays in force; move the files back if you moved them, or `netpolicy store rescue` stores what the agent holds in a new database"
            }
            Self::Emptied { .. } => {
                concat!(
                    "restore a backup with `netpolicy restore FILE`, or name the right directory (NETPOLICY_STATE_DIR); ",
                    begin_without_policy!()
                )
            }
            Self::OtherLog { .. } => {
                concat!(
                    "put a backup in place with `netpolicy restore FILE`, which removes the log, never by copying it over state.db; if that is done, copy it to another name and restore that; ",
                    begin_without_policy!()
                )
            }
            Self::NotABackup { .. } => {
                "nothing was changed; name a file that `netpolicy backup FILE` wrote: a copy of state.db alone lacks what is in its log"
            }
            Self::NoSuchRevision { .. }
            | Self::Unstorable { .. }
            | Self::Io { .. }
            | Self::Failed { .. } => return None,
        })
    }
}

/// The end of [`StoreError::NoSuchRevision`]'s message.
fn kept(oldest: u64, newest: u64) -> String {
    if newest == 0 {
        "; none was made yet".into()
    } else {
        format!("; kept are {oldest} to {newest}")
    }
}
