//! Presence bitmaps: what tells of most sources on no list that they are on none, in few bytes.

use super::{PAGE_WORDS, mix};

/// Where the presence bitmap of a scope and family is, and how large: none, or whole pages in a
/// row of a power of two of bits.
///
/// A bit stands for a part of the address space. It is one if any prefix of the scope's lists
/// has an address there; a one may also be left of prefixes that went. So a zero says that an
/// address is on no list, and a one says nothing.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presence(u32);

/// Where the number of the first page begins; below it, 32 less the base-2 logarithm of the
/// number of bits.
const START_SHIFT: u32 = 5;

/// The base-2 logarithm of a block's bits: of IPv6 addresses that begin with the same 32 bits,
/// those whose 48 bits end with the same 9 have the same bit.
const BLOCK_LOG2: u32 = 9;

impl Presence {
    /// The base-2 logarithm of the fewest bits: a page.
    pub const FEWEST_LOG2: u32 = (PAGE_WORDS as u32 * u64::BITS).ilog2();

    /// The base-2 logarithm of the most bits: 8 MiB.
    pub const MOST_LOG2: u32 = 26;

    /// A bitmap of so many bits, by their base-2 logarithm, that begins with this page.
    #[must_use]
    pub const fn new(start: u32, bits_log2: u32) -> Self {
        Self(start << START_SHIFT | (u32::BITS - bits_log2))
    }

    /// Whether there is one.
    #[inline(always)]
    #[must_use]
    pub const fn is_some(self) -> bool {
        self.0 != 0
    }

    /// Whether there is none, or one of a possible size.
    #[must_use]
    pub const fn is_sound(self) -> bool {
        let log2 = self.bits_log2();
        self.0 == 0 || (log2 >= Self::FEWEST_LOG2 && log2 <= Self::MOST_LOG2)
    }

    /// The first of its pages.
    #[inline(always)]
    #[must_use]
    pub const fn start(self) -> u32 {
        self.0 >> START_SHIFT
    }

    /// The base-2 logarithm of the number of its bits.
    #[must_use]
    pub const fn bits_log2(self) -> u32 {
        u32::BITS - self.shift()
    }

    /// Its pages.
    #[must_use]
    pub const fn pages(self) -> u32 {
        1 << self.bits_log2().saturating_sub(Self::FEWEST_LOG2)
    }

    #[inline(always)]
    const fn shift(self) -> u32 {
        self.0 & ((1 << START_SHIFT) - 1)
    }

    /// The bit of an IPv4 address: its first bits.
    #[inline(always)]
    #[must_use]
    pub const fn bit_v4(self, address: u32) -> u32 {
        address >> self.shift()
    }

    /// The bit of an IPv6 address, by its upper half: its first 32 bits choose a block, the last
    /// 9 of the first 48 the bit in it.
    #[inline(always)]
    #[must_use]
    pub const fn bit_v6(self, high: u64) -> u32 {
        let block = mix((high >> 32) as u32) >> ((self.shift() + BLOCK_LOG2) & 31);
        block << BLOCK_LOG2 | (high >> 16) as u32 & ((1 << BLOCK_LOG2) - 1)
    }

    /// The number of the word that holds a bit, among those of all pages.
    #[inline(always)]
    #[must_use]
    pub const fn word(self, bit: u32) -> u32 {
        self.start() * PAGE_WORDS as u32 + (bit >> 6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_within_the_bitmap_and_those_of_a_page_suffice() {
        for log2 in Presence::FEWEST_LOG2..=Presence::MOST_LOG2 {
            let presence = Presence::new(77, log2);
            assert!(presence.is_some() && presence.is_sound());
            assert_eq!((presence.start(), presence.bits_log2()), (77, log2));
            let end = (77 + presence.pages()) * PAGE_WORDS as u32;
            for address in [0, 1, 0x7f00_0001, u32::MAX] {
                assert!(presence.bit_v4(address) >> log2 == 0);
                let bit = presence.bit_v6(u64::from(address) << 32 | 0xffff_0000);
                assert!(bit >> log2 == 0 && bit & 511 == 511);
                assert!(presence.word(bit) < end);
            }
            assert_eq!(presence.bit_v4(u32::MAX), u32::MAX >> (32 - log2));
        }
    }

    #[test]
    fn neighbouring_sites_have_bits_of_their_own() {
        let presence = Presence::new(1, 24);
        let bit = |site: u64| presence.bit_v6(0x2001_0db8 << 32 | site << 16);
        assert!((1..512).all(|site| bit(site) == bit(0) + site as u32));
        assert_eq!(bit(512), bit(0));
    }

    #[test]
    fn a_size_that_no_bitmap_has_is_not_sound() {
        assert!(Presence::default().is_sound() && !Presence::default().is_some());
        assert!(!Presence::new(3, 14).is_sound() && !Presence::new(3, 27).is_sound());
    }
}
