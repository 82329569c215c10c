//! The end of rules whose time is over: the revision without them.

use std::sync::Arc;

use jiff::Timestamp;

use super::core::Writer;
use crate::agent::access::Requester;
use crate::agent::change::{ChangeOptions, Proposal};
use crate::agent::error::chain;
use crate::model::{Applied, State, counted};

impl Writer {
    /// Takes the rules away whose end is over: a revision of its own, also while a change waits
    /// for its confirmation.
    pub fn end_rules(&mut self) {
        // A store that is held is not gone on from.
        let is_due = self.rule_ends.is_due(&self.settings.clock);
        if !is_due || self.upkeep.is_held() {
            return;
        }
        let mut state = State::clone(&self.in_force.state);
        let clock = &self.settings.clock;
        let is_over = |end| self.rule_ends.is_over(end, clock);
        let rules = state.end_rules(clock.wall(), &is_over);
        let (count, words) = (rules.count, rules.in_words());
        let fault = match count {
            0 => Some("a rule's end is over and no rule has it, a fault in netpolicy".to_owned()),
            _ => {
                let proposal = Proposal::Ended { state, rules };
                let result = self.attempt(proposal, Requester::agent(), ChangeOptions::default());
                result.err().map(|error| {
                    format!(
                        "{} could not be taken away; trying again: {}",
                        counted(count, "rule whose end is over", "rules whose end is over"),
                        chain(&error)
                    )
                })
            }
        };
        match &fault {
            None => tracing::info!("rules ended: {words}"),
            Some(fault) if self.faults.rules.as_ref() != Some(fault) => tracing::error!("{fault}"),
            Some(_) => {}
        }
        self.faults.rules = fault;
        self.publish();
        self.tidy();
    }

    /// A state without the rules whose end is over by now.
    pub(super) fn without_ended(&self, state: &Arc<State>) -> Arc<State> {
        let clock = &self.settings.clock;
        if !self.rule_ends.is_due(clock) {
            return Arc::clone(state);
        }
        let mut state = State::clone(state);
        let is_over = |end| self.rule_ends.is_over(end, clock);
        state.end_rules(clock.wall(), &is_over);
        Arc::new(state)
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
