//! Networks of lists by address, so that a small change asks for the few that it
//! needs instead of walking all.

use std::sync::Arc;

use ipnet::IpNet;
use netpolicy_prefixes::intervals::Interval;

use super::{Address, Prefix, Prefix4, Prefix6, Prefixes};
use crate::model::list::RuleChunk;
use crate::model::{Rule, RuleList};

/// The networks of one list.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// IPv4.
    pub(super) v4: Nets<Prefix4>,
    /// IPv6.
    pub(super) v6: Nets<Prefix6>,
}

/// The networks of one list and family, each once, by address, then length.
#[derive(Clone, Debug)]
pub(super) struct Nets<P: Prefix> {
    pub(super) sorted: Prefixes<P>,
    lengths: Lengths,
}

impl<P: Prefix> Default for Nets<P> {
    fn default() -> Self {
        Self {
            sorted: Prefixes::default(),
            lengths: Lengths::default(),
        }
    }
}

impl Index {
    /// Of a whole list.
    pub(super) fn of(list: &RuleList) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        split(list.iter(), &mut v4, &mut v6);
        Self {
            v4: Nets::of(v4),
            v6: Nets::of(v6),
        }
    }

    /// Of `new`, where this is the index of `old`: quick if these share most chunks.
    pub(super) fn edited(&self, old: &RuleList, new: &RuleList) -> Self {
        let (mut gone4, mut gone6) = (Vec::new(), Vec::new());
        let (mut new4, mut new6) = (Vec::new(), Vec::new());
        split(own_rules(old, new), &mut gone4, &mut gone6);
        split(own_rules(new, old), &mut new4, &mut new6);
        let few = new4.len() + new6.len() <= new.len() / 2;
        let edited = few.then(|| Self {
            v4: self.v4.edited(gone4, new4),
            v6: self.v6.edited(gone6, new6),
        });
        // If a list held a network twice, it would not be known which are still there.
        match edited {
            Some(edited) if self.len() == old.len() && edited.len() == new.len() => edited,
            _ => Self::of(new),
        }
    }

    /// How many networks it has.
    pub(super) fn len(&self) -> usize {
        self.v4.sorted.len() + self.v6.sorted.len()
    }
}

fn split<'a>(rules: impl Iterator<Item = &'a Rule>, v4: &mut Vec<Prefix4>, v6: &mut Vec<Prefix6>) {
    for rule in rules {
        match rule.net {
            IpNet::V4(net) => v4.push(Prefix4::new(net.network().into(), net.prefix_len())),
            IpNet::V6(net) => v6.push(Prefix6::new(net.network().into(), net.prefix_len())),
        }
    }
}

/// The rules in chunks that a list does not share with another one.
fn own_rules<'a>(list: &'a RuleList, other: &'a RuleList) -> impl Iterator<Item = &'a Rule> {
    let (own, others) = list.differing_chunks(other);
    let mut known: Vec<*const RuleChunk> = others.iter().map(Arc::as_ptr).collect();
    known.sort_unstable();
    own.iter()
        .filter(move |chunk| known.binary_search(&Arc::as_ptr(chunk)).is_err())
        .flat_map(|chunk| chunk.rules())
}

impl<P: Prefix> Nets<P> {
    fn of(mut nets: Vec<P>) -> Self {
        sort(&mut nets);
        let mut lengths = Lengths::default();
        for net in &nets {
            lengths.add(net.length());
        }
        Self {
            sorted: nets.into_iter().collect(),
            lengths,
        }
    }

    /// Of networks that are sorted, each once.
    pub(super) fn of_sorted(sorted: Prefixes<P>) -> Self {
        let mut lengths = Lengths::default();
        for net in sorted.iter() {
            lengths.add(net.length());
        }
        Self { sorted, lengths }
    }

    /// Of networks that differ from these within some ranges.
    pub(super) fn changed_to(&self, sorted: Prefixes<P>, ranges: &[Interval<P::Address>]) -> Self {
        let mut lengths = self.lengths;
        for &(first, last) in ranges {
            for net in sorted.range(first..=last) {
                lengths.add(net.length());
            }
        }
        Self { sorted, lengths }
    }

    fn edited(&self, mut gone: Vec<P>, mut new: Vec<P>) -> Self {
        sort(&mut gone);
        sort(&mut new);
        let mut lengths = self.lengths;
        for net in &new {
            lengths.add(net.length());
        }
        Self {
            sorted: self.sorted.edit(&gone, &new),
            lengths,
        }
    }

    /// Appends the parts of its networks that lie between two addresses, in any order.
    pub(super) fn within(
        &self,
        (first, last): Interval<P::Address>,
        found: &mut Vec<Interval<P::Address>>,
    ) {
        // Those that begin before: the first address cut to each length.
        for length in self.lengths.iter() {
            let start = first.floor(P::Address::WIDTH - length);
            let net = P::new(start, length);
            if start < first && self.sorted.has(net) {
                found.push((first, net.last().min(last)));
                if net.last() >= last {
                    return;
                }
            }
        }
        let inside = self.sorted.beginning_in(first..=last);
        found.extend(inside.map(|net| (net.first(), net.last().min(last))));
    }
}

/// Sorts networks, and leaves out what is there twice.
fn sort<P: Prefix>(nets: &mut Vec<P>) {
    // Many lists come sorted.
    if !nets.is_sorted_by(|a, b| a < b) {
        nets.sort_unstable();
        nets.dedup();
    }
}

/// The numbers of the bits that are set, ascending.
fn bits(word: u64) -> impl Iterator<Item = u8> {
    let left = |word| (word != 0).then_some(word);
    // Less than 64: the lowest byte is the number.
    std::iter::successors(left(word), move |word| left(word & (word - 1)))
        .map(|word| word.trailing_zeros().to_le_bytes()[0])
}

/// Which prefix lengths occur, and perhaps some that occurred once.
#[derive(Clone, Copy, Debug, Default)]
struct Lengths([u64; 3]);

impl Lengths {
    fn add(&mut self, length: u8) {
        self.0[usize::from(length / 64)] |= 1 << (length % 64);
    }

    /// Ascending. Takes a step for each length that occurs, not for each that might.
    fn iter(self) -> impl Iterator<Item = u8> {
        let words = self.0.into_iter().zip([0, 64, 128]);
        words.flat_map(|(word, first)| bits(word).map(move |bit| first + bit))
    }
}
