//! What several lists of one family cover together, as the fewest prefixes.

use netpolicy_prefixes::intervals::{self, Interval};

use super::index::Nets;
use super::reduced::Without;
use super::{Address, Prefix, Prefixes, PrefixesBuilder};

/// The fewest prefixes that cover what the lists cover.
pub(super) fn whole<P: Prefix>(lists: &[&Nets<P>]) -> Prefixes<P> {
    let mut prefixes = PrefixesBuilder::default();
    join(lists, |interval| {
        intervals::prefixes(interval, |addr, len| prefixes.push(P::new(addr, len)));
    });
    prefixes.finish()
}

/// The fewest prefixes that cover what the lists cover and the exceptions do not.
pub(super) fn whole_without<P: Prefix>(lists: &[&Nets<P>], exceptions: &[&Nets<P>]) -> Prefixes<P> {
    let mut excepted = Vec::new();
    join(exceptions, |interval| excepted.push(interval));
    let mut without = Without::new(excepted.into_iter());
    let mut prefixes = PrefixesBuilder::default();
    join(lists, |interval| {
        without.left(interval, |left| {
            intervals::prefixes(left, |addr, len| prefixes.push(P::new(addr, len)));
        });
    });
    prefixes.finish()
}

/// Visits what the lists cover together: intervals that ascend and do not touch each other.
fn join<P: Prefix>(lists: &[&Nets<P>], visit: impl FnMut(Interval<P::Address>)) {
    let mut union = Joiner { open: None, visit };
    // Merged in pieces as long as a chunk of the longest list: they stay in the cache,
    // and no second copy of everything is needed.
    let longest = lists.iter().max_by_key(|nets| nets.sorted.len());
    let chunks = longest.into_iter().flat_map(|nets| nets.sorted.chunks());
    let ends = chunks.skip(1).filter_map(|chunk| chunk.prefixes().first());
    let mut lists: Vec<_> = lists
        .iter()
        .map(|nets| nets.sorted.iter().peekable())
        .collect();
    let mut piece: Vec<P> = Vec::new();
    for end in ends.map(Some).chain([None]) {
        for list in &mut lists {
            let before = |net: &&P| end.is_none_or(|end| *net < end);
            piece.extend(std::iter::from_fn(|| list.next_if(before)));
        }
        // Sorted runs one after the other: a stable sort merges them.
        piece.sort();
        for net in piece.drain(..) {
            union.add(net);
        }
    }
    if let Some(interval) = union.open.take() {
        (union.visit)(interval);
    }
}

/// Makes intervals of networks that come sorted.
struct Joiner<A, F> {
    open: Option<Interval<A>>,
    visit: F,
}

impl<A: Address, F: FnMut(Interval<A>)> Joiner<A, F> {
    #[inline]
    fn add<P: Prefix<Address = A>>(&mut self, net: P) {
        let (first, last) = (net.first(), net.last());
        match &mut self.open {
            Some(open) if open.1.next().is_none_or(|next| first <= next) => {
                open.1 = open.1.max(last);
            }
            open => {
                if let Some(done) = open.replace((first, last)) {
                    (self.visit)(done);
                }
            }
        }
    }
}

/// What the lists cover together, where `old` is what they covered before some
/// networks within `touched` came or went. Also gives the ranges of addresses outside
/// of which nothing changed; no prefix, old or new, reaches over their ends.
///
/// `touched` ascend and do not touch each other. Takes time in proportion to them, to
/// the lists, and to the networks within them.
pub(super) fn changed<P: Prefix>(
    old: &Prefixes<P>,
    lists: &[&Nets<P>],
    touched: &[Interval<P::Address>],
) -> (Prefixes<P>, Vec<Interval<P::Address>>) {
    changed_to(old, touched, |range, covered| {
        for list in lists {
            list.within(range, covered);
        }
    })
}

