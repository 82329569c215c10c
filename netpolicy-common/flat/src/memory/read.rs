//! Reading memory back: whether it says what a scope's lists say.
//!
//! The memory need not be one that was built here, nor be sound: all of it is read and
//! compared by meaning, and reading ends with the first difference.

use std::iter::Peekable;

use netpolicy_common::Listing;
use netpolicy_prefixes::{Address, Extent, Part, Prefix4, Prefix6};

use super::{
    arena::{PageSource, place_of_half},
    bits::{halves, low_ones},
    hosts::{addresses, holds},
    lists::{Family, ListPair, ScopeLists},
    nodes::{deeper, planes_to_slots},
    presence,
    table::{TABLE_BITS, entry_of},
};
use crate::layout::{
    FINAL, LEAF, NODE, PLANES_WORDS, RECORD, Root, Roots, UNIT_WORDS, UNITS_PER_PAGE, final_slot,
    is_plain, is_table, kind, leaf, leaf_code, leaf_unit, prefix_len, table_start, unit,
};

/// Names the families in which memory and lists differ, as far as the extent goes. Takes
/// about 0.2 µs a prefix.
#[must_use]
pub fn differences(
    scope: ScopeLists<'_>,
    roots: &Roots,
    extent: Extent,
    pages: PageSource<'_>,
) -> Vec<String> {
    let (v4, v6) = (ListPair::of(Some(scope)), ListPair::of(Some(scope)));
    let part_v4 = extent.part(&[&v4.block, &v4.allow]);
    let part_v6 = extent.part(&[&v6.block, &v6.allow]);
    let found = [
        ("IPv4", read::<Prefix4>(&v4, roots.v4, &part_v4, pages)),
        ("IPv6", read::<Prefix6>(&v6, roots.v6, &part_v6, pages)),
    ];
    let differing = found.into_iter().filter_map(|(family, read)| {
        let why = match read.err()? {
            Why::Differs => "the lists differ",
            Why::Damaged => "the lists are damaged",
        };
        Some(format!("{why} ({family})"))
    });
    differing.collect()
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Why {
    Differs,
    Damaged,
}

fn read<P: Family>(
    lists: &ListPair<P>,
    root: Root,
    part: &Part<P::Address>,
    pages: PageSource<'_>,
) -> Result<(), Why> {
    let singles = singles(lists, root, part, pages)?;
    let clip = |prefix: P| part.clip((prefix.first(), prefix.last()));
    let within = || part.first..=part.last;
    let block = lists.block.range(within()).filter_map(clip);
    let allow = lists.allow.range(within()).filter_map(clip).flat_map(|p| {
        let inside = lists.block.range(p.0..=p.1);
        without(p, inside.map(|p| (p.first(), p.last())))
    });
    let mut compared = Compared {
        blocked: Comparison::new(Box::new(block)),
        allowed: Comparison::new(Box::new(allow)),
    };
    Reading::<P> {
        pages,
        part: *part,
        singles: singles.into_iter().peekable(),
        sink: &mut compared,
        budget: steps(lists.len()),
    }
    .slot(root.start, 0, 0)?;
    compared.blocked.finish()?;
    compared.allowed.finish()?;
    // What is in no bitmap, the program does not look for.
    let listed = lists
        .block
        .range(within())
        .chain(lists.allow.range(within()));
    for prefix in listed {
        if !presence::holds(root.presence, prefix, pages).ok_or(Why::Damaged)? {
            return Err(Why::Damaged);
        }
    }
    Ok(())
}

/// Steps that reading so many prefixes takes at most.
pub(super) fn steps(prefixes: usize) -> usize {
    (1 << 20) + prefixes.saturating_mul(64)
}

/// Takes what is read: ranges that ascend, of which neighbours may touch.
pub(super) trait Sink<A> {
    /// A range that is listed.
    fn found(&mut self, first: A, last: A, code: Listing) -> Result<(), Why>;
}

/// What tables say of the hosts in a part of the addresses, ascending.
///
/// Of all addresses, what stands in the tables. Of a part, which of the listed hosts do;
/// what stands on the part's share of the pages is only looked at whether it should.
fn singles<P: Family>(
    lists: &ListPair<P>,
    root: Root,
    part: &Part<P::Address>,
    pages: PageSource<'_>,
) -> Result<Vec<(P::Address, Listing)>, Why> {
    let mut singles = Vec::new();
    for (hosts, list, code) in [
        (root.allow, &lists.allow, Listing::Allowed),
        (root.block, &lists.block, Listing::Blocked),
    ] {
        // Far more places than addresses: not a table of these lists.
        if u64::from(hosts.buckets) > lists.len() as u64 + (1 << 18) {
            return Err(Why::Damaged);
        }
        let standing = addresses::<P::Address>(hosts, part, pages).ok_or(Why::Damaged)?;
        if part.of == 1 {
            singles.extend(standing.into_iter().map(|host| (host, code)));
            continue;
        }
        let is_listed = |host: &P::Address| {
            list.covering(*host).is_some()
                && (code == Listing::Blocked || lists.block.covering(*host).is_none())
        };
        if !standing.iter().all(is_listed) {
            return Err(Why::Differs);
        }
        for prefix in list.range(part.first..=part.last).filter(|p| p.is_host()) {
            let host = prefix.first();
            if holds(hosts, host, pages).ok_or(Why::Damaged)? {
                singles.push((host, code));
            }
        }
    }
    in_order(&mut singles);
    Ok(singles)
}

/// Sorts hosts; of one that is on both lists the block counts, which is looked for first.
pub(super) fn in_order<A: Address>(singles: &mut Vec<(A, Listing)>) {
    singles.sort_unstable_by_key(|(host, code)| (*host, *code as u8));
    singles.dedup_by_key(|(host, _)| *host);
}

/// A range without others that ascend.
fn without<A: Address>((first, last): (A, A), others: impl Iterator<Item = (A, A)>) -> Vec<(A, A)> {
    let mut left = Vec::new();
    let mut from = Some(first);
    for (first, last) in others {
        if let (Some(from), Some(before)) = (from, first.previous())
            && from <= before
        {
            left.push((from, before));
        }
        from = last.next();
    }
    left.extend(from.filter(|from| *from <= last).map(|from| (from, last)));
    left
}

pub(super) struct Reading<'p, 's, P: Family> {
    pub(super) pages: PageSource<'p>,
    /// What is read; the rest is passed over.
    pub(super) part: Part<P::Address>,
    /// Single hosts, which come before the trie; ascending.
    pub(super) singles: Peekable<std::vec::IntoIter<(P::Address, Listing)>>,
    pub(super) sink: &'s mut dyn Sink<P::Address>,
    /// Steps left: a damaged memory may lead in circles.
    pub(super) budget: usize,
}

impl<'p, P: Family> Reading<'p, '_, P> {
    /// Reads what a slot says of the addresses that begin with the first `depth` bits of
    /// `first`.
    pub(super) fn slot(&mut self, slot: u32, first: u128, depth: u8) -> Result<(), Why> {
        let last = first | low_ones(depth);
        let (from, upto) = self.range();
        if last < from || upto < first {
            return Ok(());
        }
        self.budget = self.budget.checked_sub(1).ok_or(Why::Damaged)?;
        match kind(slot) {
            FINAL if is_plain(slot) => self.says(first, last, Listing::from_bits(slot >> 2)),
            FINAL => {
                let bits = u128::from(slot >> 16) << 112;
                let rest = Listing::from_bits(slot >> 4);
                let inner = final_slot(Listing::from_bits(slot >> 2));
                self.prefix(first, depth, bits, prefix_len(slot), inner, rest)
            }
            LEAF => self.leaf(slot, first, depth),
            NODE if is_table(slot) => {
                let end = depth.checked_add(TABLE_BITS).filter(|end| *end <= P::WIDTH);
                let end = end.ok_or(Why::Damaged)?;
                let place = |bits: u128| entry_of(bits, depth);
                for entry in place(from.max(first))..=place(upto.min(last)) {
                    let slot = half(self.pages, table_start(slot), entry).ok_or(Why::Damaged)?;
                    self.slot(slot, first | u128::from(entry) << (128 - end), end)?;
                }
                Ok(())
            }
            NODE if depth + 8 <= P::WIDTH => {
                let planes = self.words(unit(slot), PLANES_WORDS)?;
                let words = PLANES_WORDS + deeper(planes).div_ceil(2) as usize;
                let slots = planes_to_slots(self.words(unit(slot), words)?);
                for (value, slot) in (0u128..).zip(slots) {
                    self.slot(slot, first | value << (120 - depth), depth + 8)?;
                }
                Ok(())
            }
            RECORD => {
                let words = self.words(unit(slot), UNIT_WORDS)?;
                let bits = u128::from(words[0]) << 64 | u128::from(words[1]);
                let ([inner, rest], len) = (halves(words[2]), words[3]);
                let len = u32::try_from(len).unwrap_or(0);
                self.prefix(
                    first,
                    depth,
                    bits,
                    len,
                    inner,
                    Listing::from_bits(rest >> 2),
                )
            }
            _ => Err(Why::Damaged),
        }
    }

    /// Reads on, among the addresses that begin with the first `depth` bits of `first`,
    /// with the slot `inner` of those whose next `len` bits are `bits`, left aligned; all
    /// others have the code `rest`.
    fn prefix(
        &mut self,
        first: u128,
        depth: u8,
        bits: u128,
        len: u32,
        inner: u32,
        rest: Listing,
    ) -> Result<(), Why> {
        let len = u8::try_from(len).unwrap_or(0);
        let within = depth.checked_add(len).filter(|end| *end <= P::WIDTH);
        let end = within.filter(|_| len > 0).ok_or(Why::Damaged)?;
        let last = first | low_ones(depth);
        let inside = first | (bits & !low_ones(len)) >> depth;
        if let Some(before) = inside.checked_sub(1).filter(|before| *before >= first) {
            self.says(first, before, rest)?;
        }
        self.slot(inner, inside, end)?;
        let inside_last = inside | low_ones(end);
        match inside_last.checked_add(1).filter(|after| *after <= last) {
            Some(after) => self.says(after, last, rest),
            None => Ok(()),
        }
    }

    /// The prefixes of a leaf, among the addresses that begin with the first `depth` bits of
    /// `first`.
    fn leaf(&mut self, slot: u32, first: u128, depth: u8) -> Result<(), Why> {
        let leaf = leaf(slot);
        let words = self.words(leaf_unit(slot), leaf.words())?;
        let mut prefixes = Vec::with_capacity(leaf.count());
        for place in 0..leaf.count() {
            let (bits, len) = leaf.load(words, place).ok_or(Why::Damaged)?;
            let end = u8::try_from(len)
                .ok()
                .and_then(|len| depth.checked_add(len));
            let end = end.filter(|end| *end <= P::WIDTH).ok_or(Why::Damaged)?;
            prefixes.push((first | u128::from(bits) << 96 >> depth, end));
        }
        prefixes.sort_unstable();
        prefixes.dedup();
        let (code, rest) = (leaf_code(slot, true), leaf_code(slot, false));
        let last = first | low_ones(depth);
        let mut from = Some(first);
        for (inside, end) in prefixes {
            let start = from.filter(|from| *from <= inside).ok_or(Why::Damaged)?;
            if let Some(before) = inside.checked_sub(1).filter(|before| *before >= start) {
                self.says(start, before, rest)?;
            }
            let inside_last = inside | low_ones(end);
            self.says(inside, inside_last, code)?;
            from = inside_last.checked_add(1);
        }
        match from.filter(|from| *from <= last) {
            Some(from) => self.says(from, last, rest),
            None => Ok(()),
        }
    }

    /// The part that is read, left aligned.
    fn range(&self) -> (u128, u128) {
        let last = P::align(self.part.last) | low_ones(P::WIDTH);
        (P::align(self.part.first), last)
    }

    /// What the trie says of a range; single hosts come before it.
    fn says(&mut self, first: u128, last: u128, code: Listing) -> Result<(), Why> {
        let range = (P::address(first), P::address(last));
        let Some((mut first, last)) = self.part.clip(range) else {
            return Ok(());
        };
        while let Some((host, its_code)) = self.singles.next_if(|(host, _)| *host <= last) {
            if let Some(before) = host.previous().filter(|before| *before >= first) {
                self.is(first, before, code)?;
            }
            self.is(host, host, its_code)?;
            match host.next().filter(|after| *after <= last) {
                Some(after) => first = after,
                None => return Ok(()),
            }
        }
        self.is(first, last, code)
    }

    fn is(&mut self, first: P::Address, last: P::Address, code: Listing) -> Result<(), Why> {
        match code {
            Listing::Neither => Ok(()),
            Listing::Blocked | Listing::Allowed => self.sink.found(first, last, code),
        }
    }

    fn words(&self, unit: u32, words: usize) -> Result<&'p [u64], Why> {
        let at = (unit % UNITS_PER_PAGE) as usize * UNIT_WORDS;
        let page = (self.pages)(unit / UNITS_PER_PAGE).ok_or(Why::Damaged)?;
        page.get(at..at + words).ok_or(Why::Damaged)
    }
}

