//! Tables of single hosts: building them, and changing copies of them.

use std::collections::BTreeSet;

use netpolicy_common::flat::{Hosts, LINE_WORDS, LINES_PER_PAGE, PAGE_WORDS};

use super::{Arena, Page, arena::HALVES, key::Key};

/// Of larger tables, in pages, a change does not copy all but gives the pages that it
/// changes stand-ins.
const LARGE: u32 = 64;

/// With fewer hosts than these, a table is not worth a look.
pub(super) const FEWEST: usize = 32;

/// A table, and how full it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HostTable {
    pub(super) hosts: Hosts,
    /// Hosts in it.
    pub(super) count: usize,
    /// Hosts that it was made for.
    made_for: usize,
}

impl HostTable {
    /// Makes a table of these addresses, and returns those that are not in it, in their
    /// order: what finds no place, and all of very few.
    pub(super) fn build<K: Key>(arena: &mut Arena, keys: &[K]) -> (Self, Vec<K>) {
        if keys.len() < FEWEST {
            return (Self::default(), keys.to_vec());
        }
        let buckets = K::buckets(keys.len());
        let mut hosts = Hosts {
            buckets,
            shift: buckets.ilog2(),
            ..Hosts::default()
        };
        let pages = page_count::<K>(hosts);
        let first = arena.take_pages(pages);
        hosts.start = first;
        for page in 0..pages {
            *arena.page_mut(first + page) = empty_page::<K>(hosts, page);
        }
        let mut filled = vec![0u8; buckets as usize];
        let mut table = Self {
            hosts,
            count: 0,
            made_for: keys.len(),
        };
        let places = K::places(hosts);
        let mut left = Vec::new();
        for &key in keys {
            let (bucket, tag) = key.place(hosts);
            let stored = key.stored(tag);
            let filled = &mut filled[bucket as usize];
            // IPv6 fills a line from either side, so a count does not tell the place.
            let place = if K::LINES == 1 {
                u32::from(*filled)
            } else {
                let words = bucket_words::<K>(arena.page(first + page_of::<K>(bucket)), bucket);
                let empty = K::empty(hosts, bucket);
                (0..places)
                    .find(|place| K::stored_at(words, hosts, tag, *place) == empty)
                    .unwrap_or(places)
            };
            if place >= places || !key.is_told_from_empty() {
                left.push(key);
                continue;
            }
            let page = arena.page_mut(first + page_of::<K>(bucket));
            K::store_at(
                bucket_words_mut::<K>(page, bucket),
                hosts,
                tag,
                place,
                stored,
            );
            *filled += 1;
            table.count += 1;
        }
        (table, left)
    }

    /// Whether there is a table at all.
    pub(super) fn is_some(&self) -> bool {
        self.hosts.buckets != 0
    }

    /// Whether it is time for a larger or smaller one.
    pub(super) fn is_unfit(&self) -> bool {
        self.is_some()
            && (self.count > self.made_for + self.made_for / 5 + FEWEST
                || self.count < self.made_for / 2)
    }

    /// Whether it holds an address.
    pub(super) fn contains<K: Key>(&self, arena: &Arena, key: K) -> bool {
        if !self.is_some() {
            return false;
        }
        let (bucket, tag) = key.place(self.hosts);
        let stored = key.stored(tag);
        key.is_told_from_empty() && self.find::<K>(arena, bucket, tag, stored).is_some()
    }

    /// The place of a bucket where this stands.
    fn find<K>(&self, arena: &Arena, bucket: u32, tag: u32, stored: K::Stored) -> Option<u32>
    where
        K: Key,
    {
        let page = arena.page(self.page_number::<K>(arena, bucket));
        let words = bucket_words::<K>(page, bucket);
        (0..K::places(self.hosts))
            .find(|place| K::stored_at(words, self.hosts, tag, *place) == stored)
    }

    fn page_number<K: Key>(&self, arena: &Arena, bucket: u32) -> u32 {
        let at = page_of::<K>(bucket);
        self.stand_in(arena, at).unwrap_or(self.hosts.start + at)
    }

    /// What stands in for the `at`-th page.
    fn stand_in(&self, arena: &Arena, at: u32) -> Option<u32> {
        if self.hosts.stand_ins == 0 {
            return None;
        }
        let page = arena.half(self.hosts.stand_ins, at);
        (page != 0).then_some(page)
    }

