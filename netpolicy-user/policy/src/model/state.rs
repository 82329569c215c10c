//! The whole desired state.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use netpolicy_common::{MAX_SCOPES, ScopeId};
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use super::{
    Database, DatabaseUser, HostCompat, ListKind, Name, NamedList, PolicyCompat, PolicyTest,
    PortSet, RuleList,
};

/// Everything a host's operator wants enforced. Cloning is cheap: rule lists are shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// What holds for the host as a whole.
    pub host: Host,
    /// Sorted by name.
    pub services: Vec<Service>,
    /// Sorted by name.
    pub lists: Vec<NamedList>,
    /// Sorted by name.
    pub policies: Vec<Policy>,
    /// Sorted by name.
    pub databases: Vec<Database>,
    /// What is expected of the policies, sorted by [`PolicyTest::attempt`].
    pub tests: Vec<PolicyTest>,
}

/// Settings of the host scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Whether denials drop.
    pub mode: Mode,
    /// What the sender of an attempt gets that is denied on a port of no service.
    pub on_deny: OnDeny,
    /// Ports on which nothing is ever judged; 22 by default.
    pub failsafe_ports: PortSet,
    /// For SQL's dialects.
    pub compat: HostCompat,
}

/// Named TCP ports: a scope of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its name.
    pub name: Name,
    /// Its number in the kernel: 1 to 255, unique, kept as long as the service exists.
    pub id: ScopeId,
    /// Destination ports; services do not overlap, nor with failsafe ports.
    pub ports: PortSet,
    /// How its policies stand to the host's.
    pub combine: Combine,
    /// Whether denials drop.
    pub mode: Mode,
    /// What the sender of an attempt gets that is denied on its ports, by its policies or the
    /// host's.
    pub on_deny: OnDeny,
    /// Description.
    pub comment: Option<String>,
}

/// How a service's policies stand to the host's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Combine {
    /// The service's replace the host's. A service without an active policy of its
    /// own is governed by the host's.
    #[default]
    Override,
    /// Both must pass.
    And,
}

/// Whether a scope's denials drop packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Denied attempts are dropped.
    #[default]
    Enforce,
    /// Denied attempts are counted and reported, and pass.
    Observe,
}

/// What the sender of a denied attempt gets. Without meaning where denials do not drop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum OnDeny {
    /// Nothing: its connection attempt times out.
    #[default]
    Drop,
    /// A TCP reset, within limits: its connection attempt is refused at once.
    Reset,
}

/// A named network policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its name.
    pub name: Name,
    /// What it allows.
    pub allow: AllowPart,
    /// What it blocks.
    pub block: RuleList,
    /// What it does not block, whatever `block` and `block_lists` say. Another policy may block
    /// it.
    pub except: RuleList,
    /// Named lists whose entries it allows as well, each once. Only with
    /// [`AllowPart::Only`].
    pub allow_lists: Vec<Name>,
    /// Named lists whose entries it blocks as well, each once.
    pub block_lists: Vec<Name>,
    /// Named lists whose entries it does not block either, each once.
    pub except_lists: Vec<Name>,
    /// For SQL's dialects.
    pub compat: PolicyCompat,
    /// Description.
    pub comment: Option<String>,
    /// Who may change it: an OS user's name, or `group:` and a group's.
    pub owner: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub altered: Timestamp,
    /// An inactive policy governs nothing.
    pub active: bool,
    /// An observed policy governs nothing either: what it would deny is counted.
    pub mode: Mode,
    /// The scopes that it governs while active.
    pub bindings: BTreeSet<Binding>,
}

/// The allow part of a policy: stated, never inferred from an empty list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowPart {
    /// The policy restricts nothing by allowing.
    Any,
    /// Only what is on the list; an empty list denies every source.
    Only(RuleList),
}

/// A scope that a policy is bound to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Binding {
    /// The host.
    Host,
    /// The service of this name.
    Service(Name),
    /// A user of a database behind a service: the database enforces it.
    User(DatabaseUser),
}

/// The most that a host may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Policies.
    pub policies: usize,
    /// Rules in each list of a policy.
    pub rules_per_list: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            policies: 20,
            rules_per_list: 100_000,
        }
    }
}

/// The most services that a host may have: the kernel's scopes without the host's own.
pub(super) const MAX_SERVICES: usize = MAX_SCOPES as usize - 1;

