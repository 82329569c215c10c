//! [`State`] to [`Ruleset`].

use std::sync::Arc;

use netpolicy_common::{FAILSAFE_SCOPE, HOST_SCOPE, ScopeConfig, ScopeFlags, ScopeId};
use rayon::prelude::*;

use super::index::Index;
use super::reduced::ReducedBlocks;
use super::scope::{self, CountedList, IsWorth, ListOwner, ScopeSources};
use super::{Ruleset, ScopeRules};
use crate::model::evaluate::governed;
use crate::model::{
    AllowPart, Binding, Combine, Counted, ListKind, Mode, OnDeny, Policy, RuleList, State,
};

/// Compiles the active policies of a state.
#[must_use]
pub fn compile(state: &State) -> Ruleset {
    Ruleset::clone(Compilation::new(state).ruleset())
}

/// A compiled state, with what makes it quick to compile the next one.
///
/// Of each list that counts it holds the networks by address: 8 bytes an IPv4 rule, 32
/// an IPv6 one; of a named list once, however many policies refer to it.
#[derive(Clone, Debug)]
pub struct Compilation {
    ruleset: Arc<Ruleset>,
    /// Of the scopes of the ruleset.
    lists: Vec<ScopeSources>,
    /// All lists that count in any scope.
    listed: Vec<CountedList>,
    /// What policies with exceptions block.
    reduced: Vec<ReducedBlocks>,
}

impl Compilation {
    /// Compiles the active policies of a state.
    #[must_use]
    pub fn new(state: &State) -> Self {
        let nothing = Self {
            ruleset: Arc::new(Ruleset {
                ports: ports(&State::empty()),
                scopes: Vec::new(),
            }),
            lists: Vec::new(),
            listed: Vec::new(),
            reduced: Vec::new(),
        };
        nothing.next(state, &mut |_, _| {})
    }

    /// Compiles the active policies of another state: exactly as [`compile`] does, but
    /// what has not changed is shared, and where little changed only that is looked at.
    ///
    /// Calls `progress(done, total)`, in rules, after each scope.
    #[must_use]
    pub fn next(&self, state: &State, progress: &mut dyn FnMut(u64, u64)) -> Self {
        self.next_where(state, progress, scope::is_worth)
    }

    pub(super) fn next_where(
        &self,
        state: &State,
        progress: &mut dyn FnMut(u64, u64),
        is_worth: IsWorth,
    ) -> Self {
        let plans = plans(state);
        let listed = self.listed(state);
        let reduced = self.reduced(state, &listed, is_worth);
        let total = plans.iter().map(Plan::rule_count).sum();
        let mut done = 0;
        let (host, host_mode) = (&plans[0].own, state.host.mode);
        let mut all = Vec::with_capacity(plans.len());
        let mut scopes = Vec::with_capacity(plans.len());
        let nothing = ScopeSources::default();
        for plan in &plans {
            let before = self.ruleset.scopes.iter().position(|s| s.id == plan.id);
            let before = before.map_or(&nothing, |at| &self.lists[at]);
            let lists = before.changed_to(plan.sources(state, &listed, &reduced), is_worth);
            scopes.push(plan.rules(&lists, host, host_mode));
            all.push(lists);
            done += plan.rule_count();
            progress(done, total);
        }
        let ports = ports(state);
        let ports = if ports == self.ruleset.ports {
            Arc::clone(&self.ruleset.ports)
        } else {
            ports
        };
        Self {
            ruleset: Arc::new(Ruleset { ports, scopes }),
            lists: all,
            listed,
            reduced,
        }
    }

    /// What it was compiled to.
    #[must_use]
    pub fn ruleset(&self) -> &Arc<Ruleset> {
        &self.ruleset
    }

    /// How many indices there are.
    #[cfg(test)]
    pub(super) fn indexed_lists(&self) -> usize {
        let mut indices: Vec<_> = self
            .listed
            .iter()
            .map(|one| Arc::as_ptr(&one.index))
            .collect();
        indices.sort_unstable();
        indices.dedup();
        indices.len()
    }

    /// What the policies with exceptions block, of all lists.
    fn reduced(
        &self,
        state: &State,
        listed: &[CountedList],
        is_worth: IsWorth,
    ) -> Vec<ReducedBlocks> {
        let policies = state.policies.iter();
        let policies = policies.filter(|policy| policy.is_in_force() && policy.has_exceptions());
        let of = |policy: &Policy| {
            let counted = state.counted(policy);
            let sides = counted.iter().filter(|one| one.kind != ListKind::Allow);
            let owners: Vec<_> = sides.map(ListOwner::of).collect();
            let sources = listed
                .iter()
                .filter(|listed| owners.contains(&listed.owner));
            let before = self.reduced.iter().find(|old| old.is_of(&policy.name));
            ReducedBlocks::of(&policy.name, sources.cloned().collect(), before, is_worth)
        };
        policies.map(of).collect()
    }

