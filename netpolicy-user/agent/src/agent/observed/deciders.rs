//! What decides attempts: rules, and lists and policies where no rule matches; how often each did.

use std::collections::{BTreeMap, HashMap};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::names::NameId;
use super::period::Period;
use crate::model::ListKind;

/// The number of a decider.
pub(super) type DeciderId = u32;

/// What stands for none: no policy decided alone.
pub(super) const NO_DECIDER: DeciderId = 0;

/// Rules whose hits are counted apart. Of more, hits are counted for the list.
pub(super) const MOST_RULES: usize = 100_000;

/// What decided an attempt, as the model says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Decided {
    /// The policy's name.
    pub(super) policy: Option<String>,
    pub(super) list: Option<ListKind>,
    pub(super) named: Option<String>,
    pub(super) net: Option<IpNet>,
    pub(super) is_unmatched: bool,
}

/// What decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct DeciderKey {
    /// The policy's name.
    pub(super) policy: NameId,
    /// Which of its lists; `None`: what is on none of them.
    pub(super) list: Option<ListKind>,
    /// The name of the list that brought the rule; 0: the policy's own.
    pub(super) named: NameId,
    /// The rule; `None`: whichever of the list, or none.
    pub(super) net: Option<IpNet>,
    /// Whether it was decided by no rule matching: what is on no allow list.
    pub(super) is_unmatched: bool,
}

/// How often a decider did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Decider {
    /// What it is.
    pub(super) key: DeciderKey,
    /// Attempts that it decided.
    pub(super) hits: u64,
    /// Whether some are estimated.
    pub(super) is_sampled: bool,
    /// The first one's time, milliseconds since 1970.
    pub(super) first: i64,
    /// The last one's.
    pub(super) last: i64,
}

/// All deciders, from 1. A number is not given again: rates refer to it for long.
#[derive(Debug, Default)]
pub(super) struct Deciders {
    all: BTreeMap<DeciderId, Decider>,
    /// The number that was given last.
    last: DeciderId,
    ids: HashMap<DeciderKey, DeciderId>,
    /// Those that the store does not keep as they are.
    dirty: Vec<DeciderId>,
    /// Removed, and still kept by the store.
    removed: Vec<DeciderId>,
    /// Whether a rule was not counted apart, as there are too many.
    pub(super) is_full: bool,
}

impl Deciders {
    /// The number of what decides, and that of the same without its rule.
    pub(super) fn ids(&mut self, key: DeciderKey) -> (DeciderId, DeciderId) {
        let whole = DeciderKey { net: None, ..key };
        let whole = self.id(whole);
        if key.net.is_none() {
            return (whole, whole);
        }
        if self.all.len() >= MOST_RULES && !self.ids.contains_key(&key) {
            self.is_full = true;
            return (whole, whole);
        }
        (self.id(key), whole)
    }

    fn id(&mut self, key: DeciderKey) -> DeciderId {
        if let Some(id) = self.ids.get(&key) {
            return *id;
        }
        let decider = Decider {
            key,
            hits: 0,
            is_sampled: false,
            first: 0,
            last: 0,
        };
        let Some(id) = self.last.checked_add(1) else {
            return NO_DECIDER;
        };
        self.last = id;
        self.all.insert(id, decider);
        self.ids.insert(key, id);
        self.dirty.push(id);
        id
    }

    /// The decider of a number.
    pub(super) fn get(&self, id: DeciderId) -> Option<&Decider> {
        self.all.get(&id)
    }

    /// The same without its rule.
    pub(super) fn whole_of(&self, id: DeciderId) -> DeciderId {
        let whole = self.get(id).and_then(|decider| {
            let whole = DeciderKey {
                net: None,
                ..decider.key
            };
            self.ids.get(&whole).copied()
        });
        whole.unwrap_or(id)
    }

    /// All that decided something.
    pub(super) fn hit(&self) -> impl Iterator<Item = &Decider> {
        self.all.values().filter(|decider| decider.hits > 0)
    }

    /// It decided attempts.
    pub(super) fn add(&mut self, id: DeciderId, attempts: u64, is_sampled: bool, span: Period) {
        let Some(decider) = self.all.get_mut(&id) else {
            return;
        };
        if decider.hits == 0 {
            decider.first = span.first;
        }
        decider.hits += attempts;
        decider.is_sampled |= is_sampled;
        decider.first = decider.first.min(span.first);
        decider.last = decider.last.max(span.last);
        self.dirty.push(id);
    }

    /// What the store does not keep as it is.
    pub(super) fn take_dirty(&mut self) -> Vec<(DeciderId, Decider)> {
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.sort_unstable();
        dirty.dedup();
        let found = dirty.into_iter();
        found.filter_map(|id| Some((id, *self.get(id)?))).collect()
    }

    /// The store keeps nothing: all is to be written.
    pub(super) fn all_dirty(&mut self) {
        self.dirty = self.all.keys().copied().collect();
        self.removed.clear();
    }

    /// Removes rules that decided nothing since a time, milliseconds since 1970. The hits of their
    /// lists stay.
    pub(super) fn expire(&mut self, oldest: i64) {
        let (all, ids, removed) = (&mut self.all, &mut self.ids, &mut self.removed);
        all.retain(|id, decider| {
            let is_kept = decider.key.net.is_none() || decider.last >= oldest;
            if !is_kept {
                ids.remove(&decider.key);
                removed.push(*id);
            }
            is_kept
        });
    }

    /// What the store is no longer to keep.
    pub(super) fn take_removed(&mut self) -> Vec<DeciderId> {
        std::mem::take(&mut self.removed)
    }

    /// Does not give this number.
    pub(super) fn reserve(&mut self, id: DeciderId) {
        self.last = self.last.max(id);
    }

    /// Puts in what the store kept.
    pub(super) fn restore(&mut self, id: DeciderId, decider: Decider) {
        if id != NO_DECIDER {
            self.reserve(id);
            self.all.insert(id, decider);
            self.ids.insert(decider.key, id);
        }
    }
}
