//! The trie against the lists that it was built from, by the look-up that the
//! kernel runs.

mod memory;

use netpolicy_common::{Listing, ScopeId};
use netpolicy_prefixes::{Extent, Prefix4, Prefix6, PrefixSet};
use proptest::prelude::*;

use super::{bits::words_of, *};
use crate::{
    layout::{Hosts, Page, Roots},
    lookup::{
        Pages, Steps, descend, enter, is_host_v4, is_host_v6, may_be_listed_v4, may_be_listed_v6,
    },
};

/// An arena as the look-up sees it.
struct ArenaPages<'a>(&'a Arena);

impl Pages for ArenaPages<'_> {
    fn page(&self, number: u32) -> Option<&Page> {
        Some(self.0.page(number))
    }
}

impl Steps for ArenaPages<'_> {}

/// The lists of some scopes.
struct Rules(Vec<ScopeRules>);

/// The lists of one scope.
struct ScopeRules {
    id: ScopeId,
    block: PrefixSet,
    allow: PrefixSet,
}

impl Rules {
    fn lists(&self) -> Vec<ScopeLists<'_>> {
        self.0.iter().map(ScopeRules::lists).collect()
    }

    fn memory(&self, first_chunk: u32) -> Memory {
        Memory::new(&self.lists(), first_chunk)
    }
}

impl ScopeRules {
    fn lists(&self) -> ScopeLists<'_> {
        ScopeLists {
            id: self.id,
            block: &self.block,
            allow: &self.allow,
        }
    }
}

/// As the program looks an address up.
fn find(flat: &Memory, scope: ScopeId, address: std::net::IpAddr) -> Listing {
    let memory = ArenaPages(flat.arena());
    let roots = flat.roots(scope);
    let (root, [high, low]) = match address {
        std::net::IpAddr::V4(a) => (roots.v4, [u64::from(u32::from(a)) << 32, 0]),
        std::net::IpAddr::V6(a) => (roots.v6, words_of(u128::from(a))),
    };
    let is_host = |hosts: Hosts| match address {
        _ if hosts.buckets == 0 => false,
        std::net::IpAddr::V4(a) => is_host_v4(&memory, &hosts, u32::from(a)),
        std::net::IpAddr::V6(_) => is_host_v6(&memory, &hosts, high, low),
    };
    let may_be_listed = match address {
        _ if !root.presence.is_some() => true,
        std::net::IpAddr::V4(a) => may_be_listed_v4(&memory, root.presence, u32::from(a)),
        std::net::IpAddr::V6(_) => may_be_listed_v6(&memory, root.presence, high),
    };
    if !may_be_listed {
        Listing::Neither
    } else if is_host(root.block) {
        Listing::Blocked
    } else if is_host(root.allow) {
        Listing::Allowed
    } else {
        let (slot, high, low) = enter(&memory, &root, high, low);
        descend(&memory, slot, high, low)
    }
}

fn expected(rules: &ScopeRules, address: std::net::IpAddr) -> Listing {
    if rules.block.contains(address) {
        Listing::Blocked
    } else if rules.allow.contains(address) {
        Listing::Allowed
    } else {
        Listing::Neither
    }
}

/// As the compiler makes it: what is allowed does not lie inside what is blocked.
fn scope(id: ScopeId, block: PrefixSet, allow: &PrefixSet) -> ScopeRules {
    let outside_v4 = |p: &&Prefix4| block.v4.covering(p.addr).is_none_or(|b| b.len > p.len);
    let outside_v6 = |p: &&Prefix6| block.v6.covering(p.addr).is_none_or(|b| b.len > p.len);
    let allow = PrefixSet {
        v4: allow.v4.iter().filter(outside_v4).copied().collect(),
        v6: allow.v6.iter().filter(outside_v6).copied().collect(),
    };
    ScopeRules { id, block, allow }
}

/// Disjoint prefixes from random ones: what lies in another goes.
fn disjoint(nets: Vec<(u128, u8)>, width: u8) -> Vec<(u128, u8)> {
    let mask =
        |bits: u128, len: u8| bits & u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
    let mut nets: Vec<_> = nets
        .into_iter()
        .map(|(bits, len)| {
            let len = len.min(width);
            (mask(bits, len), len)
        })
        .collect();
    nets.sort_unstable();
    let mut kept: Vec<(u128, u8)> = Vec::new();
    for (bits, len) in nets {
        if kept
            .last()
            .is_none_or(|(other, other_len)| mask(bits, *other_len) != *other)
        {
            kept.push((bits, len));
        }
    }
    kept
}

