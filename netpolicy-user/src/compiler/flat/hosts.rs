//! Tables of single hosts: building them, and changing copies of them.

use std::collections::BTreeSet;

use netpolicy_common::flat::{
    ADDRESSES_PER_LINE, Hosts, LINE_WORDS, LINES_PER_PAGE, Lanes, PAGE_WORDS, mix, mix_v6, unmix,
};

use super::{Arena, Page, arena::HALVES, build::words_of};
use crate::compiler::Address;

/// Tables of more pages have a directory, so that a change copies a page and not all.
const DIRECTORY_FROM: u32 = 64;

/// With fewer hosts than these, a table is not worth a look.
pub(super) const FEWEST: usize = 32;

/// An address as a table holds it.
pub(super) trait Key: Address {
    /// Lines of a bucket.
    const LINES: u32;

    /// Buckets for so many hosts: so many that a few in a hundred find theirs full.
    fn buckets(count: usize) -> u32;

    /// The bucket of this address, and a number that says where in it.
    fn place(self, hosts: Hosts) -> (u32, u32);

    /// Places of a bucket, in the order in which they are filled.
    fn places(hosts: Hosts) -> u32;

    /// What stands at a place of a bucket, to be compared with [`Key::stored`].
    fn stored_at(bucket: &[u64], hosts: Hosts, tag: u32, place: u32) -> Self::Stored;

    /// Stores to a place of a bucket.
    fn store_at(bucket: &mut [u64], hosts: Hosts, tag: u32, place: u32, stored: Self::Stored);

    /// What stands for this address in its bucket.
    fn stored(self, tag: u32) -> Self::Stored;

    /// What stands where nothing is.
    fn empty(hosts: Hosts) -> Self::Stored;

    /// The address that stands in a bucket as this.
    fn address(hosts: Hosts, bucket: u32, stored: Self::Stored) -> Self;

    /// A tag, or an address.
    type Stored: Copy + Eq;
}

impl Key for u32 {
    const LINES: u32 = 1;
    type Stored = u32;

    fn buckets(count: usize) -> u32 {
        // Seven tenths of the places in use. Each kind of lanes needs so many buckets
        // that a tag fits, and the next kind serves from there on.
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let with = |per_line: u32| count / per_line * 10 / 7 + 1;
        let (two, three, four) = (
            with(Lanes::Two.per_line()),
            with(Lanes::Three.per_line()),
            with(Lanes::Four.per_line()),
        );
        if four >= 1 << 18 || three >= 1 << 18 {
            four.max(1 << 18)
        } else if three >= 1 << 13 || two >= 1 << 13 {
            three.max(1 << 13)
        } else {
            two.max(4)
        }
    }

    fn place(self, hosts: Hosts) -> (u32, u32) {
        hosts.place(mix(self))
    }

    fn places(hosts: Hosts) -> u32 {
        Lanes::of(hosts.shift).per_line()
    }

    fn stored_at(bucket: &[u64], hosts: Hosts, _: u32, place: u32) -> u32 {
        let (word, shift, mask) = lane(hosts, place);
        u32::try_from(bucket[word] >> shift & mask).unwrap_or(u32::MAX)
    }

    fn store_at(bucket: &mut [u64], hosts: Hosts, _: u32, place: u32, stored: u32) {
        let (word, shift, mask) = lane(hosts, place);
        bucket[word] = bucket[word] & !(mask << shift) | u64::from(stored) << shift;
    }

    fn stored(self, tag: u32) -> u32 {
        tag
    }

    fn empty(hosts: Hosts) -> u32 {
        Lanes::of(hosts.shift).empty()
    }

    fn address(hosts: Hosts, bucket: u32, tag: u32) -> u32 {
        // The smallest number that has this bucket and tag when it is multiplied.
        let least = u64::from(bucket) << 32 | u64::from(tag) << hosts.shift;
        let mixed = least.div_ceil(u64::from(hosts.buckets));
        unmix(u32::try_from(mixed).unwrap_or(u32::MAX))
    }
}

/// Word, shift and mask of a lane.
fn lane(hosts: Hosts, place: u32) -> (usize, u32, u64) {
    let lanes = Lanes::of(hosts.shift);
    let word = (place / lanes.per_word()) as usize;
    let shift = place % lanes.per_word() * lanes.width();
    (word, shift, (1 << lanes.width()) - 1)
}

impl Key for u128 {
    const LINES: u32 = 2;
    type Stored = u128;

    fn buckets(count: usize) -> u32 {
        // 5.2 of 8 places in use.
        u32::try_from(count).unwrap_or(u32::MAX) / 26 * 5 + 2
    }

    fn place(self, hosts: Hosts) -> (u32, u32) {
        let [high, low] = words_of(self);
        hosts.place(mix_v6(high, low))
    }

