//! Errors in users' input: typed, with their place, in one line.

mod database;
mod named;

use std::fmt;

pub use self::database::DatabaseProblem;
pub use self::named::ListProblem;
pub use super::address::AddressProblem;
use super::evaluate::ListKind;
pub use super::place::Place;
pub use super::wording::{Excerpt, closest};
use super::wording::{NoList, at, counted, did_you_mean, join_policies, suggest_key};

/// The manner of an error, for status and exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The input is wrong in itself.
    Invalid,
    /// It names something that is not there.
    Unknown,
    /// It does not go with what is there.
    Conflict,
}

/// One error: what is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelError {
    /// Where; `None`: in the request itself.
    pub place: Option<Place>,
    /// What is wrong.
    pub problem: Problem,
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        self.problem.fmt(f)
    }
}

impl std::error::Error for ModelError {}

impl From<ListProblem> for Problem {
    fn from(problem: ListProblem) -> Self {
        Self::List(Box::new(problem))
    }
}

impl From<ListProblem> for ModelError {
    fn from(problem: ListProblem) -> Self {
        Problem::from(problem).into()
    }
}

impl From<DatabaseProblem> for Problem {
    fn from(problem: DatabaseProblem) -> Self {
        Self::Database(Box::new(problem))
    }
}

impl From<Problem> for ModelError {
    fn from(problem: Problem) -> Self {
        Self {
            place: None,
            problem,
        }
    }
}

impl ModelError {
    /// The manner of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.problem.kind()
    }
}

/// What a name belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noun {
    /// A network policy.
    Policy,
    /// A service.
    Service,
    /// A named list.
    List,
    /// A database.
    Database,
    /// A policy test.
    PolicyTest,
}