    /// All lists that count in any scope of a state, each once on each side.
    fn listed(&self, state: &State) -> Vec<CountedList> {
        let policies = state.policies.iter().filter(|policy| policy.is_in_force());
        let mut lists: Vec<(ListOwner, &RuleList)> = Vec::new();
        for counted in policies.flat_map(|policy| state.counted(policy)) {
            let owner = ListOwner::of(&counted);
            if lists.iter().all(|(known, _)| *known != owner) {
                lists.push((owner, counted.entries));
            }
        }
        // A list that allows in one policy and blocks in another has one index.
        let mut contents: Vec<(&ListOwner, &RuleList)> = Vec::new();
        for (owner, list) in &lists {
            if contents.iter().all(|(_, known)| !known.ptr_eq(list)) {
                contents.push((owner, list));
            }
        }
        let index = |&(owner, list): &(&ListOwner, _)| self.index(owner, list);
        let is_new = |list| !self.listed.iter().any(|known| known.list.ptr_eq(list));
        let new = contents.iter().filter(|(_, list)| is_new(list));
        let indices: Vec<_> = if new.map(|(_, list)| list.len()).sum::<usize>() >= scope::MANY {
            contents.par_iter().map(index).collect()
        } else {
            contents.iter().map(index).collect()
        };
        let index_of = |list: &RuleList| {
            let at = contents.iter().position(|(_, known)| known.ptr_eq(list));
            let index = at.and_then(|at| indices.get(at));
            index.map_or_else(|| Arc::new(Index::of(list)), Arc::clone)
        };
        let counted = |(owner, list): &(ListOwner, &RuleList)| CountedList {
            owner: owner.clone(),
            index: index_of(list),
            list: RuleList::clone(list),
        };
        lists.iter().map(counted).collect()
    }

    fn index(&self, owner: &ListOwner, list: &RuleList) -> Arc<Index> {
        let mut known = self.listed.iter();
        if let Some(known) = known.find(|known| known.list.ptr_eq(list)) {
            return Arc::clone(&known.index);
        }
        let mut known = self.listed.iter();
        let before = known.find(|old| old.owner.is_same_list(owner));
        Arc::new(match before {
            Some(old) => old.index.edited(&old.list, list),
            None => Index::of(list),
        })
    }
}

/// The scope of every port.
fn ports(state: &State) -> Arc<[ScopeId; 65536]> {
    let mut ports = Arc::new([HOST_SCOPE; 65536]);
    let table = Arc::make_mut(&mut ports);
    for service in &state.services {
        for port in service.ports.iter() {
            table[usize::from(port)] = service.id;
        }
    }
    // Last: a failsafe port is one whatever else claims it.
    for port in state.host.failsafe_ports.iter() {
        table[usize::from(port)] = FAILSAFE_SCOPE;
    }
    ports
}

/// The scopes of a state, ascending by id: the host is the first.
fn plans(state: &State) -> Vec<Plan<'_>> {
    let bound = |scope: &Binding| -> Vec<&Policy> {
        let policies = state.policies.iter();
        policies
            .filter(|policy| policy.is_enforced() && policy.bindings.contains(scope))
            .collect()
    };
    fn counted<'a>(state: &'a State, own: &[&'a Policy]) -> Vec<Counted<'a>> {
        own.iter().flat_map(|own| state.counted(own)).collect()
    }
    fn allowed<'a>(state: &'a State, policy: &'a Policy) -> impl Iterator<Item = Counted<'a>> {
        let counted = state.counted(policy).into_iter();
        counted.filter(|one| one.kind == ListKind::Allow)
    }
    let own = bound(&Binding::Host);
    let mut plans = vec![Plan {
        id: HOST_SCOPE,
        name: "host",
        counted: counted(state, &own),
        own,
        of_users: Vec::new(),
        is_open: false,
        by_host: false,
        combine: Combine::Override,
        mode: state.host.mode,
        on_deny: state.host.on_deny,
    }];
    plans.extend(state.services.iter().map(|service| {
        let governed = governed(state, service);
        let (own, of_users) = (governed.own(state), governed.users(state));
        let mut counted = counted(state, &own);
        counted.extend(of_users.iter().flat_map(|policy| allowed(state, policy)));
        Plan {
            id: service.id,
            name: service.name.as_str(),
            counted,
            own,
            of_users,
            is_open: governed.is_open,
            by_host: governed.by_host,
            combine: service.combine,
            mode: service.mode,
            on_deny: service.on_deny,
        }
    }));
    plans.sort_unstable_by_key(|plan| plan.id);
    plans
}

