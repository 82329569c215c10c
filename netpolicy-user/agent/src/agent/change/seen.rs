//! What a change would have made of the sources that came lately.

use std::time::Duration;

use super::situation::{Candidate, Situation};
use crate::agent::in_force::InForce;
use crate::agent::rehearsal::{CandidateRules, evaluate};
use crate::api::Evaluation;

/// How far back a dry run looks.
const LATELY: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Sources that it names.
const NAMED: usize = 5;

impl Situation<'_> {
    /// Says which sources that came lately would fare otherwise, where any may.
    pub(super) fn rehearse(&self, candidate: &mut Candidate) {
        if candidate.digest != self.in_force.digest {
            let rules = CandidateRules {
                state: &candidate.state,
                rules: candidate.compiled.ruleset(),
            };
            candidate.changed.seen = self.judge_seen(rules);
        }
    }

    /// The same of what some changes leave together.
    pub(in crate::agent) fn rehearsed(&self, stage: &InForce) -> Option<Evaluation> {
        let rules = CandidateRules {
            state: &stage.state,
            rules: &stage.ruleset,
        };
        let is_other = stage.digest != self.in_force.digest;
        is_other.then(|| self.judge_seen(rules)).flatten()
    }

    fn judge_seen(&self, rules: CandidateRules<'_>) -> Option<Evaluation> {
        let since = self.now.checked_sub(LATELY).unwrap_or(self.now);
        let seen = self.seen.seen_since(since);
        seen.remembered_since?;
        let in_force = CandidateRules {
            state: &self.in_force.state,
            rules: &self.in_force.ruleset,
        };
        let exempt = (self.bypasses, self.now);
        Some(evaluate(&seen, since, (in_force, rules), exempt, NAMED))
    }
}
