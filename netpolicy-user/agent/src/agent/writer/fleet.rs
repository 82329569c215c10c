//! What a fleet says: objects that are handed over, signed revisions of which they are the state.
//!
//! The process that hands them over is not believed: signatures and counters are checked here.

use std::time::{Duration, Instant};

use netpolicy_fleet::{Judged, Pin, Revision};

use super::core::Writer;
use crate::agent::access::{Requester, audit, rights};
use crate::agent::change::{ChangeOptions, Proposal, ProposedFleetRevision};
use crate::agent::error::AgentError;
use crate::agent::fleet::{self, Membership};
use crate::api::{Changed, PutRevision};
use crate::model::{Applied, Privilege, State};
use crate::store::{AppliedFleetRevision, FleetRecord, HandedOver, ObjectId, Outcome, StoreError};

/// The most objects of one question, or of one that hands over.
pub(in crate::agent) const MOST_OBJECTS: usize = 65_536;

/// What signed records lead to.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
enum FleetProposal {
    /// A revision, and how many seconds it waits for its confirmation.
    Revision(Proposal, u32),
    /// No other revision than the one in force: what was seen is kept.
    Counted,
}

impl Writer {
    /// Those of these objects that the store lacks.
    ///
    /// # Errors
    /// The caller may not, or the store cannot be read.
    pub fn missing_objects(
        &mut self,
        ids: &[ObjectId],
        requester: Requester,
    ) -> Result<Vec<ObjectId>, AgentError> {
        self.may_fleet(requester, "fleet objects", "ask for the fleet's objects")?;
        self.store.missing(ids).map_err(|source| AgentError::Store {
            what: "the store cannot be asked for objects",
            source,
        })
    }

    /// Keeps objects for a revision to come.
    ///
    /// # Errors
    /// The caller may not, too many are kept already, or the store refuses.
    pub fn take_objects(
        &mut self,
        objects: &[HandedOver],
        requester: Requester,
    ) -> Result<u64, AgentError> {
        self.may_fleet(requester, "fleet objects", "hand over the fleet's objects")?;
        self.upkeep.must_not_be_held(self.in_force.revision)?;
        let kept = self.store.hand_over(objects);
        let kept = kept.map_err(|source| AgentError::Store {
            what: "the objects could not be stored",
            source,
        })?;
        // What is never used is swept.
        self.upkeep.revision_made();
        match kept {
            true => Ok(objects.len() as u64),
            false => Err(AgentError::FleetRefused(
                "too many objects wait for a revision that has them; they are swept after an hour"
                    .to_owned(),
            )),
        }
    }

    /// Puts the revision in force that signed records say; without one, keeps what was seen.
    ///
    /// # Errors
    /// The caller may not; the records are forged, old, of another fleet or host; objects are
    /// missing; this host cannot have the state; or it is refused or fails as any change.
    pub fn put_fleet_revision(
        &mut self,
        request: &PutRevision,
        requester: Requester,
    ) -> Result<Changed, AgentError> {
        const ACTION: &str = "fleet revision";
        let may = self.may_fleet(requester, ACTION, "put a revision of the fleet in force");
        may?;
        let proposed = self.propose(request, requester);
        let mut action = ACTION.to_owned();
        let result = match proposed {
            Ok(FleetProposal::Revision(proposal, within)) => {
                action = proposal.action();
                let options = ChangeOptions {
                    confirm_within: Some(Duration::from_secs(u64::from(within))),
                    ..ChangeOptions::default()
                };
                self.attempt(proposal, requester, options)
            }
            Ok(FleetProposal::Counted) => {
                let applied = Applied {
                    state: State::clone(&self.in_force.state),
                    warnings: Vec::new(),
                };
                let situation = self.situation(&self.in_force);
                let options = ChangeOptions::default();
                let candidate = situation.candidate(applied, Instant::now(), None, options);
                candidate.map(|candidate| candidate.changed)
            }
            Err(error) => Err(error),
        };
        match &result {
            Ok(_) => self.fleet_refusal = None,
            Err(error) => {
                // Lists of the state that was read are not kept for it.
                self.store.settle();
                self.audit_fleet_refusal(requester, action, error);
            }
        }
        result
    }

    /// The audit log has a refusal once, however often the same is tried again in a row.
    fn audit_fleet_refusal(&mut self, requester: Requester, action: String, error: &AgentError) {
        let refusal = (action, error.to_string());
        if self.fleet_refusal.as_ref() == Some(&refusal) {
            self.tally.refused(error.code());
            return;
        }
        self.audit_refusal(requester, &refusal.0, error);
        self.fleet_refusal = Some(refusal);
    }

