//! The differences between two states, in words.

mod database;
mod named;
mod renamed;

use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use self::database::database_details;
pub(super) use self::named::renamed_lists;
use self::named::{LISTS, references};
use self::renamed::Nameable;
use super::list::{Segment, rules_of};
use super::{
    AllowPart, Host, ListKind, Mode, OnDeny, Policy, PolicyCompat, PolicyTest, Rule, RuleList,
    Service, State, counted,
};

/// One difference between two states.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct PlanItem {
    /// What happens to it.
    pub action: PlanAction,
    /// "policy office", "service postgres", "host".
    pub subject: String,
    /// What differs, a line each: "+ allow 10.0.0.0/8", "comment: a -> b". Long
    /// lists of rules are cut, with a last line that says how many there are more.
    pub details: Vec<String>,
}

/// What happens to something in a [`PlanItem`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum PlanAction {
    /// It is new.
    Add,
    /// It differs.
    Change,
    /// It goes.
    Remove,
}

/// Rules of one list that are named one by one.
const SHOWN_RULES: usize = 20;

/// What has to change to turn `old` into `new`. Empty when both mean the same in the
/// same words: where rules were written, and when policies were made and altered,
/// does not count.
#[must_use]
pub fn plan(old: &State, new: &State) -> Vec<PlanItem> {
    let mut items = Vec::new();
    compare(
        &mut items,
        "host".to_owned(),
        Some(&old.host),
        Some(&new.host),
        host_details,
    );
    for_each_name(
        &old.services,
        &new.services,
        |service| &service.name,
        |name, old, new| {
            compare(
                &mut items,
                format!("service {name}"),
                old,
                new,
                service_details,
            );
        },
    );
    for_each_name(
        &old.databases,
        &new.databases,
        |database| &database.name,
        |name, old, new| {
            compare(
                &mut items,
                format!("database {name}"),
                old,
                new,
                database_details,
            );
        },
    );
    LISTS.items(&mut items, &old.lists, &new.lists);
    POLICIES.items(&mut items, &old.policies, &new.policies);
    for_each_name(
        &old.tests,
        &new.tests,
        |test| &test.attempt,
        |attempt, old, new| {
            compare(
                &mut items,
                format!("test {attempt}"),
                old,
                new,
                test_details,
            );
        },
    );
    items
}

const POLICIES: Nameable<Policy> = Nameable {
    noun: "policy",
    name: |policy| &policy.name,
    is_as_old: |one, other| one.created == other.created,
    details: policy_details,
};

/// The policies that differ in nothing but their name, made at the same instant.
pub(super) fn renamed<'a>(old: &'a State, new: &'a State) -> Vec<(&'a Policy, &'a Policy)> {
    POLICIES.renamed(&old.policies, &new.policies)
}

/// Walks two lists that are sorted by name.
fn for_each_name<'a, T, N: Ord>(
    old: &'a [T],
    new: &'a [T],
    name: impl Fn(&T) -> &N,
    mut visit: impl FnMut(&N, Option<&'a T>, Option<&'a T>),
) {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(old), Some(new)) => name(old).cmp(name(new)),
        };
        let old = old.next_if(|_| order.is_le());
        let new = new.next_if(|_| order.is_ge());
        if let Some(either) = old.or(new) {
            visit(name(either), old, new);
        }
    }
}

fn compare<T>(
    items: &mut Vec<PlanItem>,
    subject: String,
    old: Option<&T>,
    new: Option<&T>,
    details: impl Fn(Option<&T>, Option<&T>) -> Vec<String>,
) {
    let details = details(old, new);
    let action = match (old, new) {
        (None, _) => PlanAction::Add,
        (_, None) => PlanAction::Remove,
        _ if details.is_empty() => return,
        _ => PlanAction::Change,
    };
    items.push(PlanItem {
        action,
        subject,
        details,
    });
}

fn host_details(old: Option<&Host>, new: Option<&Host>) -> Vec<String> {
    let mut details = Vec::new();
    field(
        &mut details,
        "mode",
        old.map(|host| host.mode),
        new.map(|host| host.mode),
    );
    answer(
        &mut details,
        old.map(|host| host.on_deny),
        new.map(|host| host.on_deny),
    );
    let ports = |host: &Host| or_none(host.failsafe_ports.to_string());
    field(
        &mut details,
        "failsafe ports",
        old.map(ports),
        new.map(ports),
    );
    if let (Some(old), Some(new)) = (old, new) {
        details.extend(new.compat.difference(old.compat));
    }
    details
}

