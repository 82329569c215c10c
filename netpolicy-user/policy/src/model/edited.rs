//! Single rules that a change adds to policies or takes from them.

use super::plan::difference;
use super::{ListKind, Name, NamedList, Policy, Rule, RuleList, State};

/// Edited rules beyond which none is looked at by itself.
pub const EDITED: usize = 10;

/// A rule that came to a policy or went from it, by itself or on a named list.
#[derive(Clone, Copy, Debug)]
pub struct EditedRule<'s> {
    /// The policy, as it is after the change.
    pub policy: &'s Policy,
    /// On which side.
    pub kind: ListKind,
    /// The rule.
    pub rule: &'s Rule,
    /// Whether it came.
    pub is_added: bool,
}

/// The rules that came to, or went from, policies that both states have in force; none if
/// there are more than [`EDITED`].
#[must_use]
pub fn edited_rules<'s>(old: &'s State, new: &'s State) -> Vec<EditedRule<'s>> {
    let mut edited = Vec::new();
    let lists: Vec<_> = new
        .lists
        .iter()
        .filter_map(|list| {
            let before = old.lists.iter().find(|other| other.name == list.name)?;
            Some((&list.name, changes(&before.entries, &list.entries)?))
        })
        .collect();
    if new.lists.iter().any(|list| is_rewritten(old, list, &lists)) {
        return Vec::new();
    }
    for policy in new.policies.iter().filter(|policy| policy.is_in_force()) {
        let Some(before) = old.policies.iter().find(|old| old.name == policy.name) else {
            continue;
        };
        if !before.is_in_force() {
            continue;
        }
        for kind in ListKind::ALL {
            let own = match (before.rules(kind), policy.rules(kind)) {
                (Some(before), Some(after)) => changes(before, after),
                // The policy says another thing than before: this is not about single rules.
                (None, None) => Some(Vec::new()),
                _ => None,
            };
            let Some(own) = own else { return Vec::new() };
            let named = policy.lists(kind).iter();
            let named = named.filter(|name| before.lists(kind).contains(name));
            let named = named.filter_map(|name| lists.iter().find(|(other, _)| *other == name));
            let named = named.flat_map(|(_, changes)| changes.iter().copied());
            for (rule, is_added) in own.into_iter().chain(named) {
                edited.push(EditedRule {
                    policy,
                    kind,
                    rule,
                    is_added,
                });
                if edited.len() > EDITED {
                    return Vec::new();
                }
            }
        }
    }
    edited
}

/// Rules of one list, and whether they came.
type ListChanges<'s> = Vec<(&'s Rule, bool)>;

/// What came to a list and went from it; `None` if that is much.
fn changes<'s>(old: &'s RuleList, new: &'s RuleList) -> Option<ListChanges<'s>> {
    if old.same_words(new) {
        return Some(Vec::new());
    }
    let (removed, added) = difference(old, new);
    if removed.len() + added.len() > EDITED {
        return None;
    }
    // A rule with another name or comment is there before and after.
    let in_both = |rule: &Rule, others: &[&Rule]| others.iter().any(|other| other.net == rule.net);
    let gone = removed.iter().filter(|rule| !in_both(rule, &added));
    let came = added.iter().filter(|rule| !in_both(rule, &removed));
    let gone = gone.map(|rule| (*rule, false));
    Some(gone.chain(came.map(|rule| (*rule, true))).collect())
}

/// Whether much of a named list changed.
fn is_rewritten(old: &State, list: &NamedList, known: &[(&Name, ListChanges<'_>)]) -> bool {
    old.lists.iter().any(|other| other.name == list.name)
        && known.iter().all(|(name, _)| **name != list.name)
}
