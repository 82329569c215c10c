//! Many sources at once: for a list one pass over its rules, whatever the number of sources.
//!
//! Says the same as [`super::evaluate`], which is what the tests compare it with. Where rules are
//! many, a look-up for each source would take as long as a scan for each.

use std::net::IpAddr;

use ipnet::IpNet;
use netpolicy_common::Reason;

use super::{Governed, ListKind, RuleRef, Verdict, governed, governing};
use crate::model::{Binding, Combine, Mode, Service, State};

/// [`super::evaluate`] for each of the sources, in their order.
#[must_use]
pub fn evaluate_all(state: &State, service: Option<&Service>, sources: &[IpAddr]) -> Vec<Verdict> {
    let sorted = Sorted::new(sources);
    let host = Governed::by(governing(state, &Binding::Host));
    let is_host_enforced = state.host.mode == Mode::Enforce;
    let Some(service) = service else {
        return judge(state, &host, &sorted, is_host_enforced);
    };
    let enforced = service.mode == Mode::Enforce;
    let host_enforced = enforced && is_host_enforced;
    let own = governed(state, service);
    if own.policies.is_empty() {
        return judge(state, &host, &sorted, host_enforced);
    }
    let enforced = own.enforced(state, enforced);
    let verdicts = judge(state, &own, &sorted, enforced);
    if service.combine == Combine::Override || host.policies.is_empty() {
        return verdicts;
    }
    let hosts = judge(state, &host, &sorted, host_enforced);
    let both = verdicts.into_iter().zip(hosts);
    both.map(|(own, host)| {
        let own_decides =
            own.reason.is_denial() || (!host.reason.is_denial() && own.reason == Reason::Allowed);
        if own_decides { own } else { host }
    })
    .collect()
}

/// The policies that govern a scope: the service's own and, where it combines with the host or
/// has none of its own, the host's. Indices into [`State::policies`].
#[must_use]
pub fn governing_policies(state: &State, service: Option<&Service>) -> Vec<usize> {
    let host = || governing(state, &Binding::Host);
    let Some(service) = service else {
        return host();
    };
    let mut found = governed(state, service).allowing();
    found.sort_unstable();
    if found.is_empty() || service.combine == Combine::And {
        found.extend(host());
        found.sort_unstable();
        found.dedup();
    }
    found
}

/// Sources in the order of their addresses, IPv4 first.
struct Sorted {
    /// The address, and its place among the sources.
    sources: Vec<(IpAddr, usize)>,
}

impl Sorted {
    fn new(sources: &[IpAddr]) -> Self {
        let mut sources: Vec<_> = sources.iter().copied().zip(0..).collect();
        sources.sort_unstable();
        Self { sources }
    }

    fn len(&self) -> usize {
        self.sources.len()
    }

    /// The places of those in a network.
    fn within(&self, net: &IpNet) -> impl Iterator<Item = usize> {
        let (first, last) = (net.network(), net.broadcast());
        let start = self.sources.partition_point(|(source, _)| *source < first);
        let rest = self.sources.get(start..).unwrap_or_default();
        let held = rest.iter().take_while(move |(source, _)| *source <= last);
        held.map(|(_, place)| *place)
    }
}

/// The longest prefix that holds each source, and its rule.
type Matches = Vec<Option<(u8, RuleRef)>>;

fn judge(state: &State, governed: &Governed, sources: &Sorted, enforced: bool) -> Vec<Verdict> {
    let policies = &governed.policies;
    let of = |reason, rule: Option<RuleRef>| Verdict { reason, rule }.observed_unless(enforced);
    if policies.is_empty() {
        return vec![of(Reason::NoPolicy, None); sources.len()];
    }
    let mut blocked: Matches = vec![None; sources.len()];
    for &policy in policies {
        let mut excepted: Matches = Vec::new();
        if state.policies[policy].has_exceptions() {
            excepted = vec![None; sources.len()];
            matches(
                state,
                ListKind::Except,
                policy,
                sources,
                &mut excepted,
                |_| true,
            );
        }
        let counts = |place: usize| excepted.get(place).is_none_or(Option::is_none);
        matches(
            state,
            ListKind::Block,
            policy,
            sources,
            &mut blocked,
            counts,
        );
    }
    let is_only = governed.says_only(state);
    let mut allowed: Matches = vec![None; sources.len()];
    if is_only {
        for policy in governed.allowing() {
            matches(
                state,
                ListKind::Allow,
                policy,
                sources,
                &mut allowed,
                |_| true,
            );
        }
    }
    let found = blocked.into_iter().zip(allowed);
    found
        .map(|found| match found {
            (Some((_, rule)), _) => of(Reason::Blocked, Some(rule)),
            (None, _) if !is_only => of(Reason::NotBlocked, None),
            (None, Some((_, rule))) => of(Reason::Allowed, Some(rule)),
            (None, None) => of(Reason::NotAllowed, None),
        })
        .collect()
}

/// Puts the matches of one policy's rules of that kind to those found before, where they count
/// and their prefix is longer.
fn matches(
    state: &State,
    kind: ListKind,
    policy: usize,
    sources: &Sorted,
    found: &mut Matches,
    counts: impl Fn(usize) -> bool,
) {
    let counted = state.counted(&state.policies[policy]);
    for counted in counted.iter().filter(|one| one.kind == kind) {
        for (index, rule) in counted.entries.iter().enumerate() {
            let length = rule.net.prefix_len();
            for place in sources.within(&rule.net) {
                let is_longer = found[place].is_none_or(|(longest, _)| length > longest);
                if is_longer && counts(place) {
                    let rule = RuleRef {
                        policy,
                        list: kind,
                        named: counted.named,
                        rule: counted.rule_index(state, index),
                    };
                    found[place] = Some((length, rule));
                }
            }
        }
    }
}