fn service_details(old: Option<&Service>, new: Option<&Service>) -> Vec<String> {
    let mut details = Vec::new();
    let text = |value: fn(&Service) -> String| (old.map(value), new.map(value));
    for (name, (old, new)) in [
        ("ports", text(|service| service.ports.to_string())),
        ("combine", text(|service| service.combine.to_string())),
        ("mode", text(|service| service.mode.to_string())),
    ] {
        field(&mut details, name, old, new);
    }
    answer(
        &mut details,
        old.map(|service| service.on_deny),
        new.map(|service| service.on_deny),
    );
    comment(
        &mut details,
        old.and_then(|service| service.comment.as_deref()),
        new.and_then(|service| service.comment.as_deref()),
    );
    details
}

fn policy_details(old: Option<&Policy>, new: Option<&Policy>) -> Vec<String> {
    let mut details = Vec::new();
    let status = |policy: &Policy| match (policy.active, policy.mode) {
        (true, Mode::Enforce) => "active",
        (true, Mode::Observe) => "observed: denies nothing",
        (false, Mode::Enforce) => "inactive",
        (false, Mode::Observe) => "inactive, to be observed",
    };
    field(&mut details, "status", old.map(status), new.map(status));
    field(
        &mut details,
        "bound to",
        old.map(bindings),
        new.map(bindings),
    );
    let part = |policy: &Policy| match policy.allow {
        AllowPart::Any => "any",
        AllowPart::Only(_) => "only these",
    };
    field(&mut details, "allow", old.map(part), new.map(part));
    comment(
        &mut details,
        old.and_then(|policy| policy.comment.as_deref()),
        new.and_then(|policy| policy.comment.as_deref()),
    );
    details.extend(PolicyCompat::difference(
        old.map(|policy| &policy.compat),
        new.map(|policy| &policy.compat),
    ));
    if let (Some(old), Some(new)) = (old, new)
        && old.owner != new.owner
    {
        details.push(format!("owner: {} -> {}", old.owner, new.owner));
    }
    for kind in ListKind::ALL {
        let (old, new) = (
            old.map(|policy| &**policy.lists(kind)),
            new.map(|policy| &**policy.lists(kind)),
        );
        references(&mut details, kind, old, new);
    }
    for kind in ListKind::ALL {
        let (old, new) = (
            old.and_then(|policy| policy.rules(kind)),
            new.and_then(|policy| policy.rules(kind)),
        );
        rules(&mut details, &kind.to_string(), old, new);
    }
    details
}

fn test_details(old: Option<&PolicyTest>, new: Option<&PolicyTest>) -> Vec<String> {
    let mut details = Vec::new();
    let expect = |test: &PolicyTest| test.expect;
    field(&mut details, "expect", old.map(expect), new.map(expect));
    comment(
        &mut details,
        old.and_then(|test| test.comment.as_deref()),
        new.and_then(|test| test.comment.as_deref()),
    );
    details
}

fn bindings(policy: &Policy) -> String {
    let names: Vec<_> = policy.bindings.iter().map(ToString::to_string).collect();
    or_none(names.join(", "))
}

fn or_none(text: String) -> String {
    if text.is_empty() {
        "none".to_owned()
    } else {
        text
    }
}

/// A field that always has a value; nothing is said of what goes.
fn field<T: PartialEq + std::fmt::Display>(
    details: &mut Vec<String>,
    name: &str,
    old: Option<T>,
    new: Option<T>,
) {
    match (old, new) {
        (None, Some(new)) => details.push(format!("{name}: {new}")),
        (Some(old), Some(new)) if old != new => details.push(format!("{name}: {old} -> {new}")),
        _ => {}
    }
}

/// What a denied sender gets; nothing is said where it is new and the default.
fn answer(details: &mut Vec<String>, old: Option<OnDeny>, new: Option<OnDeny>) {
    if old.is_some() || new.is_some_and(|new| new != OnDeny::default()) {
        field(details, "on deny", old, new);
    }
}

