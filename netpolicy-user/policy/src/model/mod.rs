//! What users say: policies, address lists, services, bindings.
//!
//! Pure: no I/O, no clock, no kernel. Text becomes model here, with every error
//! and its place, and [`evaluate`](evaluate()) says what the model means: slow and
//! obviously right, the oracle that the compiler and the kernel are tested against.

pub mod address;
mod allowlist;
mod apply;
#[cfg(test)]
pub(crate) mod arbitrary;
pub mod authority;
pub mod bypass;
pub mod change;
mod compat;
mod database;
pub mod dialect;
pub mod diff;
mod edited;
pub mod effect;
mod ended;
pub mod error;
pub mod evaluate;
pub mod explain;
pub mod feed;
pub mod file;
mod find;
pub mod item;
pub mod known;
pub mod lint;
pub mod list;
pub mod name;
mod named;
mod outcome;
mod parts;
mod place;
pub mod plan;
mod policy_test;
pub mod ports;
pub mod reader;
mod report;
pub mod rule;
pub mod state;
mod wording;

pub use allowlist::{CoveredSource, JOINED_IPV6, JoinLengths, ListedNetwork, smallest_list};
pub use apply::{Applied, ChangeContext};
pub use authority::{FEED_USER, FLEET_USER, Grant, Principal, Privilege, Rights};
pub use bypass::{Bypass, parse_source};
pub use change::{Change, ListEdit, ListInput, ReferenceEdit, SourceText};
pub use compat::{HostCompat, PolicyCompat};
pub use database::{Database, DatabaseKind, DatabaseUser, UserBypass, UserKind};
pub use dialect::Dialect;
pub use edited::{EDITED, EditedRule, edited_rules};
pub use effect::{Becomes, Effect, Opening};
pub use ended::EndedRules;
pub use error::{ErrorKind, ModelError, Place, Problem};
pub use evaluate::{
    ListKind, ResolvedRule, RuleRef, Verdict, evaluate, evaluate_all, evaluate_unclassified,
    governing_policies,
};
pub use explain::{Explanation, explain};
pub use feed::{Feed, FeedFilter, FeedRefusal, SpecialRanges};
pub use find::{Containment, FoundIn, FoundRule, FoundRules, find};
pub use item::Item;
pub use known::KnownService;
pub use lint::{Finding, lint};
pub use list::RuleList;
pub use name::Name;
pub use named::{Counted, EntriesOf, MAX_LISTS, NamedList, NetworkRule, reference};
pub use outcome::Outcome;
pub use parts::{Divided, divide, holding};
pub use plan::{PlanAction, PlanItem, plan};
pub use policy_test::{Expectation, FailedTest, PolicyTest, TestedAttempt};
pub use ports::{PortRange, PortSet};
pub use reader::{ListOptions, parse_list};
pub(crate) use report::Capped;
pub use report::ModelErrors;
pub use rule::{Note, Rule, Spelling, canonical};
pub use state::{AllowPart, Binding, Combine, Host, Limits, Mode, OnDeny, Policy, Service, State};
pub use wording::counted;

/// Characters that a comment, or a rule's name, has at most.
pub const MAX_COMMENT: usize = 4096;
