//! Parts of the addresses see together what reading everything sees.

use std::collections::BTreeSet;

use netpolicy_prefixes::{Prefix, PrefixSet, PrefixesBuilder, SAMPLE};
use proptest::prelude::*;

use super::super::{content::lists_in, scopes::Memory};
use super::*;
use crate::layout::{PAGE_WORDS, Presence};

/// Lists of the host.
#[derive(PartialEq)]
struct Rules {
    block: PrefixSet,
    allow: PrefixSet,
}

impl Rules {
    fn lists(&self) -> ScopeLists<'_> {
        ScopeLists {
            id: 0,
            block: &self.block,
            allow: &self.allow,
        }
    }

    fn memory(&self) -> Memory {
        Memory::new(&[self.lists()], 0)
    }
}

/// As compiled: what is wholly inside the block list is not on the allow list.
fn rules(block: PrefixSet, allow: &PrefixSet) -> Rules {
    let is_free = |prefix: &&Prefix4| {
        let covering = block.v4.covering(prefix.first());
        covering.is_none_or(|covering| covering.last() < prefix.last())
    };
    let mut free = PrefixesBuilder::default();
    allow.v4.iter().filter(is_free).for_each(|p| free.push(*p));
    let allow = PrefixSet {
        v4: free.finish(),
        ..PrefixSet::default()
    };
    Rules { block, allow }
}

/// Hosts; where the address of one is a multiple of 16, its /24 instead.
fn v4(hosts: impl IntoIterator<Item = u32>) -> PrefixSet {
    let hosts: BTreeSet<u32> = hosts.into_iter().collect();
    let nets = hosts.iter().filter(|host| **host % 16 == 0);
    let nets: BTreeSet<u32> = nets.map(|host| host & !0xff).collect();
    let hosts = hosts
        .iter()
        .filter(|host| !nets.contains(&(**host & !0xff)));
    let mut all: Vec<Prefix4> = hosts.map(|host| Prefix4::new(*host, 32)).collect();
    all.extend(nets.iter().map(|net| Prefix4::new(*net, 24)));
    all.sort_unstable();
    let mut list = PrefixesBuilder::default();
    for prefix in all {
        list.push(prefix);
    }
    PrefixSet {
        v4: list.finish(),
        ..PrefixSet::default()
    }
}

/// What reading `memory` in parts that begin at `cuts` finds.
fn in_parts(
    lists: &ListPair<Prefix4>,
    memory: &Memory,
    cuts: &BTreeSet<u32>,
) -> Vec<Result<(), Why>> {
    let starts: Vec<u32> = std::iter::once(0).chain(cuts.iter().copied()).collect();
    let page = |number: u32| Some(memory.arena().page(number));
    let of = u32::try_from(starts.len()).unwrap();
    let parts = (0u32..).zip(&starts).map(|(number, first)| Part {
        first: *first,
        last: starts
            .get(number as usize + 1)
            .map_or(u32::MAX, |next| next - 1),
        number,
        of,
    });
    parts
        .map(|part| read(lists, memory.roots(0).v4, &part, &page))
        .collect()
}

/// Addresses that lie in few places, so that many are adjacent.
fn addresses() -> impl Strategy<Value = Vec<u32>> {
    let address = (0u32..4, 0u32..3, any::<u8>())
        .prop_map(|(a, b, c)| (a << 30) | (b << 16) | (u32::from(c) * 7));
    proptest::collection::vec(address, 0..120)
}

