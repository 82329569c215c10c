//! What a policy blocks without what it excepts, as one list: whole, or from what it was before.
//!
//! Exceptions hold for their own policy alone, so they are subtracted before its blocks are
//! merged with those of others. Policies without exceptions do not come here.

use std::sync::Arc;

use netpolicy_prefixes::intervals::{self, Interval};

use super::index::{Index, Nets};
use super::scope::{CountedList, IsWorth, ListOwner, NetsOf, SourcesChange, unmatched};
use super::{Address, Prefix, union};
use crate::model::{ListKind, Name, RuleList};

/// The blocks of one policy, less its exceptions.
#[derive(Clone, Debug)]
pub(super) struct ReducedBlocks {
    policy: Name,
    /// Its block lists and its exceptions.
    sources: Vec<CountedList>,
    /// What they come to.
    index: Arc<Index>,
}

impl ReducedBlocks {
    /// Of a policy's block lists and exceptions, with what is known of `before`, the same
    /// policy's.
    pub(super) fn of(
        policy: &Name,
        sources: Vec<CountedList>,
        before: Option<&Self>,
        is_worth: IsWorth,
    ) -> Self {
        let nothing = Index::default();
        let (old, known) = match before {
            Some(before) => (&*before.index, &*before.sources),
            None => (&nothing, &[] as &[CountedList]),
        };
        let (gone, new) = unmatched(known, &sources);
        let index = match before {
            Some(before) if gone.is_empty() && new.is_empty() => Arc::clone(&before.index),
            _ => {
                let change = SourcesChange::new(gone, new, &sources, is_worth);
                let (v4, v6) = change.both(
                    || reduced(&change, &old.v4, |index| &index.v4),
                    || reduced(&change, &old.v6, |index| &index.v6),
                );
                Arc::new(Index { v4, v6 })
            }
        };
        Self {
            policy: policy.clone(),
            sources,
            index,
        }
    }

    /// Whether they are the blocks of this policy.
    pub(super) fn is_of(&self, policy: &Name) -> bool {
        self.policy == *policy
    }

    /// The list that counts in a scope in place of the policy's block lists.
    pub(super) fn counted(&self) -> CountedList {
        CountedList {
            owner: ListOwner::reduced(&self.policy),
            list: RuleList::default(),
            index: Arc::clone(&self.index),
        }
    }
}

fn reduced<P: Prefix>(change: &SourcesChange<'_>, old: &Nets<P>, of: NetsOf<P>) -> Nets<P> {
    let blocks = change.lists(ListKind::Block, of);
    let exceptions = change.lists(ListKind::Except, of);
    let count = blocks.len() + exceptions.len();
    let networks = blocks.iter().chain(&exceptions);
    let networks = networks.map(|nets| nets.sorted.len()).sum();
    let is_worth = |changed| changed == 0 || (change.is_worth())(changed, count, networks);
    let touched = change.touched(ListKind::Block, of, is_worth);
    let touched = touched.and_then(|mut touched| {
        touched.extend(change.touched(ListKind::Except, of, is_worth)?);
        intervals::merge(&mut touched);
        Some(touched)
    });
    match touched {
        None => Nets::of_sorted(union::whole_without(&blocks, &exceptions)),
        Some(touched) if touched.is_empty() => old.clone(),
        Some(touched) => {
            let (sorted, ranges) = union::changed_to(&old.sorted, &touched, |range, covered| {
                covered_within(&blocks, &exceptions, range, covered);
            });
            old.changed_to(sorted, &ranges)
        }
    }
}

/// Appends what the blocks cover of a range and the exceptions do not.
fn covered_within<P: Prefix>(
    blocks: &[&Nets<P>],
    exceptions: &[&Nets<P>],
    range: Interval<P::Address>,
    covered: &mut Vec<Interval<P::Address>>,
) {
    let within = |lists: &[&Nets<P>]| {
        let mut found = Vec::new();
        for list in lists {
            list.within(range, &mut found);
        }
        intervals::merge(&mut found);
        found
    };
    let (blocked, excepted) = (within(blocks), within(exceptions));
    let mut without = Without::new(excepted.into_iter());
    for interval in blocked {
        without.left(interval, |left| covered.push(left));
    }
}

/// Intervals that are taken out of others. Both ascend and are disjoint.
pub(super) struct Without<A, I: Iterator<Item = Interval<A>>> {
    next: Option<Interval<A>>,
    rest: I,
}

impl<A: Address, I: Iterator<Item = Interval<A>>> Without<A, I> {
    pub(super) fn new(mut intervals: I) -> Self {
        Self {
            next: intervals.next(),
            rest: intervals,
        }
    }

    /// Visits what is left of an interval, which begins behind the one before.
    pub(super) fn left(&mut self, (first, last): Interval<A>, mut visit: impl FnMut(Interval<A>)) {
        let mut start = first;
        while let Some((from, to)) = self.next {
            if from > last {
                break;
            }
            if from > start
                && to >= start
                && let Some(end) = from.previous()
            {
                visit((start, end));
            }
            if to >= start {
                match to.next() {
                    // It may reach into the interval that follows.
                    _ if to >= last => return,
                    Some(next) => start = next,
                    None => return,
                }
            }
            self.next = self.rest.next();
        }
        visit((start, last));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(blocks: &[Interval<u32>], exceptions: &[Interval<u32>]) -> Vec<Interval<u32>> {
        let mut without = Without::new(exceptions.iter().copied());
        let mut found = Vec::new();
        for block in blocks {
            without.left(*block, |left| found.push(left));
        }
        found
    }

    #[test]
    fn exceptions_are_taken_out_of_intervals() {
        let most = u32::MAX;
        assert_eq!(left(&[(10, 20)], &[]), [(10, 20)]);
        assert_eq!(left(&[(10, 20)], &[(0, 9), (21, 30)]), [(10, 20)]);
        assert_eq!(left(&[(10, 20)], &[(0, 10), (20, 30)]), [(11, 19)]);
        assert_eq!(
            left(&[(10, 20)], &[(12, 13), (15, 15)]),
            [(10, 11), (14, 14), (16, 20)]
        );
        assert_eq!(
            left(&[(10, 20), (22, 30)], &[(15, 25)]),
            [(10, 14), (26, 30)]
        );
        assert_eq!(left(&[(10, 20), (22, 30)], &[(0, most)]), []);
        assert_eq!(left(&[(0, most)], &[(0, 0), (most, most)]), [(1, most - 1)]);
        assert_eq!(left(&[(0, most)], &[(0, most)]), []);
        assert_eq!(left(&[(10, 20), (30, 40)], &[(10, 20)]), [(30, 40)]);
    }
}
