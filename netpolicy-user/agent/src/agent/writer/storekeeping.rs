//! What becomes of the store itself: lost and rescued, backed up, not to be
//! gone on from.
//!
//! Nothing is accepted that cannot be kept, and nothing older than what is in force takes its
//! place before an admin says so. Must not decide what the desired state is.

use super::core::Writer;
use crate::agent::access::{Requester, audit, rights};
use crate::agent::change::Consent;
use crate::agent::change::consent::opened_by_store;
use crate::agent::error::{AgentError, chain};
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
    pub fn rescue(&mut self, requester: Requester) -> Result<RescuedView, AgentError> {
        const ACTION: &str = "store rescue";
        let result = self.try_rescue(requester, ACTION);
        result.inspect_err(|error| self.audit_refusal(requester, ACTION, error))
    }

    fn try_rescue(
        &mut self,
        requester: Requester,
        action: &str,
    ) -> Result<RescuedView, AgentError> {
        rights::require(
            requester.caller,
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
        let mut entry = audit::entry(requester, action, Outcome::Done, self.in_force.revision);
        entry.detail.changes = self.faults.store.iter().cloned().collect();
        let pending = self.confirmation.pending();
        let base = self.confirmation.base();
        let rescued = self.store.rescue(&Whole {
            state: &self.in_force.state,
            revision: self.in_force.revision,
            by: by_rescue(self.settings.clock.wall(), &entry.actor),
            bypasses: &self.bypasses,
            grants: &self.grants,
            feeds: &self.feeds.records(&self.in_force.state),
            fleets: self.fleets.records(),
            pending: pending.and_then(|pending| Some((pending, &**base?))),
            audit: entry.clone(),
        });
        let rescued = rescued.map_err(|source| AgentError::Store {
            what: "the store could not be rescued",
            source,
        })?;
        if !self.upkeep.is_held() {
            self.upkeep.adopt(&mut *self.store);
        }
        let (bans, mut around) = self.bans();
        if let Err(error) = bans.rescue(&mut around) {
            // All else is rescued; they are tried again.
            tracing::error!(error = chain(&error), "the bans are not rescued yet");
        }
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
            kept: rescued
                .kept
                .as_ref()
                .map(|kept| kept.path.display().to_string()),
            kept_log: rescued
                .kept
                .and_then(|kept| kept.log)
                .map(|log| log.display().to_string()),
        })
    }

    /// What makes a backup, off the writer's thread.
    ///
    /// # Errors
    /// The caller is no admin, or the store cannot be read.
    pub fn archivist(&mut self, requester: Requester) -> Result<Archivist, AgentError> {
        rights::require(
            requester.caller,
            &self.grants,
            Privilege::Admin,
            "back the store up",
        )?;
        let archivist = self.store.archivist().map_err(|source| AgentError::Store {
            what: "the store cannot be backed up",
            source,
        })?;
        self.note(requester, "backup");
        Ok(archivist)
    }

    /// Puts the store's revision in force and goes on from it, though another was in use last.
    /// `dry_run`: only says what that opens.
    ///
    /// # Errors
    /// The caller is no admin, the store is not held, what it opens is not consented to, or the
    /// kernel does not take it.
    pub fn acknowledge(
        &mut self,
        requester: Requester,
        consent: Consent,
        dry_run: bool,
    ) -> Result<AcknowledgedView, AgentError> {
        const ACTION: &str = "store acknowledge";
        let result = self.try_acknowledge(requester, consent, dry_run, ACTION);
        self.rest();
        result.inspect_err(|error| {
            if !dry_run {
                self.audit_refusal(requester, ACTION, error);
            }
        })
    }

    fn try_acknowledge(
        &mut self,
        requester: Requester,
        consent: Consent,
        dry_run: bool,
        action: &str,
    ) -> Result<AcknowledgedView, AgentError> {
        rights::require(
            requester.caller,
            &self.grants,
            Privilege::Admin,
            "acknowledge an older store",
        )?;
        let Some(held) = self.upkeep.held() else {
            return Err(AgentError::NotHeld);
        };
        let enforced = self.kernel.read_back();
        let opens = opened_by_store(&self.in_force, &self.bypasses, self.now(), enforced);
        let mut view = AcknowledgedView {
            revision: self.in_force.revision,
            generation: self.in_force.generation,
            before: held.last,
            opens: opens.clone(),
        };
        if dry_run {
            return Ok(view);
        }
        consent.require("the store's revision", opens.as_ref())?;
        let mut entry = audit::entry(requester, action, Outcome::Done, self.in_force.revision);
        entry.before = held.last;
        entry.detail.changes = vec![format!(
            "in force: revision {} -> revision {}",
            held.last, self.in_force.revision
        )];
        entry
            .detail
            .changes
            .extend(opens.iter().map(audit::consented));
        let prepared = self.kernel.prepare_again(&self.in_force, &self.progress)?;
        self.store
            .audit(&entry)
            .map_err(|source| AgentError::Store {
                what: "the acknowledgement could not be stored",
                source,
            })?;
        self.in_force = self.kernel.commit(prepared, self.in_force.revision);
        self.upkeep.adopt(&mut *self.store);
        self.leave_guard();
        self.restore_bypasses();
        let (bans, mut around) = self.bans();
        bans.restore(&mut around);
        self.publish();
        tracing::warn!(
            actor = entry.actor,
            revision = self.in_force.revision,
            before = held.last,
            "a held store was acknowledged"
        );
        view.generation = self.in_force.generation;
        Ok(view)
    }
}

#[cfg(test)]
mod tests;
