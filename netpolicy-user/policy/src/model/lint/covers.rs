//! Local ranges that blocks cover together, where no single rule is reported.

use super::finding::{Code, Finding, Severity};
use super::special::Local;
use super::sweep::{Bits, Group, Ranks, RuleEntry, covered_whole};
use super::{Findings, State};
use crate::model::{Binding, Policy};

/// Policies whose blocks are looked at together: one by itself, or all of a scope.
struct PolicyGroup {
    members: Vec<usize>,
    scope: Option<Binding>,
}

/// Reports which local ranges are blocked whole. `reported`: by policy, those of reported rules.
/// Policies with an allow list are left out: their blocks remove something from it.
pub(super) fn local_ranges(
    state: &State,
    rules: (&[RuleEntry<u32>], &[RuleEntry<u128>]),
    ranks: &Ranks,
    (locals, reported): (&[Local], &[Vec<bool>]),
    findings: &mut Findings,
) {
    let lists = lists(state);
    let groups: Vec<_> = lists
        .iter()
        .map(|lists| Group::of(&lists.members, ranks))
        .collect();
    let (v4, v6) = rayon::join(
        || whole(rules.0, &groups, locals),
        || whole(rules.1, &groups, locals),
    );
    // By policy, what was reported of it alone.
    let mut alone = reported.to_vec();
    for (lists, (v4, v6)) in lists.iter().zip(v4.into_iter().zip(v6)) {
        let of_members = |at: usize| {
            let mut members = lists.members.iter().filter_map(|&member| alone.get(member));
            members.any(|reported| reported.get(at) == Some(&true))
        };
        let is_new = |&at: &usize| {
            let family = if is_v4(locals, at) { &v4 } else { &v6 };
            family.ranges.get(at) == Some(&true) && !family.is_all && !of_members(at)
        };
        let covered: Vec<usize> = (0..locals.len()).filter(is_new).collect();
        let Some(first) = lists.members.first().filter(|_| !covered.is_empty()) else {
            continue;
        };
        findings.add(Some(*first), finding(state, lists, locals, &covered));
        if let ([member], None) = (&*lists.members, &lists.scope)
            && let Some(reported) = alone.get_mut(*member)
        {
            for at in covered {
                reported[at] = true;
            }
        }
    }
}

/// Each policy by itself, then the policies of each scope together; each set once.
fn lists(state: &State) -> Vec<PolicyGroup> {
    let policies = || state.policies.iter().enumerate();
    let has_allow = |policy: &Policy| policy.allow_list().is_some();
    let alone = policies().filter(|(_, policy)| !has_allow(policy));
    let mut lists: Vec<PolicyGroup> = alone
        .map(|(at, _)| PolicyGroup {
            members: vec![at],
            scope: None,
        })
        .collect();
    let services = state.services.iter();
    let services = services.map(|service| Binding::Service(service.name.clone()));
    for scope in std::iter::once(Binding::Host).chain(services) {
        let governs = |policy: &Policy| policy.is_enforced() && policy.bindings.contains(&scope);
        let governing: Vec<_> = policies().filter(|(_, policy)| governs(policy)).collect();
        let members: Vec<_> = governing.iter().map(|(at, _)| *at).collect();
        let is_known = lists.iter().any(|known| known.members == members);
        if members.len() > 1 && !is_known && !governing.iter().any(|(_, policy)| has_allow(policy))
        {
            let scope = Some(scope);
            lists.push(PolicyGroup { members, scope });
        }
    }
    lists
}

/// What blocks cover whole of a family.
struct CoveredRanges {
    ranges: Vec<bool>,
    is_all: bool,
}

fn whole<A: Bits>(
    entries: &[RuleEntry<A>],
    groups: &[Group],
    locals: &[Local],
) -> Vec<CoveredRanges> {
    let range =
        |local: &Local| A::of(&local.net).map(|(first, length)| (first, first.last(length)));
    let mut ranges: Vec<_> = locals.iter().map(range).collect();
    ranges.push(Some((A::LOWEST, A::HIGHEST)));
    let found = covered_whole(entries, groups, &ranges);
    let whole = |mut ranges: Vec<bool>| CoveredRanges {
        is_all: ranges.pop().unwrap_or(false),
        ranges,
    };
    found.into_iter().map(whole).collect()
}

fn is_v4(locals: &[Local], at: usize) -> bool {
    locals
        .get(at)
        .is_some_and(|local| local.net.addr().is_ipv4())
}

fn finding(state: &State, lists: &PolicyGroup, locals: &[Local], covered: &[usize]) -> Finding {
    let ranges = covered.iter().filter_map(|&at| locals.get(at));
    let ranges: Vec<_> = ranges.map(|local| local.words.as_str()).collect();
    let on = match &lists.scope {
        None => String::new(),
        Some(Binding::Host) => " on the host".to_owned(),
        Some(Binding::Service(name)) => format!(" on {name}"),
        Some(Binding::User(user)) => format!(" for {user}"),
    };
    let policies = lists
        .members
        .iter()
        .filter_map(|&at| state.policies.get(at));
    Finding {
        code: Code::SpecialRange,
        severity: Severity::Warning,
        policies: policies.map(|policy| policy.name.to_string()).collect(),
        scope: lists.scope.as_ref().map(Binding::to_string),
        rule: None,
        other: None,
        message: format!(
            "the blocks cover all of {}{on}: your own machines and this network's services may be there; remove what is not intended",
            ranges.join("; ")
        ),
        more: 0,
    }
}
