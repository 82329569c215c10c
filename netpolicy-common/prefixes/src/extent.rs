//! How much of the kernel's lists is read back at a time.

use super::{Address, Prefix, Prefixes};

/// How much of the lists is compared with what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Everything.
    Full,
    /// Of a list of more than some [`SAMPLE`] prefixes a part of the addresses: the next
    /// one with each number, so that as many samples as there are parts have seen all.
    Sample(u64),
}

/// Prefixes in a sample, about: reading so many back takes some milliseconds, and among
/// millions some tens of them, for those that stand on a page come from everywhere.
pub const SAMPLE: usize = CHUNKS * 1024;

/// Chunks of prefixes in a sample.
const CHUNKS: usize = 16;

/// One of the parts of all addresses of a family, which lie side by side.
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

    /// What of `first` to `last` lies in the part.
    #[must_use]
    pub fn clip(&self, (first, last): (A, A)) -> Option<(A, A)> {
        let (first, last) = (first.max(self.first), last.min(self.last));
        (first <= last).then_some((first, last))
    }

    /// The share of so many things of which each part has its own.
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
    /// The part of a family's addresses to read back, which the longest of the lists
    /// divides.
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
