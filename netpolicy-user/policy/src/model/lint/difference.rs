//! What a change makes of the likely mistakes.

use std::collections::HashMap;

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

/// A rule without its place: lines that move change no rule.
type RuleSubject<'f> = (&'f str, &'f str, Option<&'f str>, &'f str);

/// What a finding is about; how many are like it is no part of it.
type Subject<'f> = (
    Code,
    &'f [String],
    Option<&'f str>,
    Option<RuleSubject<'f>>,
    Option<RuleSubject<'f>>,
    &'f str,
);

fn rule_subject(rule: &RuleAt) -> RuleSubject<'_> {
    let named = rule.named.as_deref();
    (&rule.policy, &rule.list, named, &rule.text)
}

fn subject(finding: &Finding) -> Subject<'_> {
    (
        finding.code,
        &finding.policies,
        finding.scope.as_deref(),
        finding.rule.as_ref().map(rule_subject),
        finding.other.as_ref().map(rule_subject),
        // Of another rule the message names the place.
        match finding.other {
            Some(_) => "",
            None => finding.message.as_str(),
        },
    )
}

/// Compares what lint finds before and after a change.
///
/// Of rules of one kind and list lint names some and counts the others: a finding that stands
/// for more rules than before is introduced, since a rule of the change is among them.
#[must_use]
pub fn difference(before: &[Finding], after: Vec<Finding>) -> FindingsDifference {
    // One rule may stand in several places, with a finding each.
    let mut known: HashMap<_, Vec<u64>> = HashMap::new();
    for finding in before {
        known
            .entry(subject(finding))
            .or_default()
            .push(finding.more);
    }
    let is_known = |finding: &Finding, known: &mut Vec<u64>| {
        let found = known.iter().position(|more| finding.more <= *more);
        found.map(|at| known.swap_remove(at)).is_some()
    };
    let are_known = after.iter().map(|finding| {
        let known = known.get_mut(&subject(finding));
        known.is_some_and(|known| is_known(finding, known))
    });
    let mut are_known = are_known.collect::<Vec<_>>().into_iter();
    let (kept, introduced): (Vec<_>, Vec<_>) = after
        .into_iter()
        .partition(|_| are_known.next() == Some(true));
    let mut remaining: HashMap<_, usize> = HashMap::new();
    for finding in kept.iter().chain(&introduced) {
        *remaining.entry(subject(finding)).or_default() += 1;
    }
    let mut resolved = Vec::new();
    for finding in before {
        match remaining.get_mut(&subject(finding)) {
            Some(count @ 1..) => *count -= 1,
            _ => resolved.push(finding.clone()),
        }
    }
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
    fn finding_whose_rule_moves_to_another_line_is_kept() {
        let policy = policy("abuse", "block = [\"192.0.2.1\", \"192.0.2.0/24\"]");
        let moved = format!("# A comment.\n\n{policy}");
        let found = compared(&policy, &moved);
        let places = |findings: &[Finding]| findings[0].rule.as_ref().unwrap().place.clone();
        assert_ne!(places(&found.kept), places(&lint(&state_of(&policy))));
        assert_eq!((found.introduced, found.resolved), (vec![], vec![]));
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
