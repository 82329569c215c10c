use std::net::Ipv4Addr;

use super::super::bits::words_of;
use super::*;
use crate::layout::Lanes;
use crate::lookup::{Pages, is_host_v4, is_host_v6};

struct ArenaPages<'a>(&'a Arena);

impl Pages for ArenaPages<'_> {
    fn page(&self, number: u32) -> Option<&Page> {
        Some(self.0.page(number))
    }
}

/// Tags that take all bits of their lanes, and tags that do not; and for either kind
/// of lanes the fewest buckets that it serves.
#[test]
fn tables_of_any_size_hold_their_hosts_and_no_others() {
    for (count, lanes) in [
        (900, Lanes::Two),
        (16_000, Lanes::Two),
        (17_000, Lanes::Three),
        (47_000, Lanes::Three),
        (70_000, Lanes::Three),
        (200_000, Lanes::Three),
        (2_500_000, Lanes::Four),
    ] {
        // Odd numbers, spread by a multiplication that is one to one.
        let hosts: Vec<u32> = (0..count)
            .map(|n: u32| (2 * n + 1).wrapping_mul(0x85eb_ca6b))
            .collect();
        let mut arena = Arena::starting_at(0);
        let (table, left) = HostTable::build(&mut arena, &hosts);
        assert_eq!(Lanes::of(table.hosts.shift), lanes);
        assert!(left.len() < hosts.len() / 20, "{count}: {}", left.len());

        let mut expected = hosts.clone();
        expected.sort_unstable();
        let page = |number| Some(arena.page(number));
        let mut found: Vec<u32> = addresses(table.hosts, &Part::all(), &page).unwrap();
        found.extend(&left);
        found.sort_unstable();
        assert_eq!(found, expected);

        let left: BTreeSet<u32> = left.into_iter().collect();
        for &host in hosts.iter().step_by(count as usize / 500) {
            let is_found = is_host_v4(&ArenaPages(&arena), &table.hosts, host);
            assert_eq!(is_found, !left.contains(&host), "{}", Ipv4Addr::from(host));
            // An even number is not among them.
            for other in [host.wrapping_add(0x85eb_ca6b), host ^ 1 << 31] {
                let is_listed = expected.binary_search(&other).is_ok();
                assert_eq!(
                    is_host_v4(&ArenaPages(&arena), &table.hosts, other),
                    is_listed
                );
            }
        }
    }
}

