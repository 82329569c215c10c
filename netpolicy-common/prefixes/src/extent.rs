//! Samples of the kernel's lists: how much of them is read back and compared at a time.

use super::{Address, Prefix, Prefixes};

/// How much of the kernel's lists is compared with the expected lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Everything.
    Full,
    /// One part of the addresses, if a list has more than about [`SAMPLE`] prefixes. The number
    /// selects the part, modulo the number of parts: consecutive numbers cover all addresses.
    Sample(u64),
}

/// Approximate number of prefixes in a sample. Reading so many back takes some milliseconds;
/// among millions of prefixes some tens, because a page holds prefixes of all ranges.
pub const SAMPLE: usize = CHUNKS * 1024;

/// Chunks of prefixes in a sample.
const CHUNKS: usize = 16;

/// A range of a family's addresses. The parts are adjacent and cover all addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<A> {
    /// Its first address, in host order.
    pub first: A,
    /// Its last one.
    pub last: A,
    /// Which of the parts it is, from 0.
    pub number: u32,
    /// How many parts there are.
    pub of: u32,
}

impl<A: Address> Part<A> {
    /// All addresses.
    #[must_use]
    pub fn all() -> Self {
        Self {
            first: A::LOWEST,
            last: A::HIGHEST,
            number: 0,
            of: 1,
        }
    }

    /// The intersection of `first` to `last` with the part.
    #[must_use]
    pub fn clip(&self, (first, last): (A, A)) -> Option<(A, A)> {
        let (first, last) = (first.max(self.first), last.min(self.last));
        (first <= last).then_some((first, last))
    }

    /// The part's share of `count` items: the shares of all parts are adjacent and cover them.
    #[must_use]
    pub fn share(&self, count: u32) -> std::ops::Range<u32> {
        let upto = |number: u32| {
            let at = u64::from(count) * u64::from(number) / u64::from(self.of);
            u32::try_from(at).unwrap_or(count)
        };
        upto(self.number)..upto(self.number + 1)
    }
}

impl Extent {
    /// The part of a family's addresses to read back. The longest of the lists determines
    /// the parts.
    #[must_use]
    pub fn part<P: Prefix>(self, lists: &[&Prefixes<P>]) -> Part<P::Address> {
        let all = Part::all();
        let longest = lists.iter().max_by_key(|list| list.len());
        let (Self::Sample(number), Some(longest)) = (self, longest) else {
            return all;
        };
        let starts: Vec<P::Address> = longest
            .parts()
            .iter()
            .step_by(CHUNKS)
            .map(|part| part.first.first())
            .collect();
        let of = starts.len().max(1) as u64;
        let number = usize::try_from(number % of).unwrap_or(0);
        let first = match number {
            0 => all.first,
            _ => starts[number],
        };
        let next = starts.get(number + 1).and_then(|next| next.previous());
        Part {
            first,
            last: next.unwrap_or(all.last),
            number: u32::try_from(number).unwrap_or(0),
            of: u32::try_from(of).unwrap_or(1),
        }
    }
}

#[cfg(test)]
mod tests;
