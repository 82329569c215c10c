//! What decides attempts: rules, and lists and policies where no rule matches; how often each did.

use std::collections::HashMap;

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

/// All deciders, from 1.
#[derive(Debug, Default)]
pub(super) struct Deciders {
    all: Vec<Decider>,
    ids: HashMap<DeciderKey, DeciderId>,
    /// Those that the store does not keep as they are.
    dirty: Vec<DeciderId>,
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
        self.all.push(decider);
        let id = DeciderId::try_from(self.all.len()).unwrap_or(NO_DECIDER);
        self.ids.insert(key, id);
        self.dirty.push(id);
        id
    }

    /// The decider of a number.
    pub(super) fn get(&self, id: DeciderId) -> Option<&Decider> {
        self.all.get((id as usize).checked_sub(1)?)
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
        self.all.iter().filter(|decider| decider.hits > 0)
    }

    /// It decided attempts.
    pub(super) fn add(&mut self, id: DeciderId, attempts: u64, is_sampled: bool, span: Period) {
        let index = (id as usize).checked_sub(1);
        let Some(decider) = index.and_then(|index| self.all.get_mut(index)) else {
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
        let last = DeciderId::try_from(self.all.len()).unwrap_or(DeciderId::MAX);
        self.dirty = (1..=last).collect();
    }

    /// Puts in what the store kept; they come in the order of their numbers.
    pub(super) fn restore(&mut self, id: DeciderId, decider: Decider) {
        if id as usize == self.all.len() + 1 {
            self.all.push(decider);
            self.ids.insert(decider.key, id);
        }
    }
}
