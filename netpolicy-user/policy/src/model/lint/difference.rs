//! What a change makes of the likely mistakes.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use super::finding::{Code, Finding, RuleAt};

/// The findings of two states, compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct FindingsDifference {
    /// Findings that only the later state has, the worst first in each policy.
    pub introduced: Vec<Finding>,
    /// Findings that both states have.
    pub kept: Vec<Finding>,
    /// Findings that only the earlier state has.
    pub resolved: Vec<Finding>,
}

/// What a finding is about; how many are like it is no part of it.
type Subject<'f> = (
    Code,
    &'f [String],
    Option<&'f str>,
    Option<&'f RuleAt>,
    Option<&'f RuleAt>,
    &'f str,
);

fn subject(finding: &Finding) -> Subject<'_> {
    (
        finding.code,
        &finding.policies,
        finding.scope.as_deref(),
        finding.rule.as_ref(),
        finding.other.as_ref(),
        &finding.message,
    )
}

/// Compares what lint finds before and after a change.
///
/// Of rules of one kind and list lint names some and counts the others: a finding that stands
/// for more rules than before is introduced, since a rule of the change is among them.
#[must_use]
pub fn difference(before: &[Finding], after: Vec<Finding>) -> FindingsDifference {
    let known: HashMap<_, _> = before.iter().map(|f| (subject(f), f.more)).collect();
    let (kept, introduced): (Vec<_>, Vec<_>) = after.into_iter().partition(|finding| {
        known
            .get(&subject(finding))
            .is_some_and(|more| finding.more <= *more)
    });
    let remaining: HashSet<_> = kept.iter().chain(&introduced).map(subject).collect();
    let resolved = before.iter();
    let resolved = resolved.filter(|finding| !remaining.contains(&subject(finding)));
    let resolved = resolved.cloned().collect();
    FindingsDifference {
        resolved,
        introduced,
        kept,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{policy, state_of};
    use super::super::{LISTED, lint};
    use super::*;

    fn compared(before: &str, after: &str) -> FindingsDifference {
        difference(&lint(&state_of(before)), lint(&state_of(after)))
    }

    fn codes(findings: &[Finding]) -> Vec<&'static str> {
        findings.iter().map(|finding| finding.code.name()).collect()
    }

    #[test]
    fn findings_are_introduced_kept_and_resolved() {
        let before = policy("abuse", "block = [\"192.0.2.1\", \"192.0.2.0/24\"]");
        let after = policy(
            "abuse",
            "block = [\"192.0.2.1\", \"192.0.2.0/24\", \"198.51.100.0/24\", \"198.51.100.9\"]",
        );
        let found = compared(&before, &after);
        assert_eq!(codes(&found.introduced), ["covered-rule"]);
        assert_eq!(
            found.introduced[0].rule.as_ref().unwrap().text,
            "198.51.100.9"
        );
        assert_eq!(codes(&found.kept), ["covered-rule"]);
        assert_eq!(codes(&found.resolved), [""; 0]);
        let back = compared(&after, &before);
        assert_eq!(codes(&back.introduced), [""; 0]);
        assert_eq!(back.resolved, found.introduced);
        assert_eq!(back.kept, found.kept);
        let same = compared(&after, &after);
        assert_eq!((same.introduced.len(), same.resolved.len()), (0, 0));
        assert_eq!(same.kept.len(), 2);
    }

    #[test]
    fn rule_that_is_only_counted_is_introduced() {
        let many = |rules: u64| {
            let inside: String = (0..rules).map(|n| format!("\"192.0.2.{n}\", ")).collect();
            policy("abuse", &format!("block = [\"192.0.2.0/24\", {inside}]"))
        };
        let found = compared(&many(LISTED + 3), &many(LISTED + 4));
        assert_eq!(codes(&found.introduced), ["covered-rule"]);
        assert_eq!(found.introduced[0].more, 4);
        assert_eq!(found.resolved, []);
        let fewer = compared(&many(LISTED + 4), &many(LISTED + 3));
        assert_eq!(fewer.introduced, []);
    }
}
