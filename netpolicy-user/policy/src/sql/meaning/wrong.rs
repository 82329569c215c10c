//! Why a statement is not carried out, in its product's manner, with every place.

use crate::model::error::Excerpt;
use crate::model::{ErrorKind, ListKind, ModelError, Problem};
use crate::sql::Dialect;

/// What is wrong with a statement, given what there is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// Snowflake: no such policy.
    #[error("Network policy '{0}' does not exist or not authorized.")]
    NoPolicy(String),
    /// Materialize: no such policy.
    #[error("unknown network policy '{0}'")]
    UnknownPolicy(String),
    /// Lakehouse: no such policy.
    #[error("network policy '{0}' does not exist")]
    MissingPolicy(String),
    /// Snowflake: the name is another policy's.
    #[error("Object '{0}' already exists.")]
    ObjectExists(String),
    /// Materialize and Lakehouse: the name is another policy's.
    #[error("network policy '{0}' already exists")]
    PolicyExists(String),
    /// Snowflake: no such user, which is a service here.
    #[error("User '{0}' does not exist or not authorized.")]
    NoUser(String),
    /// A name that a service and a user of a database have.
    #[error("'{service}' is a service, and {user} is a user of a database")]
    ServiceOrUser {
        /// The service.
        service: String,
        /// The user.
        user: String,
    },
    /// A user, and several databases.
    #[error("several databases could have the user {name}: write {written}")]
    SeveralDatabases {
        /// The user's name.
        name: Excerpt,
        /// How each of them is written.
        written: String,
    },
    /// Snowflake: ownership together with other privileges.
    #[error("OWNERSHIP is granted alone")]
    OwnershipAlone,
    /// Snowflake: the policy is given away while others have privileges on it.
    #[error("Dependent grant of privilege on network policy '{0}' exists.")]
    CurrentGrants(String),
    /// Snowflake: CREATE USER of a service that is not there.
    #[error(
        "User '{0}' cannot be created: a user is a service here, and SQL does not say its ports"
    )]
    NewUser(String),
    /// Snowflake: CREATE OR REPLACE USER without a policy, which would take the one it has.
    #[error("User '{0}' would lose its network policy by being replaced")]
    ReplacedUser(String),
    /// Snowflake: no such role, which is an OS user or group here.
    #[error("Role '{0}' does not exist or not authorized.")]
    NoRole(String),
    /// Materialize: no such role.
    #[error("unknown role '{0}'")]
    UnknownRole(String),
    /// Snowflake: no such network rule, which is a named list here.
    #[error("Network rule '{0}' does not exist or not authorized.")]
    NoRule(String),
    /// Snowflake: several network rules have the name.
    #[error("network rule '{name}' is ambiguous: {rules}; name its database and schema")]
    SeveralRules {
        /// The name.
        name: String,
        /// The rules that have it.
        rules: String,
    },
    /// Snowflake: a network rule to which policies refer.
    #[error(
        "Cannot perform Drop operation on network rule {rule}. It is associated with network policies: {policies}."
    )]
    RuleInUse {
        /// The rule.
        rule: String,
        /// The policies.
        policies: String,
    },
    /// Snowflake: CREATE OR ALTER of a rule with another type or mode.
    #[error("TYPE and MODE of network rule '{0}' cannot be changed")]
    RuleKindStays(String),
    /// CREATE ROLE of an OS user or group that is not there.
    #[error("Role '{0}' cannot be created: a role is an OS user or group here")]
    NewRole(String),
    /// A value of another type than its network rule's.
    #[error("{found} is not a value of a network rule of type {kind}")]
    ValueType {
        /// The value.
        found: Excerpt,
        /// The type.
        kind: String,
    },
    /// A network rule that SHOW CREATE cannot write.
    #[error("network rule '{rule}' cannot be written in Snowflake: {why}")]
    RuleNotExpressible {
        /// The rule.
        rule: String,
        /// What cannot be said, and why.
        why: String,
    },
    /// Snowflake: a replication or failover group, which is a fleet here.
    #[error("{kind} '{name}' cannot be {what} by a statement: a host only follows its fleet")]
    GroupOfFleet {
        /// "Failover group".
        kind: &'static str,
        /// Its name.
        name: String,
        /// "dropped".
        what: &'static str,
        /// The command that does it.
        hint: &'static str,
    },
    /// Several names differ from it by case alone.
    #[error("'{0}' is ambiguous: several names differ from it by case alone")]
    SeveralNames(String),
    /// Snowflake: a policy that is set cannot be dropped or replaced.
    #[error(
        "Cannot perform {operation} operation on network policy {policy}. The policy is attached to {to}. Unset the network policy from {to} and try the operation again."
    )]
    Attached {
        /// "Drop" or "Replace".
        operation: &'static str,
        /// The policy.
        policy: String,
        /// "ACCOUNT", "USER PG".
        to: String,
    },
    /// Snowflake: a policy without any entry.
    #[error("Empty network policy {0} cannot be active.")]
    Empty(String),
    /// Materialize: it governs something.
    #[error("network policy is currently in use: '{policy}' governs {scopes}")]
    InUse {
        /// The policy.
        policy: String,
        /// "the host", "service pg".
        scopes: String,
    },
    /// A name that new policies of the dialect do not have.
    #[error("{found} is not a name for a network policy in {}: {why}", dialect.title())]
    NewName {
        /// The name.
        found: Excerpt,
        /// Whose rule it is.
        dialect: Dialect,
        /// What is wrong with it.
        why: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// Materialize: the name begins with a reserved prefix.
    #[error("network policy name {0} is reserved")]
    ReservedName(Excerpt),
    /// Materialize: an address without length, or none at all.
    #[error("Value must be valid IPV4 or IPV6 CIDR: {0}")]
    Cidr(String),
    /// Materialize: two rules of one name.
    #[error("rule {name} is there already, at line {line}; each rule has a name of its own")]
    RuleTwice {
        /// The name.
        name: Excerpt,
        /// Of the first one.
        line: u32,
    },
    /// Materialize: too many rules.
    #[error("RULES count exceeds max_rules_per_network_policy. ({count} rules, at most {limit})")]
    TooManyRules {
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// Materialize, Lakehouse: too many policies.
    #[error("{} allows {limit} network policies, and there are {limit} already", dialect.title())]
    TooManyPolicies {
        /// Whose limit it is.
        dialect: Dialect,
        /// The limit.
        limit: usize,
    },
    /// Snowflake's limit of a list.
    #[error("{list} has {length} characters, more than {limit}, Snowflake's limit of one list")]
    ListText {
        /// "ALLOWED_IP_LIST".
        list: &'static str,
        /// Its length.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// Lakehouse's limit of a list.
    #[error("{list} has {count} entries, more than {limit}, Lakehouse's limit of one list")]
    ListRules {
        /// "ALLOWED_IP_LIST".
        list: &'static str,
        /// How many there are.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// An IPv6 address where there are only IPv4 ones.
    #[error("{found} is an IPv6 address, and {}'s lists accept only IPv4", dialect.title())]
    Ipv6 {
        /// The address.
        found: Excerpt,
        /// Whose rule it is.
        dialect: Dialect,
    },
    /// Lakehouse takes no `0.0.0.0/0`.
    #[error("{found} is 0.0.0.0/0, which Lakehouse's lists do not accept")]
    EverySource {
        /// As written.
        found: Excerpt,
        /// On which list.
        list: ListKind,
    },
    /// A statement that SHOW CREATE cannot write.
    #[error("policy '{policy}' cannot be written in {}: {why}", dialect.title())]
    NotExpressible {
        /// The policy.
        policy: String,
        /// In which dialect.
        dialect: Dialect,
        /// What cannot be said, and why.
        why: String,
    },
    /// What the model says of an address or a name.
    #[error("{0}")]
    Model(Problem),
}

impl Wrong {
    /// The manner of the error, for status codes.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoPolicy(_)
            | Self::UnknownPolicy(_)
            | Self::MissingPolicy(_)
            | Self::NoUser(_)
            | Self::NoRole(_)
            | Self::NoRule(_)
            | Self::UnknownRole(_) => ErrorKind::Unknown,
            Self::ObjectExists(_)
            | Self::PolicyExists(_)
            | Self::Attached { .. }
            | Self::Empty(_)
            | Self::InUse { .. }
            | Self::TooManyPolicies { .. }
            | Self::SeveralRules { .. }
            | Self::RuleInUse { .. }
            | Self::RuleNotExpressible { .. }
            | Self::SeveralNames(_)
            | Self::ServiceOrUser { .. }
            | Self::SeveralDatabases { .. }
            | Self::NewUser(_)
            | Self::NewRole(_)
            | Self::GroupOfFleet { .. }
            | Self::RuleKindStays(_)
            | Self::ReplacedUser(_)
            | Self::CurrentGrants(_)
            | Self::NotExpressible { .. } => ErrorKind::Conflict,
            Self::Model(problem) => problem.kind(),
            _ => ErrorKind::Invalid,
        }
    }

    /// Whether what is named is not there.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.kind() == ErrorKind::Unknown
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::NoPolicy(_) | Self::UnknownPolicy(_) => {
                "SHOW NETWORK POLICIES lists what there is; a name in double quotes is found \
                 only exactly"
            }
            Self::MissingPolicy(_) => "SHOW NETWORK POLICY lists what there is",
            Self::SeveralNames(_) => "put double quotes around the one that is meant",
            Self::OwnershipAlone => "write a statement for it",
            Self::CurrentGrants(_) => "end it with COPY CURRENT GRANTS or REVOKE CURRENT GRANTS",
            Self::NewUser(_) => "`netpolicy service add NAME --port PORT` makes one",
            Self::NewRole(_) => "`groupadd` makes a group",
            Self::GroupOfFleet { hint, .. } => hint,
            Self::RuleKindStays(_) => "write CREATE OR REPLACE NETWORK RULE",
            Self::ReplacedUser(_) => "write CREATE OR REPLACE USER u NETWORK_POLICY = n",
            Self::ObjectExists(_) | Self::PolicyExists(_) => {
                "alter it, or choose another name; names may not differ by case alone"
            }
            Self::ServiceOrUser { .. } => {
                "write \"service:NAME\" or \"user:NAME@DATABASE\", in double quotes"
            }
            Self::NoUser(_) => {
                "a user is a service (`netpolicy service list`) or, once `netpolicy db add` made \
                 a database known, a user of that database"
            }
            Self::NoRole(_) | Self::UnknownRole(_) => {
                "a role is an OS user or group here: `getent passwd` and `getent group` list them"
            }
            Self::Empty(_) => "put an address on its lists, or on one of its network rules, first",
            Self::NoRule(_) => "SHOW NETWORK RULES lists what there is",
            Self::RuleInUse { .. } => {
                "ALTER NETWORK POLICY … REMOVE ALLOWED_NETWORK_RULE_LIST or \
                 BLOCKED_NETWORK_RULE_LIST first"
            }
            Self::ValueType { .. } => "a rule has one type; make another one for it",
            Self::InUse { .. } => {
                "ALTER SYSTEM SET network_policy to another policy first, or unbind it"
            }
            Self::NewName { hint, .. } => hint,
            Self::ReservedName(_) => "the prefixes mz_, pg_ and external_ are reserved",
            Self::Cidr(_) => "as in 10.0.0.0/8, 10.0.0.1/32 or 2001:db8::/32",
            Self::TooManyPolicies { .. } => "drop one first",
            Self::ListText { .. } | Self::ListRules { .. } => {
                "use CIDRs for neighbours; other dialects allow longer lists"
            }
            Self::Ipv6 { .. } => "Materialize's dialect and the policy file accept both families",
            Self::EverySource {
                list: ListKind::Allow,
                ..
            } => "leave ALLOWED_IP_LIST out to allow every source",
            Self::EverySource {
                list: ListKind::Block,
                ..
            } => "name the addresses that are allowed in ALLOWED_IP_LIST instead",
            _ => return None,
        })
    }
}

impl From<ModelError> for Wrong {
    fn from(error: ModelError) -> Self {
        Self::Model(error.problem)
    }
}

impl From<Problem> for Wrong {
    fn from(problem: Problem) -> Self {
        Self::Model(problem)
    }
}
