//! ALTER NETWORK POLICY and COMMENT ON.

use super::list::ParsedList;
use super::name::{DEFAULT, PolicyOrDefault};
use super::refusal::Errors;
use super::rule_list::{has_entries, set_references};
use super::{Action, Cx, Dialect, Refusal, Wrong};
use crate::model::{
    AllowPart, Change, ListEdit, ListInput, ListKind, Name, Policy, PolicyCompat, State,
};
use crate::sql::{AlterPolicy, Clauses, Ident, Literal, RuleText, UnsetClauses};

/// What becomes of a policy.
#[derive(Default)]
struct Edit {
    allow: ListEdit,
    block: ListEdit,
    rest: Option<String>,
    /// Network rules in place of those that there are.
    allow_rules: Option<Vec<Name>>,
    block_rules: Option<Vec<Name>>,
    comment: Option<String>,
    warnings: Vec<String>,
}

impl Cx<'_, '_> {
    pub(super) fn alter(
        &self,
        name: &Ident<'_>,
        if_exists: bool,
        change: &AlterPolicy<'_>,
    ) -> Result<Action, Refusal> {
        let mut errors = Errors::new(self.statement);
        let found = match self.policy_or_default(name) {
            Err(wrong) if if_exists && wrong.is_missing() => {
                let name = name.folded(self.dialect());
                return Ok(Action::Nothing {
                    status: format!("There is no network policy {name}; nothing was altered."),
                });
            }
            found => errors.take(name.spot(), found),
        };
        match change {
            AlterPolicy::Set(clauses) => {
                let edit = self.set(clauses, &mut errors);
                self.edited(name, found, edit, errors)
            }
            AlterPolicy::Unset(clauses) => self.edited(name, found, unset(*clauses), errors),
            AlterPolicy::Rules { list, adds, names } => {
                let mut edit = Edit::default();
                let named = self.rule_list(names, &mut edit.warnings, &mut errors);
                if let Some(PolicyOrDefault::Real(policy)) = found {
                    let now = policy.lists(*list).iter().cloned();
                    let edited: Vec<Name> = match adds {
                        true => {
                            let new = named.into_iter();
                            now.chain(new.filter(|name| !policy.lists(*list).contains(name)))
                                .collect()
                        }
                        false => now.filter(|name| !named.contains(name)).collect(),
                    };
                    match list {
                        ListKind::Allow => edit.allow_rules = Some(edited),
                        ListKind::Block => edit.block_rules = Some(edited),
                        // No dialect has exceptions.
                        ListKind::Except => {}
                    }
                }
                self.edited(name, found, edit, errors)
            }
            AlterPolicy::SetRules(rules) => {
                let edit = self.set_rules(name, found, rules, &mut errors);
                self.edited(name, found, edit, errors)
            }
            AlterPolicy::Tags(_) => errors.finish(found).map(|_| Action::Nothing {
                status: self.altered().to_owned(),
            }),
            AlterPolicy::Rename(to) => {
                let policy = found.and_then(PolicyOrDefault::real);
                let to_name = errors.take(to.spot(), self.new_name(to));
                let other = to_name.as_ref().and_then(|to| self.like(to));
                if let Some(other) = other
                    && policy.is_some_and(|policy| policy.name != other.name)
                {
                    errors.push(to.spot(), self.taken(other.name.as_str()));
                }
                let (policy, to) = errors.finish(policy.zip(to_name))?;
                let change = Change::RenamePolicy {
                    name: written(policy),
                    to: to.to_written().into_owned(),
                };
                Ok(self.changes(vec![change], self.altered(), Vec::new()))
            }
            AlterPolicy::Owner(role) => {
                let owner = errors.take(role.spot(), self.role(role));
                let (found, owner) = errors.finish(found.zip(owner))?;
                let mut made = Vec::new();
                let policy = self.make_real(found, &mut made);
                made.push(Change::SetOwner {
                    policy,
                    owner: owner.to_owner(),
                });
                Ok(self.changes(made, self.altered(), Vec::new()))
            }
            AlterPolicy::Activate => {
                let policy = errors.finish(found.and_then(PolicyOrDefault::real))?;
                let mut made = vec![Change::SetActive {
                    name: written(policy),
                    active: true,
                }];
                if policy.bindings.is_empty() {
                    // Bound first, or there would be a warning that it governs nothing.
                    made.insert(
                        0,
                        Change::Bind {
                            policy: written(policy),
                            service: None,
                        },
                    );
                }
                let status = format!("Network policy {} is active.", policy.name);
                Ok(self.changes(made, status, Vec::new()))
            }
            AlterPolicy::Inactivate => {
                let policy = errors.finish(found.and_then(PolicyOrDefault::real))?;
                let made = vec![Change::SetActive {
                    name: written(policy),
                    active: false,
                }];
                let status = format!("Network policy {} is inactive.", policy.name);
                Ok(self.changes(made, status, Vec::new()))
            }
        }
    }

