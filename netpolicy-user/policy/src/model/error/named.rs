//! What can be wrong with named lists and with references to them.

use super::{ErrorKind, Excerpt, Place};
use crate::model::wording::{at, counted, join_policies};

/// What is wrong with a named list, or with a reference to one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListProblem {
    /// A list of a policy refers to a named list twice.
    #[error("a second reference {name}{}; remove one of them", at(first.as_ref()))]
    ReferenceTwice {
        /// The reference.
        name: Excerpt,
        /// Where the first one stands.
        first: Option<Place>,
    },
    /// A named list refers to another.
    #[error(
        "{name} refers to a list, but lists hold addresses alone; let policies refer to both lists"
    )]
    NestedReference {
        /// The reference.
        name: Excerpt,
    },
    /// A reference with a name, a comment or an end of its own.
    #[error(
        "{name} refers to a list and has no name, comment or end of its own; give them to the list or its entries instead"
    )]
    ReferenceNoted {
        /// The reference.
        name: Excerpt,
    },
    /// A named list to which policies refer.
    #[error(
        "list '{list}' is in use by {}; end their references to it first",
        join_policies(policies)
    )]
    ListInUse {
        /// The list.
        list: String,
        /// The policies that refer to it.
        policies: Vec<String>,
    },
    /// An entry of another type than its network rule's.
    #[error(
        "'{text}' does not belong on list '{list}', a network rule of type {kind}; make a list of its own for it"
    )]
    OtherType {
        /// The entry.
        text: String,
        /// The list.
        list: String,
        /// Its type.
        kind: String,
    },
    /// Values for a list that is no network rule.
    #[error(
        "list '{list}' is no network rule and has addresses alone; give entries instead of values"
    )]
    NoNetworkRule {
        /// The list.
        list: String,
    },
    /// An edit of a feed's entries.
    #[error(
        "the entries of '{list}' come from its feed; make a list of its own for others, and let policies refer to both"
    )]
    FeedEdited {
        /// The list.
        list: String,
    },
    /// Settings of a feed for a list that is none.
    #[error("list '{list}' is no feed; `netpolicy list alter` alters it")]
    NoFeed {
        /// The list.
        list: String,
    },
    /// A feed that has a source of both kinds, or of none.
    #[error("a feed has either url or file: name one of them, as in {example}")]
    FeedSource {
        /// A line.
        example: &'static str,
    },
    /// Too many named lists.
    #[error("{count} lists, but the limit is {limit}; drop one first, or join some")]
    TooManyLists {
        /// How many it would be.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// Too many entries in all named lists together.
    #[error(
        "{count} entries in all lists together, but the limit is {limit}; use CIDRs for neighbours, or raise the limits in the agent's configuration"
    )]
    TooManyEntries {
        /// How many it would be.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// A named list over the limit.
    #[error(
        "the list has more than {}, the limit for one list; use CIDRs for neighbours, or make several lists",
        counted(*limit, "entry", "entries")
    )]
    NamedListTooLong {
        /// The limit.
        limit: usize,
    },
    /// A whole family comes to a block list by a reference.
    #[error("list {list} holds {net}, so policy '{policy}' would deny {}; take it off the list, or use --force if that is intended", if net.starts_with("::") { "every IPv6 source" } else { "every IPv4 source" })]
    ListBlocksAll {
        /// "0.0.0.0/0" or "::/0".
        net: String,
        /// The reference.
        list: String,
        /// The policy.
        policy: String,
    },
}

impl ListProblem {
    /// The manner of the problem.
    pub(super) fn kind(&self) -> ErrorKind {
        match self {
            Self::ReferenceTwice { .. }
            | Self::ListInUse { .. }
            | Self::TooManyLists { .. }
            | Self::TooManyEntries { .. } => ErrorKind::Conflict,
            _ => ErrorKind::Invalid,
        }
    }
}
