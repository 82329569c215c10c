//! Small states that judge some sources as a large one does, and a network divided into the parts
//! that are judged alike.
//!
//! [`super::explain()`] and [`super::evaluate()`] look at every rule. Who asks about many sources
//! asks about a state that holds only the rules which hold these sources.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::find::overlap;
use super::{AllowPart, Binding, ListKind, Policy, Rule, RuleList, Service, State};

/// A network, divided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divided<T> {
    /// Its parts, ascending: from the first address to the last, and what becomes of them.
    pub parts: Vec<(RangeInclusive<IpAddr>, T)>,
    /// Whether these are all; `false`: they end before the network does.
    pub is_whole: bool,
}

/// Whose rules they are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// A policy, by its index.
    Policy(usize, ListKind),
    /// A named list, by its index.
    Entries(usize),
    /// Its entries of length 0.
    Every(usize),
}

/// A rule that has an address of the network.
#[derive(Clone, Copy)]
struct PlacedRule<'s> {
    owner: Owner,
    list: &'s RuleList,
    rule: &'s Rule,
}

/// A part that may have to be divided further.
struct OpenPart<'r> {
    part: IpNet,
    /// The rules that hold the whole of it.
    holding: Vec<usize>,
    /// The rules of a part of it, by place: ranges of one list, since they may be millions.
    inside: &'r [usize],
    /// The cuts in it, by place.
    cuts: &'r [IpNet],
}

/// Divides `network` into parts in which `judge` says the same of every source. It gets the first
/// address of a part, and a state that judges it as `state` does in the scope of `service` or the
/// host's; what else it depends on changes only where one of the networks `cuts` begins or ends.
/// It is asked at most `most` times.
///
/// Looks at every rule of the policies that govern the scope; the rest depends on how many of
/// them lie in the network.
pub fn divide<T: PartialEq>(
    state: &State,
    service: Option<&Service>,
    network: IpNet,
    cuts: &[IpNet],
    most: usize,
    mut judge: impl FnMut(&State, IpAddr) -> T,
) -> Divided<T> {
    let bare = bare(state);
    let rules = placed(state, service, &network);
    let place = |net: &IpNet| (net.network(), net.prefix_len());
    let is_inside = |net: &IpNet| net.prefix_len() > network.prefix_len();
    let (mut inside, holding): (Vec<usize>, Vec<usize>) =
        (0..rules.len()).partition(|at| is_inside(&rules[*at].rule.net));
    inside.sort_by_key(|at| place(&rules[*at].rule.net));
    let cuts = cuts.iter().filter(|cut| network.contains(*cut));
    let mut cuts: Vec<IpNet> = cuts.filter(|cut| is_inside(cut)).copied().collect();
    cuts.sort_unstable_by_key(place);
    let mut divided = Divided {
        parts: Vec::new(),
        is_whole: true,
    };
    let mut judged = 0;
    // The first part on top.
    let mut open = vec![OpenPart {
        part: network,
        holding,
        inside: &inside,
        cuts: &cuts,
    }];
    while let Some(mut of) = open.pop() {
        let part = of.part;
        let is_divided = !of.inside.is_empty() || !of.cuts.is_empty();
        if is_divided && let Ok(halves) = part.subnets(part.prefix_len() + 1) {
            let mut halves: Vec<IpNet> = halves.collect();
            halves.reverse();
            for half in halves {
                let net = |at: &usize| rules[*at].rule.net;
                let from = of
                    .inside
                    .partition_point(|at| net(at).network() < half.network());
                let (before, inside) = of.inside.split_at(from);
                // The shortest prefixes come first.
                let own = inside.partition_point(|at| place(&net(at)) <= place(&half));
                let (own, inside) = inside.split_at(own);
                let from = of
                    .cuts
                    .partition_point(|cut| cut.network() < half.network());
                let (cuts_before, cuts) = of.cuts.split_at(from);
                let own_cuts = cuts.partition_point(|cut| place(cut) <= place(&half));
                open.push(OpenPart {
                    part: half,
                    holding: [&of.holding, own].concat(),
                    inside,
                    cuts: cuts.get(own_cuts..).unwrap_or_default(),
                });
                // The upper half is done: the rest is of the lower one.
                (of.inside, of.cuts) = (before, cuts_before);
            }
            continue;
        }
        if judged == most {
            divided.is_whole = false;
            break;
        }
        judged += 1;
        of.holding.sort_unstable();
        let holding: Vec<PlacedRule<'_>> = of.holding.iter().map(|at| rules[*at]).collect();
        let verdict = judge(&filled(&bare, &holding), part.network());
        match divided.parts.last_mut() {
            Some((range, last)) if *last == verdict => {
                *range = *range.start()..=part.broadcast();
            }
            _ => {
                let range = part.network()..=part.broadcast();
                divided.parts.push((range, verdict));
            }
        }
    }
    divided
}