    /// COMMENT ON.
    pub(super) fn comment_on(
        &self,
        name: &Ident<'_>,
        if_exists: bool,
        comment: Option<&Literal<'_>>,
    ) -> Result<Action, Refusal> {
        let mut errors = Errors::new(self.statement);
        let found = self.policy_or_default(name);
        if let (Err(Wrong::NoPolicy(name)), true) = (&found, if_exists) {
            return Ok(Action::Nothing {
                status: format!("There is no network policy {name}; nothing was altered."),
            });
        }
        let found = errors.take(name.spot(), found);
        let found = errors.finish(found)?;
        let comment = comment.map(|text| text.text().into_owned());
        let mut made = Vec::new();
        if comment.is_some() || matches!(found, PolicyOrDefault::Real(_)) {
            let policy = self.make_real(found, &mut made);
            made.push(Change::AlterPolicy {
                name: policy,
                allow: ListEdit::Keep,
                block: ListEdit::Keep,
                comment: Some(comment.unwrap_or_default()),
                except: Default::default(),
                compat: PolicyCompat::default(),
            });
        }
        let status = match self.dialect() {
            Dialect::Materialize => "COMMENT",
            _ => self.altered(),
        };
        Ok(self.changes(made, status, Vec::new()))
    }

    /// The written name of a policy that is in the state, or is put there.
    fn make_real(&self, found: PolicyOrDefault<'_>, made: &mut Vec<Change>) -> String {
        match found {
            PolicyOrDefault::Real(policy) => written(policy),
            PolicyOrDefault::Default => {
                made.push(self.make_default(None));
                DEFAULT.to_owned()
            }
        }
    }

    fn set(&self, clauses: &Clauses<'_>, errors: &mut Errors<'_, '_>) -> Edit {
        let allow = clauses.allowed.as_ref();
        let allow = allow.map(|list| self.read_list(ListKind::Allow, list, errors));
        let block = clauses.blocked.as_ref();
        let block = block.map(|list| self.read_list(ListKind::Block, list, errors));
        let mut edit = Edit {
            comment: clauses.comment.map(|text| text.text().into_owned()),
            ..Edit::default()
        };
        for (names, rules) in [
            (&clauses.allowed_rules, &mut edit.allow_rules),
            (&clauses.blocked_rules, &mut edit.block_rules),
        ] {
            if let Some(names) = names {
                *rules = Some(self.rule_list(names, &mut edit.warnings, errors));
            }
        }
        let is_lakehouse = self.dialect() == Dialect::Lakehouse;
        edit.allow = match allow {
            // A list that is left out is cleared, and an empty one allows all.
            None if is_lakehouse => ListEdit::Any,
            Some(read) if is_lakehouse && read.list.is_empty() => ListEdit::Any,
            None => ListEdit::Keep,
            Some(read) => replace(&mut edit.warnings, read),
        };
        edit.block = match block {
            None if is_lakehouse => ListEdit::Any,
            None => ListEdit::Keep,
            Some(mut read) => {
                edit.rest = read.rest.take();
                replace(&mut edit.warnings, read)
            }
        };
        edit
    }

