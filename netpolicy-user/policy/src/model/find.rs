//! What holds or overlaps a network: rules of policies and entries of named lists.

use std::collections::BinaryHeap;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use super::{ListKind, NamedList, Policy, Rule, RuleList, State};

/// How a network that was found lies to the one that was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Containment {
    /// It is the same.
    Equal,
    /// It holds the whole of it.
    Holds,
    /// It lies in it.
    Within,
}

impl Containment {
    /// How `found` lies to `sought`; `None`: they have no address in common.
    #[must_use]
    pub fn of(found: &IpNet, sought: &IpNet) -> Option<Self> {
        if found == sought {
            Some(Self::Equal)
        } else if found.contains(sought) {
            Some(Self::Holds)
        } else if sought.contains(found) {
            Some(Self::Within)
        } else {
            None
        }
    }

    /// The place of what was found in the order in which it is shown: the same network, then
    /// those that hold it with the longest prefix first, then those in it by address.
    #[must_use]
    pub fn order(self, found: &IpNet) -> (Self, u8, IpNet) {
        let length = match self {
            Self::Holds => found.max_prefix_len() - found.prefix_len(),
            Self::Equal | Self::Within => 0,
        };
        (self, length, *found)
    }
}

/// Whether two networks have an address in common.
pub(super) fn overlap(one: &IpNet, other: &IpNet) -> bool {
    match (one, other) {
        (IpNet::V4(one), IpNet::V4(other)) => {
            let length = u32::from(one.prefix_len().min(other.prefix_len()));
            let differing = u32::from(one.addr()) ^ u32::from(other.addr());
            differing.checked_shr(32 - length).unwrap_or(0) == 0
        }
        (IpNet::V6(one), IpNet::V6(other)) => {
            let length = u32::from(one.prefix_len().min(other.prefix_len()));
            let differing = u128::from(one.addr()) ^ u128::from(other.addr());
            differing.checked_shr(128 - length).unwrap_or(0) == 0
        }
        _ => false,
    }
}

/// Where a rule was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundIn<'s> {
    /// On a policy's own list.
    Policy(&'s Policy, ListKind),
    /// On a named list.
    List(&'s NamedList),
}

/// A rule that holds or overlaps a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundRule<'s> {
    /// Where.
    pub place: FoundIn<'s>,
    /// The list that knows its place.
    pub list: &'s RuleList,
    /// The rule.
    pub rule: &'s Rule,
    /// How it lies to the network.
    pub relation: Containment,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct FoundRules<'s> {
    /// The first rules in the order of [`Containment::order`].
    pub rules: Vec<FoundRule<'s>>,
    /// How many there are.
    pub total: u64,
}

/// Finds the rules and entries that have an address in common with `sought`, in active policies
/// and inactive ones; of these the first `most`. Looks at every rule.
#[must_use]
pub fn find<'s>(state: &'s State, sought: &IpNet, most: usize) -> FoundRules<'s> {
    let own = state.policies.iter().flat_map(|policy| {
        let kinds = ListKind::ALL.into_iter();
        kinds.filter_map(|kind| Some((FoundIn::Policy(policy, kind), policy.rules(kind)?)))
    });
    let named = state.lists.iter().flat_map(|list| {
        let parts = [&list.entries, &list.every].into_iter();
        parts.map(|entries| (FoundIn::List(list), entries))
    });
    let lists: Vec<_> = own.chain(named).collect();
    let mut total = 0;
    // The last one on top, so that an earlier one can take its place.
    let mut first = BinaryHeap::new();
    for (at, (_, list)) in lists.iter().enumerate() {
        for (index, rule) in list.iter().enumerate() {
            if !overlap(&rule.net, sought) {
                continue;
            }
            let Some(relation) = Containment::of(&rule.net, sought) else {
                continue;
            };
            total += 1;
            let found = (relation.order(&rule.net), at, index);
            if first.len() < most {
                first.push(found);
            } else if let Some(mut last) = first.peek_mut()
                && found < *last
            {
                *last = found;
            }
        }
    }
    let found = first.into_sorted_vec().into_iter();
    let rules = found.filter_map(|((relation, ..), at, index)| {
        let (place, list) = *lists.get(at)?;
        Some(FoundRule {
            place,
            list,
            rule: list.get(index)?,
            relation,
        })
    });
    FoundRules {
        rules: rules.collect(),
        total,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::arbitrary::{self, state};

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn networks_are_equal_hold_or_lie_in_each_other() {
        let of = |found, sought| Containment::of(&net(found), &net(sought));
        assert_eq!(of("10.0.0.0/8", "10.0.0.0/8"), Some(Containment::Equal));
        assert_eq!(of("0.0.0.0/0", "10.0.0.0/8"), Some(Containment::Holds));
        assert_eq!(of("10.1.0.0/16", "10.0.0.0/8"), Some(Containment::Within));
        assert_eq!(of("11.0.0.0/8", "10.0.0.0/8"), None);
        assert_eq!(of("::/0", "10.0.0.0/8"), None);
        for one in [
            "0.0.0.0/0",
            "10.0.0.0/8",
            "10.1.2.3/32",
            "11.0.0.0/8",
            "::/0",
            "2001:db8::/32",
            "2001:db8::1/128",
            "2001:db9::/32",
        ] {
            for other in [
                "0.0.0.0/0",
                "10.1.0.0/16",
                "10.1.2.3/32",
                "::/0",
                "2001:db8::/64",
                "2001:db8::1/128",
            ] {
                let expected = of(one, other).is_some();
                assert_eq!(overlap(&net(one), &net(other)), expected, "{one} {other}");
            }
        }
    }

    proptest! {
        #[test]
        fn every_rule_that_shares_an_address_is_found_and_no_other(
            state in state(), sought in arbitrary::net(), most in 0..8_usize
        ) {
            let all = find(&state, &sought, usize::MAX);
            prop_assert_eq!(all.rules.len() as u64, all.total);
            let policies = state.policies.iter().flat_map(|policy| {
                ListKind::ALL.into_iter().filter_map(|kind| policy.rules(kind))
            });
            let lists = state.lists.iter().flat_map(|list| [&list.entries, &list.every]);
            let shares = |rule: &&Rule| {
                rule.net.contains(&sought) || sought.contains(&rule.net)
            };
            let count = policies.chain(lists).flat_map(RuleList::iter).filter(shares).count();
            prop_assert_eq!(all.total, count as u64);
            let order: Vec<_> = all.rules.iter()
                .map(|found| found.relation.order(&found.rule.net)).collect();
            prop_assert!(order.is_sorted());
            let some = find(&state, &sought, most);
            prop_assert_eq!(some.total, all.total);
            prop_assert_eq!(&some.rules[..], &all.rules[..most.min(all.rules.len())]);
        }
    }
}
