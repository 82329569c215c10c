//! When rules end.
//!
//! A rule's end is a time of the wall clock, as the policy file has it. It is put on the scale of
//! the boot clock when the rule comes to the desired state: a wall clock that is set later neither
//! prolongs nor ends anything. An end that was there when the agent started is over by the wall
//! clock as well: that clock may have been behind at boot, until the network set it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::clock::Clock;
use crate::model::State;

/// The ends of the rules of the desired state.
#[derive(Debug, Default)]
pub(super) struct RuleEnds {
    /// By an end as the rules have it: when that is on the scale of the clock.
    by_end: BTreeMap<Timestamp, Timestamp>,
    /// Those that were there when the agent started.
    loaded: BTreeSet<Timestamp>,
}

impl RuleEnds {
    /// Those of the state that the agent starts from.
    pub(super) fn of(state: &State, clock: &Clock) -> Self {
        let mut ends = Self::default();
        ends.follow(state, clock);
        ends.loaded = ends.by_end.keys().copied().collect();
        ends
    }

    /// Another state is in force.
    pub(super) fn follow(&mut self, state: &State, clock: &Clock) {
        let ends = state.rule_ends();
        self.by_end.retain(|end, _| ends.contains(end));
        self.loaded.retain(|end| ends.contains(end));
        for end in ends {
            self.by_end.entry(end).or_insert_with(|| clock.meant(end));
        }
    }

    /// When the next rule ends, on the scale of the clock.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.by_end.values().min().copied()
    }

    /// When the next rule ends by the wall clock, of those that were there at the start.
    pub(super) fn next_loaded(&self) -> Option<Timestamp> {
        self.loaded.first().copied()
    }

    /// Whether the end of a rule is over.
    pub(super) fn is_due(&self, clock: &Clock) -> bool {
        let is_loaded_due = self.next_loaded().is_some_and(|end| end <= clock.wall());
        is_loaded_due || self.next().is_some_and(|next| next <= clock.now())
    }

    /// Whether an end is over, also of rules that come only now.
    pub(super) fn is_over(&self, end: Timestamp, clock: &Clock) -> bool {
        let at = self.by_end.get(&end).copied();
        at.unwrap_or_else(|| clock.meant(end)) <= clock.now()
            || self.loaded.contains(&end) && end <= clock.wall()
    }
}
