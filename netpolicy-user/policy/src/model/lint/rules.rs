//! Findings about single rules.

use std::collections::BTreeMap;

use ipnet::IpNet;
use rayon::prelude::*;

use super::exceptions::Exceptions;
use super::finding::{Code, Finding, RuleAt, Severity};
use super::special::{Local, purpose, whole_local};
use super::sweep::{self, Bits, Covered, Ranks, RuleEntry};
use super::{Findings, ListKind, State};
use crate::model::address::{self, Written};
use crate::model::{EntriesOf, Policy, Rule, RuleList, Spelling, counted, reference};

/// Rules that a block list has at least for it to look like one of public addresses.
const PUBLIC_LIST: usize = 10;
/// Of so many rules at most one may be of special purpose on a list of public addresses.
const PUBLIC_SHARE: usize = 10;

/// What can be said of a rule without looking at others. Gives, for each policy, the local
/// ranges that it reports.
pub(super) fn each(state: &State, locals: &[Local]) -> (Findings, Vec<Vec<bool>>) {
    let policies = state.policies.par_iter().enumerate();
    let examined: Vec<_> = policies
        .map(|policy| of_policy(state, policy, locals))
        .collect();
    let mut findings = Findings::default();
    let reported = examined.into_iter().map(|(found, reported)| {
        findings.absorb(found);
        reported
    });
    let reported = reported.collect();
    (findings, reported)
}

/// The same of a policy.
fn of_policy(
    state: &State,
    (at, policy): (usize, &Policy),
    locals: &[Local],
) -> (Findings, Vec<bool>) {
    let mut findings = Findings::default();
    let mut reported = vec![false; locals.len()];
    let excepted = Exceptions::of(state, policy);
    for counted in state.counted(policy) {
        let (kind, list) = (counted.kind, counted.entries);
        let is_public = kind == ListKind::Block && looks_public(list);
        // In a policy with an allow list, a block takes something out of it.
        let blocks_alone = kind == ListKind::Block && policy.allow_list().is_none();
        for (index, rule) in list.iter().enumerate() {
            let mut say = |code, message: &dyn Fn(&str) -> String| {
                findings.add_rule(code, (at, kind, index), || {
                    let rule = RuleAt::new(policy, &counted, rule);
                    let message = message(&rule.text);
                    about(policy, code, Severity::Warning, rule, None, message)
                });
            };
            if rule.net.prefix_len() == 0 {
                say(whole(kind), &|text| whole_family(kind, text, rule));
            }
            if is_masked(rule) {
                let net = rule.net;
                say(Code::HostBits, &|text| {
                    format!(
                        "{text} means all of {net}: write {net}, or the address without its length if only that is meant"
                    )
                });
            }
            let mut mark = |is_reported: &dyn Fn(&IpNet) -> bool| {
                for (local, reported) in locals.iter().zip(&mut reported) {
                    *reported |= is_reported(&local.net);
                }
            };
            if is_public
                && let Some(purpose) = purpose(&rule.net)
                && !excepted.hold(&rule.net)
            {
                mark(&|local| local.contains(&rule.net));
                say(Code::SpecialRange, &|text| {
                    format!(
                        "{text} is {purpose}, on a list of public addresses: your own machines may be there; remove it unless it is meant"
                    )
                });
            } else if blocks_alone
                && let Some((range, purpose)) = whole_local(&rule.net)
                && !range.parse().is_ok_and(|range| excepted.hold(&range))
            {
                mark(&|local| local.to_string() == range);
                say(Code::SpecialRange, &|text| {
                    let what = match text == range {
                        true => format!("{text} is {purpose}"),
                        false => format!("{text} holds {range}, {purpose}"),
                    };
                    format!(
                        "{what}: your own machines and this network's services may be there; remove it from the list unless they are meant"
                    )
                });
            }
        }
    }
    (findings, reported)
}

fn whole(kind: ListKind) -> Code {
    match kind {
        ListKind::Allow => Code::AllowsEverything,
        ListKind::Block => Code::BlocksEverything,
        ListKind::Except => Code::ExceptsEverything,
    }
}