/// A state that judges these sources as `state` does: the rules that hold none of them are left
/// out. Looks at every rule.
#[must_use]
pub fn holding(state: &State, sources: &[IpAddr]) -> State {
    // Mapped IPv4 addresses are judged as IPv4.
    let mut sources: Vec<_> = sources.iter().map(IpAddr::to_canonical).collect();
    sources.sort_unstable();
    let holds = |net: &IpNet| {
        let first = sources.partition_point(|source| *source < net.network());
        sources
            .get(first)
            .is_some_and(|source| net.contains(source))
    };
    let kept = |list: &RuleList| {
        let rules = list.iter().filter(|rule| holds(&rule.net)).cloned();
        RuleList::from_parts(rules.collect(), list.sources().to_vec())
    };
    let mut small = state.clone();
    for policy in &mut small.policies {
        if let AllowPart::Only(list) = &policy.allow {
            policy.allow = AllowPart::Only(kept(list));
        }
        policy.block = kept(&policy.block);
        policy.except = kept(&policy.except);
    }
    for list in &mut small.lists {
        list.entries = kept(&list.entries);
        list.every = kept(&list.every);
    }
    small
}

/// The state without rules.
fn bare(state: &State) -> State {
    holding(state, &[])
}

/// The rules that have an address of `network` and count in the scope.
fn placed<'s>(state: &'s State, service: Option<&Service>, network: &IpNet) -> Vec<PlacedRule<'s>> {
    let own = service.map(|service| Binding::Service(service.name.clone()));
    let governs = |policy: &Policy| {
        let bound = |binding| policy.bindings.contains(binding);
        policy.is_enforced() && (bound(&Binding::Host) || own.as_ref().is_some_and(bound))
    };
    let of_users = service.map(|service| state.policies_of_users(service));
    let of_users = of_users.unwrap_or_default();
    let mut lists: Vec<(Owner, &RuleList)> = Vec::new();
    let mut named = vec![false; state.lists.len()];
    for (index, policy) in state.policies.iter().enumerate() {
        if !governs(policy) && !of_users.contains(&index) {
            continue;
        }
        for kind in ListKind::ALL {
            lists.extend(
                policy
                    .rules(kind)
                    .map(|list| (Owner::Policy(index, kind), list)),
            );
        }
        for counted in state.counted(policy) {
            if let Some(seen) = counted.named.and_then(|at| named.get_mut(at)) {
                *seen = true;
            }
        }
    }
    for (index, list) in state.lists.iter().enumerate() {
        if named.get(index).is_some_and(|seen| *seen) {
            lists.push((Owner::Entries(index), &list.entries));
            lists.push((Owner::Every(index), &list.every));
        }
    }
    let mut found = Vec::new();
    for (owner, list) in lists {
        let shares = |rule: &&Rule| overlap(&rule.net, network);
        let rules = list.iter().filter(shares);
        found.extend(rules.map(|rule| PlacedRule { owner, list, rule }));
    }
    found
}

