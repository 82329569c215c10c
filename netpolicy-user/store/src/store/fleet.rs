//! What a host has of its fleet, in no revision: a rollback of the state is none of these.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::objects::ObjectId;

/// How often a revision that is not confirmed in time is tried: etcd may have been away.
const TRIES: u32 = 2;

/// A fleet that the host is in, or was in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetRecord {
    /// Its name.
    pub fleet: String,
    /// Whether the host is in it. What is known of one that it left is kept, so that an old
    /// revision of it stays old.
    pub is_member: bool,
    /// The newest signed records that were accepted, by their names; none of them goes back.
    pub counters: BTreeMap<String, SeenRecord>,
    /// The revision in force.
    pub applied: Option<AppliedFleetRevision>,
    /// The revision to go back to while the one in force waits for its confirmation.
    pub base: Option<AppliedFleetRevision>,
    /// The local change that was made over what there is to go back to: that revision, or the
    /// one in force where a rollback that ends the change waits.
    pub base_override: Option<LocalOverride>,
    /// Whether the one in force waits for its confirmation.
    pub unconfirmed: bool,
    /// The last revision that was rolled back.
    pub rolled_back: Option<RolledBackRevision>,
    /// The local change that was made over the one in force.
    pub local_override: Option<LocalOverride>,
}

/// A signed record that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenRecord {
    /// Its counter.
    pub counter: u64,
    /// The hash of what was signed.
    pub digest: String,
}

/// A revision of a fleet that came into force on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppliedFleetRevision {
    /// Its number.
    pub revision: u64,
    /// The name of its state, in hexadecimal digits.
    pub root: String,
    /// The host's group.
    pub group: Option<String>,
    /// Whether it has services, and does not leave them to the host.
    pub with_services: bool,
    /// When it came into force.
    pub since: Timestamp,
    /// What of it this host could not have.
    pub left_out: Vec<String>,
    /// The part of the host's own that decided about that.
    #[serde(default)]
    pub left_out_by: Option<String>,
}

/// A revision of a fleet that was not confirmed on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolledBackRevision {
    /// Its number.
    pub revision: u64,
    /// The name of its state, in hexadecimal digits.
    pub root: String,
    /// When it was rolled back.
    pub time: Timestamp,
    /// Whether it is refused, since no newer signed record was accepted since then.
    pub is_refused: bool,
    /// How often it was not confirmed in time since then.
    #[serde(default)]
    pub tries: u32,
}

/// A local change over the fleet's revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalOverride {
    /// Who made it: an OS user's name.
    pub actor: String,
    /// What it was.
    pub action: String,
    /// When.
    pub time: Timestamp,
    /// The host's own revision before it.
    pub base: u64,
}

/// Objects that are kept for a state to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandedOver {
    /// Its name.
    pub id: ObjectId,
    /// Its body, which has that name.
    pub body: Vec<u8>,
}

impl RolledBackRevision {
    /// Whether this one was rolled back.
    #[must_use]
    pub fn is_of(&self, applied: &AppliedFleetRevision) -> bool {
        (self.revision, &self.root) == (applied.revision, &applied.root)
    }
}

impl FleetRecord {
    /// Nothing of a fleet is in force yet.
    #[must_use]
    pub fn new(fleet: &str) -> Self {
        Self {
            fleet: fleet.to_owned(),
            is_member: true,
            counters: BTreeMap::new(),
            applied: None,
            base: None,
            base_override: None,
            unconfirmed: false,
            rolled_back: None,
            local_override: None,
        }
    }

    /// What it is once the unconfirmed revision is rolled back; the counters stay. `late`: its time
    /// was over, which a second try may mend; a caller's rollback is final.
    #[must_use]
    pub fn rolled_back(&self, now: Timestamp, late: bool) -> Self {
        let rolled_back = self.applied.as_ref().map(|applied| {
            let before = self.rolled_back.as_ref();
            let before = before.filter(|back| back.is_of(applied));
            let tries = before.map_or(0, |back| back.tries).saturating_add(1);
            RolledBackRevision {
                revision: applied.revision,
                root: applied.root.clone(),
                time: now,
                is_refused: !late || tries >= TRIES,
                tries,
            }
        });
        Self {
            applied: self.base.clone(),
            local_override: self.base_override.clone(),
            base: None,
            base_override: None,
            unconfirmed: false,
            rolled_back: rolled_back.or_else(|| self.rolled_back.clone()),
            ..self.clone()
        }
    }

    /// Whether an unconfirmed change leads to another record of the fleet than the one to go back
    /// to.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.unconfirmed || self.base_override.is_some()
    }

    /// What it is once an unconfirmed change is rolled back, to this revision of the host's own.
    /// `late`: since its time was over.
    #[must_use]
    pub fn undone(&self, own: u64, now: Timestamp, late: bool) -> Self {
        match self.unconfirmed {
            true => self.rolled_back(now, late),
            false => self.back_at(own),
        }
    }

    /// What it is once the host is at an earlier revision of its own, of its fleet's the same.
    #[must_use]
    pub fn back_at(&self, own: u64) -> Self {
        let made = self.base_override.as_ref().or(self.local_override.as_ref());
        Self {
            local_override: made.filter(|made| made.base < own).cloned(),
            base_override: None,
            ..self.clone()
        }
    }

    /// As [`Self::back_at`], where that is rolled back unless it is confirmed.
    #[must_use]
    pub fn back_at_unconfirmed(&self, own: u64) -> Self {
        let back = self.back_at(own);
        let made = self.base_override.as_ref().or(self.local_override.as_ref());
        Self {
            base_override: made.filter(|_| back.local_override.is_none()).cloned(),
            ..back
        }
    }

    /// What it is once the revision in force is confirmed.
    #[must_use]
    pub fn confirmed(&self) -> Self {
        let back = self.rolled_back.as_ref();
        let applied = self.applied.as_ref();
        let other = back.filter(|back| applied.is_none_or(|applied| !back.is_of(applied)));
        Self {
            rolled_back: other.cloned(),
            base: None,
            base_override: None,
            unconfirmed: false,
            ..self.clone()
        }
    }
}
