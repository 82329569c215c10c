//! Differences of named lists and of references to them.

use super::renamed::Nameable;
use super::{SHOWN_RULES, comment, field, rules};
use crate::model::file::feed_lines;
use crate::model::{ListKind, Name, NamedList, NetworkRule, State, reference};

/// Named lists.
pub(super) const LISTS: Nameable<NamedList> = Nameable {
    noun: "list",
    name: |list| &list.name,
    is_as_old: |one, other| one.created == other.created,
    details: list_details,
};

/// The named lists that differ in nothing but their name, made at the same instant.
pub(in crate::model) fn renamed_lists<'a>(
    old: &'a State,
    new: &'a State,
) -> Vec<(&'a NamedList, &'a NamedList)> {
    LISTS.renamed(&old.lists, &new.lists)
}

fn list_details(old: Option<&NamedList>, new: Option<&NamedList>) -> Vec<String> {
    let mut details = Vec::new();
    let rule = |list: &NamedList| match &list.rule {
        None => "none".to_owned(),
        Some(rule) => format!("type {}, mode {}", rule.kind, rule.mode),
    };
    let (before, after) = (old.map(rule), new.map(rule));
    if old.is_some() || new.is_some_and(|list| list.rule.is_some()) {
        field(&mut details, "network rule", before, after);
    }
    let limit = |list: Option<&NamedList>| -> Vec<String> {
        let share = list.and_then(|list| list.max_shrink);
        share.map(|share| format!("{share}%")).into_iter().collect()
    };
    words(&mut details, "max_shrink", &limit(old), &limit(new));
    let feed = |list: Option<&NamedList>| -> Vec<String> {
        let feed = list.and_then(|list| list.feed.as_deref());
        feed.map(feed_lines).unwrap_or_default()
    };
    words(&mut details, "feed", &feed(old), &feed(new));
    comment(
        &mut details,
        old.and_then(|list| list.comment.as_deref()),
        new.and_then(|list| list.comment.as_deref()),
    );
    if let (Some(old), Some(new)) = (old, new)
        && old.owner != new.owner
    {
        details.push(format!("owner: {} -> {}", old.owner, new.owner));
    }
    // What a feed has is in no state: it is not what changed.
    let mut both = [old, new].into_iter().flatten();
    if both.all(|list| list.feed.is_some()) {
        return details;
    }
    for part in [
        |list: &NamedList| list.every.clone(),
        |list: &NamedList| list.entries.clone(),
    ] {
        let (old, new) = (old.map(part), new.map(part));
        rules(&mut details, "entry", old.as_ref(), new.as_ref());
    }
    let values = |list: Option<&NamedList>| -> Vec<String> {
        let rule: Option<&NetworkRule> = list.and_then(|list| list.rule.as_ref());
        rule.map(|rule| rule.values.clone()).unwrap_or_default()
    };
    words(&mut details, "value", &values(old), &values(new));
    details
}

/// References, or other words of which there are few.
fn words(details: &mut Vec<String>, kind: &str, old: &[String], new: &[String]) {
    for (sign, these, others) in [('-', old, new), ('+', new, old)] {
        let own: Vec<_> = these.iter().filter(|word| !others.contains(word)).collect();
        let shown = own.iter().take(SHOWN_RULES);
        details.extend(shown.map(|word| format!("{sign} {kind} {word}")));
        if own.len() > SHOWN_RULES {
            details.push(format!("{sign} {kind}: {} more", own.len() - SHOWN_RULES));
        }
    }
}

/// References of one side of a policy.
pub(super) fn references(
    details: &mut Vec<String>,
    kind: ListKind,
    old: Option<&[Name]>,
    new: Option<&[Name]>,
) {
    let written = |names: Option<&[Name]>| -> Vec<String> {
        names.unwrap_or_default().iter().map(reference).collect()
    };
    words(details, &kind.to_string(), &written(old), &written(new));
}
