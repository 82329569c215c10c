//! What a change would have made of the sources that came lately.

use std::time::Duration;

use super::situation::{Candidate, Situation};
use crate::agent::rehearsal::{CandidateRules, evaluate};

/// How far back a dry run looks.
const LATELY: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Sources that it names.
const NAMED: usize = 5;

impl Situation<'_> {
    /// Says which sources that came lately would fare otherwise, where any may.
    pub(super) fn rehearse(&self, candidate: &mut Candidate) {
        if candidate.digest == self.in_force.digest {
            return;
        }
        let since = self.now.checked_sub(LATELY).unwrap_or(self.now);
        let seen = self.seen.seen_since(since);
        if seen.remembered_since.is_none() {
            return;
        }
        let in_force = CandidateRules {
            state: &self.in_force.state,
            rules: &self.in_force.ruleset,
        };
        let rules = CandidateRules {
            state: &candidate.state,
            rules: candidate.compiled.ruleset(),
        };
        let exempt = (self.bypasses, self.now);
        let evaluation = evaluate(&seen, since, (in_force, rules), exempt, NAMED);
        candidate.changed.seen = Some(evaluation);
    }
}
