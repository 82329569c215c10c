//! The fleet that the host is in: whose signatures count, and what of the fleet is in force.
//!
//! What a fleet says is read in etcd by an unprivileged process, and handed over. Neither is
//! believed: the agent checks signatures and counters itself, and keeps both in its store.

mod trust;

use std::sync::Arc;

use jiff::Timestamp;
use netpolicy_fleet::{Counters, Judged, Pin, Seen};

pub use trust::{Membership, TrustError, read};

use crate::api::FleetView;
use crate::clock::Clock;
use crate::model::State;
use crate::sql::meaning::FollowedFleet;
use crate::store::{AppliedFleetRevision, FleetRecord, LocalOverride, Pending, SeenRecord};

/// What is known of the fleets that the host is in, or was in.
#[derive(Clone, Debug, Default)]
pub struct Fleets(Arc<Vec<FleetRecord>>);

impl Fleets {
    /// What the store has.
    #[must_use]
    pub fn new(stored: Vec<FleetRecord>) -> Self {
        Self(Arc::new(stored))
    }

    /// All of them, as the store has them.
    #[must_use]
    pub fn records(&self) -> &[FleetRecord] {
        &self.0
    }

    /// The fleet that the host is in.
    #[must_use]
    pub fn current(&self) -> Option<&FleetRecord> {
        self.0.iter().find(|record| record.is_member)
    }

    /// The fleet whose revision is in force.
    #[must_use]
    pub fn in_force(&self) -> Option<(&FleetRecord, &AppliedFleetRevision)> {
        let record = self.current()?;
        Some((record, record.applied.as_ref()?))
    }

    /// What is known of a fleet.
    #[must_use]
    pub fn of(&self, fleet: &str) -> FleetRecord {
        let mut records = self.0.iter();
        let known = records.find(|record| record.fleet == fleet).cloned();
        known.unwrap_or_else(|| FleetRecord::new(fleet))
    }

    /// Follows the store.
    pub fn set(&mut self, record: FleetRecord) {
        let mut records = Vec::clone(&self.0);
        records.retain(|other| other.fleet != record.fleet);
        records.push(record);
        self.0 = Arc::new(records);
    }

    /// For the API. `host`: the host's own name.
    #[must_use]
    pub fn view(
        &self,
        host: Result<&Membership, &TrustError>,
        pending: Option<&Pending>,
        clock: &Clock,
    ) -> FleetView {
        let named = host.ok().map(|member| member.fleet.to_string());
        let record = match &named {
            Some(fleet) => Some(self.of(fleet)),
            None => self.current().cloned(),
        };
        let mut view = FleetView {
            fleet: named.or_else(|| Some(self.current()?.fleet.clone())),
            host: host.ok().map(|member| member.host.to_string()),
            ..FleetView::default()
        };
        if let Err(error) = host
            && (self.current().is_some() || !matches!(error, TrustError::NoMember(_)))
        {
            view.faults.push(error.to_string());
        }
        let Some(record) = record else {
            return view;
        };
        view.counters = counters(&record);
        view.faults.extend(faults(&record));
        view.faults.extend(left_out(&record));
        view.local_override = record.local_override.as_ref().map(|made| made.time);
        if let Some(applied) = &record.applied {
            view.group.clone_from(&applied.group);
            view.at = Some(Pin {
                revision: applied.revision,
                root: applied.root.clone(),
            });
            view.since = Some(applied.since);
            view.confirmed = !record.unconfirmed;
            let waits = pending.filter(|_| record.unconfirmed);
            view.confirm_before = waits.map(|pending| clock.shown(pending.deadline()));
        }
        view
    }

    /// The fleet that the host follows, for SQL.
    #[must_use]
    pub fn followed(&self, member: Option<&Membership>) -> Option<FollowedFleet> {
        let named = member.map(|member| member.fleet.to_string());
        let fleet = named.or_else(|| Some(self.current()?.fleet.clone()))?;
        let record = self.of(&fleet);
        let applied = record.applied.as_ref();
        Some(FollowedFleet {
            host: member.map(|member| member.host.to_string()),
            group: applied.and_then(|applied| applied.group.clone()),
            revision: applied.map(|applied| (applied.revision, applied.since)),
            with_services: applied.is_none_or(|applied| applied.with_services),
            is_overridden: record.local_override.is_some(),
            fleet,
        })
    }

    /// What is wrong, in sentences.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        self.current().map(faults).unwrap_or_default()
    }
}

/// The part of the host's own that decides what of a fleet's state it can have.
#[must_use]
pub fn own_part(state: &State, with_services: bool) -> String {
    let names = |names: &mut dyn Iterator<Item = String>| names.collect::<Vec<_>>().join(" ");
    let services = match with_services {
        true => "of the fleet".to_owned(),
        false => names(
            &mut state
                .services
                .iter()
                .map(|service| service.name.to_string()),
        ),
    };
    let databases = names(&mut state.databases.iter().map(|of| of.name.to_string()));
    let ports = &state.host.failsafe_ports;
    format!("failsafe ports {ports}; services {services}; databases {databases}")
}

/// Whether the host changed since the revision in force left something out, and the revision may
/// be handed over again for that.
#[must_use]
pub fn is_outdated(fleets: &Fleets, state: &State) -> bool {
    let Some((record, applied)) = fleets.in_force() else {
        return false;
    };
    let back = record.rolled_back.as_ref();
    if back.is_some_and(|back| back.is_refused && back.is_of(applied)) {
        return false;
    }
    match &applied.left_out_by {
        Some(by) => *by != own_part(state, applied.with_services),
        // Of a version that did not note it.
        None => !applied.left_out.is_empty(),
    }
}