    fn places(_: Hosts) -> u32 {
        2 * u32::try_from(ADDRESSES_PER_LINE).unwrap_or(4)
    }

    fn stored_at(bucket: &[u64], _: Hosts, tag: u32, place: u32) -> u128 {
        let at = address_at(tag, place);
        u128::from(bucket[at]) << 64 | u128::from(bucket[at + 1])
    }

    fn store_at(bucket: &mut [u64], _: Hosts, tag: u32, place: u32, stored: u128) {
        let at = address_at(tag, place);
        bucket[at..at + 2].copy_from_slice(&words_of(stored));
    }

    fn stored(self, _: u32) -> u128 {
        self
    }

    /// The unspecified address, which is never put into a table.
    fn empty(_: Hosts) -> u128 {
        0
    }

    fn address(_: Hosts, _: u32, stored: u128) -> u128 {
        stored
    }
}

/// First word of a place in a pair of lines: the line that the tag prefers comes first.
fn address_at(tag: u32, place: u32) -> usize {
    let first = (tag & 1) as usize * LINE_WORDS;
    (first ^ (place as usize / ADDRESSES_PER_LINE * LINE_WORDS))
        + place as usize % ADDRESSES_PER_LINE * 2
}

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
        let empty = empty_page::<K>(hosts);
        for page in first..first + pages {
            *arena.page_mut(page) = empty;
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
                (0..places)
                    .find(|place| K::stored_at(words, hosts, tag, *place) == K::empty(hosts))
                    .unwrap_or(places)
            };
            if place >= places || stored == K::empty(hosts) {
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
        if pages > DIRECTORY_FROM {
            table.make_directory(arena, first, pages);
        }
        (table, left)
    }

    fn make_directory(&mut self, arena: &mut Arena, first: u32, pages: u32) {
        let start = arena.take_pages(directory_pages(pages));
        for at in 0..pages {
            arena.set_half(start, at, first + at);
        }
        self.hosts.start = start;
        self.hosts.flags = Hosts::DIRECTORY;
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
        stored != K::empty(self.hosts) && self.find::<K>(arena, bucket, tag, stored).is_some()
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
        if self.hosts.flags & Hosts::DIRECTORY == 0 {
            self.hosts.start + at
        } else {
            arena.half(self.hosts.start, at)
        }
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
                let (empty, stored) = (K::empty(hosts), key.stored(tag));
                let (from, to) = if is_added {
                    (empty, stored)
                } else {
                    (stored, empty)
                };
                let place = (stored != empty)
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
        let has_directory = self.hosts.flags & Hosts::DIRECTORY != 0;
        if !copied.start {
            let pages = page_count::<K>(self.hosts);
            let count = if has_directory {
                directory_pages(pages)
            } else {
                pages
            };
            self.hosts.start = arena.move_pages(self.hosts.start, count);
            copied.start = true;
        }
        let at = page_of::<K>(bucket);
        if has_directory && copied.pages.insert(at) {
            let page = arena.half(self.hosts.start, at);
            let page = arena.move_pages(page, 1);
            arena.set_half(self.hosts.start, at, page);
        }
        self.page_number::<K>(arena, bucket)
    }

    /// Gives all of it back.
    pub(super) fn free<K: Key>(self, arena: &mut Arena) {
        if !self.is_some() {
            return;
        }
        let pages = page_count::<K>(self.hosts);
        if self.hosts.flags & Hosts::DIRECTORY == 0 {
            arena.give_pages(self.hosts.start, pages);
            return;
        }
        for at in 0..pages {
            let page = arena.half(self.hosts.start, at);
            arena.give_pages(page, 1);
        }
        arena.give_pages(self.hosts.start, directory_pages(pages));
    }
}

/// What one edit copied already.
#[derive(Default)]
struct Copied {
    /// The directory, or all of a table without one.
    start: bool,
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
        let number = if hosts.flags & Hosts::DIRECTORY == 0 {
            hosts.start.checked_add(at)?
        } else {
            let (directory, word) = super::arena::place_of_half(hosts.start, at);
            super::build::halves(page(directory)?[word])[at as usize % 2]
        };
        let words = bucket_words::<K>(page(number)?, bucket);
        for place in 0..K::places(hosts) {
            let stored = K::stored_at(words, hosts, 0, place);
            if stored != K::empty(hosts) {
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

fn directory_pages(pages: u32) -> u32 {
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

fn empty_page<K: Key>(hosts: Hosts) -> Page {
    let mut page = [0; PAGE_WORDS];
    for bucket in 0..buckets_per_page::<K>() {
        for place in 0..K::places(hosts) {
            let words = bucket_words_mut::<K>(&mut page, bucket);
            K::store_at(words, hosts, 0, place, K::empty(hosts));
        }
    }
    page
}