proptest! {
    #[test]
    fn parts_see_together_what_all_see(
        held in (addresses(), addresses()),
        expected in (addresses(), addresses()),
        is_held in any::<bool>(),
        cuts in proptest::collection::btree_set(1u32.., 0..6),
    ) {
        let memory = rules(v4(held.0.clone()), &v4(held.1.clone())).memory();
        let (block, allow) = if is_held { held } else { expected };
        let rules = rules(v4(block), &v4(allow));
        let lists = ListPair::of(Some(rules.lists()));
        let page = |number: u32| Some(memory.arena().page(number));
        let all = read(&lists, memory.roots(0).v4, &Part::all(), &page);
        let parts = in_parts(&lists, &memory, &cuts);
        prop_assert_eq!(all.is_ok(), parts.iter().all(Result::is_ok), "{:?} {:?}", all, parts);
        prop_assert!(!is_held || all.is_ok());
    }

    #[test]
    fn content_read_back_judges_as_the_lists_that_were_written(
        block in addresses(),
        allow in addresses(),
        others in proptest::collection::vec(any::<u32>(), 20),
    ) {
        let rules = rules(v4(block.clone()), &v4(allow.clone()));
        let memory = rules.memory();
        let page = |number: u32| Some(memory.arena().page(number));
        let entries = (rules.block.len() + rules.allow.len()) as u64;
        let (found_block, found_allow) =
            lists_in(&memory.roots(0), entries, &page).unwrap();
        prop_assert!(found_block.v6.is_empty() && found_allow.v6.is_empty());
        let near = block.iter().chain(&allow).flat_map(|a| [*a, a ^ 1, a | 0xff, a & !0xff]);
        for address in near.chain(others) {
            let source = std::net::IpAddr::V4(address.into());
            let is_blocked = rules.block.contains(source);
            prop_assert_eq!(found_block.contains(source), is_blocked, "{}", source);
            let is_allowed = rules.allow.contains(source) && !is_blocked;
            prop_assert_eq!(found_allow.contains(source), is_allowed, "{}", source);
        }
        // Damage is told, and no other content.
        let none = |_: u32| None;
        prop_assert!(rules.block.is_empty() || lists_in(&memory.roots(0), 9, &none).is_none());
    }
}

/// One prefix more, or less, in a list of several samples: as many samples as there are
/// parts find it, wherever it is, and nothing where nothing is.
#[test]
fn samples_find_one_difference_among_many() {
    let count = u32::try_from(SAMPLE).unwrap() * 5 / 2;
    let hosts: Vec<u32> = (1..count).map(|n| n.wrapping_mul(0x85eb_ca6b)).collect();
    let all = rules(v4(hosts.iter().copied()), &PrefixSet::default());
    let memory = all.memory();
    let page = |number: u32| Some(memory.arena().page(number));
    let samples = |rules: &Rules| {
        let parts = Extent::Sample(0).part(&[&rules.block.v4]).of;
        assert!((2..10).contains(&parts), "{parts}");
        let read = |number| {
            differences(
                rules.lists(),
                &memory.roots(0),
                Extent::Sample(number),
                &page,
            )
        };
        (0..u64::from(parts)).flat_map(read).collect::<Vec<_>>()
    };
    assert_eq!(samples(&all), Vec::<String>::new());
    for at in [0, 1, hosts.len() / 2, hosts.len() - 1] {
        let (mut fewer, mut more) = (hosts.clone(), hosts.clone());
        fewer.remove(at);
        more.push(hosts[at] ^ 0x0100_0000);
        for other in [fewer, more] {
            let other = rules(v4(other), &PrefixSet::default());
            if other != all {
                assert_eq!(samples(&other), ["the lists differ (IPv4)"], "{at}");
            }
        }
    }
}

/// What the program would not look for is as good as gone.
#[test]
fn a_listed_address_without_its_presence_bit_is_damage() {
    let rules = rules(v4((0..900).map(|i| i * 77_777 + 1)), &PrefixSet::default());
    let memory = rules.memory();
    let root = memory.roots(0).v4;
    assert!(root.presence.is_some());
    let lists = ListPair::<Prefix4>::of(Some(rules.lists()));
    let word = root.presence.word(root.presence.bit_v4(77_778)) as usize;
    let altered = |bits: u64| {
        let number = u32::try_from(word / PAGE_WORDS).unwrap();
        let mut page = *memory.arena().page(number);
        page[word % PAGE_WORDS] = bits;
        (number, page)
    };
    let read_with = |(changed, page): &(u32, crate::layout::Page)| {
        let pages = |number: u32| {
            Some(if number == *changed {
                page
            } else {
                memory.arena().page(number)
            })
        };
        let is_readable = lists_in(&memory.roots(0), 900, &pages).is_some();
        (read(&lists, root, &Part::all(), &pages), is_readable)
    };
    assert_eq!(read_with(&altered(0)), (Err(Why::Damaged), false));
    assert_eq!(read_with(&altered(u64::MAX)), (Ok(()), true), "of no harm");
    let mut unsound = root;
    unsound.presence = Presence::new(root.presence.start(), 3);
    let pages = |number: u32| Some(memory.arena().page(number));
    let found = read(&lists, unsound, &Part::all(), &pages);
    assert_eq!(found, Err(Why::Damaged));
}
