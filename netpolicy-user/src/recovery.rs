//! Recovery of the store while no agent runs: restore a backup, or start with no policy.
//!
//! The command line's only way to the store. Holds the state directory's lock meanwhile, so
//! that no agent writes there, and leaves the kernel alone: what is in force stays in force.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::agent::upkeep::lock::{self, Lock, LockError};
pub use crate::store::ReplacedDatabase;
use crate::store::{self, AuditDetail, AuditEntry, Outcome, Restorable, StoreError, Summary};

/// Why it was not done. Nothing has changed, unless it says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// An agent runs, or the directory cannot be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The file is no backup, or the store cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RecoveryError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Lock(LockError::StateInUse { .. }) => Some(
                "stop the agent first (`systemctl stop netpolicy`), which leaves in force what is; \
                 then repeat this and start it again",
            ),
            Self::Lock(error) => error.hint(),
            Self::Store(error) => error.hint(),
        }
    }
}

impl RecoveryError {
    /// Whether an agent works with what was to be used.
    #[must_use]
    pub fn is_agent_running(&self) -> bool {
        matches!(
            self,
            Self::Lock(LockError::StateInUse { .. } | LockError::PinsInUse { .. })
        )
    }
}

/// Held as long as no agent may work with the pins.
#[derive(Debug)]
pub struct ClaimedPins {
    _lock: Lock,
}

/// Keeps agents from the pins in a directory of a BPF file system.
///
/// # Errors
/// An agent runs, or it cannot be locked.
pub fn claim_pins(bpffs_dir: &Path) -> Result<ClaimedPins, RecoveryError> {
    let lock = lock::pins(bpffs_dir)?;
    Ok(ClaimedPins { _lock: lock })
}

/// A backup that was read to its end and can be put in place.
#[derive(Debug)]
pub struct Restore {
    /// What it holds.
    pub content: Restorable,
    dir: PathBuf,
    _lock: Lock,
}

impl Restore {
    /// Checks all of `file`, and prepares it to become the store in `state_dir`.
    ///
    /// # Errors
    /// An agent runs, or it is no whole backup.
    pub fn prepare(state_dir: &Path, file: &Path) -> Result<Self, RecoveryError> {
        let lock = lock::state(state_dir)?;
        let uid = rustix::process::getuid().as_raw();
        let entry = |summary: &Summary| AuditEntry {
            time: Timestamp::now(),
            uid,
            actor: user(uid),
            from: None,
            action: format!("restore {}", file.display()),
            outcome: Outcome::Done,
            before: summary.revision,
            after: summary.revision,
            detail: AuditDetail::default(),
        };
        Ok(Self {
            content: store::prepare_restore(state_dir, file, entry)?,
            dir: state_dir.to_path_buf(),
            _lock: lock,
        })
    }

    /// Puts it in place; where the old database is kept, if there was one.
    ///
    /// # Errors
    /// The directory cannot be written; the old or the new one is in place then.
    pub fn finish(self) -> Result<Option<ReplacedDatabase>, RecoveryError> {
        Ok(store::restore(&self.dir, Timestamp::now())?)
    }
}

/// What was not put in place is of no use.
impl Drop for Restore {
    fn drop(&mut self) {
        // Opening the store removes what is left.
        let _ = store::discard_restore(&self.dir);
    }
}

/// Takes the store in `state_dir` away, so that the next agent begins with no policy; where it
/// is kept, if there was one.
///
/// # Errors
/// An agent runs, or the directory cannot be written.
pub fn reset(state_dir: &Path) -> Result<Option<ReplacedDatabase>, RecoveryError> {
    let _lock = lock::state(state_dir)?;
    Ok(store::reset(state_dir, Timestamp::now())?)
}

/// Whether [`reset`] would take anything away.
#[must_use]
pub fn is_filled(state_dir: &Path) -> bool {
    store::is_filled(state_dir)
}

/// The agent that works with the pins in `bpffs_dir`, by its process id, if there is one and it
/// is known; its socket need not be the configured one.
#[must_use]
pub fn agent_of(bpffs_dir: &Path) -> Option<u32> {
    lock::holder_of_pins(bpffs_dir)
}

fn user(uid: u32) -> String {
    let found = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid));
    found
        .ok()
        .flatten()
        .map_or_else(|| uid.to_string(), |user| user.name)
}
