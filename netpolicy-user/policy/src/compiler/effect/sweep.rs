//! Walks ranges of addresses in pieces on which no list changes, and counts what is
//! found as networks.

use std::ops::ControlFlow;

use netpolicy_prefixes::intervals::{self, Interval};

use crate::compiler::{Address, Prefix, Prefixes};

/// Prefixes that are stepped over one by one before the next is searched for.
const STEPS: usize = 8;

/// The lists that a piece is on: bit n stands for list n.
pub(super) type ListSet = u16;

/// Visits `ranges`, which ascend and are disjoint, in pieces, with the lists that each
/// piece is on. At most sixteen lists, of disjoint prefixes.
///
/// Takes one from `budget` for each piece, and stops when nothing is left. Gives the last
/// address visited, if it stopped before the end.
pub(super) fn sweep<P: Prefix>(
    lists: &[&Prefixes<P>],
    ranges: &[Interval<P::Address>],
    budget: &mut usize,
    mut visit: impl FnMut(Interval<P::Address>, ListSet),
) -> Option<P::Address> {
    sweep_while(lists, ranges, budget, |range, on| {
        visit(range, on);
        ControlFlow::Continue(())
    })
}

/// The same, until `visit` breaks, too.
pub(super) fn sweep_while<P: Prefix>(
    lists: &[&Prefixes<P>],
    ranges: &[Interval<P::Address>],
    budget: &mut usize,
    mut visit: impl FnMut(Interval<P::Address>, ListSet) -> ControlFlow<()>,
) -> Option<P::Address> {
    let mut cursors: Vec<_> = lists
        .iter()
        .map(|list| {
            let mut rest = open(list, P::Address::LOWEST);
            (rest.next(), rest)
        })
        .collect();
    for &(first, last) in ranges {
        for ((current, rest), list) in cursors.iter_mut().zip(lists) {
            let mut steps = 0;
            while current.is_some_and(|prefix| prefix.last() < first) {
                if steps == STEPS {
                    *rest = open(list, first);
                }
                *current = rest.next();
                steps += 1;
            }
        }
        let mut start = first;
        loop {
            let (mut on, mut end): (ListSet, _) = (0, last);
            for (number, (current, rest)) in cursors.iter_mut().enumerate() {
                while current.is_some_and(|prefix| prefix.last() < start) {
                    *current = rest.next();
                }
                match *current {
                    Some(prefix) if prefix.first() <= start => {
                        on |= 1 << number;
                        end = end.min(prefix.last());
                    }
                    Some(prefix) => end = end.min(prefix.first().previous().unwrap_or(end)),
                    None => {}
                }
            }
            let flow = visit((start, end), on);
            *budget = budget.saturating_sub(1);
            if *budget == 0 || flow.is_break() {
                return Some(end);
            }
            match end.next() {
                Some(next) if end < last => start = next,
                _ => break,
            }
        }
    }
    None
}

/// The prefixes that end at `start` or behind it.
fn open<'a, P: Prefix>(
    list: &'a Prefixes<P>,
    start: P::Address,
) -> impl Iterator<Item = P> + use<'a, P> {
    list.range(start..=P::Address::HIGHEST)
}

/// Ranges that come ascending, as the fewest networks: counted, the first ones kept.
pub(super) struct Tally<A> {
    most: usize,
    open: Option<Interval<A>>,
    /// Address and prefix length.
    pub(super) first: Vec<(A, u8)>,
    /// Networks in all.
    pub(super) networks: u64,
    /// Addresses in all; the highest number if there are that many or more.
    pub(super) addresses: u128,
}

impl<A: Address> Tally<A> {
    /// Keeps at most so many networks.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            open: None,
            first: Vec::new(),
            networks: 0,
            addresses: 0,
        }
    }

    /// Adds a range that lies behind those before it.
    #[inline]
    pub(super) fn add(&mut self, (first, last): Interval<A>) {
        match &mut self.open {
            Some(open) if open.1.next() == Some(first) => open.1 = last,
            open => {
                let done = open.replace((first, last));
                self.close(done);
            }
        }
    }

    fn close(&mut self, range: Option<Interval<A>>) {
        let Some((first, last)) = range else {
            return;
        };
        self.networks += intervals::fewest((first, last));
        let size = (last.wide() - first.wide()).saturating_add(1);
        self.addresses = self.addresses.saturating_add(size);
        if self.first.len() < self.most {
            intervals::prefixes((first, last), |address, length| {
                if self.first.len() < self.most {
                    self.first.push((address, length));
                }
            });
        }
    }

    /// To be called after the last range.
    pub(super) fn finish(mut self) -> Self {
        let open = self.open.take();
        self.close(open);
        self
    }
}
