//! One page of a table of hosts: finding an address on it, and putting one there.

use std::ops::Range;

use super::key::Key;
use crate::layout::{Hosts, Page, UNIT_WORDS, UNITS_PER_PAGE};

/// A place in a bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    bucket: u32,
    place: u32,
}

/// Where on its page an address stands.
pub(super) fn find<K: Key>(page: &Page, hosts: Hosts, key: K) -> Option<Spot> {
    let stored = key.stored(hosts);
    let (first, second) = key.pair(hosts);
    find_in::<K>(page, hosts, first, stored).or_else(|| find_in::<K>(page, hosts, second, stored))
}

/// Empties a place.
pub(super) fn clear<K: Key>(page: &mut Page, hosts: Hosts, spot: Spot) {
    let empty = K::empty(hosts, spot.bucket);
    K::store_at(bucket_mut(page, spot.bucket), hosts, spot.place, empty);
}

/// Puts an address on its page, and moves others to their other buckets if it must.
/// `false`: there is no room.
pub(super) fn put<K: Key>(page: &mut Page, hosts: Hosts, key: K) -> bool {
    let (first, second) = key.pair(hosts);
    let mut spot = vacancy::<K>(page, hosts, first);
    if first != second {
        spot = spot
            .or_else(|| vacancy::<K>(page, hosts, second))
            .or_else(|| make_room::<K>(page, hosts, [first, second]));
    }
    if let Some(Spot { bucket, place }) = spot {
        K::store_at(bucket_mut(page, bucket), hosts, place, key.stored(hosts));
    }
    spot.is_some()
}

/// All that stands in a bucket.
pub(super) fn in_bucket<K: Key>(page: &Page, hosts: Hosts, bucket: u32) -> impl Iterator<Item = K> {
    let empty = K::empty(hosts, bucket);
    (0..K::per_bucket(hosts))
        .map(move |place| K::stored_at(bucket_of(page, bucket), hosts, place))
        .filter(move |stored| *stored != empty)
        .map(move |stored| K::address(hosts, bucket, stored))
}

/// A page of a table, `number` pages from its first, with no host on it.
pub(super) fn empty_page<K: Key>(hosts: Hosts, number: u32) -> Page {
    let mut page = [0; UNIT_WORDS * UNITS_PER_PAGE as usize];
    let first = number * UNITS_PER_PAGE;
    for bucket in first..first + UNITS_PER_PAGE {
        let empty = K::empty(hosts, bucket);
        for place in 0..K::per_bucket(hosts) {
            K::store_at(bucket_mut(&mut page, bucket), hosts, place, empty);
        }
    }
    page
}

/// The words of a bucket on its page.
pub(super) fn bucket_mut(page: &mut Page, bucket: u32) -> &mut [u64] {
    &mut page[words_of(bucket)]
}

fn bucket_of(page: &Page, bucket: u32) -> &[u64] {
    &page[words_of(bucket)]
}

fn words_of(bucket: u32) -> Range<usize> {
    let at = (bucket % UNITS_PER_PAGE) as usize * UNIT_WORDS;
    at..at + UNIT_WORDS
}

fn vacancy<K: Key>(page: &Page, hosts: Hosts, bucket: u32) -> Option<Spot> {
    find_in::<K>(page, hosts, bucket, K::empty(hosts, bucket))
}

fn find_in<K: Key>(page: &Page, hosts: Hosts, bucket: u32, stored: K::Stored) -> Option<Spot> {
    (0..K::per_bucket(hosts))
        .find(|place| K::stored_at(bucket_of(page, bucket), hosts, *place) == stored)
        .map(|place| Spot { bucket, place })
}

/// Moves hosts of full buckets to their other ones until one of two has room: along the
/// shortest way there is, found breadth first (cuckoo hashing with buckets: Dietzfelbinger
/// and Weidling, Balanced allocation and dictionaries with tightly packed constant size bins,
/// 2007). A page has 128 buckets, so no way is long.
fn make_room<K: Key>(page: &mut Page, hosts: Hosts, buckets: [u32; 2]) -> Option<Spot> {
    let bit = |bucket: u32| 1u128 << (bucket % UNITS_PER_PAGE);
    let mut seen = bit(buckets[0]) | bit(buckets[1]);
    // Buckets, and whose host would move there: the step before, and its place.
    let mut steps: Vec<(u32, Option<(usize, u32)>)> = buckets.map(|bucket| (bucket, None)).to_vec();
    let mut at = 0;
    while let Some(&(bucket, mut from)) = steps.get(at) {
        for place in 0..K::per_bucket(hosts) {
            let stored = K::stored_at(bucket_of(page, bucket), hosts, place);
            let (first, second) = K::address(hosts, bucket, stored).pair(hosts);
            let other = if first == bucket { second } else { first };
            if seen & bit(other) != 0 {
                continue;
            }
            seen |= bit(other);
            let Some(mut free) = vacancy::<K>(page, hosts, other) else {
                steps.push((other, Some((at, place))));
                continue;
            };
            let mut moved = Spot { bucket, place };
            loop {
                let stored = K::stored_at(bucket_of(page, moved.bucket), hosts, moved.place);
                K::store_at(bucket_mut(page, free.bucket), hosts, free.place, stored);
                free = moved;
                let Some((step, place)) = from else {
                    return Some(free);
                };
                let bucket;
                (bucket, from) = steps[step];
                moved = Spot { bucket, place };
            }
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const ONE_PAGE: Hosts = Hosts::with_buckets(UNITS_PER_PAGE);

    fn host(n: u64) -> u128 {
        0x2001 << 112 | u128::from((2 * n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn all_on(page: &Page) -> BTreeSet<u128> {
        let buckets = 0..UNITS_PER_PAGE;
        buckets
            .flat_map(|bucket| in_bucket::<u128>(page, ONE_PAGE, bucket))
            .collect()
    }

    /// Also whoever had to move is where the program looks for it.
    #[test]
    fn page_takes_hosts_until_almost_all_places_are_used() {
        let mut page = empty_page::<u128>(ONE_PAGE, 0);
        let mut held = BTreeSet::new();
        let refused = (0..).map(host).find(|&host| {
            let is_taken = put(&mut page, ONE_PAGE, host);
            if is_taken {
                held.insert(host);
            }
            assert_eq!(all_on(&page), held, "none is lost on the way");
            !is_taken
        });
        assert!(held.len() >= 210, "only {} of 256", held.len());
        let refused = refused.unwrap();
        assert!(find(&page, ONE_PAGE, refused).is_none());
        for &host in &held {
            let spot = find(&page, ONE_PAGE, host).unwrap();
            let (first, second) = host.pair(ONE_PAGE);
            assert!(spot.bucket == first || spot.bucket == second);
        }
        for host in held {
            let spot = find(&page, ONE_PAGE, host).unwrap();
            clear::<u128>(&mut page, ONE_PAGE, spot);
            assert!(find(&page, ONE_PAGE, host).is_none());
        }
        assert!(put(&mut page, ONE_PAGE, refused));
        assert_eq!(all_on(&page), BTreeSet::from([refused]));
    }
}