impl State {
    /// The state of a host on which nothing was set: everything passes.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            host: Host::default(),
            services: Vec::new(),
            lists: Vec::new(),
            policies: Vec::new(),
            databases: Vec::new(),
            tests: Vec::new(),
        }
    }

    /// The policy of this name, whatever its case.
    #[must_use]
    pub fn policy(&self, name: &str) -> Option<&Policy> {
        self.policies
            .iter()
            .find(|policy| policy.name.matches(name))
    }

    /// The service of this name, whatever its case.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services
            .iter()
            .find(|service| service.name.matches(name))
    }

    /// The service that a destination port belongs to.
    #[must_use]
    pub fn service_of_port(&self, port: u16) -> Option<&Service> {
        self.services
            .iter()
            .find(|service| service.ports.contains(port))
    }

    /// The policies that are bound to a scope, active or not.
    pub fn bound_to<'a>(&'a self, scope: &'a Binding) -> impl Iterator<Item = &'a Policy> {
        self.policies
            .iter()
            .filter(move |policy| policy.bindings.contains(scope))
    }

    /// The active policies that are bound to a scope and not only observed: what governs it.
    pub fn governing<'a>(&'a self, scope: &'a Binding) -> impl Iterator<Item = &'a Policy> {
        self.bound_to(scope).filter(|policy| policy.is_enforced())
    }

    /// Rules in all lists, those of a named list once.
    #[must_use]
    pub fn rule_count(&self) -> u64 {
        let named: u64 = self.lists.iter().map(|list| list.len() as u64).sum();
        named + self.policies.iter().map(Policy::rule_count).sum::<u64>()
    }
}

impl Policy {
    /// The allow list; `None`: the policy allows any.
    #[must_use]
    pub fn allow_list(&self) -> Option<&RuleList> {
        match &self.allow {
            AllowPart::Any => None,
            AllowPart::Only(list) => Some(list),
        }
    }

    /// The named lists to which it refers on one side.
    #[must_use]
    pub fn lists(&self, kind: ListKind) -> &Vec<Name> {
        match kind {
            ListKind::Allow => &self.allow_lists,
            ListKind::Block => &self.block_lists,
            ListKind::Except => &self.except_lists,
        }
    }

    /// The same, to change them.
    pub(super) fn lists_mut(&mut self, kind: ListKind) -> &mut Vec<Name> {
        match kind {
            ListKind::Allow => &mut self.allow_lists,
            ListKind::Block => &mut self.block_lists,
            ListKind::Except => &mut self.except_lists,
        }
    }

    /// Its own rules on one side; none where it allows any.
    #[must_use]
    pub fn rules(&self, kind: ListKind) -> Option<&RuleList> {
        match kind {
            ListKind::Allow => self.allow_list(),
            ListKind::Block => Some(&self.block),
            ListKind::Except => Some(&self.except),
        }
    }

    /// Whether it takes anything out of what it blocks.
    #[must_use]
    pub fn has_exceptions(&self) -> bool {
        !self.except.is_empty() || !self.except_lists.is_empty()
    }

    /// Whether it governs what it is bound to.
    #[must_use]
    pub fn is_enforced(&self) -> bool {
        self.active && self.mode == Mode::Enforce
    }

    /// Whether it governs something.
    #[must_use]
    pub fn is_in_force(&self) -> bool {
        self.is_enforced() && !self.bindings.is_empty()
    }

    /// Whether it is only observed: active and bound, and not enforced.
    #[must_use]
    pub fn is_observed(&self) -> bool {
        self.active && self.mode == Mode::Observe && !self.bindings.is_empty()
    }

    /// Rules in its own lists.
    #[must_use]
    pub fn rule_count(&self) -> u64 {
        let lists = ListKind::ALL
            .into_iter()
            .filter_map(|kind| self.rules(kind));
        lists.map(|list| list.len() as u64).sum()
    }
}

impl Default for Host {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            on_deny: OnDeny::Drop,
            failsafe_ports: PortSet::single(22),
            compat: HostCompat::default(),
        }
    }
}

impl fmt::Display for Binding {
    /// "host", the service's name, or "user:alice@orders".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::Service(name) => name.fmt(f),
            Self::User(user) => user.fmt(f),
        }
    }
}

impl fmt::Display for Combine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Override => "override",
            Self::And => "and",
        })
    }
}

impl fmt::Display for OnDeny {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drop => "drop",
            Self::Reset => "reset",
        })
    }
}

impl Mode {
    /// Whether it is left out where it is written.
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde hands over a reference"
    )]
    pub(super) fn is_enforce(&self) -> bool {
        *self == Self::Enforce
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
        })
    }
}
