//! Tables of single hosts: building them, and changing copies of them.

use std::collections::BTreeSet;

use netpolicy_prefixes::Part;

use super::{
    arena::{Arena, HALVES, PageSource, place_of_half},
    bits::halves,
    buckets::{Spot, bucket_mut, clear, empty_page, find, in_bucket, put},
    key::Key,
};
use crate::layout::{Hosts, PAGE_WORDS, Page, UNITS_PER_PAGE};

/// Of larger tables, in pages, a change does not copy all but gives the pages that it
/// changes overlay pages.
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
        let mut hosts = Hosts::with_buckets(K::buckets(keys.len()));
        let pages = page_count(hosts);
        let first = arena.take_pages(pages);
        hosts.set_start(first);
        for page in 0..pages {
            *arena.page_mut(first + page) = empty_page::<K>(hosts, page);
        }
        let places = K::per_bucket(hosts);
        // The counts spare looking for empty places, until hosts must move.
        let mut filled = vec![0u8; (pages * UNITS_PER_PAGE) as usize];
        let mut left = Vec::new();
        for key in by_page(keys, hosts) {
            let (one, other) = key.pair(hosts);
            let free = [one, other]
                .into_iter()
                .find(|bucket| u32::from(filled[*bucket as usize]) < places);
            match free {
                Some(bucket) => {
                    let page = arena.page_mut(first + page_of(bucket));
                    let filled = &mut filled[bucket as usize];
                    let place = u32::from(*filled);
                    K::store_at(bucket_mut(page, bucket), hosts, place, key.stored(hosts));
                    *filled += 1;
                }
                None => left.push(key),
            }
        }
        left.retain(|key| {
            let page = first + page_of(key.pair(hosts).0);
            !put(arena.page_mut(page), hosts, *key)
        });
        left.sort_unstable();
        let table = Self {
            hosts,
            count: keys.len() - left.len(),
            made_for: keys.len(),
        };
        (table, left)
    }

    /// Whether there is a table at all.
    pub(super) fn is_some(&self) -> bool {
        self.hosts.buckets != 0
    }

    /// Whether it is time for a larger or smaller one.
    pub(super) fn is_unfit(&self) -> bool {
        self.is_some()
            && (self.count > self.made_for + self.made_for / 8 + FEWEST
                || self.count < self.made_for / 2)
    }

    /// Whether it holds an address.
    pub(super) fn contains<K: Key>(&self, arena: &Arena, key: K) -> bool {
        self.is_some() && self.find(arena, key).is_some()
    }

    /// Where on its page an address stands.
    fn find<K: Key>(&self, arena: &Arena, key: K) -> Option<Spot> {
        find(arena.page(self.page_number(arena, key)), self.hosts, key)
    }

    /// The page on which an address has its place.
    fn page_number<K: Key>(&self, arena: &Arena, key: K) -> u32 {
        let at = page_of(key.pair(self.hosts).0);
        self.overlay(arena, at).unwrap_or(self.hosts.start() + at)
    }

    /// What stands in for the `at`-th page.
    fn overlay(&self, arena: &Arena, at: u32) -> Option<u32> {
        if self.hosts.overlays() == 0 {
            return None;
        }
        let page = arena.half(self.hosts.overlays(), at);
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
        for &key in out {
            let Some(spot) = self.find(arena, key) else {
                missing.push(key);
                continue;
            };
            let page = self.own_page(arena, key, &mut copied);
            clear::<K>(arena.page_mut(page), self.hosts, spot);
            self.count -= 1;
        }
        for &key in add {
            let page = self.own_page(arena, key, &mut copied);
            if put(arena.page_mut(page), self.hosts, key) {
                self.count += 1;
            } else {
                homeless.push(key);
            }
        }
        (missing, homeless)
    }

    /// The page on which an address has its place, as a copy that no program reads.
    fn own_page<K: Key>(&mut self, arena: &mut Arena, key: K, copied: &mut Copied) -> u32 {
        let pages = page_count(self.hosts);
        let is_first = !copied.any;
        copied.any = true;
        if pages <= LARGE {
            if is_first {
                let moved = arena.move_pages(self.hosts.start(), pages);
                self.hosts.set_start(moved);
            }
            return self.page_number(arena, key);
        }
        if is_first {
            let count = overlay_pages(pages);
            let overlays = if self.hosts.overlays() == 0 {
                let none = arena.take_pages(count);
                for page in none..none + count {
                    *arena.page_mut(page) = [0; PAGE_WORDS];
                }
                none
            } else {
                arena.move_pages(self.hosts.overlays(), count)
            };
            self.hosts.set_overlays(overlays);
        }
        let page = self.page_number(arena, key);
        let at = page_of(key.pair(self.hosts).0);
        if !copied.pages.insert(at) {
            return page;
        }
        let page = arena.move_pages(page, 1);
        arena.set_half(self.hosts.overlays(), at, page);
        page
    }

    /// Gives all of it back.
    pub(super) fn free(self, arena: &mut Arena) {
        if !self.is_some() {
            return;
        }
        let pages = page_count(self.hosts);
        if self.hosts.overlays() == 0 {
            arena.give_pages(self.hosts.start(), pages);
            return;
        }
        for at in 0..pages {
            let page = self.overlay(arena, at).unwrap_or(self.hosts.start() + at);
            arena.give_pages(page, 1);
        }
        arena.give_pages(self.hosts.overlays(), overlay_pages(pages));
    }
}

