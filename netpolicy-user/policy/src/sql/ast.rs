//! Statements as data. Which verbs a dialect has is decided in `grammar/`; what they
//! do is not this module's.

use super::group::GroupStatement;
use super::network_rule::{RuleName, RuleStatement};
use super::place::offset;
use super::{CatalogQuery, Dialect, Ident, Literal, Literals, Spot, SqlError, Variable};
use crate::model::ListKind;

/// A statement of a script.
#[derive(Clone, Debug)]
pub struct Statement<'t> {
    /// The whole script, which places are in.
    pub script: &'t str,
    /// Its dialect.
    pub dialect: Dialect,
    /// Of its first word.
    pub spot: Spot,
    /// Behind its last character, in bytes from the script's start.
    pub end: u32,
    /// What it says.
    pub verb: Verb<'t>,
    /// What of it has no effect here.
    pub notes: Vec<String>,
}

impl<'t> Statement<'t> {
    /// The statement as written, without the semicolon.
    #[must_use]
    pub fn source(&self) -> &'t str {
        self.script
            .get(offset(self.spot.offset)..offset(self.end))
            .unwrap_or_default()
    }

    /// Line and column of a place in it, from 1. Linear in the line's length.
    #[must_use]
    pub fn place(&self, spot: Spot) -> (u32, u32) {
        (spot.line, spot.column(self.script))
    }

    /// An error at a place in it.
    #[must_use]
    pub fn error(&self, spot: Spot, fault: super::Fault) -> SqlError {
        let (line, column) = self.place(spot);
        SqlError {
            line,
            column,
            fault,
        }
    }
}

