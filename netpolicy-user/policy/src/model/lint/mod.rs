//! Likely mistakes in a state: rules that never matter, lists that deny or allow
//! more than they seem to.
//!
//! Pure, and says only what can be seen in the state itself: neither traffic nor what a
//! rule was before. Changes nothing.

mod covers;
mod difference;
mod exceptions;
mod families;
mod finding;
mod rules;
mod scopes;
pub(super) mod special;
mod sweep;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::{FailedTest, ListKind, State, evaluate};

pub use difference::{FindingsDifference, difference};
pub use finding::{Code, Finding, RuleAt, Severity};

/// Findings of one code that are listed for each list; the others are counted.
const LISTED: u64 = 10;

/// All likely mistakes: by policy, the worst first.
///
/// Sorts all rules, those of a named list once for each policy that refers to it: needs time
/// in proportion to n log n, on the threads of the pool that it is called in, and 16 bytes for
/// each IPv4 rule and 32 for each IPv6 one.
#[must_use]
pub fn lint(state: &State) -> Vec<Finding> {
    lint_on(state, &[])
}

/// The same on a host with these networks of its own, each with its interface's name: blocks
/// that cover one of them keep its neighbours out.
#[must_use]
pub fn lint_on(state: &State, own: &[(IpNet, String)]) -> Vec<Finding> {
    let ranks = sweep::Ranks::of(state);
    let locals = special::locals(own);
    let ((mut findings, reported), (v4, v6)) = rayon::join(
        || rules::each(state, &locals),
        || {
            rayon::join(
                || SortedFamily::<u32>::of(state, &ranks),
                || SortedFamily::<u128>::of(state, &ranks),
            )
        },
    );
    findings.absorb(v4.covered);
    findings.absorb(v6.covered);
    let overlaps = [v4.overlaps, v6.overlaps];
    rules::overlaps(state, overlaps, &mut findings);
    let (v4, v6) = (v4.entries, v6.entries);
    exceptions::findings(state, &v4, &ranks, &mut findings);
    exceptions::findings(state, &v6, &ranks, &mut findings);
    covers::local_ranges(
        state,
        (&v4, &v6),
        &ranks,
        (&locals, &reported),
        &mut findings,
    );
    scopes::scopes(state, (&v4, &v6), &ranks, &mut findings);
    scopes::policies(state, &mut findings);
    scopes::lists(state, &mut findings);
    scopes::names(state, &mut findings);
    for failed in state.failing_tests(|service, source| evaluate(state, service, source).reason) {
        findings.add(None, test_failed(failed));
    }
    findings.finish()
}

/// The rules of a family, and those that never matter because of others.
struct SortedFamily<A> {
    entries: Vec<sweep::RuleEntry<A>>,
    covered: Findings,
    overlaps: rules::Overlaps,
}

impl<A: sweep::Bits> SortedFamily<A> {
    fn of(state: &State, ranks: &sweep::Ranks) -> Self {
        let entries = sweep::sorted::<A>(state, ranks);
        let (covered, overlaps) = rules::covered(state, &entries, ranks);
        Self {
            entries,
            covered,
            overlaps,
        }
    }
}

fn test_failed(failed: FailedTest) -> Finding {
    Finding {
        code: Code::TestFailed,
        severity: Severity::Error,
        policies: Vec::new(),
        scope: None,
        rule: None,
        other: None,
        message: failed.message,
        more: 0,
    }
}

/// Whether there is anything to correct: an error or a warning.
#[must_use]
pub fn is_at_fault(findings: &[Finding]) -> bool {
    findings
        .iter()
        .any(|finding| finding.severity != Severity::Note)
}

/// Findings so far. Of those that are about a rule only some are kept.
#[derive(Default)]
struct Findings {
    found: Vec<(FindingOrder, Finding)>,
    /// How many there were of each code, policy and list.
    counts: BTreeMap<(Code, usize, ListKind), u64>,
}

/// First the policy, then how bad, then which rule.
type FindingOrder = (usize, Severity, Code, ListKind, usize);

impl Findings {
    /// Adds what is about a policy, by its index, or about none.
    fn add(&mut self, policy: Option<usize>, finding: Finding) {
        let order = (
            policy.unwrap_or(usize::MAX),
            finding.severity,
            finding.code,
            ListKind::Allow,
            0,
        );
        self.found.push((order, finding));
    }

    /// Whether another one of this kind would be kept; if not, it is counted.
    fn wants(&mut self, code: Code, policy: usize, kind: ListKind) -> bool {
        let key = (code, policy, kind);
        match self.counts.get_mut(&key) {
            Some(count) if *count >= LISTED => {
                *count += 1;
                false
            }
            _ => true,
        }
    }

    /// Adds what is about a rule, unless there are enough of its kind.
    fn add_rule(
        &mut self,
        code: Code,
        (policy, kind, rule): (usize, ListKind, usize),
        finding: impl FnOnce() -> Finding,
    ) {
        let count = self.counts.entry((code, policy, kind)).or_default();
        *count += 1;
        if *count <= LISTED {
            let finding = finding();
            let order = (policy, finding.severity, code, kind, rule);
            self.found.push((order, finding));
        }
    }

    /// Adds findings about rules, as if each had been added after those that there are.
    fn absorb(&mut self, others: Self) {
        let mut room = BTreeMap::new();
        for (order, finding) in others.found {
            let (policy, _, code, kind, _) = order;
            let key = (code, policy, kind);
            let counted = self.counts.get(&key).copied().unwrap_or_default();
            let room = room
                .entry(key)
                .or_insert_with(|| LISTED.saturating_sub(counted));
            if *room > 0 {
                *room -= 1;
                self.found.push((order, finding));
            }
        }
        for (key, count) in others.counts {
            *self.counts.entry(key).or_default() += count;
        }
    }

    fn finish(mut self) -> Vec<Finding> {
        self.found.sort_by_key(|(order, _)| *order);
        for ((code, policy, kind), count) in self.counts {
            let more = count.saturating_sub(LISTED);
            let mut found = self.found.iter_mut().rev();
            let last =
                found.find(|((at, _, of, on, _), _)| (*at, *of, *on) == (policy, code, kind));
            if let Some((_, last)) = last {
                last.more = more;
            }
        }
        self.found.into_iter().map(|(_, finding)| finding).collect()
    }
}