/// What goes into one scope.
struct Plan<'a> {
    id: ScopeId,
    name: &'a str,
    /// The active policies that are bound to it; with policies of users and none of its own, the
    /// host's.
    own: Vec<&'a Policy>,
    /// Those of users, whose allow lists count.
    of_users: Vec<&'a Policy>,
    /// Whether no allow list counts, since a user's policy allows any.
    is_open: bool,
    /// Whether `own` are the host's.
    by_host: bool,
    /// What counts in them.
    counted: Vec<Counted<'a>>,
    combine: Combine,
    mode: Mode,
    on_deny: OnDeny,
}

impl Plan<'_> {
    fn rule_count(&self) -> u64 {
        let counted = self.counted.iter();
        counted.map(|one| one.entries.len() as u64).sum()
    }

    /// Its lists out of all, each once on each side. In place of the block lists of a policy with
    /// exceptions comes what is left of them.
    fn sources(
        &self,
        state: &State,
        listed: &[CountedList],
        reduced: &[ReducedBlocks],
    ) -> Vec<CountedList> {
        let mut own = Vec::new();
        let mut left = Vec::new();
        for policy in &self.own {
            let is_reduced = policy.has_exceptions();
            let counted = state.counted(policy).into_iter();
            let counted = counted.filter(|one| !is_reduced || one.kind == ListKind::Allow);
            own.extend(counted.map(|one| ListOwner::of(&one)));
            if is_reduced {
                let of_policy = reduced.iter().filter(|one| one.is_of(&policy.name));
                left.extend(of_policy.map(ReducedBlocks::counted));
            }
        }
        for policy in &self.of_users {
            let counted = state.counted(policy).into_iter();
            let allowed = counted.filter(|one| one.kind == ListKind::Allow);
            own.extend(allowed.map(|one| ListOwner::of(&one)));
        }
        let is_own = |listed: &&CountedList| own.contains(&listed.owner);
        listed.iter().filter(is_own).cloned().chain(left).collect()
    }

    fn rules(&self, lists: &ScopeSources, host: &[&Policy], host_mode: Mode) -> ScopeRules {
        ScopeRules {
            id: self.id,
            name: self.name.to_owned(),
            config: ScopeConfig {
                flags: self.flags(host, host_mode),
                ..ScopeConfig::default()
            },
            block: lists.block(),
            allow: lists.allow(),
        }
    }

    fn flags(&self, host: &[&Policy], host_mode: Mode) -> ScopeFlags {
        let mut flags = ScopeFlags::default();
        let mut set = |condition: bool, flag| {
            if condition {
                flags = flags.with(flag);
            }
        };
        let enforce = self.mode == Mode::Enforce;
        // Where an attempt arrives says what its sender gets, whichever lists deny it.
        let (own_drops, host_drops) = match self.on_deny {
            OnDeny::Drop => (ScopeFlags::OWN_ENFORCE, ScopeFlags::HOST_ENFORCE),
            OnDeny::Reset => (ScopeFlags::OWN_RESET, ScopeFlags::HOST_RESET),
        };
        let own = !self.own.is_empty();
        set(own, ScopeFlags::OWN_LISTS);
        let own_enforce = enforce && (!self.by_host || host_mode == Mode::Enforce);
        set(own && own_enforce, own_drops);
        set(says_only(&self.own) && !self.is_open, ScopeFlags::OWN_ONLY);
        set(!enforce, ScopeFlags::BANS_OBSERVED);

        let asks_host =
            self.id != HOST_SCOPE && !host.is_empty() && (!own || self.combine == Combine::And);
        let host_enforce = enforce && host_mode == Mode::Enforce;
        set(asks_host, ScopeFlags::HOST_LISTS);
        set(asks_host && host_enforce, host_drops);
        set(asks_host && says_only(host), ScopeFlags::HOST_ONLY);
        flags
    }
}

fn says_only(policies: &[&Policy]) -> bool {
    policies
        .iter()
        .any(|policy| matches!(policy.allow, AllowPart::Only(_)))
}
