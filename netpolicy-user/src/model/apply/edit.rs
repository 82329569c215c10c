//! Edits of single lists.

use ipnet::IpNet;

use super::{Problem, Worker};
use crate::model::change::{ListEdit, ListInput};
use crate::model::error::ModelError;
use crate::model::evaluate::ListKind;
use crate::model::reader::ListReader;
use crate::model::{AllowPart, Policy, RuleList};

impl Worker<'_> {
    /// The policy's allow part after an edit.
    pub(super) fn edit_allow(&mut self, policy: &Policy, edit: &ListEdit) -> AllowPart {
        match edit {
            ListEdit::Keep => policy.allow.clone(),
            ListEdit::Any => AllowPart::Any,
            ListEdit::Set { list } => {
                AllowPart::Only(self.read_list(ListKind::Allow, "--set-allow", list))
            }
            ListEdit::Edit { add, remove } => {
                let list = policy.allow_list().cloned().unwrap_or_default();
                let adds = !add.is_empty();
                let list = self.edit_list(policy, ListKind::Allow, list, add, remove);
                if adds || policy.allow != AllowPart::Any {
                    AllowPart::Only(list)
                } else {
                    AllowPart::Any
                }
            }
        }
    }

    /// The policy's block list after an edit.
    pub(super) fn edit_block(&mut self, policy: &Policy, edit: &ListEdit) -> RuleList {
        match edit {
            ListEdit::Keep => policy.block.clone(),
            ListEdit::Any => RuleList::default(),
            ListEdit::Set { list } => self.read_list(ListKind::Block, "--set-block", list),
            ListEdit::Edit { add, remove } => {
                self.edit_list(policy, ListKind::Block, policy.block.clone(), add, remove)
            }
        }
    }

    /// Takes rules out of a list, then adds rules to it.
    fn edit_list(
        &mut self,
        policy: &Policy,
        kind: ListKind,
        mut list: RuleList,
        add: &ListInput,
        remove: &ListInput,
    ) -> RuleList {
        let limit = self.cx.limits.rules_per_list;
        let mut reader = ListReader::new(kind, usize::MAX, self.report).removing();
        reader.input(&format!("--remove-{kind}"), remove);
        let removed = reader.finish();
        self.remove_rules(policy, kind, &mut list, &removed);

        let mut reader = ListReader::new(kind, limit, self.report).forced(self.cx.force);
        reader.input(&format!("--add-{kind}"), add);
        let added = reader.finish_as_addition(policy.name.as_str(), &list);
        if list.len() + added.len() > limit {
            self.report
                .push(Problem::ListTooLong { list: kind, limit }.into());
        } else if !added.is_empty() && !list.append(&added) {
            self.report.push(Problem::TooManySources.into());
        }
        list
    }

    /// Takes rules out of a list; each must be on it.
    fn remove_rules(
        &mut self,
        policy: &Policy,
        kind: ListKind,
        list: &mut RuleList,
        removed: &RuleList,
    ) {
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
                list: kind,
                policy: policy.name.to_string(),
            };
            self.report.push(ModelError {
                place: removed.place(rule),
                problem,
            });
        }
    }
}
