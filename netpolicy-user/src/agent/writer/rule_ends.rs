//! When rules end.
//!
//! A rule's end is a time of the wall clock, as the policy file has it. It is put on the scale of
//! the boot clock when the rule comes to the desired state, or when the agent starts: a wall clock
//! that is set later neither prolongs nor ends anything.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::clock::Clock;
use crate::model::State;

/// The ends of the rules of the desired state.
#[derive(Debug, Default)]
pub(super) struct RuleEnds {
    /// By an end as the rules have it: when that is on the scale of the clock.
    by_end: BTreeMap<Timestamp, Timestamp>,
}

impl RuleEnds {
    /// Those of a state.
    pub(super) fn of(state: &State, clock: &Clock) -> Self {
        let mut ends = Self::default();
        ends.follow(state, clock);
        ends
    }

    /// Another state is in force.
    pub(super) fn follow(&mut self, state: &State, clock: &Clock) {
        let ends = state.rule_ends();
        self.by_end.retain(|end, _| ends.contains(end));
        for end in ends {
            self.by_end.entry(end).or_insert_with(|| clock.meant(end));
        }
    }

    /// When the next rule ends, on the scale of the clock.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.by_end.values().min().copied()
    }

    /// Whether an end is over, also of rules that come only now.
    pub(super) fn is_over(&self, end: Timestamp, clock: &Clock) -> bool {
        let at = self.by_end.get(&end).copied();
        at.unwrap_or_else(|| clock.meant(end)) <= clock.now()
    }
}
