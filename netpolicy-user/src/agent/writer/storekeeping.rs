//! What becomes of the store itself: lost and rescued, backed up, older than what is in force.
//!
//! Nothing is accepted that cannot be kept, and nothing older than what is in force takes its
//! place before an admin says so. Must not decide what the desired state is.

use super::core::Writer;
use crate::agent::access::{Asker, audit, rights};
use crate::agent::error::AgentError;
use crate::agent::upkeep::keeper;
use crate::api::{AcknowledgedView, RescuedView};
use crate::model::Privilege;
use crate::store::{Archivist, Outcome, Whole, by_rescue};

impl Writer {
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
        if let Some(dir) = self.settings.marker.parent() {
            self.upkeep.lock_again(dir)?;
        }
        let mut entry = audit::entry(asker, action, Outcome::Done, self.in_force.revision);
        entry.detail.changes = self.faults.store.iter().cloned().collect();
        let pending = self.confirmation.pending();
        let base = self.confirmation.base();
        let rescued = self.store.rescue(&Whole {
            state: &self.in_force.state,
            revision: self.in_force.revision,
            by: by_rescue(self.settings.clock.wall(), &entry.actor),
            bypasses: &self.bypasses,
            grants: &self.grants,
            pending: pending.and_then(|pending| Some((pending, &**base?))),
            audit: entry.clone(),
        });
        let rescued = rescued.map_err(|source| AgentError::Store {
            what: "the store could not be rescued",
            source,
        })?;
        keeper::check(&mut *self.store, &mut self.faults);
        self.publish();
        tracing::warn!(
            actor = entry.actor,
            revision = self.in_force.revision,
            history = rescued.history,
            "the store was rescued"
        );
        Ok(RescuedView {
            revision: self.in_force.revision,
            history: rescued.history,
            kept: rescued.kept.map(|path| path.display().to_string()),
        })
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
        let Some(enforced) = self.upkeep.held() else {
            return Err(AgentError::NotOlder);
        };
        let mut entry = audit::entry(asker, action, Outcome::Done, self.in_force.revision);
        entry.before = enforced;
        entry.detail.changes = vec![format!(
            "in force: revision {enforced} -> revision {}",
            self.in_force.revision
        )];
        let prepared = self.kernel.prepare_again(&self.in_force, &self.progress)?;
        self.store
            .audit(&entry)
            .map_err(|source| AgentError::Store {
                what: "the acknowledgement could not be stored",
                source,
            })?;
        self.in_force = self.kernel.commit(prepared, self.in_force.revision);
        self.upkeep.release();
        self.restore_bypasses();
        self.publish();
        tracing::warn!(
            actor = entry.actor,
            revision = self.in_force.revision,
            before = enforced,
            "an older store was acknowledged"
        );
        Ok(AcknowledgedView {
            revision: self.in_force.revision,
            generation: self.in_force.generation,
            before: enforced,
        })
    }
}

#[cfg(test)]
mod tests;