/// As [`changed`], where `cover` appends what is covered of a range now.
pub(super) fn changed_to<P: Prefix>(
    old: &Prefixes<P>,
    touched: &[Interval<P::Address>],
    mut cover: impl FnMut(Interval<P::Address>, &mut Vec<Interval<P::Address>>),
) -> (Prefixes<P>, Vec<Interval<P::Address>>) {
    // What comes may join with what adjoins, what goes may have been joined with it.
    let reach = |&(first, last)| (downwards(old, first), upwards(old, last));
    let mut ranges: Vec<_> = touched.iter().map(reach).collect();
    intervals::merge(&mut ranges);

    let mut new = Vec::new();
    let mut covered = Vec::new();
    let mut left = touched;
    for &(start, end) in &ranges {
        covered.clear();
        // What is in the range but was not touched is covered, now as before: else the
        // range would have ended there.
        let mut next = Some(start);
        while let [(first, last), rest @ ..] = left
            && *last <= end
        {
            if let (Some(from), Some(to)) = (next, first.previous())
                && from <= to
            {
                covered.push((from, to));
            }
            cover((*first, *last), &mut covered);
            next = last.next();
            left = rest;
        }
        if let Some(from) = next
            && from <= end
        {
            covered.push((from, end));
        }
        intervals::merge(&mut covered);
        for &interval in &covered {
            intervals::prefixes(interval, |addr, len| new.push(P::new(addr, len)));
        }
    }
    (old.splice(&ranges, &new), ranges)
}

/// The first address that is connected with `from` by what is covered.
fn downwards<P: Prefix>(covered: &Prefixes<P>, from: P::Address) -> P::Address {
    let mut start = from;
    while let Some(below) = start.previous().and_then(|below| covered.covering(below)) {
        start = below.first();
    }
    start
}

/// The last address that is connected with `from` by what is covered.
fn upwards<P: Prefix>(covered: &Prefixes<P>, from: P::Address) -> P::Address {
    let mut end = from;
    while let Some(above) = end.next().and_then(|above| covered.covering(above)) {
        end = above.last();
    }
    end
}

/// The prefixes of `all` that do not lie wholly inside `block`.
pub(super) fn outside<P: Prefix>(all: &Prefixes<P>, block: &Prefixes<P>) -> Prefixes<P> {
    let mut blocks = block.iter().copied().peekable();
    let mut left = PrefixesBuilder::default();
    for chunk in all.chunks() {
        for prefix in chunk.prefixes() {
            while blocks
                .next_if(|block| block.last() < prefix.first())
                .is_some()
            {}
            if !blocks.peek().is_some_and(|block| holds(*block, *prefix)) {
                left.push_like(*prefix, Some(chunk));
            }
        }
    }
    left.finish_like(all.chunks().next_back())
}

/// `left`, the prefixes of some lists outside of `old_block`, after these lists' became
/// `all`, different within `ranges`, and `block` different from before.
///
/// No prefix reaches over the ends of `ranges`, which ascend.
pub(super) fn outside_changed<P: Prefix>(
    left: &Prefixes<P>,
    all: &Prefixes<P>,
    mut ranges: Vec<Interval<P::Address>>,
    block: &Prefixes<P>,
    block_changed: &[Interval<P::Address>],
) -> Prefixes<P> {
    for &(first, last) in block_changed {
        ranges.extend(
            all.range(first..=last)
                .map(|prefix| (prefix.first(), prefix.last())),
        );
    }
    intervals::merge(&mut ranges);
    let inside = |prefix: &P| {
        let block = block.covering(prefix.first());
        // A prefix that is covered by blocks lies in one of them: they are maximal.
        block.is_some_and(|block| holds(block, *prefix))
    };
    let new: Vec<P> = ranges
        .iter()
        .flat_map(|&(first, last)| all.range(first..=last))
        .filter(|prefix| !inside(prefix))
        .collect();
    left.splice(&ranges, &new)
}

/// Whether `inner` lies wholly in `outer`.
fn holds<P: Prefix>(outer: P, inner: P) -> bool {
    outer.first() <= inner.first() && inner.last() <= outer.last()
}