fn whole_family(kind: ListKind, text: &str, rule: &Rule) -> String {
    let family = match rule.net {
        IpNet::V4(_) => "IPv4",
        IpNet::V6(_) => "IPv6",
    };
    match kind {
        ListKind::Allow => format!(
            "{text} allows every {family} address, so the allow list restricts nothing there: remove it, or name the networks that are meant"
        ),
        ListKind::Except => format!(
            "{text} takes every {family} address out of what the policy blocks, so it blocks nothing there: remove it, or name the networks that are meant"
        ),
        ListKind::Block => format!(
            "{text} blocks every {family} address, and no allow rule wins over it: write an allow list instead"
        ),
    }
}

/// Whether it was written with bits beyond its length.
fn is_masked(rule: &Rule) -> bool {
    let Some(Spelling::Text(text)) = rule.note.as_deref().map(|note| &note.spelling) else {
        return false;
    };
    matches!(address::parse(text.trim()), Ok(Written::Net(net)) if net.masked)
}

fn looks_public(list: &RuleList) -> bool {
    let mut special = list.iter().filter(|rule| purpose(&rule.net).is_some());
    // Most lists that do not are known by their beginning.
    list.len() >= PUBLIC_LIST && special.nth(list.len() / PUBLIC_SHARE).is_none()
}

/// Rules that never matter because of others. Those of overlapping lists of one policy are counted.
pub(super) fn covered<A: Bits>(
    state: &State,
    entries: &[RuleEntry<A>],
    ranks: &Ranks,
) -> (Findings, Overlaps) {
    let (mut findings, mut overlaps) = (Findings::default(), Overlaps::new());
    let parts: Vec<Vec<Option<usize>>> = state
        .policies
        .iter()
        .map(|policy| state.counted(policy).iter().map(|one| one.named).collect())
        .collect();
    let rule_at = |entry: &RuleEntry<A>| -> Option<(&Policy, RuleAt)> {
        let policy = state.policies.get(entry.policy(ranks))?;
        let lists = state.counted(policy);
        let counted = lists.get(usize::from(entry.part))?;
        let rule = counted.entries.get(usize::try_from(entry.rule).ok()?)?;
        Some((policy, RuleAt::new(policy, counted, rule)))
    };
    // The named list of an entry.
    let named = |entry: &RuleEntry<A>| -> Option<usize> {
        let part = usize::from(entry.part);
        let known = parts.get(entry.policy(ranks))?;
        known.get(part).copied().flatten()
    };
    sweep::covered(entries, ranks, |entry, why| {
        let at = entry.policy(ranks);
        if let Covered::By(outer) = &why
            && outer.policy(ranks) == at
            && outer.part != entry.part
        {
            // Lists of one policy may overlap: that is said once.
            let is_same = (outer.first, outer.last()) == (entry.first, entry.last());
            let overlap = Overlap {
                policy: at,
                inner: entry.part,
                outer: outer.part,
            };
            let count = overlaps.entry(overlap).or_default();
            *(if is_same { &mut count.0 } else { &mut count.1 }) += 1;
            return;
        }
        let code = match &why {
            Covered::Blocked(_) | Covered::BlockedTogether => Code::AllowInsideBlock,
            Covered::By(outer) if outer.policy(ranks) == at && outer.part == entry.part => {
                Code::CoveredRule
            }
            // One list in several policies is what lists are for.
            Covered::By(outer) if named(entry).is_some() && named(outer) == named(entry) => return,
            Covered::By(_) => Code::CoveredByPolicy,
        };
        let severity = match code {
            Code::CoveredByPolicy => Severity::Note,
            _ => Severity::Warning,
        };
        let rule = usize::try_from(entry.rule).unwrap_or(usize::MAX);
        if !findings.wants(code, at, entry.kind()) {
            return;
        }
        let Some((policy, inner)) = rule_at(entry) else {
            return;
        };
        let other = match &why {
            Covered::Blocked(outer) | Covered::By(outer) => rule_at(outer).map(|(_, at)| at),
            Covered::BlockedTogether => None,
        };
        let message = covered_message(code, &inner, other.as_ref());
        findings.add_rule(code, (at, entry.kind(), rule), || {
            about(policy, code, severity, inner, other, message)
        });
    });
    (findings, overlaps)
}

