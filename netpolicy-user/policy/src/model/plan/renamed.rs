//! What has a name and may get another: policies and named lists.

use std::ptr;

use super::{PlanAction, PlanItem, compare, field, for_each_name};
use crate::model::Name;

/// How two of a kind are compared.
pub(super) struct Nameable<T> {
    /// "policy", "list".
    pub(super) noun: &'static str,
    pub(super) name: fn(&T) -> &Name,
    /// Whether both were made at the same instant.
    pub(super) is_as_old: fn(&T, &T) -> bool,
    pub(super) details: fn(Option<&T>, Option<&T>) -> Vec<String>,
}

impl<T> Nameable<T> {
    /// The differences of all of them.
    pub(super) fn items(&self, items: &mut Vec<PlanItem>, old: &[T], new: &[T]) {
        let renamed = self.renamed(old, new);
        let same = |one: &T, other: Option<&T>| other.is_some_and(|other| ptr::eq(one, other));
        for_each_name(old, new, self.name, |name, old, new| {
            if renamed.iter().any(|(from, _)| same(from, old)) {
                return;
            }
            let noun = self.noun;
            if let Some((from, to)) = renamed.iter().find(|(_, to)| same(to, new)) {
                let (from, to) = ((self.name)(from), (self.name)(to));
                let mut details = Vec::new();
                field(&mut details, "name", Some(from), Some(to));
                items.push(PlanItem {
                    action: PlanAction::Change,
                    subject: format!("{noun} {from}"),
                    details,
                });
                return;
            }
            compare(items, format!("{noun} {name}"), old, new, self.details);
        });
    }

    /// Those that differ in nothing but their name, made at the same instant.
    pub(super) fn renamed<'a>(&self, old: &'a [T], new: &'a [T]) -> Vec<(&'a T, &'a T)> {
        let gone = |these: &'a [T], others: &'a [T]| {
            let is_gone = move |one: &&T| {
                let mut others = others.iter();
                others.all(|other| (self.name)(other) != (self.name)(one))
            };
            these.iter().filter(is_gone)
        };
        let same = |from: &T, to: &T| {
            (self.is_as_old)(from, to) && (self.details)(Some(from), Some(to)).is_empty()
        };
        let mut added: Vec<_> = gone(new, old).collect();
        let mut pairs = Vec::new();
        for from in gone(old, new) {
            if let Some(at) = added.iter().position(|to| same(from, to)) {
                pairs.push((from, added.swap_remove(at)));
            }
        }
        pairs
    }
}
