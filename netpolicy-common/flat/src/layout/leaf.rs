//! Leaves: some prefixes of one region of the trie side by side, and the slots that lead
//! to them.

use netpolicy_common::Listing;

use super::{LEAF, LINE_WORDS, UNIT_WORDS};

/// How a leaf holds its prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// Up to 12 prefixes of up to 20 bits in a unit.
    Small,
    /// Up to 24 prefixes of up to 20 bits in a line.
    Large,
    /// Up to 8 prefixes of up to 32 bits in a line.
    Wide,
}

/// In a slot of kind [`LEAF`]: the prefixes' code is [`Listing::Allowed`].
const IS_ALLOWED: u32 = 1 << 2;

/// In a slot of kind [`LEAF`]: the code of the rest is [`Listing::Allowed`].
const REST_IS_ALLOWED: u32 = 1 << 3;

/// Where the kind of leaf stands in a slot.
const LEAF_SHIFT: u32 = 4;

/// Where the unit begins.
pub(super) const LEAF_UNIT_SHIFT: u32 = 6;

/// Lanes of 21 bits, three to a word.
pub const NARROW: Lane = Lane {
    width: 21,
    ones: 1 | 1 << 21 | 1 << 42,
};

/// Lanes of 32 bits, two to a word.
pub const WIDE: Lane = Lane {
    width: 32,
    ones: 1 | 1 << 32,
};

/// Lanes of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane {
    /// Bits of each.
    pub width: u32,
    /// The lowest bit of each.
    pub ones: u64,
}

impl Lane {
    /// How many a word has.
    #[must_use]
    pub const fn per_word(self) -> usize {
        (u64::BITS / self.width) as usize
    }

    /// The word and the shift of a place.
    const fn place(self, place: usize) -> (usize, usize) {
        let per_word = self.per_word();
        (place / per_word, place % per_word * self.width as usize)
    }
}

impl Leaf {
    /// From the smallest.
    pub const ALL: [Self; 3] = [Self::Small, Self::Large, Self::Wide];

    /// How many prefixes it has room for.
    #[must_use]
    pub const fn count(self) -> usize {
        match self {
            Self::Small | Self::Large => self.words() * NARROW.per_word(),
            Self::Wide => WIDE_WORDS * WIDE.per_word(),
        }
    }

    /// Bits of its longest prefix.
    #[must_use]
    pub const fn longest(self) -> u32 {
        match self {
            Self::Small | Self::Large => NARROW.width - 1,
            Self::Wide => WIDE.width,
        }
    }

    /// Its words.
    #[must_use]
    pub const fn words(self) -> usize {
        match self {
            Self::Small => UNIT_WORDS,
            Self::Large | Self::Wide => LINE_WORDS,
        }
    }

    /// Writes a prefix to a place that is still zero. `bits`, left aligned, are zero after
    /// the first `len` (1 to [`longest`](Self::longest)).
    pub fn store(self, words: &mut [u64], place: usize, bits: u32, len: u32) {
        match self {
            Self::Small | Self::Large => {
                let lane = u64::from(bits >> (32 - NARROW.width))
                    | 1 << (NARROW.width - 1).saturating_sub(len);
                let (word, shift) = NARROW.place(place);
                words[word] |= lane << shift;
            }
            Self::Wide => {
                let (word, shift) = WIDE.place(place);
                let mask = u32::MAX << (32 - len.clamp(1, 32));
                words[word] |= u64::from(bits) << shift;
                words[word + WIDE_WORDS] |= u64::from(mask) << shift;
            }
        }
    }

    /// The prefix at a place: its bits, left aligned, and their number. `None` if nothing
    /// that [`store`](Self::store) writes stands there.
    #[must_use]
    pub fn load(self, words: &[u64], place: usize) -> Option<(u32, u32)> {
        match self {
            Self::Small | Self::Large => {
                let (word, shift) = NARROW.place(place);
                let lane = (words[word] >> shift) as u32 & ((1 << NARROW.width) - 1);
                let len = (NARROW.width - 1).checked_sub(lane.trailing_zeros())?;
                let bits = (lane & lane.wrapping_sub(1)) << (32 - NARROW.width);
                (len > 0).then_some((bits, len))
            }
            Self::Wide => {
                let (word, shift) = WIDE.place(place);
                let bits = (words[word] >> shift) as u32;
                let mask = (words[word + WIDE_WORDS] >> shift) as u32;
                let len = mask.leading_ones();
                let is_prefix = len > 0 && mask == u32::MAX << (32 - len) && bits & !mask == 0;
                is_prefix.then_some((bits, len))
            }
        }
    }
}

