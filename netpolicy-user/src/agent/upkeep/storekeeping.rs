//! What becomes of the store itself: lost and rescued, backed up, older than what is in force.
//!
//! Nothing is accepted that cannot be kept, and nothing older than what is in force takes its
//! place before an admin says so. Must not decide what the desired state is.

use super::lock::{self, LockError};
use crate::agent::access::Asker;
use crate::agent::access::rights;
use crate::agent::error::{AgentError, chain};
use crate::agent::writer::Writer;
use crate::api::{AcknowledgedView, RescuedView};
use crate::model::Privilege;
use crate::store::{Archivist, Outcome, Whole, by_rescue};

impl Writer {
    /// Notes whether what is stored is kept.
    pub(in crate::agent) fn check_store(&mut self) {
        let fault = self.store.check().err().map(|error| {
            format!(
                "{error}; changes are refused; `netpolicy store rescue` stores what the agent holds"
            )
        });
        match &fault {
            Some(fault) if self.faults.store.is_none() => tracing::error!("{fault}"),
            None if self.faults.store.is_some() => tracing::warn!("the state database is back"),
            _ => {}
        }
        self.faults.store = fault;
    }

    /// Stores all that the agent holds in a new database, after the old one was lost.
    ///
    /// # Errors
    /// The caller is no admin, nothing is lost, another agent has the directory, or the store
    /// cannot be written.
    pub fn rescue(&mut self, asker: Asker) -> Result<RescuedView, AgentError> {
        const ACTION: &str = "store rescue";
        let result = self.try_rescue(asker, ACTION);
        result.inspect_err(|error| self.audit_refusal(asker, ACTION, error))
    }

    fn try_rescue(&mut self, asker: Asker, action: &str) -> Result<RescuedView, AgentError> {
        rights::require(
            asker.caller,
            &self.grants,
            Privilege::Admin,
            "rescue the store",
        )?;
        if self.store.check().is_ok() {
            return Err(AgentError::NothingLost);
        }
        self.lock_again()?;
        let mut entry = self.entry(asker, action, Outcome::Done);
        entry.detail.changes = self.faults.store.iter().cloned().collect();
        let base = self.pending_base.clone();
        let pending = self.pending.as_ref();
        let rescued = self.store.rescue(&Whole {
            state: &self.state,
            revision: self.revision,
            by: by_rescue(self.settings.clock.wall(), &entry.actor),
            bypasses: &self.bypasses,
            grants: &self.grants,
            pending: pending.and_then(|pending| Some((pending, base.as_deref()?))),
            audit: entry.clone(),
        });
        let rescued = rescued.map_err(|source| AgentError::Store {
            what: "the store could not be rescued",
            source,
        })?;
        self.check_store();
        self.publish();
        tracing::warn!(
            actor = entry.actor,
            revision = self.revision,
            history = rescued.history,
            "the store was rescued"
        );
        Ok(RescuedView {
            revision: self.revision,
            history: rescued.history,
            kept: rescued.kept.map(|path| path.display().to_string()),
        })
    }

    /// Locks the state directory that the path names now: it may be another than the one that
    /// was locked at start.
    fn lock_again(&mut self) -> Result<(), AgentError> {
        let Some(dir) = self.settings.marker.parent() else {
            return Ok(());
        };
        match lock::state(dir) {
            Ok(lock) => self.lock = Some(lock),
            // Held since the start, or since the last rescue.
            Err(LockError::StateInUse { pid, .. }) if pid == Some(std::process::id()) => {}
            Err(error) => return Err(AgentError::Directory(chain(&error))),
        }
        Ok(())
    }

    /// What makes a backup, off the writer's thread.
    ///
    /// # Errors
    /// The caller is no admin, or the store cannot be read.
    pub fn archivist(&mut self, asker: Asker) -> Result<Archivist, AgentError> {
        rights::require(
            asker.caller,
            &self.grants,
            Privilege::Admin,
            "back the store up",
        )?;
        let archivist = self.store.archivist().map_err(|source| AgentError::Store {
            what: "the store cannot be backed up",
            source,
        })?;
        self.note(asker, "backup");
        Ok(archivist)
    }

    /// Refuses whatever would put an older store in force by the way.
    ///
    /// # Errors
    /// [`AgentError::OlderStore`].
    pub(in crate::agent) fn must_not_be_older(&self) -> Result<(), AgentError> {
        match self.held {
            None => Ok(()),
            Some(enforced) => Err(AgentError::OlderStore {
                stored: self.revision,
                enforced,
            }),
        }
    }

    /// What `status` says of a store that is older than what is in force.
    pub(in crate::agent) fn older_store(&self) -> Option<String> {
        let error = self.must_not_be_older().err()?;
        let hint = "`netpolicy store acknowledge` puts the store's in force, `netpolicy restore \
                    FILE` a newer backup";
        Some(format!("{error}; {hint}"))
    }

    /// Puts the store's revision in force, though a later one is.
    ///
    /// # Errors
    /// The caller is no admin, the store is not older, or the kernel does not take it.
    pub fn acknowledge(&mut self, asker: Asker) -> Result<AcknowledgedView, AgentError> {
        const ACTION: &str = "store acknowledge";
        let result = self.try_acknowledge(asker, ACTION);
        self.rest();
        result.inspect_err(|error| self.audit_refusal(asker, ACTION, error))
    }

    fn try_acknowledge(
        &mut self,
        asker: Asker,
        action: &str,
    ) -> Result<AcknowledgedView, AgentError> {
        rights::require(
            asker.caller,
            &self.grants,
            Privilege::Admin,
            "acknowledge an older store",
        )?;
        let Some(enforced) = self.held else {
            return Err(AgentError::NotOlder);
        };
        let mut entry = self.entry(asker, action, Outcome::Done);
        entry.before = enforced;
        entry.detail.changes = vec![format!(
            "in force: revision {enforced} -> revision {}",
            self.revision
        )];
        self.enforcer.distrust();
        let ruleset = self.ruleset.clone();
        let prepared = self.prepare(&ruleset, self.revision)?;
        self.store
            .audit(&entry)
            .map_err(|source| AgentError::Store {
                what: "the acknowledgement could not be stored",
                source,
            })?;
        self.generation = self.enforcer.commit(prepared);
        self.held = None;
        self.restore_bypasses();
        self.publish();
        tracing::warn!(
            actor = entry.actor,
            revision = self.revision,
            before = enforced,
            "an older store was acknowledged"
        );
        Ok(AcknowledgedView {
            revision: self.revision,
            generation: self.generation,
            before: enforced,
        })
    }
}

#[cfg(test)]
mod tests;