/// Parts of a table that are filled one after the other.
const PARTS: usize = 256;

/// Addresses with those of neighbouring pages together, which are then filled in the caches:
/// mixed as they come, each would wait for memory. One pass of a radix sort.
fn by_page<K: Key>(keys: &[K], hosts: Hosts) -> Vec<K> {
    let pages = page_count(hosts) as usize;
    let part_of = |key: &K| page_of(key.pair(hosts).0) as usize * PARTS / pages;
    let mut next = [0; PARTS];
    for key in keys {
        next[part_of(key)] += 1;
    }
    let mut before = 0;
    for next in &mut next {
        let count = std::mem::replace(next, before);
        before += count;
    }
    let mut sorted = keys.to_vec();
    for key in keys {
        let next = &mut next[part_of(key)];
        sorted[*next] = *key;
        *next += 1;
    }
    sorted
}

/// What one edit copied already.
#[derive(Default)]
struct Copied {
    /// The list of overlay pages, or all of a table that has none.
    any: bool,
    pages: BTreeSet<u32>,
}

/// The addresses on the pages of a table that a part has as its share, in no order, from
/// pages wherever they are; `None` if one of the pages is missing, or an address stands
/// where none looks for it, or all of them do.
pub(super) fn addresses<K: Key>(
    hosts: Hosts,
    part: &Part<K>,
    pages: PageSource<'_>,
) -> Option<Vec<K>> {
    let mut found = Vec::new();
    if !hosts.is_on_pages() {
        return None;
    }
    for at in part.share(page_count(hosts)) {
        let page = page_at(hosts, at, pages)?;
        let buckets = at * UNITS_PER_PAGE..hosts.buckets.min((at + 1) * UNITS_PER_PAGE);
        for bucket in buckets {
            for key in in_bucket::<K>(page, hosts, bucket) {
                // Where the program would not look for it, it might as well not stand.
                let (first, second) = key.pair(hosts);
                if bucket != first && bucket != second {
                    return None;
                }
                found.push(key);
            }
        }
    }
    Some(found)
}

/// Whether an address stands in a table whose pages are wherever they are; `None` if one
/// of them is missing.
pub(super) fn holds<K: Key>(hosts: Hosts, key: K, pages: PageSource<'_>) -> Option<bool> {
    if hosts.buckets == 0 {
        return Some(false);
    }
    if !hosts.is_on_pages() {
        return None;
    }
    let page = page_at(hosts, page_of(key.pair(hosts).0), pages)?;
    Some(find(page, hosts, key).is_some())
}

/// The `at`-th page of a table, or what stands in for it.
fn page_at<'p>(hosts: Hosts, at: u32, pages: PageSource<'p>) -> Option<&'p Page> {
    if hosts.overlays() != 0 {
        let (list, word) = place_of_half(hosts.overlays(), at);
        match halves(pages(list)?[word])[at as usize % 2] {
            0 => {}
            overlay => return pages(overlay),
        }
    }
    pages(hosts.start().checked_add(at)?)
}

/// The page of a table that holds a bucket.
fn page_of(bucket: u32) -> u32 {
    bucket / UNITS_PER_PAGE
}

fn page_count(hosts: Hosts) -> u32 {
    hosts.buckets.div_ceil(UNITS_PER_PAGE)
}

/// Pages of a list of overlay pages.
fn overlay_pages(pages: u32) -> u32 {
    pages.div_ceil(HALVES)
}

#[cfg(test)]
mod tests;