    /// Takes hosts out and puts others in, in a copy. Returns those that were not in it,
    /// and those that find no place.
    pub(super) fn edit<K: Key>(
        &mut self,
        arena: &mut Arena,
        out: &[K],
        add: &[K],
    ) -> (Vec<K>, Vec<K>) {
        let (mut missing, mut homeless) = (Vec::new(), Vec::new());
        let mut copied = Copied::default();
        let hosts = self.hosts;
        for (keys, left, is_added) in [(out, &mut missing, false), (add, &mut homeless, true)] {
            for &key in keys {
                let (bucket, tag) = key.place(hosts);
                let (empty, stored) = (K::empty(hosts, bucket), key.stored(tag));
                let (from, to) = if is_added {
                    (empty, stored)
                } else {
                    (stored, empty)
                };
                let place = key
                    .is_told_from_empty()
                    .then(|| self.find::<K>(arena, bucket, tag, from))
                    .flatten();
                let Some(place) = place else {
                    left.push(key);
                    continue;
                };
                let page = self.own_page::<K>(arena, bucket, &mut copied);
                let words = bucket_words_mut::<K>(arena.page_mut(page), bucket);
                K::store_at(words, hosts, tag, place, to);
                if is_added {
                    self.count += 1;
                } else {
                    self.count -= 1;
                }
            }
        }
        (missing, homeless)
    }

    /// The page of a bucket, as a copy that no program reads.
    fn own_page<K: Key>(&mut self, arena: &mut Arena, bucket: u32, copied: &mut Copied) -> u32 {
        let pages = page_count::<K>(self.hosts);
        let is_first = !copied.any;
        copied.any = true;
        if pages <= LARGE {
            if is_first {
                self.hosts.start = arena.move_pages(self.hosts.start, pages);
            }
            return self.page_number::<K>(arena, bucket);
        }
        if is_first {
            let count = stand_in_pages(pages);
            self.hosts.stand_ins = if self.hosts.stand_ins == 0 {
                let none = arena.take_pages(count);
                for page in none..none + count {
                    *arena.page_mut(page) = [0; PAGE_WORDS];
                }
                none
            } else {
                arena.move_pages(self.hosts.stand_ins, count)
            };
        }
        let page = self.page_number::<K>(arena, bucket);
        let at = page_of::<K>(bucket);
        if !copied.pages.insert(at) {
            return page;
        }
        let page = arena.move_pages(page, 1);
        arena.set_half(self.hosts.stand_ins, at, page);
        page
    }

    /// Gives all of it back.
    pub(super) fn free<K: Key>(self, arena: &mut Arena) {
        if !self.is_some() {
            return;
        }
        let pages = page_count::<K>(self.hosts);
        if self.hosts.stand_ins == 0 {
            arena.give_pages(self.hosts.start, pages);
            return;
        }
        for at in 0..pages {
            let page = self.stand_in(arena, at).unwrap_or(self.hosts.start + at);
            arena.give_pages(page, 1);
        }
        arena.give_pages(self.hosts.stand_ins, stand_in_pages(pages));
    }
}

/// What one edit copied already.
#[derive(Default)]
struct Copied {
    /// The list of stand-ins, or all of a table that has none.
    any: bool,
    pages: BTreeSet<u32>,
}

/// All addresses of a table, in no order, from pages wherever they are; `None` if one of
/// them is missing.
pub(super) fn addresses<'a, K: Key>(
    hosts: Hosts,
    page: &dyn Fn(u32) -> Option<&'a Page>,
) -> Option<Vec<K>> {
    let mut found = Vec::new();
    for bucket in 0..hosts.buckets {
        let at = page_of::<K>(bucket);
        let mut number = hosts.start.checked_add(at)?;
        if hosts.stand_ins != 0 {
            let (list, word) = super::arena::place_of_half(hosts.stand_ins, at);
            match super::build::halves(page(list)?[word])[at as usize % 2] {
                0 => {}
                stand_in => number = stand_in,
            }
        }
        let words = bucket_words::<K>(page(number)?, bucket);
        let empty = K::empty(hosts, bucket);
        for place in 0..K::places(hosts) {
            let stored = K::stored_at(words, hosts, 0, place);
            if stored != empty {
                found.push(K::address(hosts, bucket, stored));
            }
        }
    }
    Some(found)
}

