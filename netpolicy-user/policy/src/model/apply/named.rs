//! Changes to named lists, and to policies' references to them.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::edit::EditedList;
use super::{Noun, Worker, check_free, unknown};
use crate::model::change::{ListEdit, ListInput, ReferenceEdit};
use crate::model::error::{ListProblem, ModelError};
use crate::model::evaluate::ListKind;
use crate::model::name::list_name;
use crate::model::named::MAX_LISTS;
use crate::model::reader::{ListReader, Reference};
use crate::model::{
    AllowPart, Feed, Name, NamedList, NetworkRule, Policy, Rule, RuleList, State, reference,
};

/// A list to be made.
pub(super) struct NewList<'a> {
    pub(super) name: &'a str,
    pub(super) entries: &'a ListInput,
    pub(super) comment: Option<&'a str>,
    pub(super) replace: bool,
    pub(super) rule: Option<&'a NetworkRule>,
    pub(super) feed: Option<Box<Feed>>,
}

impl Worker<'_> {
    pub(super) fn create_list(&mut self, new: &NewList<'_>) -> Option<()> {
        let name = self.new_name(new.name, list_name);
        let replaced = name.as_ref().filter(|_| new.replace).and_then(|name| {
            let at = self
                .state
                .lists
                .iter()
                .position(|list| list.name == *name)?;
            Some(self.state.lists.remove(at))
        });
        if let Some(old) = &replaced
            && old.feed.is_some()
        {
            let list = old.name.to_string();
            return self.refuse(ListProblem::FeedEdited { list }.into());
        }
        if let Some(name) = &name {
            self.check_list_name_is_free(name);
        }
        if let Some(Err(problem)) = new.rule.map(NetworkRule::check) {
            self.report.push(problem.into());
        }
        let comment = self.comment(new.comment);
        let entries = self.read_entries("netpolicy list create", new.entries);
        let now = self.cx.now;
        let mut list = NamedList {
            name: name?,
            entries: RuleList::default(),
            every: RuleList::default(),
            rule: new.rule.cloned(),
            feed: new.feed.clone(),
            max_shrink: replaced.as_ref().and_then(|old| old.max_shrink),
            comment,
            owner: self.cx.actor.to_owned(),
            created: now,
            altered: now,
        };
        if let Some(old) = replaced {
            list.owner.clone_from(&old.owner);
        }
        self.check_type(&list, &entries);
        list.set_entries(entries);
        self.state.lists.push(list);
        self.sort_lists();
        Some(())
    }

    pub(super) fn alter_list(
        &mut self,
        name: &str,
        entries: &ListEdit,
        comment: Option<&str>,
        values: Option<&[String]>,
    ) -> Option<()> {
        let index = self.list(name)?;
        let mut list = self.state.lists[index].clone();
        if list.feed.is_some() && *entries != ListEdit::Keep {
            let list = list.name.to_string();
            return self.refuse(ListProblem::FeedEdited { list }.into());
        }
        if let Some(entries) = self.edit_entries(&list, entries) {
            self.check_type(&list, &entries);
            list.set_entries(entries);
        }
        if comment.is_some() {
            list.comment = self.comment(comment);
        }
        if let Some(values) = values {
            match &mut list.rule {
                Some(rule) => {
                    rule.values = values.to_vec();
                    if let Err(problem) = rule.check() {
                        self.report.push(problem.into());
                    }
                }
                None => {
                    let list = list.name.to_string();
                    return self.refuse(ListProblem::NoNetworkRule { list }.into());
                }
            }
        }
        self.replace_list(index, list);
        Some(())
    }

    pub(super) fn rename_list(&mut self, name: &str, to: &str) -> Option<()> {
        let index = self.list(name);
        let to = self.new_name(to, list_name);
        let (index, to) = (index?, to?);
        let old = self.state.lists[index].name.clone();
        if !old.is_like(&to) {
            self.check_list_name_is_free(&to);
        }
        for policy in &mut self.state.policies {
            for kind in ListKind::ALL {
                let names = policy.lists_mut(kind).iter_mut();
                names
                    .filter(|name| **name == old)
                    .for_each(|name| name.clone_from(&to));
            }
        }
        let list = NamedList {
            name: to,
            ..self.state.lists[index].clone()
        };
        self.replace_list(index, list);
        self.sort_lists();
        Some(())
    }

    pub(super) fn set_list_owner(&mut self, name: &str, owner: &str) -> Option<()> {
        let index = self.list(name)?;
        let list = NamedList {
            owner: owner.to_owned(),
            ..self.state.lists[index].clone()
        };
        self.replace_list(index, list);
        Some(())
    }

    pub(super) fn drop_list(&mut self, name: &str) -> Option<()> {
        let index = self.list(name)?;
        let name = self.state.lists[index].name.clone();
        let referring = self.state.referring_to(&name);
        let policies: Vec<_> = referring.map(|policy| policy.name.to_string()).collect();
        if !policies.is_empty() {
            let list = name.to_string();
            return self.refuse(ListProblem::ListInUse { list, policies }.into());
        }
        self.state.lists.remove(index);
        Some(())
    }

    pub(super) fn alter_references(
        &mut self,
        policy: &str,
        kind: ListKind,
        edit: &ReferenceEdit,
    ) -> Option<()> {
        let index = self.policy(policy)?;
        let mut policy = self.state.policies[index].clone();
        let (ReferenceEdit::Set { lists }
        | ReferenceEdit::Add { lists }
        | ReferenceEdit::Remove { lists }) = edit;
        let mut names = Vec::new();
        for text in lists {
            let list = self.list(text)?;
            names.push(self.state.lists[list].name.clone());
        }
        match edit {
            ReferenceEdit::Set { .. } => {
                policy.lists_mut(kind).clear();
                self.refer(&mut policy, kind, names);
            }
            ReferenceEdit::Add { .. } => self.refer(&mut policy, kind, names),
            ReferenceEdit::Remove { .. } => self.refer_no_more(&mut policy, kind, &names),
        }
        self.replace(index, policy);
        Some(())
    }

    /// Adds references to a policy; one that is there is warned of.
    pub(super) fn refer(&mut self, policy: &mut Policy, kind: ListKind, names: Vec<Name>) {
        if kind == ListKind::Allow && !names.is_empty() && policy.allow == AllowPart::Any {
            policy.allow = AllowPart::Only(RuleList::default());
        }
        for name in names {
            if policy.lists(kind).contains(&name) {
                self.report.unneeded(|| {
                    let (list, policy) = (reference(&name), &policy.name);
                    format!("the {kind} list of policy '{policy}' refers to {list} already: nothing to add")
                });
            } else {
                policy.lists_mut(kind).push(name);
            }
        }
    }

    /// Takes references from a policy; one that is not there is warned of.
    pub(super) fn refer_no_more(&mut self, policy: &mut Policy, kind: ListKind, names: &[Name]) {
        for name in names {
            match policy.lists(kind).iter().position(|other| other == name) {
                Some(at) => drop(policy.lists_mut(kind).remove(at)),
                None => self.report.unneeded(|| {
                    let (list, policy) = (reference(name), &policy.name);
                    format!("the {kind} list of policy '{policy}' does not refer to {list}: nothing to remove")
                }),
            }
        }
    }

    /// The names of the lists that references mean; one that means none is reported.
    pub(super) fn referenced(&mut self, references: &[Reference]) -> Vec<Name> {
        let mut names = Vec::new();
        for reference in references {
            if let Some(list) = self.state.list(&reference.name) {
                names.push(list.name.clone());
            } else {
                let error = no_such_list(self.state, reference);
                self.report.push(error);
            }
        }
        names
    }

    /// The index of a list that must exist, by its name with or without `@`.
    pub(super) fn list(&mut self, name: &str) -> Option<usize> {
        let name = name.strip_prefix('@').unwrap_or(name);
        let mut lists = self.state.lists.iter();
        lists.position(|list| list.name.matches(name)).or_else(|| {
            let names = self.state.lists.iter().map(|list| list.name.as_str());
            let problem = unknown(Noun::List, name, names);
            self.refuse(problem)
        })
    }

    fn read_entries(&mut self, source: &str, input: &ListInput) -> RuleList {
        let limit = self.cx.limits.rules_per_list;
        if let Some(list) = &input.ready {
            if list.len() > limit {
                self.report
                    .push(ListProblem::NamedListTooLong { limit }.into());
            }
            return list.clone();
        }
        let mut reader = ListReader::of_named(limit, self.report);
        reader.input(source, input);
        reader.finish()
    }

    /// The entries after an edit; `None`: as they are.
    fn edit_entries(&mut self, list: &NamedList, edit: &ListEdit) -> Option<RuleList> {
        match edit {
            ListEdit::Keep => None,
            ListEdit::Any => Some(RuleList::default()),
            ListEdit::Set { list } => Some(self.read_entries("netpolicy list alter --set", list)),
            ListEdit::Edit { add, remove } => {
                let edited = EditedList::Named(list.name.as_str());
                let (entries, _) = self.edit_list(edited, list.whole(), add, remove);
                Some(entries)
            }
        }
    }

    /// Refuses entries that a network rule of its type does not have.
    pub(super) fn check_type(&mut self, list: &NamedList, entries: &RuleList) {
        let Some(rule) = &list.rule else { return };
        let is_wrong = |entry: &&Rule| !rule.takes(&entry.net);
        if let Some(entry) = entries.iter().find(is_wrong) {
            let problem = ListProblem::OtherType {
                text: entry.text().into_owned(),
                list: list.name.to_string(),
                kind: format!("{} and mode {}", rule.kind, rule.mode),
            };
            self.report.push(ModelError {
                place: entries.place(entry),
                problem: problem.into(),
            });
        }
    }

    /// Checks what concerns all lists and policies together, after a change of `before`.
    pub(super) fn check_lists(&mut self, before: &State) {
        let (count, limit) = (self.state.lists.len(), MAX_LISTS);
        if count > limit && count > before.lists.len() {
            self.report
                .push(ListProblem::TooManyLists { count, limit }.into());
        }
        let entries = |state: &State| state.lists.iter().map(NamedList::len).sum::<usize>();
        let limits = self.cx.limits;
        let limit = limits
            .policies
            .saturating_mul(limits.rules_per_list)
            .saturating_mul(2);
        let count = entries(self.state);
        if count > limit && count > entries(before) {
            self.report
                .push(ListProblem::TooManyEntries { count, limit }.into());
        }
        self.check_blocked(before);
    }

    /// Refuses a whole family that comes to a block list by a reference, unless it was there
    /// before. What a network rule has of it is not enforced.
    ///
    /// In the number of references: each list is looked at twice at most, whoever refers to it.
    fn check_blocked(&mut self, before: &State) {
        let lists = by_name(&self.state.lists);
        let old_lists = by_name(&before.lists);
        let old_policies = before.policies.iter();
        let old_references: BTreeSet<(&Name, &Name)> = old_policies
            .flat_map(|policy| policy.block_lists.iter().map(|list| (&policy.name, list)))
            .collect();
        let mut known: BTreeMap<(&Name, bool), Option<IpNet>> = BTreeMap::new();
        for policy in &self.state.policies {
            for name in &policy.block_lists {
                let Some(list) = lists.get(name) else {
                    continue;
                };
                // What was there before was accepted: only what is new is looked at.
                let referred = old_references.contains(&(&policy.name, name));
                let every = known.entry((name, referred)).or_insert_with(|| {
                    let nothing = RuleList::default();
                    let old = old_lists.get(name).filter(|_| referred);
                    let old = old.map_or(&nothing, |old| &old.entries);
                    let (new, _) = list.entries.differing_chunks(old);
                    let new = new.iter().flat_map(|chunk| chunk.rules());
                    let mut whole = new.filter(|rule| rule.net.prefix_len() == 0);
                    // One that was there may stand in a chunk with something new.
                    let every = whole.find(|new| !old.iter().any(|rule| rule.net == new.net));
                    every.map(|rule| rule.net)
                });
                let Some(net) = *every else {
                    continue;
                };
                let list = list.reference();
                if self.cx.force {
                    self.report.warn(format!(
                        "policy '{}' blocks {net} by list {list} (--force)",
                        policy.name
                    ));
                } else {
                    let problem = ListProblem::ListBlocksAll {
                        net: net.to_string(),
                        list,
                        policy: policy.name.to_string(),
                    };
                    self.report.push(problem.into());
                }
            }
        }
    }

    fn check_list_name_is_free(&mut self, name: &Name) {
        let taken = self.state.lists.iter().map(|list| &list.name);
        if let Err(problem) = check_free(Noun::List, name, taken) {
            self.report.push(problem.into());
        }
    }

    /// Puts an altered list in its place; one that is as it was does not count as altered.
    pub(super) fn replace_list(&mut self, index: usize, mut list: NamedList) {
        if list != self.state.lists[index] {
            list.altered = self.cx.now;
            self.state.lists[index] = list;
        }
    }

    pub(super) fn sort_lists(&mut self) {
        self.state.lists.sort_by(|a, b| a.name.cmp(&b.name));
    }
}

/// The error where a reference means no list.
pub(super) fn no_such_list(state: &State, reference: &Reference) -> ModelError {
    let names = state.lists.iter().map(|list| list.name.as_str());
    ModelError {
        place: Some(reference.place.clone()),
        problem: unknown(Noun::List, &reference.name, names),
    }
}

fn by_name(lists: &[NamedList]) -> BTreeMap<&Name, &NamedList> {
    lists.iter().map(|list| (&list.name, list)).collect()
}
