//! [`State`] to [`Ruleset`].

use std::sync::Arc;

use netpolicy_common::{FAILSAFE_SCOPE, HOST_SCOPE, ScopeConfig, ScopeFlags, ScopeId};
use rayon::prelude::*;

use super::index::Index;
use super::scope::{self, CountedList, IsWorth, ScopeSources};
use super::{Ruleset, ScopeRules};
use crate::model::{AllowPart, Binding, Combine, ListKind, Mode, Policy, RuleList, State};

/// Compiles the active policies of a state.
#[must_use]
pub fn compile(state: &State) -> Ruleset {
    Ruleset::clone(Compilation::new(state).ruleset())
}

/// A compiled state, with what makes it quick to compile the next one.
///
/// Of each list that counts it holds the networks by address: 8 bytes an IPv4 rule, 32
/// an IPv6 one.
#[derive(Clone, Debug)]
pub struct Compilation {
    ruleset: Arc<Ruleset>,
    /// Of the scopes of the ruleset.
    lists: Vec<ScopeSources>,
    /// All lists that count in any scope.
    listed: Vec<CountedList>,
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
        let total = plans.iter().map(Plan::rule_count).sum();
        let mut done = 0;
        let (host, host_mode) = (&plans[0].own, state.host.mode);
        let mut all = Vec::with_capacity(plans.len());
        let mut scopes = Vec::with_capacity(plans.len());
        let nothing = ScopeSources::default();
        for plan in &plans {
            let before = self.ruleset.scopes.iter().position(|s| s.id == plan.id);
            let before = before.map_or(&nothing, |at| &self.lists[at]);
            let lists = before.changed_to(plan.sources(&listed), is_worth);
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
        }
    }

    /// What it was compiled to.
    #[must_use]
    pub fn ruleset(&self) -> &Arc<Ruleset> {
        &self.ruleset
    }

    /// All lists that count in any scope of a state.
    fn listed(&self, state: &State) -> Vec<CountedList> {
        let counts = |policy: &&Policy| policy.active && !policy.bindings.is_empty();
        let lists = state.policies.iter().filter(counts).flat_map(|policy| {
            let block = (policy, ListKind::Block, &policy.block);
            let allow = policy.allow_list();
            let allow = allow.map(|list| (policy, ListKind::Allow, list));
            [block].into_iter().chain(allow)
        });
        let lists: Vec<_> = lists.collect();
        let listed = |&(policy, kind, list): &(&Policy, ListKind, &RuleList)| CountedList {
            policy: policy.name.clone(),
            kind,
            list: list.clone(),
            index: self.index(policy, kind, list),
        };
        let is_new = |list| !self.listed.iter().any(|known| known.list.ptr_eq(list));
        let new = lists.iter().filter(|(_, _, list)| is_new(list));
        if new.map(|(_, _, list)| list.len()).sum::<usize>() >= scope::MANY {
            lists.par_iter().map(listed).collect()
        } else {
            lists.iter().map(listed).collect()
        }
    }

    fn index(&self, policy: &Policy, kind: ListKind, list: &RuleList) -> Arc<Index> {
        let mut known = self.listed.iter();
        if let Some(known) = known.find(|known| known.list.ptr_eq(list)) {
            return Arc::clone(&known.index);
        }
        let mut known = self.listed.iter();
        let before = known.find(|old| old.policy == policy.name && old.kind == kind);
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
            .filter(|policy| policy.active && policy.bindings.contains(scope))
            .collect()
    };
    let mut plans = vec![Plan {
        id: HOST_SCOPE,
        name: "host",
        own: bound(&Binding::Host),
        combine: Combine::Override,
        mode: state.host.mode,
    }];
    plans.extend(state.services.iter().map(|service| Plan {
        id: service.id,
        name: service.name.as_str(),
        own: bound(&Binding::Service(service.name.clone())),
        combine: service.combine,
        mode: service.mode,
    }));
    plans.sort_unstable_by_key(|plan| plan.id);
    plans
}

/// What goes into one scope.
struct Plan<'a> {
    id: ScopeId,
    name: &'a str,
    /// The active policies that are bound to it.
    own: Vec<&'a Policy>,
    combine: Combine,
    mode: Mode,
}

impl Plan<'_> {
    fn rule_count(&self) -> u64 {
        self.own.iter().map(|policy| policy.rule_count()).sum()
    }

    /// Its lists out of all.
    fn sources(&self, listed: &[CountedList]) -> Vec<CountedList> {
        let is_own = |listed: &&CountedList| self.own.iter().any(|own| own.name == listed.policy);
        listed.iter().filter(is_own).cloned().collect()
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
        let own = !self.own.is_empty();
        set(own, ScopeFlags::OWN_LISTS);
        set(own && enforce, ScopeFlags::OWN_ENFORCE);
        set(says_only(&self.own), ScopeFlags::OWN_ONLY);

        let asks_host =
            self.id != HOST_SCOPE && !host.is_empty() && (!own || self.combine == Combine::And);
        let host_enforce = enforce && host_mode == Mode::Enforce;
        set(asks_host, ScopeFlags::HOST_LISTS);
        set(asks_host && host_enforce, ScopeFlags::HOST_ENFORCE);
        set(asks_host && says_only(host), ScopeFlags::HOST_ONLY);
        flags
    }
}

fn says_only(policies: &[&Policy]) -> bool {
    policies
        .iter()
        .any(|policy| matches!(policy.allow, AllowPart::Only(_)))
}