impl fmt::Display for Noun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Policy => "policy",
            Self::Service => "service",
            Self::List => "list",
            Self::Database => "database",
            Self::PolicyTest => "policy test",
        })
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A malformed name.
    #[error(
        "the name {text} {why}; a name is {shortest} to 28 letters, digits, underscores and hyphens and begins with a letter or an underscore; others go in double quotes"
    )]
    Name {
        /// The name.
        text: Excerpt,
        /// What is wrong with it.
        why: NameProblem,
        /// Characters that it needs at least.
        shortest: usize,
    },
    /// A malformed name in quotes.
    #[error(
        "the name {text} {why}; a quoted name is 1 to 255 characters without control characters and double quotes"
    )]
    QuotedName {
        /// The name.
        text: Excerpt,
        /// What is wrong with it.
        why: NameProblem,
    },
    /// "host" as a service's name.
    #[error("a service cannot be named 'host': that is the host's own scope; choose another name")]
    NameReserved,
    /// The name belongs to another.
    #[error(
        "{noun} '{name}' exists already, and names may not differ by case alone; choose another name or alter it"
    )]
    NameTaken {
        /// What has that name.
        noun: Noun,
        /// The name as it exists.
        name: String,
    },
    /// A policy file has two things of one name.
    #[error("a second {noun} '{name}'{}; names may not differ by case alone; rename or remove one", at(first.as_ref()))]
    NameRepeated {
        /// What has the name.
        noun: Noun,
        /// The name, folded.
        name: String,
        /// Where the first one stands.
        first: Option<Place>,
    },
    /// A policy file binds a policy to a service that it does not have.
    #[error("'bind' names {name}, but this file has no such [[service]]{}", did_you_mean(closest.as_deref()))]
    UnknownBinding {
        /// What was written.
        name: Excerpt,
        /// A service with a name much like it.
        closest: Option<String>,
    },
    /// No such thing.
    #[error("unknown {noun} {name}{}", did_you_mean(closest.as_deref()))]
    Unknown {
        /// What was looked for.
        noun: Noun,
        /// Its name.
        name: Excerpt,
        /// One with a name much like it.
        closest: Option<String>,
    },
    /// Not an address, CIDR or range.
    #[error("{text} is not an address or CIDR: {why}")]
    Address {
        /// What was written.
        text: Excerpt,
        /// What is wrong with it.
        why: AddressProblem,
    },
    /// Two rules of one list mean the same.
    #[error("'{text}' is on the list already, as '{first_text}'{}; {}", at(first.as_ref()), if *.other_file { "leave it out, or give each file a policy of its own" } else { "remove one of them" })]
    Duplicate {
        /// Whether the rules are of two files, each fine by itself.
        other_file: bool,
        /// The later rule.
        text: String,
        /// The earlier rule.
        first_text: String,
        /// Where the earlier rule is.
        first: Option<Place>,
    },
    /// What is wrong with a named list, or with a reference to one.
    #[error("{0}")]
    List(Box<ListProblem>),
    /// What is wrong with a database, or with a binding to a user of one.
    #[error("{0}")]
    Database(Box<DatabaseProblem>),
    /// A whole family in a block list.
    #[error("a blocked {net} denies {}; if that is intended, use an empty allow list (allow = [], --only) or --force", if net.starts_with("::") { "every IPv6 source" } else { "every IPv4 source" })]
    BlocksAll {
        /// "0.0.0.0/0" or "::/0".
        net: String,
    },
    /// A list over the limit.
    #[error(
        "the {list} list has more than {}, the limit for one list; use CIDRs for neighbours, or spread it over several policies",
        counted(*limit, "rule", "rules")
    )]
    ListTooLong {
        /// Which list.
        list: ListKind,
        /// The limit.
        limit: usize,
    },
    /// Too many files for one list.
    #[error("one list reads more than 65535 files; join some of them")]
    TooManySources,
    /// Too many policies.
    #[error(
        "{}, but the limit is {limit}; drop one first, or raise the limit in the agent's configuration",
        counted(*count, "policy", "policies")
    )]
    TooManyPolicies {
        /// How many it would be.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// Not a port or port range.
    #[error("invalid port or port range {text}: {why}")]
    Port {
        /// What was written.
        text: Excerpt,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A service without ports.
    #[error("service '{service}' has no ports; name at least one, as in 5432")]
    NoPorts {
        /// The service.
        service: String,
    },
    /// Two services claim a port.
    #[error(
        "port {ports} of service '{service}' belongs to service '{other}' already; a port has one service"
    )]
    PortsOverlap {
        /// The ports that both have.
        ports: String,
        /// The service that is added or altered.
        service: String,
        /// The other one.
        other: String,
    },
    /// A service on a failsafe port.
    #[error(
        "port {ports} of service '{service}' is a failsafe port, on which nothing is ever judged; take it out of the service or of the host's failsafe ports"
    )]
    PortsFailsafe {
        /// The ports in question.
        ports: String,
        /// The service.
        service: String,
    },
    /// More services than scopes.
    #[error("more than {limit} services; remove one first, or give one service several ports")]
    TooManyServices {
        /// The most that a host may have.
        limit: usize,
    },
    /// A service to which policies are bound.
    #[error(
        "service '{service}' is in use by {}; unbind or drop them first",
        join_policies(policies)
    )]
    ServiceInUse {
        /// The service.
        service: String,
        /// The policies that are bound to it.
        policies: Vec<String>,
    },
    /// A comment or a rule's name that is no comment any more.
    #[error(
        "a {what} of {length} characters; at most {} are kept",
        super::MAX_COMMENT
    )]
    TextTooLong {
        /// "comment" or "rule name".
        what: &'static str,
        /// Its length in characters.
        length: usize,
    },
    /// Not TOML.
    #[error("not valid TOML: {message}")]
    Toml {
        /// What the TOML parser says.
        message: String,
    },
    /// A list file in which no line is an address.
    #[error(
        "holds no address{0}; expected an address, CIDR or range a line; if an empty list is intended, use --allow-empty, in a policy file allow_empty = true"
    )]
    NoAddress(Box<NoList>),
    /// A binary file.
    #[error("not a text file: it holds a zero byte")]
    Binary,
    /// A key that means nothing here.
    #[error("unknown key {key} in {table}{}", suggest_key(closest, known))]
    UnknownKey {
        /// The key.
        key: Excerpt,
        /// In which table, as in `[[policy]]`.
        table: &'static str,
        /// A known key much like it.
        closest: Option<&'static str>,
        /// The keys that the table may have.
        known: &'static [&'static str],
    },
    /// A key that must be there.
    #[error("{table} without '{key}'; add {key} = {example}")]
    MissingKey {
        /// The key.
        key: &'static str,
        /// In which table.
        table: &'static str,
        /// What it could be.
        example: &'static str,
    },
    /// A value of the wrong type.
    #[error("'{key}' is {found}; expected {expected}")]
    WrongType {
        /// The key.
        key: &'static str,
        /// What it is.
        found: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A value that is none of the possible ones.
    #[error("'{key}' is {found}; expected {expected}")]
    WrongValue {
        /// The key.
        key: &'static str,
        /// What it is.
        found: Excerpt,
        /// What it should be.
        expected: &'static str,
    },
    /// A list file that did not come with the policy file.
    #[error("the list file {name} was not sent along with the policy file")]
    MissingList {
        /// The name by which the policy file calls it.
        name: Excerpt,
    },
    /// No such privilege.
    #[error(
        "unknown privilege {text}; expected one of admin, create, attach, bypass, ban, feed, metrics, fleet, database, read"
    )]
    Privilege {
        /// What was written.
        text: Excerpt,
    },
    /// Neither a user nor a group.
    #[error("{text} is not a user or group; expected user:NAME or group:NAME")]
    Principal {
        /// What was written.
        text: Excerpt,
    },
    /// A bypass's duration out of range.
    #[error("a bypass of {minutes} minutes; it lasts 1 to {most} minutes (a week)")]
    BypassMinutes {
        /// What was requested.
        minutes: u32,
        /// The longest that there is.
        most: u32,
    },
    /// A network where one address is wanted.
    #[error("{text} is a network; give one address")]
    OneAddress {
        /// What was written.
        text: Excerpt,
    },
    /// Two tests of one attempt.
    #[error("a second test of {attempt}{}; remove one of them", at(first.as_ref()))]
    TestRepeated {
        /// "203.0.113.9 to postgres".
        attempt: String,
        /// Where the first one stands.
        first: Option<Place>,
    },
    /// A range where one address or CIDR is wanted.
    #[error("{text} is a range; give one address or CIDR")]
    Range {
        /// What was written.
        text: Excerpt,
    },
}

impl Problem {
    /// The manner of the problem.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::List(problem) => problem.kind(),
            Self::Database(problem) => problem.kind(),
            Self::Unknown { .. } => ErrorKind::Unknown,
            Self::NameTaken { .. }
            | Self::NameRepeated { .. }
            | Self::Duplicate { .. }
            | Self::TooManyPolicies { .. }
            | Self::PortsOverlap { .. }
            | Self::PortsFailsafe { .. }
            | Self::TooManyServices { .. }
            | Self::ServiceInUse { .. } => ErrorKind::Conflict,
            _ => ErrorKind::Invalid,
        }
    }
}

/// What is wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameProblem {
    /// Nothing there.
    #[error("is empty")]
    Empty,
    /// Too few characters.
    #[error("has {}", counted(*.0, "character", "characters"))]
    Short(usize),
    /// Too many characters.
    #[error("has {0} characters")]
    Long(usize),
    /// A digit at the front.
    #[error("begins with '{0}'")]
    Start(char),
    /// A character that names do not hold.
    #[error("holds {}", Excerpt::new(&.0.to_string()))]
    Character(char),
}
