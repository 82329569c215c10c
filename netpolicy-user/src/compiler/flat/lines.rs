//! One page of a table of hosts: finding an address on it, and putting one there.

use std::ops::Range;

use netpolicy_common::flat::{Hosts, LINE_WORDS, LINES_PER_PAGE};

use super::{Page, key::Key};

/// A place on a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    line: u32,
    place: u32,
}

/// Where on its page an address stands.
pub(super) fn find<K: Key>(page: &Page, hosts: Hosts, key: K) -> Option<Spot> {
    let stored = key.stored(hosts);
    let (first, second) = key.lines(hosts);
    find_on::<K>(page, hosts, first, stored).or_else(|| find_on::<K>(page, hosts, second, stored))
}

/// Empties a place.
pub(super) fn clear<K: Key>(page: &mut Page, hosts: Hosts, spot: Spot) {
    let empty = K::empty(hosts, spot.line);
    K::store_at(line_mut(page, spot.line), hosts, spot.place, empty);
}

/// Puts an address on its page, and moves others to their other lines if it must.
/// `false`: there is no room.
pub(super) fn put<K: Key>(page: &mut Page, hosts: Hosts, key: K) -> bool {
    let (first, second) = key.lines(hosts);
    let mut spot = vacancy::<K>(page, hosts, first);
    if first != second {
        spot = spot
            .or_else(|| vacancy::<K>(page, hosts, second))
            .or_else(|| make_room::<K>(page, hosts, [first, second]));
    }
    if let Some(Spot { line, place }) = spot {
        K::store_at(line_mut(page, line), hosts, place, key.stored(hosts));
    }
    spot.is_some()
}

/// All that stands on a line.
pub(super) fn on_line<K: Key>(page: &Page, hosts: Hosts, line: u32) -> impl Iterator<Item = K> {
    let empty = K::empty(hosts, line);
    (0..K::per_line(hosts))
        .map(move |place| K::stored_at(line_of(page, line), hosts, place))
        .filter(move |stored| *stored != empty)
        .map(move |stored| K::address(hosts, line, stored))
}

/// A page of a table, `number` pages from its first, with no host on it.
pub(super) fn empty_page<K: Key>(hosts: Hosts, number: u32) -> Page {
    let mut page = [0; LINE_WORDS * LINES_PER_PAGE as usize];
    let first = number * LINES_PER_PAGE;
    for line in first..first + LINES_PER_PAGE {
        let empty = K::empty(hosts, line);
        for place in 0..K::per_line(hosts) {
            K::store_at(line_mut(&mut page, line), hosts, place, empty);
        }
    }
    page
}

/// The words of a line on its page.
pub(super) fn line_mut(page: &mut Page, line: u32) -> &mut [u64] {
    &mut page[words_of(line)]
}

fn line_of(page: &Page, line: u32) -> &[u64] {
    &page[words_of(line)]
}

fn words_of(line: u32) -> Range<usize> {
    let at = (line % LINES_PER_PAGE) as usize * LINE_WORDS;
    at..at + LINE_WORDS
}

fn vacancy<K: Key>(page: &Page, hosts: Hosts, line: u32) -> Option<Spot> {
    find_on::<K>(page, hosts, line, K::empty(hosts, line))
}

fn find_on<K: Key>(page: &Page, hosts: Hosts, line: u32, stored: K::Stored) -> Option<Spot> {
    (0..K::per_line(hosts))
        .find(|place| K::stored_at(line_of(page, line), hosts, *place) == stored)
        .map(|place| Spot { line, place })
}

/// Moves hosts of full lines to their other lines until one of two lines has room: along
/// the shortest way there is, found breadth first (cuckoo hashing with buckets: Dietzfelbinger
/// and Weidling, Balanced allocation and dictionaries with tightly packed constant size bins,
/// 2007). A page has 64 lines, so no way is long.
fn make_room<K: Key>(page: &mut Page, hosts: Hosts, lines: [u32; 2]) -> Option<Spot> {
    let bit = |line: u32| 1u64 << (line % LINES_PER_PAGE);
    let mut seen = bit(lines[0]) | bit(lines[1]);
    // Lines, and whose host would move there: the step before, and its place.
    let mut steps: Vec<(u32, Option<(usize, u32)>)> = lines.map(|line| (line, None)).to_vec();
    let mut at = 0;
    while let Some(&(line, mut from)) = steps.get(at) {
        for place in 0..K::per_line(hosts) {
            let stored = K::stored_at(line_of(page, line), hosts, place);
            let (first, second) = K::address(hosts, line, stored).lines(hosts);
            let other = if first == line { second } else { first };
            if seen & bit(other) != 0 {
                continue;
            }
            seen |= bit(other);
            let Some(mut free) = vacancy::<K>(page, hosts, other) else {
                steps.push((other, Some((at, place))));
                continue;
            };
            let mut moved = Spot { line, place };
            loop {
                let stored = K::stored_at(line_of(page, moved.line), hosts, moved.place);
                K::store_at(line_mut(page, free.line), hosts, free.place, stored);
                free = moved;
                let Some((step, place)) = from else {
                    return Some(free);
                };
                let line;
                (line, from) = steps[step];
                moved = Spot { line, place };
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

    const ONE_PAGE: Hosts = Hosts {
        start: 0,
        buckets: LINES_PER_PAGE,
        shift: LINES_PER_PAGE.ilog2(),
        stand_ins: 0,
    };

    fn host(n: u64) -> u128 {
        0x2001 << 112 | u128::from((2 * n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn all_on(page: &Page) -> BTreeSet<u128> {
        let lines = 0..LINES_PER_PAGE;
        lines
            .flat_map(|line| on_line::<u128>(page, ONE_PAGE, line))
            .collect()
    }

    /// Also whoever had to move is where the program looks for it.
    #[test]
    fn a_page_takes_hosts_until_hardly_a_place_is_left() {
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
        assert!(held.len() >= 240, "only {} of 256", held.len());
        let refused = refused.unwrap();
        assert!(find(&page, ONE_PAGE, refused).is_none());
        for &host in &held {
            let spot = find(&page, ONE_PAGE, host).unwrap();
            let (first, second) = host.lines(ONE_PAGE);
            assert!(spot.line == first || spot.line == second);
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