fn set(v4: Vec<(u128, u8)>, v6: Vec<(u128, u8)>) -> PrefixSet {
    let v4 = disjoint(v4, 32).into_iter();
    let v6 = disjoint(v6, 128).into_iter();
    PrefixSet {
        v4: v4
            .map(|(bits, len)| Prefix4 {
                addr: (bits >> 96) as u32,
                len,
            })
            .collect(),
        v6: v6.map(|(addr, len)| Prefix6 { addr, len }).collect(),
    }
}

/// Bits that often share their beginning.
fn bits() -> impl Strategy<Value = u128> {
    prop_oneof![
        any::<u128>(),
        any::<u16>().prop_map(|low| 0x0a00_0000u128 << 96 | u128::from(low) << 96),
        any::<u8>().prop_map(|low| 0x0a01_0200u128 << 96 | u128::from(low) << 96),
        any::<u8>().prop_map(|low| 0x2001_0db8u128 << 96 | u128::from(low)),
        any::<u16>().prop_map(|low| 0x2001_0db8u128 << 96 | u128::from(low) << 60),
    ]
}

fn nets(max: usize) -> impl Strategy<Value = Vec<(u128, u8)>> {
    let len = prop_oneof![0u8..=128, Just(32u8), Just(128u8), Just(24u8), 8u8..=32];
    proptest::collection::vec((bits(), len), 0..max)
}

fn lists(max: usize) -> impl Strategy<Value = PrefixSet> {
    (nets(max), nets(max)).prop_map(|(v4, v6)| set(v4, v6))
}

/// The ends of every prefix, and their neighbours.
fn addresses(rules: &ScopeRules) -> Vec<std::net::IpAddr> {
    let mut out = Vec::new();
    for list in [&rules.block, &rules.allow] {
        for p in &list.v4 {
            let last = p.addr | u32::MAX.checked_shr(u32::from(p.len)).unwrap_or(0);
            for a in [p.addr, p.addr.wrapping_sub(1), last, last.wrapping_add(1)] {
                out.push(std::net::Ipv4Addr::from(a).into());
            }
        }
        for p in &list.v6 {
            let last = p.addr | u128::MAX.checked_shr(u32::from(p.len)).unwrap_or(0);
            for a in [p.addr, p.addr.wrapping_sub(1), last, last.wrapping_add(1)] {
                out.push(std::net::Ipv6Addr::from(a).into());
            }
        }
    }
    out
}

