//! Sorted, disjoint intervals of addresses, and the prefixes that they consist of.
//!
//! The same code serves both families. Merging intervals instead of prefixes makes
//! every union of prefixes come out in its one shortest form.

use crate::{Prefix, Prefixes, PrefixesBuilder};

/// An address as an integer in host order: `u32` or `u128`.
pub trait Address: Copy + Ord + std::fmt::Debug + Send + Sync + 'static {
    /// Bits of an address.
    const WIDTH: u8;
    /// The first address of all.
    const LOWEST: Self;
    /// The last address of all.
    const HIGHEST: Self;
    /// The address after this one; `None` after the highest.
    fn next(self) -> Option<Self>;
    /// The address before this one; `None` before the lowest.
    fn previous(self) -> Option<Self>;
    /// This address with its `bits` lowest bits cleared; `bits` may be all.
    fn floor(self, bits: u8) -> Self;
    /// This address with its `bits` lowest bits set; `bits` may be all.
    fn fill(self, bits: u8) -> Self;
    /// How many of its lowest bits are zero; all of them for the address zero.
    fn trailing_zeros(self) -> u8;
    /// As a number of 128 bits.
    fn wide(self) -> u128;
}

macro_rules! address {
    ($int:ty, $bits:literal) => {
        impl Address for $int {
            const WIDTH: u8 = $bits;
            const LOWEST: Self = <$int>::MIN;
            const HIGHEST: Self = <$int>::MAX;

            #[inline]
            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }

            #[inline]
            fn previous(self) -> Option<Self> {
                self.checked_sub(1)
            }

            #[inline]
            fn floor(self, bits: u8) -> Self {
                self & <$int>::MAX.checked_shl(u32::from(bits)).unwrap_or(0)
            }

            #[inline]
            fn fill(self, bits: u8) -> Self {
                self | !Self::MAX.checked_shl(u32::from(bits)).unwrap_or(0)
            }

            #[inline]
            fn trailing_zeros(self) -> u8 {
                // At most 128.
                u8::try_from(<$int>::trailing_zeros(self)).unwrap_or($bits)
            }

            #[inline]
            fn wide(self) -> u128 {
                self.into()
            }
        }
    };
}

address!(u32, 32);
address!(u128, 128);

/// First and last address, both included.
pub type Interval<A> = (A, A);

/// Sorts intervals and joins those that overlap or touch.
pub fn merge<A: Address>(intervals: &mut Vec<Interval<A>>) {
    intervals.sort_unstable();
    intervals.dedup_by(|next, kept| {
        let joined = next.0 <= kept.1 || kept.1.next() == Some(next.0);
        if joined {
            kept.1 = kept.1.max(next.1);
        }
        joined
    });
}

/// The fewest prefixes that make up intervals, which may be in any order and overlap.
#[must_use]
pub fn aggregate<P: Prefix>(mut ranges: Vec<Interval<P::Address>>) -> Prefixes<P> {
    merge(&mut ranges);
    let mut builder = PrefixesBuilder::default();
    for range in ranges {
        prefixes(range, |address, length| {
            builder.push(P::new(address, length));
        });
    }
    builder.finish()
}

/// Calls `emit(address, length)` for the fewest prefixes that make up an interval,
/// ascending.
pub fn prefixes<A: Address>((first, last): Interval<A>, mut emit: impl FnMut(A, u8)) {
    let mut start = first;
    loop {
        // The largest aligned block at `start` that does not reach past `last`.
        let mut host_bits = start.trailing_zeros();
        while start.fill(host_bits) > last {
            host_bits -= 1;
        }
        emit(start, A::WIDTH - host_bits);
        match start.fill(host_bits).next() {
            Some(next) if next <= last => start = next,
            _ => return,
        }
    }
}

/// How many prefixes [`prefixes`] makes of an interval, without making them.
pub fn fewest<A: Address>((first, last): Interval<A>) -> u64 {
    let (first, last) = (first.wide(), last.wide());
    let differing = first ^ last;
    let Some(top) = differing.checked_ilog2() else {
        return 1;
    };
    // Below the highest bit in which both ends differ there are two halves; of the
    // lower one an end is covered, of the upper one a beginning.
    let half = 1_u128 << top;
    let missing_below = first & (half - 1);
    let beyond = last & (half - 1);
    match (missing_below == 0, beyond == half - 1) {
        (true, true) => 1,
        (below_is_whole, above_is_whole) => {
            let below = if below_is_whole {
                1
            } else {
                (half - missing_below).count_ones()
            };
            let above = if above_is_whole {
                1
            } else {
                (beyond + 1).count_ones()
            };
            u64::from(below + above)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split<A: Address>(interval: Interval<A>) -> Vec<(A, u8)> {
        let mut found = Vec::new();
        prefixes(interval, |address, length| found.push((address, length)));
        found
    }

    #[test]
    fn touching_and_nested_intervals_become_one() {
        let mut intervals = vec![
            (20, 29),
            (0_u32, 9),
            (10, 12),
            (3, 4),
            (31, u32::MAX),
            (40, 50),
        ];
        merge(&mut intervals);
        assert_eq!(intervals, [(0, 12), (20, 29), (31, u32::MAX)]);
    }

    #[test]
    fn intervals_split_into_the_fewest_prefixes() {
        assert_eq!(split((0_u32, u32::MAX)), [(0, 0)]);
        assert_eq!(split((0_u128, u128::MAX)), [(0, 0)]);
        assert_eq!(split((5_u32, 5)), [(5, 32)]);
        assert_eq!(split((u32::MAX, u32::MAX)), [(u32::MAX, 32)]);
        assert_eq!(split((1_u32, 8)), [(1, 32), (2, 31), (4, 30), (8, 32)]);
        assert_eq!(split((1_u32, u32::MAX - 1)).len(), 62);
        assert_eq!(split((1_u128, u128::MAX - 1)).len(), 254);
    }

    #[test]
    fn prefix_count_equals_the_number_of_prefixes() {
        for first in 0_u32..34 {
            for last in first..67 {
                let made = split((first, last)).len() as u64;
                assert_eq!(fewest((first, last)), made, "{first} to {last}");
            }
            let to_end = (u128::from(first), u128::MAX);
            assert_eq!(fewest(to_end), split(to_end).len() as u64);
        }
        assert_eq!(fewest((1_u128, u128::MAX - 1)), 254);
    }
}
