//! Edits of single lists.

use ipnet::IpNet;

use super::{Problem, Worker};
use crate::model::change::{ListEdit, ListInput};
use crate::model::error::{ListProblem, ModelError};
use crate::model::evaluate::ListKind;
use crate::model::reader::{ListReader, Reference};
use crate::model::wording::OnList;
use crate::model::{AllowPart, Policy, RuleList};

/// A list that is edited.
#[derive(Clone, Copy)]
pub(super) enum EditedList<'a> {
    /// A policy's, by the policy's name.
    Of(&'a str, ListKind),
    /// A named list, by its name.
    Named(&'a str),
}

impl EditedList<'_> {
    fn kind(self) -> Option<ListKind> {
        match self {
            Self::Of(_, kind) => Some(kind),
            Self::Named(_) => None,
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Of(name, _) | Self::Named(name) => name,
        }
    }

    /// What rules are given with.
    fn option(self, verb: &str) -> String {
        match self {
            Self::Of(_, kind) => format!("--{verb}-{kind}"),
            Self::Named(_) => format!("netpolicy list {verb}"),
        }
    }
}

/// References that an edit adds and removes.
#[derive(Default)]
pub(super) struct EditedReferences {
    add: Vec<Reference>,
    remove: Vec<Reference>,
}

impl Worker<'_> {
    /// Edits one side of a policy, with its references.
    pub(super) fn edit_side(&mut self, policy: &mut Policy, kind: ListKind, edit: &ListEdit) {
        let references = match edit {
            ListEdit::Keep => EditedReferences::default(),
            ListEdit::Any => {
                policy.lists_mut(kind).clear();
                match kind {
                    ListKind::Allow => policy.allow = AllowPart::Any,
                    ListKind::Block => policy.block = RuleList::default(),
                }
                EditedReferences::default()
            }
            ListEdit::Set { list } => {
                let (rules, add) = self.read_list(kind, &format!("--set-{kind}"), list);
                if list.ready.is_none() {
                    policy.lists_mut(kind).clear();
                }
                put(policy, kind, rules);
                EditedReferences {
                    add,
                    ..EditedReferences::default()
                }
            }
            ListEdit::Edit { add, remove } => {
                let list = match kind {
                    ListKind::Allow => policy.allow_list().cloned().unwrap_or_default(),
                    ListKind::Block => policy.block.clone(),
                };
                let name = policy.name.to_string();
                let edited = EditedList::Of(&name, kind);
                let (list, references) = self.edit_list(edited, list, add, remove);
                if kind == ListKind::Block || !add.is_empty() || policy.allow != AllowPart::Any {
                    put(policy, kind, list);
                }
                references
            }
        };
        let EditedReferences { add, remove } = references;
        let remove = self.referenced(&remove);
        self.refer_no_more(policy, kind, &remove);
        let add = self.referenced(&add);
        self.refer(policy, kind, add);
    }

    /// Takes rules out of a list, then adds rules to it.
    pub(super) fn edit_list(
        &mut self,
        of: EditedList<'_>,
        mut list: RuleList,
        add: &ListInput,
        remove: &ListInput,
    ) -> (RuleList, EditedReferences) {
        let limit = self.cx.limits.rules_per_list;
        let mut reader = ListReader::of(of.kind(), usize::MAX, self.report).removing();
        reader.input(&of.option("remove"), remove);
        let remove = reader.take_references();
        let removed = reader.finish();
        self.remove_rules(of, &mut list, &removed);

        let mut reader = ListReader::of(of.kind(), limit, self.report).forced(self.cx.force);
        reader.input(&of.option("add"), add);
        let add = reader.take_references();
        let added = reader.finish_as_addition(of.name(), &list);
        if list.len() + added.len() > limit {
            self.report.push(match of {
                EditedList::Of(_, list) => Problem::ListTooLong { list, limit }.into(),
                EditedList::Named(_) => ListProblem::NamedListTooLong { limit }.into(),
            });
        } else if !added.is_empty() && !list.append(&added) {
            self.report.push(Problem::TooManySources.into());
        }
        (list, EditedReferences { add, remove })
    }

    /// Takes rules out of a list; each must be on it.
    fn remove_rules(&mut self, of: EditedList<'_>, list: &mut RuleList, removed: &RuleList) {
        if removed.is_empty() {
            return;
        }
        let mut order: Vec<(IpNet, usize)> = removed
            .iter()
            .enumerate()
            .map(|(index, rule)| (rule.net, index))
            .collect();
        order.sort_unstable();
        let mut found = vec![false; order.len()];
        list.retain(
            |rule| match order.binary_search_by(|(net, _)| net.cmp(&rule.net)) {
                Ok(at) => {
                    found[order[at].1] = true;
                    false
                }
                Err(_) => true,
            },
        );
        for (rule, _) in removed.iter().zip(found).filter(|(_, found)| !found) {
            let problem = Problem::NotThere {
                text: rule.text().into_owned(),
                list: OnList::new(of.kind(), of.name()),
            };
            self.report.push(ModelError {
                place: removed.place(rule),
                problem,
            });
        }
    }
}

/// Puts rules on a policy's own list.
fn put(policy: &mut Policy, kind: ListKind, rules: RuleList) {
    match kind {
        ListKind::Allow => policy.allow = AllowPart::Only(rules),
        ListKind::Block => policy.block = rules,
    }
}
