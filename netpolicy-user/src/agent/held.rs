//! A store that is not put in force unasked: older than what was put in force last, or with
//! another history.
//!
//! Found at the start, by what is in force in the kernel and by what the store's marker
//! recorded, which outlives a reboot. It stands as a fault, and no change is made, until an
//! admin acknowledges it.

use super::consent::Consent;
use super::enforcer::Enforcer;
use super::error::AgentError;
use super::request::Asker;
use super::writer::Writer;
use super::{audit, rights};
use crate::api::AcknowledgedView;
use crate::compiler::compile;
use crate::datapath::Enforced;
use crate::model::Privilege;
use crate::store::{DepartureKind, Outcome, Store, StoreError, Stored};

/// Why the store waits for an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// How the store differs from the one that was in use last.
    pub kind: DepartureKind,
    /// The newest revision of that one.
    pub last: u64,
    /// Whether the kernel enforces that one's rules, and not the store's.
    pub keeps: bool,
}

impl Held {
    /// What is wrong with a store that holds revision `stored`.
    #[must_use]
    pub fn in_words(&self, stored: u64) -> String {
        let Self { kind, last, keeps } = self;
        let than = match keeps {
            true => "what is in force",
            false => "the one that was in use last",
        };
        let history = match kind {
            DepartureKind::Older => format!(
                "the store is older than {than}: it holds revision {stored}, and revision {last} \
                 was put in force"
            ),
            DepartureKind::Diverged => format!(
                "the store has another history than {than}: it holds revision {stored}, and \
                 revision {last} with other content was put in force"
            ),
        };
        match keeps {
            true => format!("{history}; what is in force stays so"),
            false => format!("{history}; revision {stored} is enforced for want of the other"),
        }
    }
}

/// Finds out whether a store is to be held; `digest`: of its ruleset; `enforced`: what is in
/// force, if anything is. A backup that `netpolicy restore` put there is meant to be older.
///
/// # Errors
/// The store cannot be read.
pub(super) fn at_start(
    store: &mut dyn Store,
    stored: &Stored,
    digest: &[u8; 32],
    enforced: Option<&Enforced>,
) -> Result<Option<Held>, StoreError> {
    if stored.restored || stored.revision == 0 {
        return Ok(None);
    }
    let recorded = stored.departure.map(|departure| Held {
        kind: departure.kind,
        last: departure.last,
        keeps: false,
    });
    let mut held = match enforced {
        None => None,
        Some(enforced) if enforced.revision > stored.revision => Some(DepartureKind::Older),
        Some(enforced) => is_diverged(store, stored, digest, enforced)?,
    }
    .zip(enforced)
    .map(|(kind, enforced)| Held {
        kind,
        last: enforced.revision,
        keeps: false,
    });
    // The later one of both: names and comments make revisions that the kernel is not told of.
    if held.is_none_or(|held| recorded.is_some_and(|recorded| recorded.last >= held.last)) {
        held = recorded.or(held);
    }
    Ok(held.map(|held| Held {
        keeps: enforced.is_some_and(|enforced| enforced.digest != *digest),
        ..held
    }))
}

/// Whether what is in force is of another history than the store, which is as new.
fn is_diverged(
    store: &mut dyn Store,
    stored: &Stored,
    digest: &[u8; 32],
    enforced: &Enforced,
) -> Result<Option<DepartureKind>, StoreError> {
    let is_the_same = if enforced.digest == *digest || !enforced.is_own_program {
        // Another version may compile the same state to other rules.
        true
    } else if enforced.revision == stored.revision {
        false
    } else {
        // An agent that was killed before it put its last revision in force.
        match store.state_at(enforced.revision) {
            Ok(state) => compile(&state).digest() == enforced.digest,
            // It was pruned: nothing to compare with.
            Err(StoreError::NoSuchRevision { .. }) => true,
            Err(error) => return Err(error),
        }
    };
    Ok((!is_the_same).then_some(DepartureKind::Diverged))
}

impl<E: Enforcer> Writer<E> {
    /// Refuses whatever would put a held store in force by the way, or go on from it.
    ///
    /// # Errors
    /// [`AgentError::HeldStore`].
    pub(super) fn must_not_be_held(&self) -> Result<(), AgentError> {
        match self.held {
            None => Ok(()),
            Some(held) => Err(AgentError::HeldStore {
                stored: self.revision,
                held,
            }),
        }
    }

    /// What `status` says of a store that is held.
    pub(super) fn held_store(&self) -> Option<String> {
        let error = self.must_not_be_held().err()?;
        let hint = "`netpolicy store acknowledge` accepts the store's, `netpolicy restore FILE` \
                    restores a newer backup";
        Some(format!("{error}; {hint}"))
    }

    /// Puts the store's revision in force and goes on from it, though another was in use last.
    /// `dry_run`: only says what that opens.
    ///
    /// # Errors
    /// The caller is no admin, the store is not held, what it opens is not consented to, or the
    /// kernel does not take it.
    pub fn acknowledge(
        &mut self,
        asker: Asker,
        consent: Consent,
        dry_run: bool,
    ) -> Result<AcknowledgedView, AgentError> {
        const ACTION: &str = "store acknowledge";
        let result = self.try_acknowledge(asker, consent, dry_run, ACTION);
        self.rest();
        result.inspect_err(|error| {
            if !dry_run {
                self.audit_refusal(asker, ACTION, error);
            }
        })
    }

    fn try_acknowledge(
        &mut self,
        asker: Asker,
        consent: Consent,
        dry_run: bool,
        action: &str,
    ) -> Result<AcknowledgedView, AgentError> {
        rights::require(
            asker.caller,
            &self.grants,
            Privilege::Admin,
            "acknowledge an older store",
        )?;
        let Some(held) = self.held else {
            return Err(AgentError::NotHeld);
        };
        let opens = self.opened_by_store();
        let mut view = AcknowledgedView {
            revision: self.revision,
            generation: self.generation,
            before: held.last,
            opens: opens.clone(),
        };
        if dry_run {
            return Ok(view);
        }
        consent.require("the store's revision", opens.as_ref())?;
        let mut entry = self.entry(asker, action, Outcome::Done);
        entry.before = held.last;
        entry.detail.changes = vec![format!(
            "in force: revision {} -> revision {}",
            held.last, self.revision
        )];
        entry
            .detail
            .changes
            .extend(opens.iter().map(audit::consented));
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
        self.adopt_store();
        self.leave_guard();
        self.restore_bypasses();
        self.publish();
        tracing::warn!(
            actor = entry.actor,
            revision = self.revision,
            before = held.last,
            "a held store was acknowledged"
        );
        view.generation = self.generation;
        Ok(view)
    }

    /// Notes that the store is the one in use. Where that cannot be written, the next start
    /// holds it, or puts what was restored in force again.
    pub(super) fn adopt_store(&mut self) {
        if let Err(error) = self.store.adopt() {
            tracing::warn!(%error, "it could not be noted that this store is in use");
        }
    }
}

#[cfg(test)]
mod tests;