/// Lists of single policies that overlap: how many rules are on both, and how many lie inside
/// others.
pub(super) type Overlaps = BTreeMap<Overlap, (u64, u64)>;

/// Says once of each two lists that overlap, in either family.
pub(super) fn overlaps(state: &State, of_families: [Overlaps; 2], findings: &mut Findings) {
    let mut overlaps = Overlaps::new();
    for (overlap, (same, inside)) in of_families.into_iter().flatten() {
        let counts = overlaps.entry(overlap).or_default();
        *counts = (counts.0 + same, counts.1 + inside);
    }
    for (overlap, counts) in overlaps {
        if let Some(finding) = overlap_note(state, overlap, counts) {
            findings.add(Some(overlap.policy), finding);
        }
    }
}

/// Two lists of one side of a policy, by their places in [`State::counted`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Overlap {
    policy: usize,
    /// The list whose rules lie in others.
    inner: u16,
    outer: u16,
}

/// One note on two lists of a policy that overlap.
fn overlap_note(state: &State, overlap: Overlap, (same, inside): (u64, u64)) -> Option<Finding> {
    let policy = state.policies.get(overlap.policy)?;
    let lists = state.counted(policy);
    let name = |part: u16| {
        let one = lists.get(usize::from(part))?;
        Some(match one.of {
            EntriesOf::Policy(_) => format!("its own {} list", one.kind),
            EntriesOf::List(name) | EntriesOf::Every(name) => format!("list {}", reference(name)),
        })
    };
    let (inner, outer) = (name(overlap.inner)?, name(overlap.outer)?);
    let parts = [
        (same, "is", "are", "on"),
        (inside, "lies", "lie", "inside rules of"),
    ];
    let parts = parts.into_iter().filter(|(count, ..)| *count > 0);
    let parts: Vec<_> = parts
        .map(|(count, one, many, on)| {
            let verb = if count == 1 { one } else { many };
            format!(
                "{} of {inner} {verb} {on} {outer}",
                counted(count, "rule", "rules")
            )
        })
        .collect();
    Some(Finding {
        code: Code::OverlappingLists,
        severity: Severity::Note,
        policies: vec![policy.name.to_string()],
        scope: None,
        rule: None,
        other: None,
        message: format!(
            "{}: each counts once, nothing is to be done",
            parts.join("; ")
        ),
        more: 0,
    })
}

fn covered_message(code: Code, inner: &RuleAt, other: Option<&RuleAt>) -> String {
    let text = &inner.text;
    let Some(other) = other else {
        return format!(
            "{text} is allowed, but several blocks together cover it and a block always wins: remove it, or the blocks"
        );
    };
    let (text, together) = match &inner.named {
        Some(named) => (&format!("{text} of list {named}"), "while both count"),
        None => (text, "while both govern"),
    };
    let of_policy = if other.policy == inner.policy {
        String::new()
    } else {
        format!(" of policy '{}'", other.policy)
    };
    let outer = other.in_words();
    let lies = if other.text == inner.text {
        "is the same as"
    } else {
        "lies inside"
    };
    match code {
        Code::AllowInsideBlock => format!(
            "{text} is allowed, but lies inside the block {outer}{of_policy} and a block always wins: remove it, or the block"
        ),
        Code::CoveredByPolicy => format!(
            "{text} {lies} {outer}{of_policy} and changes nothing {together}: remove it unless the policies are to work apart"
        ),
        _ => format!("{text} {lies} {outer} of the same list and changes nothing: remove it"),
    }
}

fn about(
    policy: &Policy,
    code: Code,
    severity: Severity,
    rule: RuleAt,
    other: Option<RuleAt>,
    message: String,
) -> Finding {
    Finding {
        code,
        severity,
        policies: vec![policy.name.to_string()],
        scope: None,
        rule: Some(rule),
        other,
        message,
        more: 0,
    }
}