/// The newest records that were accepted.
#[must_use]
pub fn counters(record: &FleetRecord) -> Counters {
    let seen = record.counters.iter().map(|(name, seen)| {
        let SeenRecord { counter, digest } = seen.clone();
        (name.clone(), Seen { counter, digest })
    });
    Counters(seen.collect())
}

/// Whether a record that was judged is newer than those that were accepted.
fn is_newer(record: &FleetRecord, judged: &Judged) -> bool {
    let mut judged = judged.counters.0.iter();
    judged.any(|(name, seen)| {
        let known = record.counters.get(name);
        known.is_none_or(|known| known.counter < seen.counter)
    })
}

/// Why a revision is not tried again: it was rolled back by a caller, or twice since it was not
/// confirmed in time, and nothing newer was signed since.
#[must_use]
pub fn refused_again(record: &FleetRecord, judged: &Judged, pin: &Pin) -> Option<String> {
    let back = record.rolled_back.as_ref()?;
    let same = (back.revision, &back.root) == (pin.revision, &pin.root);
    let is_refused = same && back.is_refused && !is_newer(record, judged);
    is_refused.then(|| {
        format!(
            "revision {} was rolled back on {}: it was not confirmed; it is tried again \
             once a newer record of the fleet is signed: a push, a roll-out, or \
             `netpolicy fleet groups set`",
            back.revision,
            back.time.strftime("%Y-%m-%d %H:%M:%S UTC")
        )
    })
}

/// What is known of a fleet once records were judged.
#[must_use]
pub fn with_counters(record: &FleetRecord, judged: &Judged) -> FleetRecord {
    let seen = judged.counters.0.iter().map(|(name, seen)| {
        let Seen { counter, digest } = seen.clone();
        (name.clone(), SeenRecord { counter, digest })
    });
    let mut next = FleetRecord {
        is_member: true,
        counters: seen.collect(),
        ..record.clone()
    };
    if let Some(back) = next
        .rolled_back
        .as_mut()
        .filter(|_| is_newer(record, judged))
    {
        back.is_refused = false;
        back.tries = 0;
    }
    next
}

/// What is known of a fleet once a revision is in force that was judged. It waits for its
/// confirmation if `waits`.
#[must_use]
pub fn with_revision(
    record: &FleetRecord,
    judged: &Judged,
    applied: AppliedFleetRevision,
    waits: bool,
) -> FleetRecord {
    let before = record.applied.as_ref();
    let same = before.filter(|old| (old.revision, &old.root) == (applied.revision, &applied.root));
    let mut next = FleetRecord {
        local_override: None,
        ..with_counters(record, judged)
    };
    (next.base, next.base_override) = match record.unconfirmed {
        true => (record.base.clone(), record.base_override.clone()),
        false => (record.applied.clone(), record.local_override.clone()),
    };
    next.unconfirmed = waits;
    match same {
        // It was there before: what it left out may be in force now, and waits as well.
        Some(old) if record.local_override.is_none() => {
            let since = old.since;
            next.applied = Some(AppliedFleetRevision { since, ..applied });
        }
        _ => {
            next.rolled_back = next.rolled_back.filter(|back| back.is_of(&applied));
            next.applied = Some(applied);
        }
    }
    match next.unconfirmed {
        true => next,
        false => next.confirmed(),
    }
}

/// What is known of a fleet once a local change is made over its revision.
#[must_use]
pub fn overridden(
    record: &FleetRecord,
    actor: &str,
    action: &str,
    base: u64,
    now: Timestamp,
) -> FleetRecord {
    // The first one counts: what was before it is the fleet's.
    let made = record
        .local_override
        .clone()
        .unwrap_or_else(|| LocalOverride {
            actor: actor.to_owned(),
            action: action.to_owned(),
            time: now,
            base,
        });
    FleetRecord {
        local_override: Some(made),
        ..record.clone()
    }
}

fn faults(record: &FleetRecord) -> Vec<String> {
    let fleet = &record.fleet;
    let mut faults = Vec::new();
    if let Some(made) = &record.local_override {
        faults.push(format!(
            "fleet {fleet}: {} made a local change ({}) over its revision on {}",
            made.actor,
            made.action,
            made.time.strftime("%Y-%m-%d %H:%M:%S UTC")
        ));
    }
    let newest = record
        .applied
        .as_ref()
        .map_or(0, |applied| applied.revision);
    let back = record.rolled_back.as_ref();
    if let Some(back) = back.filter(|back| back.revision > newest) {
        faults.push(format!(
            "fleet {fleet}: revision {} was rolled back on {}: it was not confirmed",
            back.revision,
            back.time.strftime("%Y-%m-%d %H:%M:%S UTC")
        ));
    }
    faults
}

/// What of the revision in force this host could not have, in sentences.
fn left_out(record: &FleetRecord) -> Vec<String> {
    let Some(applied) = &record.applied else {
        return Vec::new();
    };
    let lines = applied.left_out.iter();
    let line = |what| {
        format!(
            "fleet {}, revision {}: {what}",
            record.fleet, applied.revision
        )
    };
    let mut lines: Vec<_> = lines.map(line).collect();
    if !lines.is_empty() {
        lines.push(format!(
            "fleet {}: what this host lacks is bound once the host has it",
            record.fleet
        ));
    }
    lines
}
