//! How a change stands to what the host's fleet decides, and what is known of the fleet after it.

use super::core::Writer;
use crate::agent::access::{Requester, audit, rights};
use crate::agent::change::preflight::would_be;
use crate::agent::change::{ChangeOptions, Proposal, ProposedFleetRevision};
use crate::agent::error::AgentError;
use crate::agent::fleet;
use crate::model::{Applied, Privilege};
use crate::sql::meaning::FollowedFleet;
use crate::store::{FleetRecord, ObjectId, Outcome};

/// Where a change comes from, as far as a fleet is concerned.
pub(super) enum ChangeOrigin {
    /// A signed revision of the fleet.
    Fleet(Box<ProposedFleetRevision>),
    /// The agent rolls an unconfirmed change back, to this revision.
    Unconfirmed(u64),
    /// A caller goes back to this revision.
    Rollback(u64),
    /// Rules end.
    Ended,
    /// A caller changes something.
    Local,
}

impl ChangeOrigin {
    pub(super) fn of(proposal: &Proposal) -> Self {
        match proposal {
            Proposal::Fleet { revision, .. } => Self::Fleet(revision.clone()),
            Proposal::Unconfirmed(pending) => Self::Unconfirmed(pending.base),
            Proposal::Rollback { revision } => Self::Rollback(*revision),
            Proposal::Ended { .. } => Self::Ended,
            Proposal::Change(_) | Proposal::Applied { .. } => Self::Local,
        }
    }

    /// The state whose objects were handed over.
    pub(super) fn root(&self) -> Option<ObjectId> {
        match self {
            Self::Fleet(revision) => Some(revision.root),
            _ => None,
        }
    }

    /// A line for the audit log.
    pub(super) fn note(&self) -> Option<String> {
        match self {
            Self::Fleet(revision) => Some(revision.note.clone()),
            _ => None,
        }
    }
}

impl Writer {
    /// Whether a change takes the place of the one that waits for its confirmation: both are the
    /// fleet's.
    pub(super) fn replaces_waiting(&self, origin: &ChangeOrigin) -> bool {
        let waits = |record: &FleetRecord| record.unconfirmed;
        matches!(origin, ChangeOrigin::Fleet(_)) && self.fleets.current().is_some_and(waits)
    }

    /// What is known of the fleet after a change, if that changes with it.
    ///
    /// # Errors
    /// It alters what the fleet decides, and does not say so or may not.
    pub(super) fn check_fleet(
        &self,
        origin: &ChangeOrigin,
        action: &str,
        applied: &mut Applied,
        requester: Requester,
        options: ChangeOptions,
    ) -> Result<Option<FleetRecord>, AgentError> {
        let now = self.settings.clock.wall();
        let back = match origin {
            ChangeOrigin::Fleet(revision) => return Ok(Some(revision.record.clone())),
            ChangeOrigin::Ended => return Ok(None),
            ChangeOrigin::Unconfirmed(base) => {
                let record = self.fleets.current();
                return Ok(record.map(|record| record.undone(*base, now, true)));
            }
            ChangeOrigin::Rollback(to) => Some(*to),
            ChangeOrigin::Local => None,
        };
        let Some(current) = self.fleets.current() else {
            return Ok(None);
        };
        // A rollback, to wherever, ends what waits: it starts from what there is to go back to.
        let pending = self.confirmation.pending();
        let ended = pending.filter(|_| back.is_some() && current.waits());
        let undone = ended.map(|pending| current.undone(pending.base, now, false));
        let record = undone.as_ref().unwrap_or(current);
        // What is undone is no change of the fleet's: a revision of it that waits, or a local one.
        if back.is_some() && back == ended.map(|pending| pending.base) {
            return Ok(undone);
        }
        let made = record.local_override.as_ref();
        if let Some(to) = back.filter(|to| made.is_some_and(|made| made.base == *to)) {
            return Ok(Some(match options.confirm_within {
                Some(_) => record.back_at_unconfirmed(to),
                None => record.back_at(to),
            }));
        }
        let Some(revision) = &record.applied else {
            return Ok(undone);
        };
        let (before, base) = match ended {
            Some(pending) => (self.confirmation.base(), pending.base),
            None => (None, self.in_force.revision),
        };
        let before = self.without_ended(before.unwrap_or(&self.in_force.state));
        if !before.alters_fleet(&applied.state, revision.with_services) {
            return Ok(undone);
        }
        if options.local_override {
            let what = "change what the host's fleet decides";
            rights::require(requester.caller, &self.grants, Privilege::Admin, what)?;
            let actor = requester.caller.name();
            applied.warnings.push(format!(
                "over revision {} of fleet {}: this is in force until the fleet's next revision",
                revision.revision, record.fleet
            ));
            return Ok(Some(fleet::overridden(record, &actor, action, base, now)));
        }
        let error = AgentError::InFleet {
            fleet: record.fleet.clone(),
            revision: revision.revision,
            what: action.to_owned(),
        };
        match options.dry_run {
            true => {
                applied.warnings.push(would_be(&error));
                Ok(None)
            }
            false => Err(error),
        }
    }

    /// The fleet that the host follows, for SQL.
    #[must_use]
    pub(in crate::agent) fn followed_fleet(&self) -> Option<FollowedFleet> {
        let member = fleet::read(&self.settings.fleet_file).ok();
        self.fleets.followed(member.as_ref())
    }

    /// Refuses what [`Self::change`] would of a caller's change, since the fleet decides it.
    ///
    /// # Errors
    /// [`AgentError::InFleet`]; or the caller may not override the fleet.
    pub(in crate::agent) fn check_local(
        &self,
        action: &str,
        applied: &mut Applied,
        requester: Requester,
        options: ChangeOptions,
    ) -> Result<(), AgentError> {
        let local = ChangeOrigin::Local;
        self.check_fleet(&local, action, applied, requester, options)
            .map(drop)
    }

    /// Follows the store.
    pub(super) fn follow_fleet(&mut self, record: Option<FleetRecord>) {
        if let Some(record) = record {
            self.fleets.set(record);
        }
    }

    /// Stores what is known of the fleet where a change leaves the state as it is. What waits for
    /// its confirmation goes on waiting.
    ///
    /// # Errors
    /// The store refuses.
    pub(super) fn note_fleet(
        &mut self,
        origin: &ChangeOrigin,
        record: FleetRecord,
        action: &str,
        requester: Requester,
    ) -> Result<(), AgentError> {
        let current = self.fleets.current();
        let waiting = current.filter(|current| current.waits());
        let record = match (origin, waiting) {
            (ChangeOrigin::Fleet(_), Some(waiting)) => FleetRecord {
                unconfirmed: true,
                base: waiting.base.clone(),
                base_override: waiting.base_override.clone(),
                ..record
            },
            (_, Some(_)) => return Ok(()),
            (_, None) => record.confirmed(),
        };
        if current == Some(&record) {
            return Ok(());
        }
        let mut entry = audit::entry(requester, action, Outcome::Done, self.in_force.revision);
        entry.detail.changes.extend(origin.note());
        self.store
            .put_fleet(&record, Some(&entry))
            .map_err(|source| AgentError::Store {
                what: "what is known of the fleet could not be stored",
                source,
            })?;
        self.fleets.set(record);
        self.publish();
        Ok(())
    }
}
