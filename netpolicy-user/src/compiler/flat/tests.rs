//! The trie against the lists that it was built from, by the look-up that the
//! kernel runs.

use netpolicy_common::flat::Code;
use netpolicy_common::{ScopeConfig, ScopeId};
use netpolicy_ebpf::flat::{
    Steps, look_up, node_step, record_step, table_page, table_step, unit_page,
};
use proptest::prelude::*;

use super::*;
use crate::compiler::{Prefix4, Prefix6, PrefixSet, Ruleset, ScopeRules};

struct Memory<'a>(&'a Arena);

impl Memory<'_> {
    fn page(&self, number: u32) -> &Page {
        &self.0.pages()[number as usize]
    }
}

impl Steps for Memory<'_> {
    fn table(&self, start: u32, index: u32) -> u32 {
        table_step(self.page(table_page(start, index)), index)
    }

    fn node(&self, unit: u32, byte: u32) -> u32 {
        node_step(self.page(unit_page(unit)), unit, byte)
    }

    fn record(&self, unit: u32, high: u64, low: u64) -> u64 {
        record_step(self.page(unit_page(unit)), unit, high, low)
    }
}

fn find(flat: &Flat, scope: ScopeId, address: std::net::IpAddr) -> Code {
    let memory = Memory(flat.arena());
    let roots = flat.roots(scope);
    match address {
        std::net::IpAddr::V4(a) => look_up(&memory, roots.v4, u64::from(u32::from(a)) << 32, 0),
        std::net::IpAddr::V6(a) => {
            let [high, low] = build::words_of(u128::from(a));
            look_up(&memory, roots.v6, high, low)
        }
    }
}

fn expected(rules: &ScopeRules, address: std::net::IpAddr) -> Code {
    if rules.block.contains(address) {
        Code::Blocked
    } else if rules.allow.contains(address) {
        Code::Allowed
    } else {
        Code::Neither
    }
}

fn ruleset(scopes: Vec<ScopeRules>) -> Ruleset {
    let ports = std::sync::Arc::<[ScopeId]>::from(vec![0; 65536]);
    let ports = ports.try_into().unwrap();
    Ruleset { ports, scopes }
}

fn scope(id: ScopeId, block: PrefixSet, allow: PrefixSet) -> ScopeRules {
    ScopeRules {
        id,
        name: format!("s{id}"),
        config: ScopeConfig::default(),
        block,
        allow,
    }
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

fn check(flat: &Flat, rules: &Ruleset) -> Result<(), TestCaseError> {
    for scope in &rules.scopes {
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
        let rules = ruleset(vec![scope(0, block, allow)]);
        check(&Flat::new(&rules), &rules)?;
    }

    /// Tables, and changes of all sizes, to and from nothing.
    #[test]
    fn updates_lead_to_the_same_verdicts(
        states in proptest::collection::vec((lists(700), lists(20), lists(10)), 1..5),
        scopes in 1u16..4,
    ) {
        let mut flat = Flat::default();
        let mut held = ruleset(Vec::new());
        for (index, (block, allow, other)) in states.into_iter().enumerate() {
            let mut rules = vec![scope(0, block, allow)];
            if !index.is_multiple_of(2) {
                rules.push(scope(scopes, other.clone(), other));
            }
            let next = ruleset(rules);
            flat.update(&held, &next);
            check(&flat, &next)?;
            held = next;
        }
        // All of it given back: the next build fits into what is there.
        let before = flat.arena().pages().len();
        let empty = ruleset(Vec::new());
        flat.update(&held, &empty);
        flat.update(&empty, &held);
        check(&flat, &held)?;
        prop_assert!(flat.arena().pages().len() <= before + 64, "memory leaks");
    }
}

#[test]
fn a_change_writes_few_pages() {
    let hosts = |count: u32| -> Vec<(u128, u8)> {
        (0..count)
            .map(|i| (u128::from(i.wrapping_mul(0x9e37_79b9)) << 96, 32))
            .collect()
    };
    let old = ruleset(vec![scope(
        0,
        set(hosts(100_000), Vec::new()),
        PrefixSet::default(),
    )]);
    let new = ruleset(vec![scope(
        0,
        set(hosts(100_001), Vec::new()),
        PrefixSet::default(),
    )]);
    let mut flat = Flat::new(&old);
    flat.arena_mut().take_written();
    flat.update(&old, &new);
    let written = flat.arena_mut().take_written().len();
    assert!(written < 10, "{written} pages");
    check(&flat, &new).unwrap();
}
