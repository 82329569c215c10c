//! Single rules that a change adds to policies or takes from them.

use super::list::Segment;
use super::plan::difference;
use super::{ListKind, Name, NamedList, Policy, Rule, RuleList, State};

/// Edited rules beyond which none is looked at by itself.
pub const EDITED: usize = 10;

/// Rules in chunks that differ beyond which a list counts as replaced: sorting them would take
/// longer than all else.
const LOOKED_AT: usize = 16_384;

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
    let differing = old.segments(new).into_iter().map(|segment| match segment {
        Segment::Shared(_) => 0,
        Segment::Differing(a, b) => a.iter().chain(b).map(|chunk| chunk.rules().len()).sum(),
    });
    match differing.sum::<usize>() {
        0 => return Some(Vec::new()),
        1..=LOOKED_AT => {}
        _ => return None,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::arbitrary::cx;
    use crate::model::{SourceText, file};

    fn state(text: &str) -> State {
        let file = SourceText {
            name: "p.toml".into(),
            text: text.into(),
        };
        file::parse(&file, &[], false, &cx()).unwrap().state
    }

    fn edited(old: &str, new: &str) -> Vec<String> {
        let (old, new) = (state(old), state(new));
        let edited = edited_rules(&old, &new);
        let words = edited.iter().map(|edited| {
            let sign = if edited.is_added { '+' } else { '-' };
            let (policy, rule) = (&edited.policy.name, edited.rule.text());
            format!("{sign} {policy} {} {rule}", edited.kind)
        });
        words.collect()
    }

    #[test]
    fn single_rules_of_policies_in_force_are_found() {
        let policy = |rest: &str| format!("[[policy]]\nname = \"one\"\n{rest}\n");
        let list = |rest: &str| format!("[[list]]\nname = \"bad\"\nentries = [{rest}]\n");
        let before = list("\"10.0.0.1\"") + &policy("block = [\"@bad\", \"::1\"]");
        let after = list("\"10.0.0.1\", \"10.0.0.2\"")
            + &policy("block = [\"@bad\"]\nexcept = [\"10.0.0.9\"]");
        assert_eq!(
            edited(&before, &after),
            [
                "- one block ::1",
                "+ one block 10.0.0.2",
                "+ one except 10.0.0.9"
            ]
        );
        let idle = |text: &str| text.replace("name = \"one\"", "name = \"one\"\nactive = false");
        assert_eq!(edited(&idle(&before), &idle(&after)), [""; 0]);
        // Another comment is no other rule, and many rules are no single ones.
        let noted = policy("block = [{ address = \"::1\", comment = \"c\" }]");
        assert_eq!(edited(&policy("block = [\"::1\"]"), &noted), [""; 0]);
        let many: Vec<_> = (0..20).map(|i| format!("\"10.0.0.{i}\"")).collect();
        let many = policy(&format!("block = [{}]", many.join(", ")));
        assert_eq!(edited(&policy("block = []"), &many), [""; 0]);
    }
}
