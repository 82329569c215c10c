//! Policies' lists of network rules: references to named lists.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::Cx;
use super::network_rule::{governs_nothing, last_part, qualified};
use super::wrong::Errors;
use crate::model::list::ListBuilder;
use crate::model::{
    AllowPart, Change, ListKind, Name, NamedList, Policy, PolicyCompat, ReferenceEdit, Rule,
    RuleList, State,
};
use crate::sql::network_rule::RuleName;

impl Cx<'_, '_> {
    /// The lists that rules' names mean, each once.
    pub(super) fn rule_list(
        &self,
        names: &[RuleName<'_>],
        warnings: &mut Vec<String>,
        errors: &mut Errors<'_, '_>,
    ) -> Vec<Name> {
        let mut lists: Vec<Name> = Vec::new();
        for name in names {
            let Some(list) = errors.take(name.spot(), self.rule(name)) else {
                continue;
            };
            let rule = list.rule.as_ref();
            warnings.extend(rule.and_then(|rule| governs_nothing(list.name.as_str(), rule)));
            if !lists.contains(&list.name) {
                lists.push(list.name.clone());
            }
        }
        lists
    }

    /// The changes by which a policy of another dialect, whose lists are replaced, refers to no
    /// named list any more.
    pub(super) fn without_references(
        &self,
        policy: &Policy,
        warnings: &mut Vec<String>,
    ) -> Vec<Change> {
        let refers = |kind: &ListKind| !policy.lists(*kind).is_empty();
        let sides = [ListKind::Allow, ListKind::Block]
            .into_iter()
            .filter(refers);
        let changes: Vec<_> = sides
            .map(|kind| set_references(policy, kind, &[]))
            .collect();
        if !changes.is_empty() {
            warnings.push(format!(
                "policy {} refers to no named list any more: the statement replaces its lists",
                policy.name
            ));
        }
        changes
    }
}

/// The change by which a policy refers to these lists alone.
pub(super) fn set_references(policy: &Policy, list: ListKind, names: &[Name]) -> Change {
    references(
        &policy.name,
        list,
        ReferenceEdit::Set {
            lists: written(names),
        },
    )
}

/// The change of a policy's references.
pub(super) fn references(policy: &Name, list: ListKind, edit: ReferenceEdit) -> Change {
    Change::AlterReferences {
        policy: policy.to_written().into_owned(),
        list,
        edit,
    }
}

/// Names of lists as changes have them.
pub(super) fn written(names: &[Name]) -> Vec<String> {
    names
        .iter()
        .map(|name| name.to_written_list().into_owned())
        .collect()
}

/// Whether one of these lists has an entry.
pub(super) fn has_entries(state: &State, names: &[Name]) -> bool {
    let mut lists = state.lists.iter().filter(|list| names.contains(&list.name));
    lists.any(|list| !list.is_empty())
}

/// A policy with its lists' entries as rules of its own, for dialects without network rules.
pub(super) fn flattened(state: &State, policy: &Policy) -> Policy {
    let mut flat = policy.clone();
    if policy.allow_lists.is_empty() && policy.block_lists.is_empty() {
        return flat;
    }
    let together = |kind: ListKind| {
        let counted = state.counted(policy).into_iter();
        let mut all = RuleList::default();
        let mut seen: BTreeSet<IpNet> = BTreeSet::new();
        for one in counted.filter(|one| one.kind == kind) {
            let mut new = ListBuilder::default();
            for rule in one.entries.iter().filter(|rule| seen.insert(rule.net)) {
                new.push(rule.clone());
            }
            all = joined(&all, &new.finish(one.entries.sources().to_vec()));
        }
        all
    };
    if let AllowPart::Only(list) = &mut flat.allow {
        *list = together(ListKind::Allow);
    }
    flat.block = together(ListKind::Block);
    let mut blocked = state.lists.iter();
    let has_every =
        |list: &NamedList| policy.block_lists.contains(&list.name) && !list.every.is_empty();
    if flat.compat.is_empty() && flat.allow != AllowPart::Any && blocked.any(has_every) {
        flat.compat = PolicyCompat::with_blocked_rest(Some("0.0.0.0/0".to_owned()));
    }
    (flat.allow_lists, flat.block_lists) = (Vec::new(), Vec::new());
    flat
}

/// Both lists; where their rules come from is not told.
fn joined(one: &RuleList, other: &RuleList) -> RuleList {
    let mut all = ListBuilder::default();
    for rule in one.iter().chain(other.iter()) {
        all.push(Rule {
            source: 0,
            ..rule.clone()
        });
    }
    all.finish(Vec::new())
}

/// The value of a policy's list of rules as DESC shows it: JSON, which tools read.
pub(super) fn described(state: &State, names: &[Name]) -> Option<String> {
    let lists = names.iter().filter_map(|name| {
        let list = state.lists.iter().find(|list| list.name == *name)?;
        Some(serde_json::json!({ "fullyQualifiedRuleName": qualified(list) }))
    });
    let lists: Vec<_> = lists.collect();
    (!lists.is_empty()).then(|| serde_json::Value::from(lists).to_string())
}

/// The names of lists as statements have them, each in its parts.
pub(super) fn names(state: &State, names: &[Name]) -> Vec<Vec<String>> {
    let lists = names
        .iter()
        .filter_map(|name| state.lists.iter().find(|list| list.name == *name));
    let parts = |list: &NamedList| {
        let rule = list.rule.as_ref();
        let before = rule.map(|rule| [rule.database.clone(), rule.schema.clone()]);
        let before = before.into_iter().flatten().flatten();
        before.chain([last_part(list).to_owned()]).collect()
    };
    lists.map(parts).collect()
}
