//! Changes that are taken back unless they are confirmed in time.
//!
//! The store remembers them, so that neither a crash nor a reboot confirms anything.

use super::audit::lines;
use super::change::Proposal;
use super::enforcer::Enforcer;
use super::error::{AgentError, chain};
use super::guard::Guard;
use super::request::{Asker, Options};
use super::rights;
use super::writer::Writer;
use crate::api::PendingView;
use crate::clock::Clock;
use crate::model::{Privilege, plan};
use crate::store::{
    AuditDetail, AuditEntry, Extras, Outcome, Pending, PendingEdit, RevisionMeta, Store,
    StoreError, Stored,
};

impl<E: Enforcer> Writer<E> {
    /// Confirms the change that waits for it.
    ///
    /// # Errors
    /// None waits, it is not the caller's to confirm, or the store refuses.
    pub fn confirm(&mut self, asker: Asker) -> Result<PendingView, AgentError> {
        let result = self.try_confirm(asker);
        result.inspect_err(|error| self.audit_refusal(asker, "confirm", error))
    }

    fn try_confirm(&mut self, asker: Asker) -> Result<PendingView, AgentError> {
        let Some(pending) = self.pending.clone() else {
            return Err(AgentError::NotFound {
                what: "no change waits for its confirmation".to_owned(),
                hint: "`netpolicy history` lists all changes and rollbacks",
            });
        };
        if asker.caller.name() != pending.actor {
            rights::require(
                asker.caller,
                &self.grants,
                Privilege::Admin,
                "confirm another user's change",
            )?;
        }
        self.end_pending(asker, &format!("confirm {}", pending.revision))?;
        Ok(view(&pending, &self.settings.clock))
    }

    /// The change that waits, as the wall clock shows it.
    pub(super) fn pending_view(&self) -> Option<PendingView> {
        let clock = &self.settings.clock;
        self.pending.as_ref().map(|pending| view(pending, clock))
    }

    /// Leaves a guard for the change that waits, or ends the one that has nothing to wait
    /// for.
    pub(super) fn leave_guard(&mut self) {
        if let Some(guard) = self.guard.take() {
            guard.end();
        }
        if self.held.is_some() {
            // Nothing is rolled back in a store that is held: see `take_back_unconfirmed`.
            return;
        }
        let (Some(pending), Some(arguments)) = (&self.pending, &self.settings.guard) else {
            return;
        };
        match Guard::start(arguments, pending.remaining(self.now())) {
            Ok(guard) => self.guard = Some(guard),
            Err(error) => tracing::warn!(
                %error,
                "no guard: if the agent is killed, the change is rolled back only by the next one"
            ),
        }
    }

    /// Stores that no change waits any more.
    pub(super) fn end_pending(&mut self, asker: Asker, action: &str) -> Result<(), AgentError> {
        let entry = self.entry(asker, action, Outcome::Done);
        self.store
            .clear_pending(&entry)
            .map_err(|source| AgentError::Store {
                what: "the confirmation could not be stored; the change will still be rolled back",
                source,
            })?;
        self.pending = None;
        self.pending_base = None;
        self.leave_guard();
        self.publish();
        tracing::info!(actor = entry.actor, action, "nothing waits any more");
        Ok(())
    }

    /// Takes the unconfirmed change back if its time is over.
    pub fn take_back_unconfirmed(&mut self) {
        let now = self.now();
        if self.held.is_some() {
            // The change that waits is not in force.
            return;
        }
        let due = |pending: &&Pending| pending.remaining(now).is_zero();
        let Some(pending) = self.pending.as_ref().filter(due).cloned() else {
            return;
        };
        tracing::warn!(
            revision = pending.revision,
            base = pending.base,
            "not confirmed in time: rolled back"
        );
        let proposal = Proposal::Unconfirmed(pending.clone());
        self.faults.pending = match self.change(proposal, Asker::agent(), Options::default()) {
            Ok(_) => None,
            Err(error) => {
                let fault = format!(
                    "revision {} was not confirmed, but could not be rolled back; trying again: {}",
                    pending.revision,
                    chain(&error)
                );
                tracing::error!("{fault}");
                Some(fault)
            }
        };
        self.publish();
    }
}

/// Takes an unconfirmed change back whose time ran out while no agent was there, before
/// anything of it is put into force.
///
/// # Errors
/// The store cannot be read or written.
pub(super) fn at_start(
    store: &mut dyn Store,
    stored: Stored,
    clock: &Clock,
) -> Result<Stored, StoreError> {
    let now = clock.now();
    let due = |pending: &&Pending| pending.remaining(now).is_zero();
    let Some(pending) = stored.pending.as_ref().filter(due) else {
        return Ok(stored);
    };
    tracing::warn!(
        revision = pending.revision,
        base = pending.base,
        "not confirmed in time: rolled back"
    );
    let state = store.state_at(pending.base)?;
    let action = format!("rollback {}: not confirmed", pending.base);
    let meta = RevisionMeta {
        created: clock.wall(),
        actor: "agent".to_owned(),
        action: action.clone(),
    };
    let audit = AuditEntry {
        time: clock.wall(),
        uid: 0,
        actor: "agent".to_owned(),
        from: None,
        action,
        outcome: Outcome::Done,
        before: stored.revision,
        after: stored.revision,
        detail: AuditDetail {
            changes: lines(&plan(&stored.state, &state)),
            errors: Vec::new(),
        },
    };
    let extras = Extras {
        audit: Some(audit),
        pending: PendingEdit::Clear,
    };
    let revision = store.commit_with(&state, &meta, &extras)?;
    Ok(Stored {
        state,
        revision,
        pending: None,
        ..stored
    })
}

/// As the wall clock shows it.
pub(super) fn view(pending: &Pending, clock: &Clock) -> PendingView {
    PendingView {
        revision: pending.revision,
        base: pending.base,
        deadline: clock.shown(pending.deadline()),
        actor: pending.actor.clone(),
    }
}

/// What is refused while a change waits.
pub(super) fn refusal(pending: &Pending, clock: &Clock) -> AgentError {
    AgentError::AwaitsConfirmation(Pending {
        made: clock.shown(pending.made),
        ..pending.clone()
    })
}

#[cfg(test)]
mod tests;