/// What a statement says.
#[derive(Clone, Debug)]
pub enum Verb<'t> {
    /// `SET dialect = d`: for what follows in the script, which is read so already.
    SetDialect(Dialect),
    /// `CREATE NETWORK POLICY`
    CreatePolicy(CreatePolicy<'t>),
    /// `ALTER NETWORK POLICY`
    AlterPolicy {
        /// Not an error if there is none.
        if_exists: bool,
        /// Which.
        name: Ident<'t>,
        /// What becomes of it.
        change: AlterPolicy<'t>,
        /// Lakehouse: although it locks out who asks.
        force: bool,
    },
    /// `DROP NETWORK POLICY`
    DropPolicy {
        /// Not an error if there is none.
        if_exists: bool,
        /// Which; more than one only in Materialize.
        names: Vec<Ident<'t>>,
        /// Lakehouse: although it locks out who asks.
        force: bool,
    },
    /// `DESC NETWORK POLICY`
    DescribePolicy(Ident<'t>),
    /// Snowflake's `DESC USER`: of a service.
    DescribeUser(Ident<'t>),
    /// `SHOW NETWORK POLICIES`, or Lakehouse's `SHOW NETWORK POLICY`.
    ShowPolicies {
        /// Only names like this.
        like: Option<Literal<'t>>,
        /// Materialize: only this name.
        named: Option<Literal<'t>>,
        /// Snowflake: only names that begin with this.
        starts_with: Option<Literal<'t>>,
        /// Snowflake: only so many.
        limit: Option<Limit<'t>>,
    },
    /// Snowflake's `SHOW GRANTS`
    ShowGrants(GrantsOf<'t>),
    /// Materialize's `SELECT … FROM mz_internal.…`
    Select(CatalogQuery<'t>),
    /// Snowflake's `SELECT CURRENT_IP_ADDRESS()` and the like: who asks, from where.
    SelectRequester(Vec<RequesterFunction>),
    /// Snowflake's `SELECT * FROM TABLE(information_schema.policy_references(…))`
    PolicyReferences(Ident<'t>),
    /// Snowflake's `SET x = …` and `UNSET x`: for what follows in the script, which is read so
    /// already.
    Variables(Vec<Variable<'t>>),
    /// `CREATE ROLE`: of an OS user or group.
    CreateRole {
        /// Not an error if there is one.
        if_not_exists: bool,
        /// Which.
        role: Ident<'t>,
    },
    /// What says something of a session alone, which nothing here has.
    Session {
        /// Its first words.
        what: &'static str,
        /// As written.
        text: &'t str,
    },
    /// Snowflake's `CREATE USER`: of a service.
    CreateUser {
        /// In place of one that is there.
        or_replace: bool,
        /// Not an error if there is one.
        if_not_exists: bool,
        /// The service.
        service: Ident<'t>,
        /// `NETWORK_POLICY = n`
        policy: Option<Ident<'t>>,
    },
    /// `SHOW CREATE NETWORK POLICY n [IN dialect]`, in every dialect.
    ShowCreate {
        /// Which.
        name: Ident<'t>,
        /// Whose statement is wanted; `None`: the text's own dialect's.
        dialect: Option<Dialect>,
    },
    /// Snowflake's statements about replication and failover groups
    Group(GroupStatement<'t>),
    /// Snowflake's statements about network rules
    NetworkRule(RuleStatement<'t>),
    /// `ALTER ACCOUNT SET NETWORK_POLICY = n`, `ALTER SYSTEM SET network_policy = n`
    SetHostPolicy(Ident<'t>),
    /// `ALTER ACCOUNT UNSET NETWORK_POLICY`, `ALTER SYSTEM RESET network_policy`
    ResetHostPolicy,
    /// `ALTER USER`: of a service.
    AlterUser {
        /// Not an error if there is none.
        if_exists: bool,
        /// The service.
        service: Ident<'t>,
        /// What becomes of it.
        change: AlterUser<'t>,
    },
    /// Snowflake's `SHOW PARAMETERS LIKE 'network_policy' IN …`
    ShowParameter {
        /// Whose.
        level: Level<'t>,
        /// Only parameters like this.
        pattern: Option<Literal<'t>>,
    },
    /// Materialize's `SHOW network_policy`, and its settings that are fixed here.
    ShowSetting(SystemParameter),
    /// `COMMENT ON NETWORK POLICY n IS …`
    CommentOn {
        /// Snowflake: not an error if there is none.
        if_exists: bool,
        /// Which.
        name: Ident<'t>,
        /// `None`: NULL, which removes the comment.
        comment: Option<Literal<'t>>,
    },
    /// `GRANT`
    Grant(GrantClause<'t>),
    /// `REVOKE`
    Revoke(GrantClause<'t>),
}

/// A new policy.
#[derive(Clone, Debug)]
pub struct CreatePolicy<'t> {
    /// In place of one that is there.
    pub or_replace: bool,
    /// Snowflake: or what is given of one that is there.
    pub or_alter: bool,
    /// Not an error if there is one.
    pub if_not_exists: bool,
    /// Its name.
    pub name: Ident<'t>,
    /// What is in it.
    pub body: PolicyBody<'t>,
    /// Lakehouse: although it locks out who asks.
    pub force: bool,
}

/// What is in a policy.
#[derive(Clone, Debug)]
pub enum PolicyBody<'t> {
    /// Snowflake's and Lakehouse's.
    Lists(Clauses<'t>),
    /// Materialize's rules, all of which allow.
    Rules(Vec<RuleText<'t>>),
}

/// Clauses of CREATE and SET. `None`: left out, which is not `()`.
#[derive(Clone, Debug, Default)]
pub struct Clauses<'t> {
    /// `ALLOWED_IP_LIST`
    pub allowed: Option<Literals<'t>>,
    /// `BLOCKED_IP_LIST`
    pub blocked: Option<Literals<'t>>,
    /// `ALLOWED_NETWORK_RULE_LIST`
    pub allowed_rules: Option<Vec<RuleName<'t>>>,
    /// `BLOCKED_NETWORK_RULE_LIST`
    pub blocked_rules: Option<Vec<RuleName<'t>>>,
    /// `COMMENT`
    pub comment: Option<Literal<'t>>,
}

/// A rule of Materialize. Its action is to allow and its direction ingress, or it
/// would not have been read.
#[derive(Clone, Copy, Debug)]
pub struct RuleText<'t> {
    /// Its name.
    pub name: Ident<'t>,
    /// Of the value of ACTION.
    pub action: Spot,
    /// Of the value of DIRECTION.
    pub direction: Spot,
    /// The value of ADDRESS.
    pub address: Literal<'t>,
}

/// What ALTER NETWORK POLICY does.
#[derive(Clone, Debug)]
pub enum AlterPolicy<'t> {
    /// Snowflake's and Lakehouse's `SET`; at least one clause is there.
    Set(Clauses<'t>),
    /// Snowflake's `UNSET`; at least one is.
    Unset(UnsetClauses),
    /// Snowflake's `ADD` and `REMOVE`
    Rules {
        /// Which list.
        list: ListKind,
        /// Whether they are added.
        adds: bool,
        /// The rules.
        names: Vec<RuleName<'t>>,
    },
    /// Snowflake's `SET TAG` and `UNSET TAG`, as written: tags are not kept.
    Tags(&'t str),
    /// Snowflake's `RENAME TO`
    Rename(Ident<'t>),
    /// Materialize's `SET ( RULES … )`
    SetRules(Vec<RuleText<'t>>),
    /// Materialize's `OWNER TO`
    Owner(Ident<'t>),
    /// Lakehouse's `ACTIVATE`
    Activate,
    /// Lakehouse's `INACTIVATE`
    Inactivate,
}

/// Clauses of UNSET.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnsetClauses {
    /// `ALLOWED_IP_LIST`
    pub allowed: bool,
    /// `BLOCKED_IP_LIST`
    pub blocked: bool,
    /// `ALLOWED_NETWORK_RULE_LIST`
    pub allowed_rules: bool,
    /// `BLOCKED_NETWORK_RULE_LIST`
    pub blocked_rules: bool,
    /// `COMMENT`
    pub comment: bool,
}

/// What ALTER USER does to a service.
#[derive(Clone, Copy, Debug)]
pub enum AlterUser<'t> {
    /// `SET NETWORK_POLICY = n`
    SetPolicy(Ident<'t>),
    /// `UNSET NETWORK_POLICY`
    UnsetPolicy,
    /// `SET MINS_TO_BYPASS_NETWORK_POLICY = m`
    Bypass {
        /// How long.
        minutes: u32,
        /// Of the number.
        spot: Spot,
    },
}

/// `LIMIT n [FROM 'name']`: rows at most, of which the first has a name behind that one.
#[derive(Clone, Copy, Debug)]
pub struct Limit<'t> {
    /// How many.
    pub rows: u32,
    /// Behind which name.
    pub from: Option<Literal<'t>>,
}

/// Whose parameter is shown.
#[derive(Clone, Copy, Debug)]
pub enum Level<'t> {
    /// The host's.
    Account,
    /// A service's.
    User(Ident<'t>),
}

/// Who asks, and from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequesterFunction {
    /// `CURRENT_IP_ADDRESS()`
    Address,
    /// `CURRENT_USER()`
    User,
    /// `CURRENT_ROLE()`
    Role,
}

impl RequesterFunction {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Address, Self::User, Self::Role];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Address => "CURRENT_IP_ADDRESS",
            Self::User => "CURRENT_USER",
            Self::Role => "CURRENT_ROLE",
        }
    }
}

/// Settings of Materialize's system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemParameter {
    /// The policy in force on the host.
    Policy,
    /// Whether policies are enforced: always.
    Enabled,
    /// Policies at most.
    Policies,
    /// Rules of a policy at most.
    Rules,
}

impl SystemParameter {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Policy, Self::Enabled, Self::Policies, Self::Rules];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Policy => "network_policy",
            Self::Enabled => "enable_network_policies",
            Self::Policies => "max_network_policies",
            Self::Rules => "max_rules_per_network_policy",
        }
    }
}

/// Whose grants are shown.
#[derive(Clone, Copy, Debug)]
pub enum GrantsOf<'t> {
    /// `ON ACCOUNT`
    Account,
    /// `ON NETWORK POLICY n`
    Policy(Ident<'t>),
    /// `TO ROLE r`
    Role(Ident<'t>),
}

/// Privileges and who gets or loses them.
#[derive(Clone, Debug)]
pub struct GrantClause<'t> {
    /// What; at least one.
    pub privileges: Vec<GrantedRight<'t>>,
    /// Who: OS users or groups; more than one only in Materialize.
    pub roles: Vec<Ident<'t>>,
    /// What becomes of the policy's grants, where its owner changes.
    pub current: Option<CurrentGrants>,
}

/// `… CURRENT GRANTS`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CurrentGrants {
    /// They stay.
    Copy,
    /// They are revoked.
    Revoke,
}

/// What can be granted.
#[derive(Clone, Copy, Debug)]
pub enum GrantedRight<'t> {
    /// `CREATE NETWORK POLICY ON ACCOUNT`, `CREATENETWORKPOLICY ON SYSTEM`
    CreatePolicy,
    /// Snowflake's `ATTACH POLICY ON ACCOUNT`
    AttachPolicy,
    /// Snowflake's `OWNERSHIP ON NETWORK POLICY n`; only granted.
    Ownership(Ident<'t>),
    /// `USAGE ON NETWORK POLICY n`
    Usage(Ident<'t>),
    /// Materialize's `USAGE ON ALL POLICIES`
    UsageOnAll,
}
