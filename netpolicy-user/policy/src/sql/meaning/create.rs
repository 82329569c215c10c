//! CREATE NETWORK POLICY.

use super::list::ParsedList;
use super::name::DEFAULT;
use super::refusal::Errors;
use super::rule_list::{self, has_entries};
use super::{Action, Cx, Dialect, Refusal, Wrong, attached_to};
use crate::model::{
    Binding, Change, ListInput, ListKind, Name, Policy, PolicyCompat, ReferenceEdit,
};
use crate::sql::network_rule::RuleName;
use crate::sql::{AlterPolicy, Clauses, CreatePolicy, PolicyBody};

/// Materialize's `max_network_policies`
/// (<https://materialize.com/docs/sql/create-network-policy/>).
pub(super) const MATERIALIZE_POLICIES: usize = 25;

/// Lakehouse's limit.
const LAKEHOUSE_POLICIES: usize = 20;

/// What is in a new policy.
struct Parts {
    /// `None`: the policy allows any.
    allow: Option<ParsedList>,
    block: ParsedList,
    /// Network rules that it allows and blocks as well.
    allow_rules: Vec<Name>,
    block_rules: Vec<Name>,
}

impl Cx<'_, '_> {
    pub(super) fn create(&self, create: &CreatePolicy<'_>) -> Result<Action, Refusal> {
        let spot = create.name.spot();
        let mut errors = Errors::new(self.statement);
        let name = errors.take(spot, self.new_name(&create.name));
        let existing = name.as_ref().and_then(|name| self.like(name));
        if let (Some(policy), true) = (existing, create.if_not_exists)
            && self.finds(create, policy)
        {
            return errors.finish(Some(Action::Nothing {
                status: format!("{} already exists, statement succeeded.", policy.name),
            }));
        }
        if let (Some(policy), true) = (existing, create.or_alter)
            && self.finds(create, policy)
        {
            return self.alter_created(create, policy, errors);
        }
        let replaced = match existing {
            Some(policy) if create.or_replace && self.finds(create, policy) => {
                errors.take(spot, self.may_replace(policy));
                Some(policy)
            }
            Some(policy) => {
                errors.push(spot, self.taken(policy.name.as_str()));
                None
            }
            None if self.has_default() && name.as_ref().is_some_and(is_default) => {
                errors.push(spot, self.taken(DEFAULT));
                None
            }
            None => {
                errors.take(spot, self.has_room());
                None
            }
        };
        let parts = match &create.body {
            PolicyBody::Lists(clauses) => self.lists(clauses, &mut errors),
            PolicyBody::Rules(rules) => Parts {
                allow: Some(self.read_rules(spot, rules, &mut errors)),
                block: ParsedList::default(),
                allow_rules: Vec::new(),
                block_rules: Vec::new(),
            },
        };
        let comment = match &create.body {
            PolicyBody::Lists(clauses) => clauses.comment.map(|text| text.text().into_owned()),
            PolicyBody::Rules(_) => None,
        };
        let name = replaced.map(|policy| policy.name.clone()).or(name);
        let name = errors.finish(name)?;
        Ok(self.created(&name, replaced, parts, comment))
    }

    /// OR ALTER of a policy that is there: what is left out stays.
    fn alter_created(
        &self,
        create: &CreatePolicy<'_>,
        policy: &Policy,
        mut errors: Errors<'_, '_>,
    ) -> Result<Action, Refusal> {
        let spot = create.name.spot();
        if policy.is_in_force() {
            let wrong = Wrong::Attached {
                operation: "Create or alter",
                policy: policy.name.to_string(),
                to: attached_to(policy),
            };
            errors.push(spot, wrong);
        }
        match &create.body {
            PolicyBody::Lists(clauses) => {
                let action = self.alter(&create.name, false, &AlterPolicy::Set(clauses.clone()));
                errors.finish(Some(())).and(action)
            }
            // Materialize has no OR ALTER.
            PolicyBody::Rules(_) => errors.finish(None),
        }
    }