const fn buckets_per_page<K: Key>() -> u32 {
    LINES_PER_PAGE / K::LINES
}

/// The page of a table that holds a bucket.
fn page_of<K: Key>(bucket: u32) -> u32 {
    bucket / buckets_per_page::<K>()
}

fn page_count<K: Key>(hosts: Hosts) -> u32 {
    hosts.buckets.div_ceil(buckets_per_page::<K>())
}

/// Pages of a list of stand-ins.
fn stand_in_pages(pages: u32) -> u32 {
    pages.div_ceil(HALVES)
}

fn range_of_bucket<K: Key>(bucket: u32) -> std::ops::Range<usize> {
    let words = K::LINES as usize * LINE_WORDS;
    let at = (bucket % buckets_per_page::<K>()) as usize * words;
    at..at + words
}

fn bucket_words<K: Key>(page: &Page, bucket: u32) -> &[u64] {
    &page[range_of_bucket::<K>(bucket)]
}

fn bucket_words_mut<K: Key>(page: &mut Page, bucket: u32) -> &mut [u64] {
    &mut page[range_of_bucket::<K>(bucket)]
}

/// A page of a table, `number` pages from its first, with no host on it.
fn empty_page<K: Key>(hosts: Hosts, number: u32) -> Page {
    let mut page = [0; PAGE_WORDS];
    let first = number * buckets_per_page::<K>();
    for bucket in first..first + buckets_per_page::<K>() {
        let empty = K::empty(hosts, bucket);
        let words = bucket_words_mut::<K>(&mut page, bucket);
        for place in 0..K::places(hosts) {
            K::store_at(words, hosts, 0, place, empty);
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use netpolicy_common::flat::Lanes;
    use netpolicy_ebpf::flat::{Pages, is_host_v4};

    use super::*;

    struct Memory<'a>(&'a Arena);

    impl Pages for Memory<'_> {
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
            let mut found: Vec<u32> = addresses(table.hosts, &page).unwrap();
            found.extend(&left);
            found.sort_unstable();
            assert_eq!(found, expected);

            let left: BTreeSet<u32> = left.into_iter().collect();
            for &host in hosts.iter().step_by(count as usize / 500) {
                let is_found = is_host_v4(&Memory(&arena), &table.hosts, host);
                assert_eq!(is_found, !left.contains(&host), "{}", Ipv4Addr::from(host));
                // An even number is not among them.
                for other in [host.wrapping_add(0x85eb_ca6b), host ^ 1 << 31] {
                    let is_listed = expected.binary_search(&other).is_ok();
                    assert_eq!(is_host_v4(&Memory(&arena), &table.hosts, other), is_listed);
                }
            }
        }
    }

    /// A change of a large table copies pages; what was in force before stays as it was.
    #[test]
    fn pages_that_stand_in_hold_what_changed_and_the_others_stay() {
        let host = |n: u32| (2 * n + 1).wrapping_mul(0x85eb_ca6b);
        let mut expected: BTreeSet<u32> = (0..120_000).map(host).collect();
        let mut arena = Arena::starting_at(0);
        let all: Vec<u32> = expected.iter().copied().collect();
        let (mut table, left) = HostTable::build(&mut arena, &all);
        for host in left {
            expected.remove(&host);
        }
        assert!(page_count::<u32>(table.hosts) > LARGE);
        let read = |arena: &Arena, table: &HostTable| -> BTreeSet<u32> {
            let page = |number| Some(arena.page(number));
            addresses(table.hosts, &page).unwrap().into_iter().collect()
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
            let is_host = |host| is_host_v4(&Memory(&arena), &table.hosts, host);
            assert!(out.iter().all(|host| !is_host(*host)));
            assert!(
                add.iter()
                    .all(|host| is_host(*host) != homeless.contains(host))
            );
            let retired = arena.take_retired();
            arena.reclaim(retired);
        }
        let pages = arena.pages().len();
        table.free::<u32>(&mut arena);
        let retired = arena.take_retired();
        arena.reclaim(retired);
        HostTable::build(&mut arena, &all);
        assert_eq!(arena.pages().len(), pages, "all pages came back");
    }
}