    fn set_rules(
        &self,
        name: &Ident<'_>,
        found: Option<PolicyOrDefault<'_>>,
        rules: &[RuleText<'_>],
        errors: &mut Errors<'_, '_>,
    ) -> Edit {
        let mut edit = Edit::default();
        let read = self.read_rules(name.spot(), rules, errors);
        edit.allow = replace(&mut edit.warnings, read);
        // All rules are replaced, also those that this dialect cannot say.
        edit.block = ListEdit::Any;
        if let Some(PolicyOrDefault::Real(policy)) = found
            && (!policy.block.is_empty() || policy.compat.blocked_rest().is_some())
        {
            edit.warnings.push(format!(
                "the block list of policy {} is gone: SET RULES replaces all rules",
                policy.name
            ));
        }
        edit
    }

    fn edited(
        &self,
        name: &Ident<'_>,
        found: Option<PolicyOrDefault<'_>>,
        edit: Edit,
        mut errors: Errors<'_, '_>,
    ) -> Result<Action, Refusal> {
        if let Some(PolicyOrDefault::Real(policy)) = found
            && self.dialect() == Dialect::Snowflake
            && policy.is_in_force()
            && becomes_empty(self.state(), policy, &edit)
        {
            errors.push(name.spot(), Wrong::Empty(policy.name.to_string()));
        }
        let found = errors.finish(found)?;
        let mut made = Vec::new();
        // What is blocked then is what the statement says; no exception undoes it.
        let ends_exceptions =
            !edit.block.is_keep() || blocks_more_lists(found, edit.block_rules.as_deref());
        let mut warnings = edit.warnings;
        if let PolicyOrDefault::Real(policy) = found {
            if ends_exceptions && policy.has_exceptions() {
                warnings.push(format!(
                    "the exceptions of policy {} are gone: the statement says what it blocks",
                    policy.name
                ));
            }
            if self.dialect() != Dialect::Snowflake {
                made = self.without_references(policy, &mut warnings);
            }
            for (list, rules) in [
                (ListKind::Allow, &edit.allow_rules),
                (ListKind::Block, &edit.block_rules),
            ] {
                made.extend(
                    rules
                        .as_ref()
                        .map(|rules| set_references(policy, list, rules)),
                );
            }
        }
        let change = match (found, edit.allow) {
            (PolicyOrDefault::Default, ListEdit::Set { list }) => self.make_default(Some(list)),
            (PolicyOrDefault::Default, _) => self.make_default(None),
            (PolicyOrDefault::Real(policy), allow) => Change::AlterPolicy {
                name: written(policy),
                allow,
                except: match ends_exceptions {
                    true => ListEdit::Any,
                    false => ListEdit::Keep,
                },
                block: edit.block,
                comment: edit.comment,
                compat: PolicyCompat::with_blocked_rest(edit.rest),
            },
        };
        made.push(change);
        Ok(self.changes(made, self.altered(), warnings))
    }

    fn altered(&self) -> &'static str {
        match self.dialect() {
            Dialect::Snowflake => "Statement executed successfully.",
            Dialect::Materialize => "ALTER NETWORK POLICY",
            Dialect::Lakehouse => "Network policy altered.",
        }
    }
}

impl<'a> PolicyOrDefault<'a> {
    fn real(self) -> Option<&'a Policy> {
        match self {
            Self::Real(policy) => Some(policy),
            Self::Default => None,
        }
    }
}

fn replace(warnings: &mut Vec<String>, read: ParsedList) -> ListEdit {
    warnings.extend(read.warnings);
    ListEdit::Set {
        list: ListInput::of(read.list),
    }
}

fn unset(clauses: UnsetClauses) -> Edit {
    Edit {
        // An empty list, not none: no source is allowed.
        allow: if clauses.allowed {
            ListEdit::Set {
                list: ListInput::of(Default::default()),
            }
        } else {
            ListEdit::Keep
        },
        // Not `Any`, which would end the references to network rules as well.
        block: if clauses.blocked {
            ListEdit::Set {
                list: ListInput::of(Default::default()),
            }
        } else {
            ListEdit::Keep
        },
        allow_rules: clauses.allowed_rules.then(Vec::new),
        block_rules: clauses.blocked_rules.then(Vec::new),
        comment: clauses.comment.then(String::new),
        ..Edit::default()
    }
}

/// Whether a policy that is to refer to these lists blocks one that it did not block before.
fn blocks_more_lists(found: PolicyOrDefault<'_>, rules: Option<&[Name]>) -> bool {
    let PolicyOrDefault::Real(policy) = found else {
        return false;
    };
    let mut rules = rules.into_iter().flatten();
    rules.any(|name| !policy.block_lists.contains(name))
}

/// Whether a policy has no entry at all, which Snowflake does not set. Network rules that
/// govern nothing here are none.
pub(super) fn is_empty(state: &State, policy: &Policy) -> bool {
    becomes_empty(state, policy, &Edit::default())
}

fn becomes_empty(state: &State, policy: &Policy, edit: &Edit) -> bool {
    let rules = |new: &Option<Vec<Name>>, now: &Vec<Name>| -> bool {
        has_entries(state, new.as_ref().unwrap_or(now))
    };
    if rules(&edit.allow_rules, &policy.allow_lists)
        || rules(&edit.block_rules, &policy.block_lists)
    {
        return false;
    }
    let allows_none = match &edit.allow {
        ListEdit::Set { list } => list.is_empty(),
        _ => matches!(&policy.allow, AllowPart::Only(list) if list.is_empty()),
    };
    let blocks_none = match &edit.block {
        ListEdit::Set { list } => list.is_empty() && edit.rest.is_none(),
        ListEdit::Any => true,
        _ => policy.block.is_empty() && policy.compat.blocked_rest().is_none(),
    };
    allows_none && blocks_none
}

fn written(policy: &Policy) -> String {
    policy.name.to_written().into_owned()
}
