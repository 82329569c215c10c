//! Rules with an end: when they end, and the revision without them.
//!
//! A rule's end is a time of the wall clock, as the policy file has it. It is put on the scale of
//! the boot clock when the rule comes to the desired state, or when the agent starts: a wall clock
//! that is set later neither prolongs nor ends anything.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::core::Writer;
use crate::agent::access::Requester;
use crate::agent::change::{ChangeOptions, Proposal};
use crate::agent::error::chain;
use crate::clock::Clock;
use crate::model::{Applied, State, counted};

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
    fn is_over(&self, end: Timestamp, clock: &Clock) -> bool {
        let at = self.by_end.get(&end).copied();
        at.unwrap_or_else(|| clock.meant(end)) <= clock.now()
    }
}

impl Writer {
    /// Takes the rules away whose end is over: a revision of its own, also while a change waits
    /// for its confirmation.
    pub fn end_rules(&mut self) {
        // A store that is held is not gone on from.
        let is_due = self.rule_ends.next().is_some_and(|next| next <= self.now());
        if !is_due || self.upkeep.is_held() {
            return;
        }
        let mut state = State::clone(&self.in_force.state);
        let clock = &self.settings.clock;
        let is_over = |end| self.rule_ends.is_over(end, clock);
        let rules = state.end_rules(clock.wall(), &is_over);
        let (count, words) = (rules.count, rules.in_words());
        let proposal = Proposal::Ended { state, rules };
        let result = self.attempt(proposal, Requester::agent(), ChangeOptions::default());
        let fault = result.err().map(|error| {
            format!(
                "{} could not be taken away; trying again: {}",
                counted(count, "rule whose end is over", "rules whose end is over"),
                chain(&error)
            )
        });
        match &fault {
            None => tracing::info!("rules ended: {words}"),
            Some(fault) if self.faults.rules.as_ref() != Some(fault) => tracing::error!("{fault}"),
            Some(_) => {}
        }
        self.faults.rules = fault;
        self.publish();
        self.tidy();
    }

    /// Leaves out of a new state what ends before it comes, such as a rule of an old revision or
    /// of a policy file.
    pub(super) fn leave_out_ended(&self, applied: &mut Applied, now: Timestamp) {
        let clock = &self.settings.clock;
        let is_over = |end| self.rule_ends.is_over(end, clock);
        let ended = applied.state.end_rules(now, &is_over);
        if ended.count > 0 {
            applied.warnings.push(format!(
                "{}, since the end is over: {}",
                counted(ended.count, "rule is left out", "rules are left out"),
                ended.in_words()
            ));
        }
    }
}

#[cfg(test)]
mod tests;
