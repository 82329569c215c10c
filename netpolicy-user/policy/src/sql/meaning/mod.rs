//! What a statement does: a statement and a state, to changes, a table or a refusal.
//!
//! Pure, and the one place where the three products differ in what they mean. Nothing is
//! carried out here: the changes that come out are the same ones that the command line
//! and the policy file make.
//!
//! | File | Owns |
//! |---|---|
//! | `create.rs` | CREATE |
//! | `alter.rs` | ALTER NETWORK POLICY, COMMENT ON |
//! | `remove.rs` | DROP |
//! | `setting.rs` | the policy of the account, of the system, of a user; its parameters |
//! | `show.rs` | SHOW NETWORK POLICIES, DESC |
//! | `like.rs` | LIKE |
//! | `rewrite.rs` | SHOW CREATE: a policy as a statement of any dialect |
//! | `minus.rs` | one list without another, as the fewest CIDRs |
//! | `grant.rs` | GRANT, REVOKE |
//! | `network_rule.rs`, `rule_show.rs` | network rules; how they are shown |
//! | `rule_list.rs` | policies' references to network rules |
//! | `granted.rs` | SHOW GRANTS |
//! | `group.rs` | replication and failover groups |
//! | `references.rs` | what a policy governs, and which policies refer to a network rule |
//! | `catalog.rs` | queries of Materialize's catalog |
//! | `session.rs` | what says something of a session alone |
//! | `user.rs` | CREATE USER, DESC USER |
//! | `list.rs` | addresses as they stand in statements, to rules |
//! | `name.rs` | names: looked up, and checked when new |
//! | `wrong.rs` | what can be wrong, in each product's words |
//! | `refusal.rs` | all that is wrong with a statement, with every place |
//! | `manner.rs` | what the agent refuses, in each product's words |

mod alter;
mod catalog;
mod create;
mod grant;
mod granted;
mod group;
mod like;
mod list;
mod manner;
mod minus;
mod name;
mod network_rule;
mod references;
mod refusal;
mod remove;
mod rewrite;
mod rule_list;
mod rule_show;
mod session;
mod setting;
mod show;
mod target;
#[cfg(test)]
mod tests;
mod user;
mod wrong;

pub use group::FollowedFleet;
pub use manner::{lacks, lockout, lockout_hint};
pub use refusal::{At, Refusal};
pub use wrong::Wrong;

use std::net::IpAddr;

use super::{Dialect, Statement, Variable, Verb};
use crate::model::{Binding, Change, Grant, Limits, Name, Policy, Principal, Privilege, State};
use show::ShowFilter;

/// What a statement depends on apart from its text.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// What the statements before it left.
    pub state: &'a State,
    /// The host's limits. A dialect's own limits are checked in addition.
    pub limits: Limits,
    /// What the text is called, for the places of rules: "office.sql".
    pub source: &'a str,
    /// The users and groups that there are.
    pub roles: &'a dyn Roles,
    /// The privileges that are granted.
    pub grants: &'a [Grant],
    /// The address that the requester comes from, where there is one.
    pub address: Option<IpAddr>,
    /// The OS user who asks.
    pub user: &'a str,
    /// The fleet that the host follows.
    pub fleet: Option<&'a FollowedFleet>,
}

/// The host's users and groups.
pub trait Roles {
    /// Whether there is a user of this name, case and all.
    fn has_user(&self, name: &str) -> bool;
    /// Whether there is a group of this name, case and all.
    fn has_group(&self, name: &str) -> bool;
}

/// What a statement comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Changes to the state, to be made as one.
    Changes(Changes),
    /// The answer to a question.
    Table(ResultTable),
    /// Privileges are granted.
    Grant(Vec<Privileged>),
    /// Privileges are revoked.
    Revoke(Vec<Privileged>),
    /// Every source bypasses a service's policies for a time.
    Bypass {
        /// The service.
        service: Name,
        /// How long; 0: no longer.
        minutes: u32,
        /// What was done, in a sentence.
        status: String,
    },
    /// Nothing.
    Nothing {
        /// Why, in a sentence.
        status: String,
    },
}