    /// What signed records lead to on this host.
    fn propose(
        &mut self,
        request: &PutRevision,
        requester: Requester,
    ) -> Result<FleetProposal, AgentError> {
        let member = self.member()?;
        let record = self.fleets.of(member.fleet.as_str());
        let others = self.fleets.current();
        if let Some(other) = others.filter(|other| other.fleet != record.fleet) {
            return Err(AgentError::FleetRefused(format!(
                "this host is in fleet {} still; `netpolicy fleet leave` ends that",
                other.fleet
            )));
        }
        let seen = fleet::counters(&record);
        let evidence = &request.evidence;
        let judged = evidence
            .judge(&member.fleet, &member.host, &member.keys, &seen)
            .map_err(|refusal| AgentError::FleetRefused(refusal.to_string()))?;
        let Some(revision) = judged.revision.clone() else {
            self.count_records(&record, &judged, requester)?;
            return Ok(FleetProposal::Counted);
        };
        let pin = Pin {
            revision: revision.revision,
            root: revision.root.clone(),
        };
        if let Some(why) = fleet::refused_again(&record, &judged, &pin) {
            return Err(AgentError::FleetRefused(why));
        }
        let root = ObjectId::from_hex(&revision.root).ok_or(AgentError::Internal)?;
        let (applied, with_services) = self.apply_fleet(&root)?;
        let within = request.confirm_within;
        let within = within
            .unwrap_or(judged.group.confirm_within)
            .clamp(1, 86_400);
        let left_out_by = match applied.warnings.is_empty() {
            true => None,
            false => Some(fleet::own_part(&self.in_force.state, with_services)),
        };
        let taken = AppliedFleetRevision {
            revision: revision.revision,
            root: revision.root.clone(),
            group: Some(judged.group.group.to_string()),
            with_services,
            since: self.settings.clock.wall(),
            left_out: applied.warnings.clone(),
            left_out_by,
        };
        let proposed = ProposedFleetRevision {
            action: format!("fleet {} revision {}", member.fleet, revision.revision),
            note: note(&revision),
            must_admit: judged.group.must_admit.clone(),
            record: fleet::with_revision(&record, &judged, taken, true),
            root,
        };
        let proposal = Proposal::Fleet {
            applied,
            revision: Box::new(proposed),
        };
        Ok(FleetProposal::Revision(proposal, within))
    }

    /// Keeps what was seen of the fleet, where it leads to no other revision.
    fn count_records(
        &mut self,
        record: &FleetRecord,
        judged: &Judged,
        requester: Requester,
    ) -> Result<(), AgentError> {
        let seen = fleet::with_counters(record, judged);
        if seen == *record {
            return Ok(());
        }
        self.upkeep.must_not_be_held(self.in_force.revision)?;
        tracing::debug!(
            fleet = seen.fleet,
            actor = requester.caller.name(),
            "counters kept"
        );
        self.store
            .put_fleet(&seen, None)
            .map_err(|source| AgentError::Store {
                what: "what was seen of the fleet could not be stored",
                source,
            })?;
        self.fleets.set(seen);
        self.publish();
        Ok(())
    }

    /// The fleet's state on this host, and whether it has services.
    fn apply_fleet(&mut self, root: &ObjectId) -> Result<(Applied, bool), AgentError> {
        let of_fleet = self.store.state_of(root).map_err(|source| {
            if let Some(missing) = source.missing_object() {
                return AgentError::FleetIncomplete(missing.to_owned());
            }
            match source {
                StoreError::Corrupt { detail, .. } => {
                    AgentError::FleetRefused(format!("its state cannot be read: {detail}"))
                }
                source => AgentError::Store {
                    what: "the fleet's state cannot be read",
                    source,
                },
            }
        })?;
        let limits = self.settings.limits;
        let applied = self.in_force.state.with_fleet(&of_fleet, limits);
        let applied = applied.map_err(|errors| {
            AgentError::FleetRefused(format!(
                "this host cannot have its state: {}",
                errors.messages().join("; ")
            ))
        })?;
        Ok((applied, !of_fleet.services.is_empty()))
    }

    /// Leaves the fleet: what is in force stays, and is the host's own from now on.
    ///
    /// # Errors
    /// The caller is no admin, the host is in no fleet, or the store refuses.
    pub fn leave_fleet(&mut self, requester: Requester) -> Result<(), AgentError> {
        const ACTION: &str = "fleet leave";
        let result = self.try_leave(requester, ACTION);
        result.inspect_err(|error| self.audit_refusal(requester, ACTION, error))
    }

    fn try_leave(&mut self, requester: Requester, action: &str) -> Result<(), AgentError> {
        let caller = requester.caller;
        rights::require(caller, &self.grants, Privilege::Admin, "leave the fleet")?;
        let Some(record) = self.fleets.current() else {
            return Err(AgentError::NotFound {
                what: "this host is in no fleet".to_owned(),
                hint: "`netpolicy fleet join` joins one",
            });
        };
        self.upkeep.must_not_be_held(self.in_force.revision)?;
        if record.waits() {
            self.confirmation.must_not_wait(&self.settings.clock)?;
        }
        // The counters stay, so that no old revision is new once the host is in it again.
        let left = FleetRecord {
            counters: record.counters.clone(),
            is_member: false,
            ..FleetRecord::new(&record.fleet)
        };
        let entry = audit::entry(requester, action, Outcome::Done, self.in_force.revision);
        self.store
            .put_fleet(&left, Some(&entry))
            .map_err(|source| AgentError::Store {
                what: "that the host left its fleet could not be stored",
                source,
            })?;
        tracing::warn!(fleet = left.fleet, actor = entry.actor, "left the fleet");
        self.fleets.set(left);
        self.publish();
        Ok(())
    }

    /// Which fleet the host is in, and whose signatures count, by root's directory.
    fn member(&self) -> Result<Membership, AgentError> {
        fleet::read(&self.settings.fleet_file)
            .map_err(|error| AgentError::FleetRefused(error.to_string()))
    }

    fn may_fleet(
        &mut self,
        requester: Requester,
        action: &str,
        what: &str,
    ) -> Result<(), AgentError> {
        let may = rights::require(requester.caller, &self.grants, Privilege::Fleet, what);
        may.inspect_err(|error| self.audit_refusal(requester, action, error))
    }
}

/// Who signed a revision, and why, for the audit log.
fn note(revision: &Revision) -> String {
    let message: String = revision.message.chars().take(200).collect();
    format!(
        "by {}: {}",
        revision.author.escape_debug(),
        message.escape_debug()
    )
}

#[cfg(test)]
mod tests;
