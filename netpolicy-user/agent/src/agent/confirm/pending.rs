//! Changes that are rolled back unless they are confirmed in time.
//!
//! The store remembers them, so that neither a crash nor a reboot confirms anything.

use std::ffi::OsString;
use std::sync::Arc;

use jiff::Timestamp;

use super::guard::Guard;
use crate::agent::access::audit::{self, lines};
use crate::agent::access::{Grants, Requester, rights};
use crate::agent::error::AgentError;
use crate::agent::in_force::InForce;
use crate::api::PendingView;
use crate::clock::Clock;
use crate::model::{Privilege, State, plan};
use crate::store::{
    AuditDetail, AuditEntry, Extras, FleetRecord, Outcome, Pending, PendingEdit, RevisionMeta,
    Store, StoreError, Stored,
};

/// The change that waits for its confirmation, if one does.
#[derive(Debug)]
pub struct Confirmation {
    pending: Option<Pending>,
    /// The state to go back to.
    base: Option<Arc<State>>,
    /// What takes it back if the agent is gone.
    guard: Option<Guard>,
    /// The agent's own arguments, for the guard; `None`: none is left.
    arguments: Option<Vec<OsString>>,
}

impl Confirmation {
    /// What the store has. The guard is not left yet.
    #[must_use]
    pub fn new(stored: Option<Pending>, arguments: Option<Vec<OsString>>) -> Self {
        Self {
            pending: stored,
            base: None,
            guard: None,
            arguments,
        }
    }

    /// Reads what there is to go back to, at start.
    pub fn take_over(&mut self, store: &mut dyn Store) {
        if let Some(pending) = &self.pending {
            // For a rescue, which is refused without it.
            self.base = store.state_at(pending.base).ok().map(Arc::new);
        }
    }

    /// The change that waits.
    #[must_use]
    pub fn pending(&self) -> Option<&Pending> {
        self.pending.as_ref()
    }

    /// The state to go back to.
    #[must_use]
    pub fn base(&self) -> Option<&Arc<State>> {
        self.base.as_ref()
    }

    /// The change that waits, if its time is over.
    #[must_use]
    pub fn overdue(&self, now: Timestamp) -> Option<Pending> {
        let due = |pending: &&Pending| pending.remaining(now).is_zero();
        self.pending.as_ref().filter(due).cloned()
    }

    /// The change that waits, as the wall clock shows it.
    #[must_use]
    pub fn view(&self, clock: &Clock) -> Option<PendingView> {
        self.pending.as_ref().map(|pending| view(pending, clock))
    }

    /// Refuses another change while one waits.
    ///
    /// # Errors
    /// [`AgentError::AwaitsConfirmation`].
    pub fn must_not_wait(&self, clock: &Clock) -> Result<(), AgentError> {
        match &self.pending {
            None => Ok(()),
            Some(pending) => Err(AgentError::AwaitsConfirmation(Pending {
                made: clock.shown(pending.made),
                ..pending.clone()
            })),
        }
    }

    /// Confirms the change that waits for it; `fleet`: what is known of the fleet then.
    ///
    /// # Errors
    /// None waits, it is not the caller's to confirm, or the store refuses.
    pub fn confirm(
        &mut self,
        requester: Requester,
        grants: &Grants,
        now: &InForce,
        store: &mut dyn Store,
        (clock, fleet): (&Clock, Option<&FleetRecord>),
    ) -> Result<PendingView, AgentError> {
        let Some(pending) = self.pending.clone() else {
            return Err(AgentError::NotFound {
                what: "no change waits for its confirmation".to_owned(),
                hint: "`netpolicy history` lists all changes and rollbacks",
            });
        };
        if requester.caller.name() != pending.actor {
            rights::require(
                requester.caller,
                grants,
                Privilege::Admin,
                "confirm another user's change",
            )?;
        }
        let action = format!("confirm {}", pending.revision);
        self.end(requester, &action, now, store, (clock, fleet))?;
        Ok(view(&pending, clock))
    }

    /// Stores that no change waits any more; `fleet`: what is known of the fleet then.
    ///
    /// # Errors
    /// The store refuses.
    pub fn end(
        &mut self,
        requester: Requester,
        action: &str,
        now: &InForce,
        store: &mut dyn Store,
        (clock, fleet): (&Clock, Option<&FleetRecord>),
    ) -> Result<(), AgentError> {
        let entry = audit::entry(requester, action, Outcome::Done, now.revision);
        store
            .clear_pending(&entry, fleet)
            .map_err(|source| AgentError::Store {
                what: "the confirmation could not be stored; the change will still be rolled back",
                source,
            })?;
        self.pending = None;
        self.base = None;
        self.leave_guard(clock.now());
        tracing::info!(actor = entry.actor, action, "nothing waits any more");
        Ok(())
    }

    /// A revision is stored that waits, or does not, with what was in force before it.
    pub fn replace(&mut self, waiting: Option<Pending>, before: &Arc<State>, now: Timestamp) {
        self.base = match (&self.pending, &waiting) {
            (Some(_), Some(_)) => self.base.take(),
            (None, Some(_)) => Some(before.clone()),
            (_, None) => None,
        };
        self.pending = waiting;
        if self.pending.is_some() || self.guard.is_some() {
            self.leave_guard(now);
        }
    }

    /// Alters the state to go back to, in what belongs to no revision.
    pub fn alter_base(&mut self, alter: impl FnOnce(&mut State)) {
        if let Some(base) = &mut self.base {
            alter(Arc::make_mut(base));
        }
    }

    /// Leaves a guard for the change that waits, or ends the one that has nothing to wait
    /// for.
    pub fn leave_guard(&mut self, now: Timestamp) {
        if let Some(guard) = self.guard.take() {
            guard.end();
        }
        let (Some(pending), Some(arguments)) = (&self.pending, &self.arguments) else {
            return;
        };
        match Guard::start(arguments, pending.remaining(now)) {
            Ok(guard) => self.guard = Some(guard),
            Err(error) => tracing::warn!(
                %error,
                "no guard: if the agent is killed, the change is rolled back only by the next one"
            ),
        }
    }
}

/// Takes an unconfirmed change back whose time ran out while no agent was there, before
/// anything of it is put into force.
///
/// # Errors
/// The store cannot be read or written.
pub(in crate::agent) fn at_start(
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
    let mut fleets = stored.fleets.clone();
    let fleet = fleets.iter_mut().find(|fleet| fleet.is_member);
    let fleet = fleet.map(|fleet| {
        *fleet = fleet.undone(pending.base, clock.wall(), true);
        fleet.clone()
    });
    let extras = Extras {
        audit: Some(audit),
        pending: PendingEdit::Clear,
        fleet,
        used: None,
    };
    let revision = store.commit_with(&state, &meta, &extras)?;
    Ok(Stored {
        state,
        revision,
        pending: None,
        fleets,
        ..stored
    })
}

/// As the wall clock shows it.
pub(in crate::agent) fn view(pending: &Pending, clock: &Clock) -> PendingView {
    PendingView {
        revision: pending.revision,
        base: pending.base,
        deadline: clock.shown(pending.deadline()),
        actor: pending.actor.clone(),
    }
}

#[cfg(test)]
mod tests;
