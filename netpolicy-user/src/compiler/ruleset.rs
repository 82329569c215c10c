//! The compiled form of all active policies.

use netpolicy_common::{PortTable, ScopeConfig, ScopeId};

use super::PrefixSet;

/// What one generation enforces, in all scopes and both families.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruleset {
    /// Port to scope, as the kernel holds it (a boxed [`PortTable::scope`]).
    pub ports: Box<[ScopeId; 65536]>,
    /// Ascending by id; the host (id 0) is always first. Every service has an entry.
    pub scopes: Vec<ScopeRules>,
}

/// One scope's part of a [`Ruleset`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeRules {
    /// The scope's number.
    pub id: ScopeId,
    /// "host" or the service's name, for display.
    pub name: String,
    /// What governs it.
    pub config: ScopeConfig,
    /// Merged block lists: sorted, disjoint, maximal prefixes.
    pub block: PrefixSet,
    /// Merged allow lists of the policies that say `only`, without what lies
    /// wholly inside `block`: sorted, disjoint prefixes.
    pub allow: PrefixSet,
}

const _: () = assert!(size_of::<PortTable>() == size_of::<[ScopeId; 65536]>());
