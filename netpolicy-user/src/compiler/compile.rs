//! [`State`] to [`Ruleset`].

use ipnet::IpNet;
use netpolicy_common::{FAILSAFE_SCOPE, HOST_SCOPE, ScopeConfig, ScopeFlags, ScopeId};

use super::intervals::{self, Cover, Interval};
use super::{Prefix, PrefixSet, Prefixes, PrefixesBuilder, Ruleset, ScopeRules};
use crate::model::{AllowPart, Binding, Combine, Mode, Policy, RuleList, State};

/// Compiles the active policies of a state.
#[must_use]
pub fn compile(state: &State) -> Ruleset {
    compile_with(state, &mut |_, _| {})
}

/// As [`compile`]; calls `progress(done, total)`, in rules, after each scope.
pub fn compile_with(state: &State, progress: &mut dyn FnMut(u64, u64)) -> Ruleset {
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

    let total = plans.iter().map(Plan::rule_count).sum();
    let mut done = 0;
    let (host, host_mode) = (plans[0].own.clone(), state.host.mode);
    let mut scopes = Vec::with_capacity(plans.len());
    for plan in &plans {
        scopes.push(plan.compile(&host, host_mode));
        done += plan.rule_count();
        progress(done, total);
    }
    Ruleset {
        ports: ports(state),
        scopes,
    }
}

/// The scope of every port.
fn ports(state: &State) -> Box<[ScopeId; 65536]> {
    let mut table = Box::new([HOST_SCOPE; 65536]);
    for service in &state.services {
        for port in service.ports.iter() {
            table[usize::from(port)] = service.id;
        }
    }
    // Last: a failsafe port is one whatever else claims it.
    for port in state.host.failsafe_ports.iter() {
        table[usize::from(port)] = FAILSAFE_SCOPE;
    }
    table
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

    fn compile(&self, host: &[&Policy], host_mode: Mode) -> ScopeRules {
        let (block, allow) = lists(&self.own);
        ScopeRules {
            id: self.id,
            name: self.name.to_owned(),
            config: ScopeConfig {
                flags: self.flags(host, host_mode),
                ..ScopeConfig::default()
            },
            block,
            allow,
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

/// The block and the allow list of some policies together.
fn lists(policies: &[&Policy]) -> (PrefixSet, PrefixSet) {
    let block = Intervals::of(policies.iter().map(|policy| &policy.block));
    let allow = Intervals::of(policies.iter().filter_map(|policy| match &policy.allow {
        AllowPart::Any => None,
        AllowPart::Only(list) => Some(list),
    }));
    let blocked = PrefixSet {
        v4: cut(&block.v4),
        v6: cut(&block.v6),
    };
    let allowed = PrefixSet {
        v4: uncovered(&allow.v4, &block.v4),
        v6: uncovered(&allow.v6, &block.v6),
    };
    (blocked, allowed)
}

/// The prefixes of merged intervals.
fn cut<P: Prefix>(intervals: &[Interval<P::Address>]) -> Prefixes<P> {
    let mut prefixes = PrefixesBuilder::default();
    for &interval in intervals {
        intervals::prefixes(interval, |addr, len| prefixes.push(P::new(addr, len)));
    }
    prefixes.finish()
}

/// The prefixes of `allow` that do not lie wholly inside `block`.
fn uncovered<P: Prefix>(
    allow: &[Interval<P::Address>],
    block: &[Interval<P::Address>],
) -> Prefixes<P> {
    let mut cover = Cover::new(block);
    let mut prefixes = PrefixesBuilder::default();
    for &interval in allow {
        intervals::prefixes(interval, |addr, len| {
            let prefix = P::new(addr, len);
            if !cover.covers((prefix.first(), prefix.last())) {
                prefixes.push(prefix);
            }
        });
    }
    prefixes.finish()
}

/// Merged intervals of both families.
struct Intervals {
    v4: Vec<Interval<u32>>,
    v6: Vec<Interval<u128>>,
}

impl Intervals {
    fn of<'a>(lists: impl Iterator<Item = &'a RuleList>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for rule in lists.flat_map(RuleList::iter) {
            match rule.net {
                IpNet::V4(net) => v4.push((net.network().into(), net.broadcast().into())),
                IpNet::V6(net) => v6.push((net.network().into(), net.broadcast().into())),
            }
        }
        intervals::merge(&mut v4);
        intervals::merge(&mut v6);
        Self { v4, v6 }
    }
}