fn half(pages: PageSource<'_>, start: u32, index: u32) -> Option<u32> {
    let (page, word) = place_of_half(start, index);
    Some(halves(pages(page)?[word])[index as usize % 2])
}

/// What should be read.
struct Compared<'a, A> {
    blocked: Comparison<'a, A>,
    allowed: Comparison<'a, A>,
}

impl<A: Address> Sink<A> for Compared<'_, A> {
    fn found(&mut self, first: A, last: A, code: Listing) -> Result<(), Why> {
        match code {
            Listing::Blocked => self.blocked.found(first, last),
            _ => self.allowed.found(first, last),
        }
    }
}

/// Two ascending series of ranges, in each of which neighbours may touch.
struct Comparison<'a, A> {
    expected: Peekable<Box<dyn Iterator<Item = (A, A)> + 'a>>,
    open: Option<(A, A)>,
}

impl<'a, A: Address> Comparison<'a, A> {
    fn new(expected: Box<dyn Iterator<Item = (A, A)> + 'a>) -> Self {
        Self {
            expected: expected.peekable(),
            open: None,
        }
    }

    fn found(&mut self, first: A, last: A) -> Result<(), Why> {
        match &mut self.open {
            Some((_, end)) if end.next() == Some(first) => {
                *end = last;
                Ok(())
            }
            _ => {
                self.close()?;
                self.open = Some((first, last));
                Ok(())
            }
        }
    }

    fn close(&mut self) -> Result<(), Why> {
        let Some(found) = self.open.take() else {
            return Ok(());
        };
        if self.next_expected() == Some(found) {
            Ok(())
        } else {
            Err(Why::Differs)
        }
    }

    fn next_expected(&mut self) -> Option<(A, A)> {
        let (first, mut last) = self.expected.next()?;
        while let Some((_, end)) = self
            .expected
            .next_if(|(first, _)| last.next() == Some(*first))
        {
            last = end;
        }
        Some((first, last))
    }

    fn finish(&mut self) -> Result<(), Why> {
        self.close()?;
        match self.next_expected() {
            None => Ok(()),
            Some(_) => Err(Why::Differs),
        }
    }
}

#[cfg(test)]
mod tests;
