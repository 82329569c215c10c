//! What governs a service, with what the users of a database behind it need of the packet filter.

use super::governing;
use crate::model::{AllowPart, Binding, Mode, Policy, Service, State};

/// The policies that govern a scope, as indices into [`State::policies`].
///
/// A packet filter sees no user. Where policies are bound to users of a database behind a service,
/// it lets through what any of them allows, and the database decides for the rest. What the
/// service's policies block stays blocked for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Governed {
    /// Those whose lists count: the service's own; with policies of users and none of its own,
    /// the host's.
    pub(crate) policies: Vec<usize>,
    /// Those of users, of which the allow lists count as well.
    pub(crate) of_users: Vec<usize>,
    /// Whether a user's policy allows any source, so that no allow list counts.
    pub(crate) is_open: bool,
    /// Whether [`Self::policies`] are the host's.
    pub(crate) by_host: bool,
}

impl Governed {
    /// Policies, and none of users.
    pub(super) fn by(policies: Vec<usize>) -> Self {
        Self {
            policies,
            ..Self::default()
        }
    }

    /// Whether an allow list counts.
    pub(crate) fn says_only(&self, state: &State) -> bool {
        let says_only = |&index: &usize| state.policies[index].allow != AllowPart::Any;
        !self.is_open && self.policies.iter().any(says_only)
    }

    /// All whose allow lists count.
    pub(crate) fn allowing(&self) -> Vec<usize> {
        let both = self.policies.iter().chain(&self.of_users);
        both.copied().collect()
    }

    /// Whether a denial drops, where the service's denials do or do not.
    pub(crate) fn enforced(&self, state: &State, service: bool) -> bool {
        service && (!self.by_host || state.host.mode == Mode::Enforce)
    }

    /// [`Self::policies`] themselves.
    pub(crate) fn own<'s>(&self, state: &'s State) -> Vec<&'s Policy> {
        let found = self.policies.iter();
        found
            .filter_map(|&index| state.policies.get(index))
            .collect()
    }

    /// [`Self::of_users`] themselves.
    pub(crate) fn users<'s>(&self, state: &'s State) -> Vec<&'s Policy> {
        let found = self.of_users.iter();
        found
            .filter_map(|&index| state.policies.get(index))
            .collect()
    }
}

/// What governs a service by itself. Without policies of its own and of users: nothing.
pub(crate) fn governed(state: &State, service: &Service) -> Governed {
    let own = governing(state, &Binding::Service(service.name.clone()));
    let of_users = state.policies_of_users(service);
    if of_users.is_empty() {
        return Governed::by(own);
    }
    let by_host = own.is_empty();
    let policies = match by_host {
        true => governing(state, &Binding::Host),
        false => own,
    };
    if policies.is_empty() {
        return Governed::default();
    }
    let allows_any = |&index: &usize| state.policies[index].allow == AllowPart::Any;
    let is_open = of_users.iter().any(allows_any);
    let is_other = |index: &usize| !policies.contains(index);
    let of_users = match is_open {
        true => Vec::new(),
        false => of_users.into_iter().filter(is_other).collect(),
    };
    Governed {
        policies,
        of_users,
        is_open,
        by_host,
    }
}
