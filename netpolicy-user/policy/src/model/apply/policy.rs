//! Changes to policies.

use std::collections::BTreeSet;

use super::{Noun, Problem, Worker, check_free};
use crate::model::change::{Change, ListEdit, ListInput};
use crate::model::evaluate::ListKind;
use crate::model::reader::{ListReader, Reference};
use crate::model::{AllowPart, Binding, DatabaseUser, Mode, Name, Policy, PolicyCompat, RuleList};

/// A policy to be made.
pub(super) struct NewPolicy<'a> {
    pub(super) name: &'a str,
    pub(super) allow: Option<&'a ListInput>,
    pub(super) block: &'a ListInput,
    pub(super) except: &'a ListInput,
    pub(super) comment: Option<&'a str>,
    pub(super) active: bool,
    pub(super) mode: Mode,
    pub(super) services: &'a [String],
    pub(super) unbound: bool,
    pub(super) replace: bool,
    pub(super) compat: &'a PolicyCompat,
}

impl Worker<'_> {
    pub(super) fn create_policy(&mut self, new: &NewPolicy<'_>) -> Option<()> {
        let name = self.new_name(new.name, Name::new);
        let replaced = name.as_ref().filter(|_| new.replace).and_then(|name| {
            let known = |policy: &Policy| policy.name == *name;
            let at = self.state.policies.iter().position(known)?;
            Some(self.state.policies.remove(at))
        });
        if let Some(name) = &name {
            self.check_policy_name_is_free(name);
        }
        let (count, limit) = (self.state.policies.len() + 1, self.cx.limits.policies);
        if count > limit {
            self.report
                .push(Problem::TooManyPolicies { count, limit }.into());
        }
        let (allow, allow_lists) = match new.allow {
            None => (AllowPart::Any, Vec::new()),
            Some(input) => {
                let (rules, lists) = self.read_list(ListKind::Allow, "--allow", input);
                (AllowPart::Only(rules), lists)
            }
        };
        let allow = new.compat.governs(allow);
        let (block, block_lists) = self.read_list(ListKind::Block, "--block", new.block);
        let (except, except_lists) = self.read_list(ListKind::Except, "--except", new.except);
        let (allow_lists, block_lists) =
            (self.referenced(&allow_lists), self.referenced(&block_lists));
        let except_lists = self.referenced(&except_lists);
        let comment = self.comment(new.comment);
        self.check_compat(new.compat);
        let mut bindings = BTreeSet::new();
        for service in new.services {
            bindings.extend(self.binding(Some(service)));
        }
        if let Some(replaced) = &replaced {
            bindings.extend(replaced.bindings.iter().cloned());
        } else if new.services.is_empty() && !new.unbound {
            bindings.insert(Binding::Host);
        }
        let mut policy = Policy {
            name: name?,
            allow,
            block,
            except,
            allow_lists: Vec::new(),
            block_lists: Vec::new(),
            except_lists: Vec::new(),
            compat: new.compat.clone(),
            comment,
            owner: replaced.map_or_else(|| self.cx.actor.to_owned(), |old| old.owner),
            created: self.cx.now,
            altered: self.cx.now,
            active: new.active,
            mode: new.mode,
            bindings,
        };
        self.refer(&mut policy, ListKind::Allow, allow_lists);
        self.refer(&mut policy, ListKind::Block, block_lists);
        self.refer(&mut policy, ListKind::Except, except_lists);
        self.state.policies.push(policy);
        self.sort_policies();
        Some(())
    }

    pub(super) fn alter_policy(
        &mut self,
        name: &str,
        (allow, block, except): (&ListEdit, &ListEdit, &ListEdit),
        comment: Option<&str>,
        compat: &PolicyCompat,
    ) -> Option<()> {
        let index = self.policy(name)?;
        let mut policy = self.state.policies[index].clone();
        self.check_compat(compat);
        policy.compat.edit(compat, allow, block);
        self.edit_side(&mut policy, ListKind::Allow, allow);
        policy.allow = policy.compat.governs(policy.allow);
        self.edit_side(&mut policy, ListKind::Block, block);
        self.edit_side(&mut policy, ListKind::Except, except);
        if comment.is_some() {
            policy.comment = self.comment(comment);
        }
        self.replace(index, policy);
        Some(())
    }

    pub(super) fn rename_policy(&mut self, name: &str, to: &str) -> Option<()> {
        let index = self.policy(name);
        let to = self.new_name(to, Name::new);
        let (index, to) = (index?, to?);
        let mut policy = self.state.policies[index].clone();
        if !policy.name.is_like(&to) {
            self.check_policy_name_is_free(&to);
        }
        policy.name = to;
        self.replace(index, policy);
        self.sort_policies();
        Some(())
    }

    pub(super) fn set_owner(&mut self, name: &str, owner: &str) -> Option<()> {
        let index = self.policy(name)?;
        let policy = Policy {
            owner: owner.to_owned(),
            ..self.state.policies[index].clone()
        };
        self.replace(index, policy);
        Some(())
    }

    pub(super) fn drop_policy(&mut self, name: &str) -> Option<()> {
        let index = self.policy(name)?;
        self.state.policies.remove(index);
        Some(())
    }

    pub(super) fn set_active(&mut self, name: &str, active: bool) -> Option<()> {
        let index = self.policy(name)?;
        let policy = Policy {
            active,
            ..self.state.policies[index].clone()
        };
        if active && policy.bindings.is_empty() {
            self.report.warn(format!(
                "policy '{0}' is bound to nothing and governs nothing until `netpolicy bind {0}`, \
                 for a service with --service NAME",
                policy.name
            ));
        }
        if active && policy.mode == Mode::Observe {
            self.report.warn(format!(
                "policy '{0}' is only observed and denies nothing until `netpolicy policy alter {0} \
                 --mode enforce`",
                policy.name
            ));
        }
        self.replace(index, policy);
        Some(())
    }

    pub(super) fn set_mode(&mut self, name: &str, mode: Mode) -> Option<()> {
        let index = self.policy(name)?;
        let policy = Policy {
            mode,
            ..self.state.policies[index].clone()
        };
        if !policy.active {
            self.report.warn(format!(
                "policy '{0}' is inactive: it is neither enforced nor observed until `netpolicy \
                 policy activate {0}`",
                policy.name
            ));
        }
        self.replace(index, policy);
        Some(())
    }

    pub(super) fn bind(&mut self, policy: &str, service: Option<&str>) -> Option<()> {
        let (index, binding) = (self.policy(policy), self.binding(service));
        let (index, binding) = (index?, binding?);
        let mut policy = self.state.policies[index].clone();
        policy.bindings.insert(binding);
        let is_next = |later: &Change| matches!(later, Change::SetActive { name, active: true } if policy.name.matches(name));
        if !policy.active && !self.later.iter().any(is_next) {
            self.report.warn(format!(
                "policy '{0}' is inactive and governs nothing until `netpolicy policy activate {0}`",
                policy.name
            ));
        }
        self.replace(index, policy);
        Some(())
    }

    pub(super) fn unbind(&mut self, policy: &str, service: Option<&str>) -> Option<()> {
        let (index, binding) = (self.policy(policy), self.binding(service));
        let (index, binding) = (index?, binding?);
        let mut policy = self.state.policies[index].clone();
        if !policy.bindings.remove(&binding) {
            let scope = match &binding {
                Binding::Host => "the host".to_owned(),
                Binding::Service(name) => format!("service '{name}'"),
                Binding::User(user) => user.to_string(),
            };
            self.report.unneeded(|| {
                format!(
                    "policy '{}' is not bound to {scope}: nothing to unbind",
                    policy.name
                )
            });
            return Some(());
        }
        self.replace(index, policy);
        Some(())
    }

    pub(super) fn govern(&mut self, policy: Option<&str>, service: Option<&str>) -> Option<()> {
        let chosen = policy.map(|name| self.policy(name));
        let binding = self.binding(service)?;
        let chosen = match chosen {
            Some(index) => Some(index?),
            None => None,
        };
        for index in 0..self.state.policies.len() {
            let mut policy = self.state.policies[index].clone();
            if Some(index) == chosen {
                // What a policy was bound to without effect must not begin to count by this.
                if !policy.is_enforced() {
                    policy.bindings.clear();
                }
                policy.bindings.insert(binding.clone());
                policy.active = true;
                policy.mode = Mode::Enforce;
            } else if policy.bindings.remove(&binding) && policy.bindings.is_empty() {
                policy.active = false;
            }
            self.replace(index, policy);
        }
        Some(())
    }

    /// The scope that a service's name, or none, stands for; `user:alice@orders` for a user of a
    /// database.
    fn binding(&mut self, service: Option<&str>) -> Option<Binding> {
        match service {
            None => Some(Binding::Host),
            Some(name) => {
                let databases = self.state.databases.iter().map(|one| &one.name);
                if let Some(user) = DatabaseUser::parse(name, databases) {
                    return self
                        .take(user.map_err(|problem| Problem::from(problem).into()))
                        .map(Binding::User);
                }
                let index = self.service(name)?;
                Some(Binding::Service(self.state.services[index].name.clone()))
            }
        }
    }

    /// Reads a whole list, and its references; `option` is what its items were given with.
    pub(super) fn read_list(
        &mut self,
        kind: ListKind,
        option: &str,
        input: &ListInput,
    ) -> (RuleList, Vec<Reference>) {
        let limit = self.cx.limits.rules_per_list;
        if let Some(list) = &input.ready {
            if list.len() > limit {
                self.report
                    .push(Problem::ListTooLong { list: kind, limit }.into());
            }
            return (list.clone(), Vec::new());
        }
        let mut reader = ListReader::new(kind, limit, self.report).forced(self.cx.force);
        reader.input(option, input);
        let references = reader.take_references();
        (reader.finish(), references)
    }

    fn check_compat(&mut self, compat: &PolicyCompat) {
        if let Err(problem) = compat.check() {
            self.report.push(problem.into());
        }
    }

    fn check_policy_name_is_free(&mut self, name: &Name) {
        let taken = self.state.policies.iter().map(|policy| &policy.name);
        if let Err(problem) = check_free(Noun::Policy, name, taken) {
            self.report.push(problem.into());
        }
    }

    /// Puts an altered policy in its place; one that is as it was does not count as
    /// altered.
    pub(super) fn replace(&mut self, index: usize, mut policy: Policy) {
        if policy != self.state.policies[index] {
            policy.altered = self.cx.now;
            self.state.policies[index] = policy;
        }
    }

    pub(super) fn sort_policies(&mut self) {
        self.state.policies.sort_by(|a, b| a.name.cmp(&b.name));
    }
}