/// With as many as it was made for, and with as many more as it takes until it is made
/// again: the trie gets very few.
#[test]
fn tables_of_ipv6_hosts_leave_few_out() {
    let host = |n: u64| {
        let bits = (2 * n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        0x2001 << 112 | u128::from(bits) << 40 | u128::from(n & 3)
    };
    for count in [40, 900, 50_000, 400_000] {
        let hosts: Vec<u128> = (0..count).map(host).collect();
        let mut arena = Arena::starting_at(0);
        let (mut table, mut left) = HostTable::build(&mut arena, &hosts);
        assert!(
            left.len() < hosts.len() / 500 + 1,
            "{count}: {}",
            left.len()
        );
        let more: Vec<u128> = (count..count + count / 8).map(host).collect();
        let (_, homeless) = table.edit(&mut arena, &[], &more);
        assert!(homeless.len() < hosts.len() / 50 + 1, "{}", homeless.len());
        assert!(!table.is_unfit());

        left.extend(homeless);
        let left: BTreeSet<u128> = left.into_iter().collect();
        let page = |number| Some(arena.page(number));
        let mut found: Vec<u128> = addresses(table.hosts, &Part::all(), &page).unwrap();
        found.extend(&left);
        found.sort_unstable();
        let mut expected = [hosts, more].concat();
        expected.sort_unstable();
        assert!(found == expected);

        let is_host = |host: u128| {
            let [high, low] = words_of(host);
            is_host_v6(&ArenaPages(&arena), &table.hosts, high, low)
        };
        for &host in expected.iter().step_by(expected.len().div_ceil(500)) {
            assert_eq!(is_host(host), !left.contains(&host));
            for other in [host ^ 1 << 127, host ^ 1 << 64, host ^ 8] {
                assert_eq!(is_host(other), expected.binary_search(&other).is_ok());
            }
        }
    }
}

/// As people number them: one after the other, in one network, one to a network, or with a
/// card's number behind each of few networks.
#[test]
fn ipv6_hosts_that_follow_each_other_find_places_too() {
    let network = 0x2001_0db8 << 96;
    let numbered = |shift: u32| (1..=50_000u128).map(move |n| network | n << shift | 1 << 127);
    let every_other = (0..50_000).map(|n| network | (n % 7) << 64 | (n << 8) | 0xfe);
    let of_cards = (0..50_000).map(|n| network | (n % 16) << 64 | 0x0211_22ff_fe00_0000 | n);
    for hosts in [
        numbered(0).collect::<Vec<u128>>(),
        numbered(16).collect(),
        numbered(64).map(|host| host | 1).collect(),
        numbered(80).map(|host| host | 1).collect(),
        every_other.collect(),
        of_cards.collect(),
    ] {
        let mut arena = Arena::starting_at(0);
        let (_, left) = HostTable::build(&mut arena, &hosts);
        assert!(
            left.len() < hosts.len() / 50,
            "{:x}: {}",
            hosts[1],
            left.len()
        );
    }
}

#[test]
fn a_host_in_a_bucket_that_is_not_its_own_is_damage() {
    let hosts: Vec<u128> = (1..40).map(|n| 0x2001 << 112 | n).collect();
    let mut arena = Arena::starting_at(0);
    let (table, _) = HostTable::build(&mut arena, &hosts);
    let page = *arena.page(table.hosts.start());
    let read = |page: &Page| addresses::<u128>(table.hosts, &Part::all(), &|_| Some(page));
    assert_eq!(read(&page).map(|found| found.len()), Some(39));
    let (first, second) = hosts[0].pair(table.hosts);
    let elsewhere = (0..UNITS_PER_PAGE).find(|bucket| *bucket != first && *bucket != second);
    let mut damaged = page;
    let bucket = bucket_mut(&mut damaged, elsewhere.unwrap());
    u128::store_at(bucket, table.hosts, 1, hosts[0]);
    assert!(read(&damaged).is_none());
}

#[test]
fn a_table_that_begins_within_a_page_is_damage() {
    let hosts: Vec<u32> = (1..400).map(|n| n << 7).collect();
    let mut arena = Arena::starting_at(0);
    let (mut table, _) = HostTable::build(&mut arena, &hosts);
    table.hosts.place += 1 << 32;
    let found = hosts
        .iter()
        .filter(|host| is_host_v4(&ArenaPages(&arena), &table.hosts, **host));
    assert!(found.count() < 10, "it is looked for one unit further on");
    let page = |number| Some(arena.page(number));
    assert!(addresses::<u32>(table.hosts, &Part::all(), &page).is_none());
}

/// A change of a large table copies pages; what was in force before stays as it was.
#[test]
fn overlay_pages_hold_what_changed_and_the_others_stay() {
    let host = |n: u32| (2 * n + 1).wrapping_mul(0x85eb_ca6b);
    let mut expected: BTreeSet<u32> = (0..120_000).map(host).collect();
    let mut arena = Arena::starting_at(0);
    let all: Vec<u32> = expected.iter().copied().collect();
    let (mut table, left) = HostTable::build(&mut arena, &all);
    for host in left {
        expected.remove(&host);
    }
    assert!(page_count(table.hosts) > LARGE);
    let read = |arena: &Arena, table: &HostTable| -> BTreeSet<u32> {
        let page = |number| Some(arena.page(number));
        addresses(table.hosts, &Part::all(), &page)
            .unwrap()
            .into_iter()
            .collect()
    };
    for round in 0..20 {
        let (before, was) = (table, expected.clone());
        let first = 120_000 + 50 * round;
        let out: Vec<u32> = was
            .iter()
            .copied()
            .skip(round as usize)
            .step_by(5_000)
            .collect();
        let add: Vec<u32> = (first..first + 50).map(host).collect();
        let (missing, homeless) = table.edit(&mut arena, &out, &add);
        assert!(missing.is_empty());
        expected.retain(|host| !out.contains(host));
        expected.extend(add.iter().filter(|host| !homeless.contains(host)));

        assert_eq!(table.count, expected.len());
        assert!(read(&arena, &table) == expected && read(&arena, &before) == was);
        let is_host = |host| is_host_v4(&ArenaPages(&arena), &table.hosts, host);
        assert!(out.iter().all(|host| !is_host(*host)));
        assert!(
            add.iter()
                .all(|host| is_host(*host) != homeless.contains(host))
        );
        let retired = arena.take_retired();
        arena.reclaim(retired);
    }
    let pages = arena.pages().len();
    table.free(&mut arena);
    let retired = arena.take_retired();
    arena.reclaim(retired);
    HostTable::build(&mut arena, &all);
    assert_eq!(arena.pages().len(), pages, "all pages came back");
}
