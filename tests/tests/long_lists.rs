//! Lists so long that a look-up goes other ways than with short ones: a presence bitmap is asked
//! first, or not, depending on what the last source was.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::cast_possible_truncation,
    reason = "random numbers, taken apart"
)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netpolicy_common::{HOST_SCOPE, Reason};
use netpolicy_tests::fixtures::HOST_PORT;
use netpolicy_tests::rules::{self, Loaded};
use netpolicy_user::compiler::{Extent, Ruleset, compile};
use netpolicy_user::model::{Rule, RuleList};

/// Entries of each family: so many that both have a presence bitmap.
const V4: u64 = 290_000;
const V6: u64 = 72_000;

/// Outside all entries.
const ABSENT: [&str; 2] = ["9.0.0.1", "3fff::1"];

/// Bits that look random, by number.
fn spread(number: u64) -> u64 {
    let mut bits = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits ^ bits >> 29
}

/// The entry with this number: one in ten is a network, some of them short.
fn entry(number: u64, is_v6: bool) -> IpNet {
    let bits = spread(number << 1 | u64::from(is_v6));
    let is_net = number.is_multiple_of(10);
    if is_v6 {
        let high = 0x2000_0000_0000_0000 | bits >> 4;
        let address = Ipv6Addr::from(u128::from(high) << 64 | u128::from(spread(bits)));
        let len = if is_net { 29 + (bits % 37) as u8 } else { 128 };
        return Ipv6Net::new_assert(address, len).trunc().into();
    }
    let address = Ipv4Addr::from(0x0a00_0000 + (bits % 0xd000_0000) as u32);
    let len = if is_net {
        18 + (bits >> 40) as u8 % 13
    } else {
        32
    };
    Ipv4Net::new_assert(address, len).trunc().into()
}

/// A list of the entries with these numbers.
fn list(v4: std::ops::Range<u64>, v6: std::ops::Range<u64>) -> RuleList {
    let nets = v4
        .map(|n| entry(n, false))
        .chain(v6.map(|n| entry(n, true)));
    let rules = nets.map(|net| Rule {
        net,
        source: 0,
        line: 0,
        note: None,
    });
    let mut rules: Vec<Rule> = rules.collect();
    rules.sort_by_key(|rule| rule.net);
    rules.dedup_by_key(|rule| rule.net);
    RuleList::from_parts(rules, vec!["test".into()])
}

/// All entries of both families from the `from`-th on are blocked.
fn blocking(from: u64, count_v4: u64, count_v6: u64) -> Arc<Ruleset> {
    let mut state = rules::state(&[rules::policy("long", None, &[], &[])]);
    state.policies[0].block = list(from..from + count_v4, from..from + count_v6);
    Arc::new(compile(&state))
}

/// Sources in entries, next to them, and anywhere.
fn sources(from: u64) -> impl Iterator<Item = IpAddr> {
    (0..1200).flat_map(move |number| {
        [false, true].into_iter().flat_map(move |is_v6| {
            let inside = entry(from + number * 7 * (1 + u64::from(!is_v6) * 3), is_v6).addr();
            let elsewhere = spread(number ^ 0xabcd_0000);
            match inside {
                IpAddr::V4(a) => [
                    inside,
                    Ipv4Addr::from(u32::from(a) ^ 1).into(),
                    Ipv4Addr::from(u32::from(a) ^ 0x200).into(),
                    Ipv4Addr::from(0x0a00_0000 + (elsewhere % 0xd000_0000) as u32).into(),
                ],
                IpAddr::V6(a) => [
                    inside,
                    Ipv6Addr::from(u128::from(a) ^ 1).into(),
                    Ipv6Addr::from(u128::from(a) ^ 1 << 80).into(),
                    Ipv6Addr::from(u128::from(0x2000 << 48 | elsewhere >> 4) << 64).into(),
                ],
            }
        })
    })
}

/// Fails unless the program judges as the lists say, whatever came before. `blocked`: a host of
/// each family on the list.
fn check(loaded: &mut Loaded, ruleset: &Ruleset, blocked: [IpAddr; 2], from: u64) {
    let found = loaded.datapath().verify(ruleset, Extent::Full).unwrap();
    assert_eq!(found, Vec::<String>::new());
    let scope = ruleset.scopes.iter().find(|scope| scope.id == HOST_SCOPE);
    let block = &scope.unwrap().block;
    let absent = ABSENT.map(|address| address.parse().unwrap());
    let mut counts = [0; 2];
    for source in sources(from) {
        let is_blocked = block.contains(source);
        let expected = if is_blocked {
            Reason::Blocked
        } else {
            Reason::NotBlocked
        };
        counts[usize::from(is_blocked)] += 1;
        for before in [blocked, absent] {
            let before = before[usize::from(source.is_ipv6())];
            let its_own = if block.contains(before) {
                Reason::Blocked
            } else {
                Reason::NotBlocked
            };
            assert_eq!(loaded.judge_syn(before, HOST_PORT), its_own, "{before}");
            let found = loaded.judge_syn(source, HOST_PORT);
            assert_eq!(found, expected, "{source} after {before}");
        }
    }
    assert!(counts.iter().all(|count| *count > 1000), "{counts:?}");
}

/// The first two hosts of the list from here on.
fn hosts(from: u64) -> [IpAddr; 2] {
    [false, true].map(|is_v6| {
        let numbers = from..from + 10;
        let mut entries = numbers.map(|number| entry(number, is_v6));
        let host = entries.find(|net| net.prefix_len() == net.max_prefix_len());
        host.unwrap().addr()
    })
}

/// Also after small changes, which set bits of the bitmaps in place and leave others, and after
/// others were built.
#[test]
fn long_lists_are_judged_alike_whatever_came_before() {
    // The reason is looked up by the processor that the last packet was judged on.
    let mut cpu = nix::sched::CpuSet::new();
    cpu.set(0).unwrap();
    nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &cpu).unwrap();
    let first = blocking(0, V4, V6);
    let mut loaded = Loaded::new(&first);
    check(&mut loaded, &first, hosts(0), 0);
    for from in [300, 20_000, 200_000] {
        let next = blocking(from, V4, V6);
        loaded.apply(&next);
        check(&mut loaded, &next, hosts(from), from - from % 1000);
    }
    // Too few for a bitmap, and enough again.
    for (from, count) in [(5, 9000), (7, V4)] {
        let next = blocking(from, count, count.min(V6));
        loaded.apply(&next);
        check(&mut loaded, &next, hosts(from), from);
    }
}