/// The state with these rules.
fn filled(bare: &State, rules: &[PlacedRule<'_>]) -> State {
    let mut state = bare.clone();
    let mut rest = rules;
    while let [first, ..] = rest {
        // They come list by list, and in each in its order.
        let same = rest
            .iter()
            .take_while(|one| one.owner == first.owner)
            .count();
        let (these, others) = rest.split_at(same);
        rest = others;
        let rules = these.iter().map(|one| one.rule.clone()).collect();
        let list = RuleList::from_parts(rules, first.list.sources().to_vec());
        match first.owner {
            Owner::Policy(index, kind) => {
                let Some(policy) = state.policies.get_mut(index) else {
                    continue;
                };
                match kind {
                    ListKind::Allow => policy.allow = AllowPart::Only(list),
                    ListKind::Block => policy.block = list,
                    ListKind::Except => policy.except = list,
                }
            }
            Owner::Entries(index) => {
                if let Some(named) = state.lists.get_mut(index) {
                    named.entries = list;
                }
            }
            Owner::Every(index) => {
                if let Some(named) = state.lists.get_mut(index) {
                    named.every = list;
                }
            }
        }
    }
    state
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::Timestamp;
    use netpolicy_common::Reason;
    use proptest::prelude::*;

    use super::*;
    use crate::model::arbitrary::{boundaries, net, state};
    use crate::model::explain;

    /// The reason and the rule in words.
    fn verdict(state: &State, source: IpAddr, port: Option<u16>) -> (Reason, Option<String>) {
        let found = explain(state, &[], Timestamp::UNIX_EPOCH, source, port);
        let rule = found.rule.and_then(|rule| rule.resolve(state));
        (found.reason, rule.map(|rule| rule.in_words()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn each_source_of_a_part_is_judged_as_the_part_is(
            state in state(), network in net(), cut in net()
        ) {
            let ports = state.services.iter().filter_map(|service| service.ports.iter().next());
            let ports: Vec<_> = [None].into_iter().chain(ports.map(Some)).collect();
            for port in ports {
                let service = port.and_then(|port| state.service_of_port(port));
                let judge = |small: &State, source| {
                    (verdict(small, source, port), cut.contains(&source))
                };
                let divided = divide(&state, service, network, &[cut], 100_000, judge);
                prop_assert!(divided.is_whole);
                let parts = &divided.parts;
                prop_assert_eq!(*parts[0].0.start(), network.network());
                prop_assert_eq!(*parts[parts.len() - 1].0.end(), network.broadcast());
                for pair in parts.windows(2) {
                    prop_assert!(pair[0].0.end() < pair[1].0.start());
                    prop_assert_ne!(&pair[0].1, &pair[1].1, "these are one part");
                }
                let ends = parts.iter().flat_map(|(range, _)| [*range.start(), *range.end()]);
                let mut sources: BTreeSet<IpAddr> = ends.collect();
                sources.extend(boundaries(&state));
                for source in sources.into_iter().filter(|source| network.contains(source)) {
                    let part = parts.iter().find(|(range, _)| range.contains(&source));
                    let expected = (verdict(&state, source, port), cut.contains(&source));
                    prop_assert_eq!(&part.unwrap().1, &expected, "{} {:?}", source, port);
                }
            }
        }

        #[test]
        fn small_state_judges_its_sources_as_the_large_one(state in state()) {
            let sources: Vec<IpAddr> = boundaries(&state).into_iter().collect();
            for some in sources.chunks(3) {
                let small = holding(&state, some);
                for source in some {
                    prop_assert_eq!(
                        verdict(&small, *source, None),
                        verdict(&state, *source, None)
                    );
                }
            }
        }
    }

    #[test]
    fn division_ends_where_it_has_judged_enough() {
        let network: IpNet = "10.0.0.0/8".parse().unwrap();
        let cuts: Vec<IpNet> = ["10.1.0.0/16", "10.9.0.0/16"]
            .map(|n| n.parse().unwrap())
            .into();
        let is_cut = |source: IpAddr| cuts.iter().any(|cut| cut.contains(&source));
        let of = |most| {
            divide(&State::empty(), None, network, &cuts, most, |_, source| {
                is_cut(source)
            })
        };
        let whole = of(1_000);
        assert!(whole.is_whole);
        let told: Vec<_> = whole
            .parts
            .iter()
            .map(|(range, cut)| format!("{}-{} {cut}", range.start(), range.end()))
            .collect();
        assert_eq!(
            told,
            [
                "10.0.0.0-10.0.255.255 false",
                "10.1.0.0-10.1.255.255 true",
                "10.2.0.0-10.8.255.255 false",
                "10.9.0.0-10.9.255.255 true",
                "10.10.0.0-10.255.255.255 false",
            ]
        );
        let some = of(2);
        assert!(!some.is_whole);
        assert_eq!(some.parts, whole.parts[..2]);
    }
}
