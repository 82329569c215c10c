//! Whether the store is there, whose it is, and whether it is as new as what is in force.

use std::path::Path;

use super::lock::{self, Lock, LockError};
use crate::agent::error::{AgentError, chain};
use crate::agent::faults::Faults;
use crate::store::Store;

/// What the agent knows of its store beside what is in it.
#[derive(Debug)]
pub struct Upkeep {
    /// A later revision than the store's that stays in force until an admin says otherwise.
    held: Option<u64>,
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
    /// A later revision than the store's stays in force.
    pub fn hold(&mut self, enforced: Option<u64>) {
        self.held = enforced;
    }

    /// The later revision that stays in force.
    #[must_use]
    pub fn held(&self) -> Option<u64> {
        self.held
    }

    /// Whether a later revision than the store's stays in force.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// The store's revision is put in force.
    pub fn release(&mut self) {
        self.held = None;
    }

    /// Refuses whatever would put an older store in force by the way; `stored`: its revision.
    ///
    /// # Errors
    /// [`AgentError::OlderStore`].
    pub fn must_not_be_older(&self, stored: u64) -> Result<(), AgentError> {
        match self.held {
            None => Ok(()),
            Some(enforced) => Err(AgentError::OlderStore { stored, enforced }),
        }
    }

    /// What `status` says of a store that is older than what is in force.
    #[must_use]
    pub fn older_store(&self, stored: u64) -> Option<String> {
        let error = self.must_not_be_older(stored).err()?;
        let hint = "`netpolicy store acknowledge` puts the store's in force, `netpolicy restore \
                    FILE` a newer backup";
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
            // Held since the start, or since the last rescue.
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