/// Words of a wide leaf that hold prefixes, and behind them as many that hold which bits
/// count.
pub const WIDE_WORDS: usize = LINE_WORDS / 2;

/// A slot of kind [`LEAF`]: addresses with a prefix of the leaf that begins with this unit
/// have `code`, not [`Listing::Neither`]; all others `rest`, not [`Listing::Blocked`].
#[must_use]
pub const fn leaf_slot(unit: u32, leaf: Leaf, code: Listing, rest: Listing) -> u32 {
    let code = if matches!(code, Listing::Allowed) {
        IS_ALLOWED
    } else {
        0
    };
    let rest = if matches!(rest, Listing::Allowed) {
        REST_IS_ALLOWED
    } else {
        0
    };
    unit << LEAF_UNIT_SHIFT | (leaf as u32) << LEAF_SHIFT | rest | code | LEAF
}

/// The leaf of a slot of kind [`LEAF`].
#[inline(always)]
#[must_use]
pub const fn leaf(slot: u32) -> Leaf {
    match slot >> LEAF_SHIFT & 3 {
        0 => Leaf::Small,
        1 => Leaf::Large,
        _ => Leaf::Wide,
    }
}

/// The first unit of a slot of kind [`LEAF`]; where the leaf is a line, an even one.
#[inline(always)]
#[must_use]
pub const fn leaf_unit(slot: u32) -> u32 {
    slot >> LEAF_UNIT_SHIFT
}

/// What a slot of kind [`LEAF`] says of addresses with one of its prefixes, or of others.
#[inline(always)]
#[must_use]
pub const fn leaf_code(slot: u32, has_prefix: bool) -> Listing {
    if !has_prefix {
        if slot & REST_IS_ALLOWED == 0 {
            Listing::Neither
        } else {
            Listing::Allowed
        }
    } else if slot & IS_ALLOWED == 0 {
        Listing::Blocked
    } else {
        Listing::Allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_have_room_for_what_is_said() {
        let room = Leaf::ALL.map(|leaf| (leaf.count(), leaf.longest()));
        assert_eq!(room, [(12, 20), (24, 20), (8, 32)]);
    }

    #[test]
    fn what_is_stored_is_loaded() {
        for leaf in Leaf::ALL {
            let mut words = [0; LINE_WORDS];
            let prefix = |place: usize| {
                let len = (place as u32 * 7) % leaf.longest() + 1;
                let bits = 0x9e37_79b9u32.wrapping_mul(place as u32 + 1);
                (bits & u32::MAX << (32 - len), len)
            };
            for place in 0..leaf.count() {
                let (bits, len) = prefix(place);
                leaf.store(&mut words[..leaf.words()], place, bits, len);
            }
            for place in 0..leaf.count() {
                assert_eq!(leaf.load(&words, place), Some(prefix(place)), "{leaf:?}");
            }
        }
    }

    #[test]
    fn places_where_nothing_stands_are_no_prefixes() {
        for leaf in Leaf::ALL {
            assert_eq!(leaf.load(&[0; LINE_WORDS], leaf.count() - 1), None);
        }
        // No bit of it counts.
        assert_eq!(Leaf::Small.load(&[1 << 20, 0, 0, 0], 0), None);
        // Bits that count behind bits that do not.
        let mut words = [0; LINE_WORDS];
        words[WIDE_WORDS] = 0xff00_ff00;
        assert_eq!(Leaf::Wide.load(&words, 0), None);
    }

    #[test]
    fn a_slot_says_what_it_was_made_of() {
        let last = (1 << 26) - 1;
        for kind in Leaf::ALL {
            for (code, rest) in [
                (Listing::Blocked, Listing::Neither),
                (Listing::Blocked, Listing::Allowed),
                (Listing::Allowed, Listing::Neither),
            ] {
                let slot = leaf_slot(last, kind, code, rest);
                assert_eq!(super::super::kind(slot), LEAF);
                assert_eq!((leaf(slot), leaf_unit(slot)), (kind, last));
                assert_eq!(
                    (leaf_code(slot, true), leaf_code(slot, false)),
                    (code, rest)
                );
            }
        }
    }
}