/// Changes to the state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// In their order.
    pub changes: Vec<Change>,
    /// What was done, in a sentence in the product's manner.
    pub status: String,
    /// Privileges that are revoked after the changes were made.
    pub revokes: Vec<Privileged>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// Whether the statement says itself that it is applied although it locks out the
    /// requester.
    pub force: bool,
    /// Whether, unless the request says otherwise, the open connections of sources that
    /// the changes deny are closed; if they change anything.
    pub cut: bool,
}

/// The answer to a question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResultTable {
    /// Their names.
    pub columns: Vec<String>,
    /// As wide as `columns`; `None`: NULL.
    pub rows: Vec<Vec<Option<String>>>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// A privilege, and whose it becomes or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Privileged {
    /// What may be done.
    pub privilege: Privilege,
    /// To which user or group.
    pub to: Principal,
    /// Only with this policy.
    pub policy: Option<Name>,
    /// What was done, in a sentence.
    pub status: String,
}

/// What a statement does to a state. Linear in the statement, but for SHOW CREATE, which
/// sorts the policy's rules.
///
/// # Errors
/// All that is wrong with it, each with its place.
pub fn plan(statement: &Statement<'_>, scene: &Scene<'_>) -> Result<Action, Refusal> {
    let cx = Cx { statement, scene };
    match &statement.verb {
        Verb::SetDialect(dialect) => Ok(Action::Nothing {
            status: format!("The dialect is {dialect}."),
        }),
        Verb::CreatePolicy(create) => cx.create(create),
        Verb::AlterPolicy {
            if_exists,
            name,
            change,
            ..
        } => cx.alter(name, *if_exists, change),
        Verb::DropPolicy {
            if_exists, names, ..
        } => cx.remove(names, *if_exists),
        Verb::NetworkRule(statement) => cx.network_rule(statement),
        Verb::Group(statement) => cx.group(statement),
        Verb::DescribePolicy(name) => cx.describe(name),
        Verb::DescribeUser(name) => cx.describe_user(name),
        Verb::ShowPolicies {
            like,
            named,
            starts_with,
            limit,
        } => Ok(cx.policies(&ShowFilter {
            like: like.as_ref(),
            named: named.as_ref(),
            starts_with: starts_with.as_ref(),
            limit: limit.as_ref(),
        })),
        Verb::ShowGrants(of) => cx.grants_of(of),
        Verb::Select(query) => Ok(cx.select(query)),
        Verb::SelectRequester(asked) => Ok(cx.requester(asked)),
        Verb::Session { what, .. } => Ok(cx.session(what)),
        Verb::PolicyReferences(name) => cx.policy_references(name),
        Verb::Variables(_) => Ok(cx.session("SET")),
        Verb::CreateRole {
            if_not_exists,
            role,
        } => cx.create_role(role, *if_not_exists),
        Verb::CreateUser {
            or_replace,
            if_not_exists,
            service,
            policy,
        } => cx.create_user(service, policy.as_ref(), *or_replace, *if_not_exists),
        Verb::ShowCreate { name, dialect } => cx.show_create(name, *dialect),
        Verb::SetHostPolicy(name) => cx.set_host_policy(name),
        Verb::ResetHostPolicy => cx.reset_host_policy(),
        Verb::AlterUser {
            if_exists,
            service,
            change,
        } => cx.alter_user(service, *if_exists, *change),
        Verb::ShowParameter { level, pattern } => cx.parameter(level, pattern.as_ref()),
        Verb::ShowSetting(setting) => Ok(cx.setting(*setting)),
        Verb::CommentOn {
            if_exists,
            name,
            comment,
        } => cx.comment_on(name, *if_exists, comment.as_ref()),
        Verb::Grant(grant) => cx.grant(grant),
        Verb::Revoke(grant) => cx.revoke(grant),
    }
}

/// Whether a statement makes revisions, unless it is wrong or changes nothing.
#[must_use]
pub fn makes_revisions(verb: &Verb<'_>) -> bool {
    match verb {
        Verb::CreatePolicy(_)
        | Verb::AlterPolicy { .. }
        | Verb::DropPolicy { .. }
        | Verb::SetHostPolicy(_)
        | Verb::ResetHostPolicy
        | Verb::CommentOn { .. } => true,
        Verb::CreateUser { or_replace, .. } => *or_replace,
        Verb::AlterUser { change, .. } => !matches!(change, super::AlterUser::Bypass { .. }),
        Verb::NetworkRule(statement) => !network_rule::only_asks(statement),
        Verb::Grant(grant) => grant::gives_ownership(grant).is_some(),
        _ => false,
    }
}