fn comment(details: &mut Vec<String>, old: Option<&str>, new: Option<&str>) {
    match (old, new) {
        (None, Some(new)) => details.push(format!("comment: {new}")),
        (Some(old), Some(new)) if old != new => details.push(format!("comment: {old} -> {new}")),
        (Some(old), None) => details.push(format!("comment: {old} -> none")),
        _ => {}
    }
}

fn rules(details: &mut Vec<String>, kind: &str, old: Option<&RuleList>, new: Option<&RuleList>) {
    let nothing = RuleList::default();
    let (old, new) = (old.unwrap_or(&nothing), new.unwrap_or(&nothing));
    if old.same_words(new) {
        return;
    }
    let (removed, added) = difference(old, new);
    if old.len() - new.len().min(old.len()) > SHOWN_RULES && new.len() < old.len() / 2 {
        details.push(format!(
            "note: the {kind} list shrinks from {} to {}",
            old.len(),
            counted(new.len(), "rule", "rules")
        ));
    }
    for (sign, rules) in [('-', &removed), ('+', &added)] {
        let shown = rules.iter().take(SHOWN_RULES);
        details.extend(shown.map(|rule| format!("{sign} {kind} {}", in_words(rule))));
        if rules.len() > SHOWN_RULES {
            details.push(format!("{sign} {kind}: {} more", rules.len() - SHOWN_RULES));
        }
    }
    if removed.is_empty() && added.is_empty() && !old.is_empty() {
        details.push(format!("{kind}: rules in another order"));
    }
}

fn in_words(rule: &Rule) -> String {
    let mut words = rule.text().into_owned();
    if let Some(name) = rule.name() {
        words.push_str(&format!(" (name: {name})"));
    }
    if let Some(comment) = rule.comment() {
        words.push_str(&format!(" (comment: {comment})"));
    }
    if let Some(end) = rule.expires() {
        words.push_str(&format!(" until {end}"));
    }
    words
}

/// Rules that only `old` has, and rules that only `new` has, in their orders.
pub(super) fn difference<'a>(
    old: &'a RuleList,
    new: &'a RuleList,
) -> (Vec<&'a Rule>, Vec<&'a Rule>) {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for segment in old.segments(new) {
        if let Segment::Differing(a, b) = segment {
            ours.extend(rules_of(a));
            theirs.extend(rules_of(b));
        }
    }
    // Most edits touch few rules: what is alike at both ends need not be sorted.
    let (old, new) = (ours, theirs);
    let same = |(a, b): &(&&Rule, &&Rule)| a.same_words(b);
    let front = old.iter().zip(&new).take_while(same).count();
    let (old, new) = (&old[front..], &new[front..]);
    let back = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take_while(same)
        .count();
    let (old, new) = (&old[..old.len() - back], &new[..new.len() - back]);

    if old.is_empty() || new.is_empty() {
        return (old.to_vec(), new.to_vec());
    }
    let sorted = |rules: &[&'a Rule]| {
        let mut order: Vec<usize> = (0..rules.len()).collect();
        order.sort_unstable_by_key(|&index| (sort_key(rules[index]), index));
        order
    };
    let (order_old, order_new) = (sorted(old), sorted(new));
    let (mut i, mut j) = (0, 0);
    let (mut removed, mut added) = (Vec::new(), Vec::new());
    while i < order_old.len() || j < order_new.len() {
        let order = match (order_old.get(i), order_new.get(j)) {
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, _) => std::cmp::Ordering::Greater,
            (Some(&a), Some(&b)) => sort_key(old[a]).cmp(&sort_key(new[b])),
        };
        if order.is_lt() {
            removed.push(order_old[i]);
        } else if order.is_gt() {
            added.push(order_new[j]);
        }
        i += usize::from(order.is_le());
        j += usize::from(order.is_ge());
    }
    removed.sort_unstable();
    added.sort_unstable();
    (
        removed.into_iter().map(|index| old[index]).collect(),
        added.into_iter().map(|index| new[index]).collect(),
    )
}

/// What two rules that say the same have in common, as something to sort by.
fn sort_key(rule: &Rule) -> impl Ord + '_ {
    (rule.net, rule.note.as_deref())
}

#[cfg(test)]
mod tests;
