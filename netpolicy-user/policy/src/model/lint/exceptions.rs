//! Exceptions: what they take out of a policy's blocks, and findings about them.

use ipnet::IpNet;

use super::finding::{Code, Finding, RuleAt, Severity};
use super::sweep::{Bits, Group, Ranks, RuleEntry, holds, joined};
use super::{Findings, ListKind, State};
use crate::model::{Counted, Policy, Rule};

/// The addresses that a policy does not block, whatever its block list says.
#[derive(Default)]
pub(super) struct Exceptions {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl Exceptions {
    /// A policy's.
    pub(super) fn of(state: &State, policy: &Policy) -> Self {
        if !policy.has_exceptions() {
            return Self::default();
        }
        Self {
            v4: ranges(state, policy, ListKind::Except),
            v6: ranges(state, policy, ListKind::Except),
        }
    }

    /// Whether all of a network is excepted.
    pub(super) fn hold(&self, net: &IpNet) -> bool {
        fn range<A: Bits>(net: &IpNet) -> Option<(A, A)> {
            let (first, length) = A::of(net)?;
            Some((first, first.last(length)))
        }
        range(net).is_some_and(|range| holds(&self.v4, range))
            || range(net).is_some_and(|range| holds(&self.v6, range))
    }
}

/// What a policy's lists of one kind cover of a family, joined.
pub(super) fn ranges<A: Bits>(state: &State, policy: &Policy, kind: ListKind) -> Vec<(A, A)> {
    let counted = state.counted(policy).into_iter();
    let counted = counted.filter(|one| one.kind == kind);
    let mut found: Vec<(A, A)> = counted
        .flat_map(|one| one.entries.iter())
        .filter_map(|rule| A::of(&rule.net))
        .map(|(first, length)| (first, first.last(length)))
        .collect();
    found.sort_unstable();
    joined(found.into_iter()).collect()
}

/// Visits the fewest networks that are left of one without some ranges, which are joined.
pub(super) fn left<A: Bits>(
    (first, length): (A, u8),
    exceptions: &[(A, A)],
    visit: &mut impl FnMut(A, u8),
) {
    let last = first.last(length);
    if !overlaps(exceptions, (first, last)) {
        visit(first, length);
    } else if !holds(exceptions, (first, last)) {
        // A single address is either held or not touched.
        left((first, length + 1), exceptions, visit);
        if let Some(second) = first.last(length + 1).next() {
            left((second, length + 1), exceptions, visit);
        }
    }
}

/// Whether one of some joined ranges shares an address with another range.
fn overlaps<A: Bits>(ranges: &[(A, A)], (first, last): (A, A)) -> bool {
    let after = ranges.partition_point(|range| range.1 < first);
    ranges.get(after).is_some_and(|range| range.0 <= last)
}

/// Exceptions that take nothing out, and exceptions that another policy blocks nevertheless; blocks
/// that are excepted whole.
pub(super) fn findings<A: Bits>(
    state: &State,
    entries: &[RuleEntry<A>],
    ranks: &Ranks,
    findings: &mut Findings,
) {
    for (at, policy) in state.policies.iter().enumerate() {
        if !policy.has_exceptions() {
            continue;
        }
        let blocks = ranges::<A>(state, policy, ListKind::Block);
        let exceptions = ranges::<A>(state, policy, ListKind::Except);
        let with = |(_, other): &(usize, &Policy)| {
            other.name != policy.name
                && other.is_enforced()
                && policy.is_enforced()
                && !other.bindings.is_disjoint(&policy.bindings)
        };
        let others = state.policies.iter().enumerate().filter(with);
        let others: Vec<_> = others
            .map(|(other_at, other)| {
                let group = Group::of(&[other_at], ranks);
                let blocks: Vec<_> = group.ranges(entries, true).collect();
                (other, blocks)
            })
            .collect();
        for counted in state.counted(policy) {
            for (index, rule) in counted.entries.iter().enumerate() {
                let Some((first, length)) = A::of(&rule.net) else {
                    continue;
                };
                let range = (first, first.last(length));
                let found = match counted.kind {
                    ListKind::Allow => None,
                    ListKind::Block => {
                        let is_excepted = counted.named.is_none() && holds(&exceptions, range);
                        is_excepted.then(|| (Code::ExceptedBlock, excepted(rule)))
                    }
                    // A list of sources that are never blocked is the same in all policies.
                    ListKind::Except if !overlaps(&blocks, range) => counted
                        .named
                        .is_none()
                        .then(|| (Code::UnneededException, unneeded(rule, policy))),
                    ListKind::Except => {
                        let mut others = others.iter();
                        let other = others.find(|(_, blocks)| overlaps(blocks, range));
                        other.map(|(other, _)| {
                            (Code::BlockedElsewhere, elsewhere(rule, policy, other))
                        })
                    }
                };
                if let Some((code, message)) = found {
                    add(
                        findings,
                        (at, policy),
                        (&counted, index, rule),
                        code,
                        message,
                    );
                }
            }
        }
    }
}

fn excepted(rule: &Rule) -> String {
    format!(
        "{} is blocked, but the policy's exceptions hold all of it: it has no effect; remove it, or the exceptions",
        rule.text()
    )
}

fn unneeded(rule: &Rule, policy: &Policy) -> String {
    format!(
        "{} takes nothing out of what policy '{}' blocks: no block holds any of it; remove it unless a block is to come",
        rule.text(),
        policy.name
    )
}

fn elsewhere(rule: &Rule, policy: &Policy, other: &Policy) -> String {
    format!(
        "{} is taken out of what policy '{}' blocks, but policy '{}' blocks some of it in the same scope: add it to the exceptions of that policy too unless that is meant",
        rule.text(),
        policy.name,
        other.name
    )
}

fn add(
    findings: &mut Findings,
    (at, policy): (usize, &Policy),
    (counted, index, rule): (&Counted<'_>, usize, &Rule),
    code: Code,
    message: String,
) {
    findings.add_rule(code, (at, counted.kind, index), || Finding {
        code,
        severity: Severity::Note,
        policies: vec![policy.name.to_string()],
        scope: None,
        rule: Some(RuleAt::new(policy, counted, rule)),
        other: None,
        message,
        more: 0,
    });
}