fn check(flat: &Memory, rules: &Rules) -> Result<(), TestCaseError> {
    for scope in &rules.0 {
        let memory = |number: u32| Some(flat.arena().page(number));
        prop_assert_eq!(
            differences(scope.lists(), &flat.roots(scope.id), Extent::Full, &memory),
            Vec::<String>::new()
        );
        for address in addresses(scope) {
            prop_assert_eq!(
                find(flat, scope.id, address),
                expected(scope, address),
                "{}",
                address
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_trie_says_what_the_lists_say(block in lists(40), allow in lists(40)) {
        let rules = Rules(vec![scope(0, block, &allow)]);
        check(&rules.memory(0), &rules)?;
    }

    /// Leaves of every kind, full and not, and what is too much or too long for one.
    #[test]
    fn some_prefixes_of_one_region(
        ends in proptest::collection::vec((any::<u64>(), 1u8..=32), 1..40),
        longest in prop_oneof![Just(16u8), Just(20), Just(21), Just(32)],
        blocks_are_inside in any::<bool>(),
    ) {
        let region = 0x0a01u128 << 112;
        let nets = |width: u8| -> Vec<(u128, u8)> {
            let net = |(bits, len): &(u64, u8)| {
                (region | u128::from(*bits) << 48, (16 + (*len).min(longest)).min(width))
            };
            ends.iter().map(net).collect()
        };
        let nets = set(nets(32), nets(128));
        // All of it allowed, but for what is blocked.
        let all = if blocks_are_inside {
            set(vec![(region, 16)], vec![(region, 16)])
        } else {
            PrefixSet::default()
        };
        let rules = Rules(vec![scope(0, nets, &all)]);
        check(&rules.memory(0), &rules)?;
    }

    /// Tables, and changes of all sizes, to and from nothing.
    #[test]
    fn updates_lead_to_the_same_verdicts(
        states in proptest::collection::vec((lists(700), lists(20), lists(10)), 1..5),
        scopes in 1u16..4,
    ) {
        let mut held = Rules(Vec::new());
        let mut flat = held.memory(0);
        for (index, (block, allow, other)) in states.into_iter().enumerate() {
            let mut rules = vec![scope(0, block, &allow)];
            if !index.is_multiple_of(2) {
                rules.push(scope(scopes, other.clone(), &other));
            }
            let next = Rules(rules);
            change(&mut flat, &held, &next);
            check(&flat, &next)?;
            held = next;
        }
        // All of it is given back, and can be used again.
        let empty = Rules(Vec::new());
        change(&mut flat, &held, &empty);
        let left = flat.arena().units_in_use();
        let unused = empty.memory(0).arena().units_in_use();
        prop_assert_eq!(left, unused, "memory leaks");
        change(&mut flat, &empty, &held);
        check(&flat, &held)?;
    }

    /// Hosts in numbers for tables of every kind, with and without overlay pages, that
    /// come and go.
    #[test]
    fn hosts_come_and_go(
        seed in any::<u64>(),
        sizes in proptest::collection::vec(0usize..1500, 2..4),
        factor in prop_oneof![9 => Just(1usize), 1 => Just(12)],
    ) {
        let mut held = Rules(Vec::new());
        let mut flat = held.memory(0);
        for size in sizes {
            let next = hosts_of(seed, size * factor);
            change(&mut flat, &held, &next);
            check(&flat, &next)?;
            // A few out, a few in, again and again.
            held = next;
            for step in 1..4u8 {
                let next = hosts_of(seed ^ u64::from(step) << 57, size * factor + 3);
                let next = mixed(&held, &next, usize::from(step) * 50);
                change(&mut flat, &held, &next);
                check(&flat, &next)?;
                held = next;
            }
        }
    }
}

/// Changes the memory as the datapath does, and checks that what was in force before is
/// as it was.
fn change(flat: &mut Memory, old: &Rules, new: &Rules) {
    let before: Vec<(u32, Page)> = flat
        .arena()
        .pages()
        .map(|number| (number, *flat.arena().page(number)))
        .collect();
    let roots: Vec<Roots> = old.0.iter().map(|scope| flat.roots(scope.id)).collect();
    flat.take_written();
    flat.update(&old.lists(), &new.lists());
    let memory = |number: u32| Some(flat.arena().page(number));
    for (scope, roots) in old.0.iter().zip(roots) {
        assert_eq!(
            differences(scope.lists(), &roots, Extent::Full, &memory),
            Vec::<String>::new()
        );
    }
    let written = flat.take_written();
    for (number, page) in before {
        assert!(
            written.contains(&number) || page == *flat.arena().page(number),
            "a write that was not noted"
        );
    }
    let retired = flat.take_retired();
    flat.reclaim(retired);
}

/// So many hosts of both families, two in three of them blocked, the others allowed.
fn hosts_of(seed: u64, count: usize) -> Rules {
    let spread = |index: usize| {
        (seed | 1)
            .wrapping_mul(index as u64 * 2 + 1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
    };
    let list = |from: usize, step: usize| {
        let bits = || (from..count).step_by(step).map(spread);
        let v4 = bits().map(|bits| (u128::from(bits) << 64, 32)).collect();
        let v6 = bits()
            .map(|bits| (0x2001 << 112 | u128::from(bits) << 20, 128))
            .collect();
        set(v4, v6)
    };
    let (block, allow) = (list(0, 2), list(1, 4));
    Rules(vec![scope(0, block, &allow)])
}

/// `old` without its first few prefixes, and with the first few of `new`.
fn mixed(old: &Rules, new: &Rules, few: usize) -> Rules {
    let list = |old: &PrefixSet, new: &PrefixSet| {
        let v4 = old.v4.iter().skip(few).chain(new.v4.iter().take(few));
        let v6 = old.v6.iter().skip(few).chain(new.v6.iter().take(few));
        set(
            v4.map(|p| (u128::from(p.addr) << 96, p.len)).collect(),
            v6.map(|p| (p.addr, p.len)).collect(),
        )
    };
    let (old, new) = (&old.0[0], &new.0[0]);
    Rules(vec![scope(0, list(&old.block, &new.block), &old.allow)])
}

#[test]
fn a_difference_is_found_wherever_it_is() {
    let rules = hosts_of(5, 3000);
    let memory = rules.memory(0);
    let page = |number: u32| Some(memory.arena().page(number));
    let roots = memory.roots(0);
    assert_eq!(
        differences(rules.0[0].lists(), &roots, Extent::Full, &page),
        Vec::<String>::new()
    );
    for other in [
        hosts_of(5, 2998),
        hosts_of(5, 3001),
        hosts_of(6, 3000),
        hosts_of(5, 0),
    ] {
        assert_eq!(
            differences(other.0[0].lists(), &roots, Extent::Full, &page).len(),
            2
        );
    }
    let nowhere = |_: u32| None;
    assert_eq!(
        differences(rules.0[0].lists(), &roots, Extent::Full, &nowhere).len(),
        2
    );
}