    fn lists(&self, clauses: &Clauses<'_>, errors: &mut Errors<'_, '_>) -> Parts {
        let mut read = |kind, list| self.read_list(kind, list, errors);
        let allow = clauses.allowed.as_ref();
        let allow = allow.map(|list| read(ListKind::Allow, list));
        let block = clauses.blocked.as_ref();
        let block = block.map(|list| read(ListKind::Block, list));
        let mut block = block.unwrap_or_default();
        let mut rules = |names: &Option<Vec<RuleName<'_>>>| {
            let names = names.as_deref().unwrap_or_default();
            self.rule_list(names, &mut block.warnings, errors)
        };
        let allow_rules = rules(&clauses.allowed_rules);
        let block_rules = rules(&clauses.blocked_rules);
        let allow = match self.dialect() {
            // "Allows all" if the list is empty or left out.
            Dialect::Lakehouse => allow.filter(|read| !read.list.is_empty()),
            // A source that is not allowed is denied, also if no source is allowed.
            Dialect::Snowflake | Dialect::Materialize => Some(allow.unwrap_or_default()),
        };
        Parts {
            allow,
            block,
            allow_rules,
            block_rules,
        }
    }

    fn created(
        &self,
        name: &Name,
        replaced: Option<&Policy>,
        parts: Parts,
        comment: Option<String>,
    ) -> Action {
        let Parts {
            allow,
            block,
            allow_rules,
            block_rules,
        } = parts;
        let mut warnings = Vec::new();
        let denies_all = allow.as_ref().is_some_and(|read| read.list.is_empty())
            && !has_entries(self.state(), &allow_rules);
        let is_live = self.dialect() == Dialect::Lakehouse;
        let allow = allow.map(|read| {
            warnings.extend(read.warnings);
            ListInput::of(read.list)
        });
        warnings.extend(block.warnings);
        if denies_all && self.dialect() == Dialect::Snowflake {
            let has_block = !block.list.is_empty()
                || block.rest.is_some()
                || has_entries(self.state(), &block_rules);
            warnings.push(if has_block {
                format!("policy {name} allows no source: once it is set, it denies every source")
            } else {
                format!("policy {name} is empty: it cannot be set until it has an address")
            });
        }
        let written = name.to_written().into_owned();
        let mut made = vec![Change::CreatePolicy {
            name: written.clone(),
            allow,
            block: ListInput::of(block.list),
            comment,
            inactive: !is_live,
            mode: Default::default(),
            services: Vec::new(),
            unbound: !is_live,
            replace: replaced.is_some(),
            except: Default::default(),
            compat: PolicyCompat::with_blocked_rest(block.rest),
        }];
        for (list, rules) in [
            (ListKind::Allow, &allow_rules),
            (ListKind::Block, &block_rules),
        ] {
            if !rules.is_empty() {
                let lists = rule_list::written(rules);
                made.push(rule_list::references(
                    name,
                    list,
                    ReferenceEdit::Add { lists },
                ));
            }
        }
        if is_live && replaced.is_some_and(|policy| policy.bindings.is_empty()) {
            made.push(Change::Bind {
                policy: written,
                service: None,
            });
        }
        let status = match self.dialect() {
            Dialect::Snowflake => format!("Network policy {name} successfully created."),
            Dialect::Materialize => "CREATE NETWORK POLICY".to_owned(),
            Dialect::Lakehouse => format!("Network policy {name} is created and active."),
        };
        self.changes(made, status, warnings)
    }

    /// Whether OR REPLACE means this policy: a quoted name has to be exactly its.
    fn finds(&self, create: &CreatePolicy<'_>, policy: &Policy) -> bool {
        self.policy(&create.name)
            .is_ok_and(|found| found.name == policy.name)
    }

    /// Snowflake replaces no policy that is set; Lakehouse does.
    fn may_replace(&self, policy: &Policy) -> Result<(), Wrong> {
        if self.dialect() == Dialect::Snowflake && policy.is_in_force() {
            return Err(Wrong::Attached {
                operation: "Replace",
                policy: policy.name.to_string(),
                to: attached_to(policy),
            });
        }
        Ok(())
    }

    fn has_room(&self) -> Result<(), Wrong> {
        let dialect = self.dialect();
        let limit = match dialect {
            Dialect::Snowflake => return Ok(()),
            Dialect::Materialize => MATERIALIZE_POLICIES,
            Dialect::Lakehouse => LAKEHOUSE_POLICIES,
        };
        if self.state().policies.len() >= limit {
            return Err(Wrong::TooManyPolicies { dialect, limit });
        }
        Ok(())
    }

    /// The change that puts Materialize's `default` into the state. `allow`: what it
    /// allows from now on; `None`: all, as before.
    pub(super) fn make_default(&self, allow: Option<ListInput>) -> Change {
        let is_setting = self.on_host().is_empty();
        Change::CreatePolicy {
            name: DEFAULT.to_owned(),
            allow,
            block: ListInput::default(),
            comment: None,
            inactive: !is_setting,
            mode: Default::default(),
            services: Vec::new(),
            unbound: !is_setting,
            replace: false,
            except: Default::default(),
            compat: PolicyCompat::default(),
        }
    }
}

fn is_default(name: &Name) -> bool {
    name.as_str() == DEFAULT
}

/// Whether an active policy is bound to the host.
pub(super) fn governs_host(policy: &Policy) -> bool {
    policy.is_enforced() && policy.bindings.contains(&Binding::Host)
}