/// Whether a statement only asks.
#[must_use]
pub fn only_asks(verb: &Verb<'_>) -> bool {
    if let Verb::NetworkRule(statement) = verb {
        return network_rule::only_asks(statement);
    }
    if let Verb::Group(statement) = verb {
        return matches!(statement.verb, super::group::GroupVerb::Show);
    }
    matches!(
        verb,
        Verb::SetDialect(_)
            | Verb::DescribePolicy(_)
            | Verb::DescribeUser(_)
            | Verb::ShowPolicies { .. }
            | Verb::ShowCreate { .. }
            | Verb::ShowParameter { .. }
            | Verb::ShowSetting(_)
            | Verb::ShowGrants(_)
            | Verb::Select(_)
            | Verb::SelectRequester(_)
            | Verb::PolicyReferences(_)
            | Verb::Variables(_)
            | Verb::CreateRole { .. }
            | Verb::Session { .. }
    )
}

/// Whether a dialect's changes close the open connections of sources that they deny, unless
/// the request says otherwise.
#[must_use]
pub fn cuts(dialect: Dialect) -> bool {
    dialect == Dialect::Snowflake
}

/// Whether a statement ends with FORCE.
#[must_use]
pub fn says_force(verb: &Verb<'_>) -> bool {
    match verb {
        Verb::CreatePolicy(create) => create.force,
        Verb::AlterPolicy { force, .. } | Verb::DropPolicy { force, .. } => *force,
        _ => false,
    }
}

/// A statement's first words, without its lists: "CREATE NETWORK POLICY office".
#[must_use]
pub fn title(statement: &Statement<'_>) -> String {
    match &statement.verb {
        Verb::CreatePolicy(create) => {
            let replace = super::or_what(create.or_replace, create.or_alter);
            format!("CREATE {replace}NETWORK POLICY {}", create.name)
        }
        Verb::AlterPolicy { name, change, .. } => {
            use super::AlterPolicy::{Set, SetRules};
            match change {
                Set(_) | SetRules(_) => format!("ALTER NETWORK POLICY {name} SET"),
                _ => statement.to_string(),
            }
        }
        Verb::CommentOn { name, .. } => format!("COMMENT ON NETWORK POLICY {name}"),
        Verb::NetworkRule(rule) => {
            network_rule::title(rule).unwrap_or_else(|| statement.to_string())
        }
        Verb::Session { what, .. } => (*what).to_owned(),
        Verb::Variables(variables) => match variables.first() {
            Some(Variable { name, value }) => {
                let verb = if value.is_some() { "SET" } else { "UNSET" };
                format!("{verb} {name}")
            }
            None => String::new(),
        },
        _ => statement.to_string(),
    }
}

/// A statement and its scene.
#[derive(Clone, Copy)]
struct Cx<'s, 't> {
    statement: &'s Statement<'t>,
    scene: &'s Scene<'s>,
}

impl<'s> Cx<'s, '_> {
    fn dialect(&self) -> Dialect {
        self.statement.dialect
    }

    fn state(&self) -> &'s State {
        self.scene.state
    }

    /// Changes, and what to say of them.
    fn changes(
        &self,
        changes: Vec<Change>,
        status: impl Into<String>,
        warnings: Vec<String>,
    ) -> Action {
        Action::Changes(Changes {
            changes,
            status: status.into(),
            revokes: Vec::new(),
            warnings,
            force: says_force(&self.statement.verb),
            cut: cuts(self.dialect()),
        })
    }

    /// The active policies that govern the host.
    fn on_host(&self) -> Vec<&'s Policy> {
        let policies = self.state().policies.iter();
        policies
            .filter(|policy| policy.is_enforced() && policy.bindings.contains(&Binding::Host))
            .collect()
    }
}

/// The scopes that an active policy governs, as Snowflake calls them.
fn attached_to(policy: &Policy) -> String {
    let scopes = policy.bindings.iter().map(|binding| match binding {
        Binding::Host => "ACCOUNT".to_owned(),
        Binding::Service(name) => format!("USER {name}"),
        Binding::User(user) => format!("USER \"{user}\""),
    });
    scopes.collect::<Vec<_>>().join(", ")
}
