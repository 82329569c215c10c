//! Checks that the store exists, is this host's, and continues the history that was in force.

use std::path::Path;

use super::lock::{self, Lock, LockError};
use crate::agent::error::{AgentError, chain};
use crate::agent::faults::Faults;
use crate::agent::held::StoreHold;
use crate::store::Store;

/// What the agent knows of its store apart from the content.
#[derive(Debug)]
pub struct Upkeep {
    /// Why the store is not to be gone on from until an admin says otherwise.
    held: Option<StoreHold>,
    /// Of the state directory, where that is another one than at start.
    lock: Option<Lock>,
    /// Whether revisions were made since old ones were removed.
    prune_due: bool,
}

impl Default for Upkeep {
    fn default() -> Self {
        Self {
            held: None,
            lock: None,
            prune_due: true,
        }
    }
}

impl Upkeep {
    /// The store is not gone on from, if there is a reason.
    pub fn hold(&mut self, held: Option<StoreHold>) {
        self.held = held;
    }

    /// Why the store is not gone on from.
    #[must_use]
    pub fn held(&self) -> Option<StoreHold> {
        self.held
    }

    /// Whether the store is not gone on from.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Whether the kernel enforces other rules than the store's, and is to go on so.
    #[must_use]
    pub fn keeps_others(&self) -> bool {
        self.held.is_some_and(|held| held.keeps)
    }

    /// What was in force is gone, and the store's is all that is known.
    pub fn others_are_gone(&mut self) {
        if let Some(held) = &mut self.held {
            held.keeps = false;
        }
    }

    /// The store is gone on from: it is the one in use. Where that cannot be written, the next
    /// start holds it, or puts what was restored in force again.
    pub fn adopt(&mut self, store: &mut dyn Store) {
        self.held = None;
        if let Err(error) = store.adopt() {
            tracing::warn!(%error, "it could not be noted that this store is in use");
        }
    }

    /// Refuses whatever would put a held store in force by the way, or go on from it;
    /// `stored`: its revision.
    ///
    /// # Errors
    /// [`AgentError::HeldStore`].
    pub fn must_not_be_held(&self, stored: u64) -> Result<(), AgentError> {
        match self.held {
            None => Ok(()),
            Some(held) => Err(AgentError::HeldStore { stored, held }),
        }
    }

    /// What `status` says of a store that is held.
    #[must_use]
    pub fn held_store(&self, stored: u64) -> Option<String> {
        let error = self.must_not_be_held(stored).err()?;
        let hint = "`netpolicy store acknowledge` accepts the store's, `netpolicy restore FILE` \
                    restores a newer backup";
        Some(format!("{error}; {hint}"))
    }

    /// A revision was made.
    pub fn revision_made(&mut self) {
        self.prune_due = true;
    }

    /// Removes old revisions.
    pub fn prune(&mut self, store: &mut dyn Store) {
        if !std::mem::take(&mut self.prune_due) {
            return;
        }
        match store.prune() {
            Ok(pruned) if pruned.revisions > 0 => {
                tracing::info!(revisions = pruned.revisions, "old revisions removed");
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(error = chain(&error), "old revisions could not be removed");
            }
        }
    }

    /// Locks the state directory that the path names now: it may be another than the one that
    /// was locked at start.
    ///
    /// # Errors
    /// Another agent has it, or it cannot be used.
    pub fn lock_again(&mut self, dir: &Path) -> Result<(), AgentError> {
        match lock::state(dir) {
            Ok(lock) => self.lock = Some(lock),
            // StoreHold since the start, or since the last rescue.
            Err(LockError::StateInUse { pid, .. }) if pid == Some(std::process::id()) => {}
            Err(error) => return Err(AgentError::Directory(chain(&error))),
        }
        Ok(())
    }
}

/// Notes whether what is stored is kept.
pub fn check(store: &mut dyn Store, faults: &mut Faults) {
    let fault = store.check().err().map(|error| {
        format!(
            "{error}; changes are refused; `netpolicy store rescue` stores what the agent holds"
        )
    });
    match &fault {
        Some(fault) if faults.store.is_none() => tracing::error!("{fault}"),
        None if faults.store.is_some() => tracing::warn!("the state database is back"),
        _ => {}
    }
    faults.store = fault;
}
