//! The layout of the flat engine's memory.
//!
//! An arena of pages holds, for each scope and family, two tables of single hosts and
//! a trie of everything else. A packet's source is looked for in the hosts on a block
//! list, then in those on an allow list, then in the trie; each of them says what is
//! final, deny-first resolved.
//!
//! # Hosts
//!
//! A *bucket* is one cache line of IPv4 hosts or a pair of lines of IPv6 hosts, found
//! from the address alone; see [`Hosts`]. A host that its bucket has no room for is in
//! the trie. IPv4: a one-to-one mixing of the address ([`mix`]), multiplied by the
//! number of buckets, has the bucket in its upper 32 bits; of the lower 32, so many
//! as the buckets leave undecided are the host's *tag*, and equal tags in one bucket
//! mean equal addresses. So a line holds 16, 24 or 32 hosts as tags of up to 30, 20 or
//! 15 bits in lanes of 32, 21 or 16 ([`Lanes`]), and comparing all of them takes no
//! branch. A lane without a host holds a tag that no address of its bucket has
//! ([`Hosts::no_tag`]). IPv6: addresses as they are, four to a line.
//!
//! # Trie
//!
//! A multibit trie over the bits of an address, in an arena of pages. Every step is
//! told by a *slot*, 32 bits whose lowest two are its kind:
//!
//! | kind | the other 30 bits |
//! |---|---|
//! | [`FINAL`] | the [`Code`] of every address here; or of those with a prefix of up to 16 bits, and the code of the rest |
//! | [`NODE`] | unit of a node |
//! | [`RECORD`] | unit of a record |
//! | [`HOSTS`] | up to three values of the address's last byte that have one code, and the code of the rest |
//!
//! A *unit* is 32 bytes; its number, divided by [`UNITS_PER_PAGE`], is its page's.
//! Nothing crosses a page.
//!
//! A *node* decides by the next byte: two planes of 256 bits (64 bytes, one cache
//! line) hold a code for each value; code 3 says that there is more, in the slot
//! behind the planes whose index is the number of threes before this one. So the
//! node and its slots are neighbours, and most look-ups end in the first line.
//!
//! A *record* (32 bytes) holds one prefix that a final slot has no room for: the next
//! bits of the address, left aligned, in two words; the slot to go on with where they
//! match and the one where they do not, in the third; their number in the fourth.
//!
//! A *table* begins a large trie: a slot for every value of the first 16 bits.
//!
//! # Change
//!
//! What a generation in force leads to is never written: a change writes copies to
//! where nothing is, up to new roots. The pages of a table of hosts follow each other when
//! it is built; a page that a change copied is found by a list of *stand-ins*
//! ([`Hosts::stand_ins`]). Pages come in *chunks*, each a map of its own.

#![expect(
    clippy::cast_possible_truncation,
    reason = "words are taken apart; small constants"
)]

/// Words of 64 bits in a page: of memory, since a change copies pages.
pub const PAGE_WORDS: usize = 512;

/// Pages in a chunk.
pub const CHUNK_PAGES: u32 = 256;

/// Chunks that an arena may have: 4 GiB.
pub const MAX_CHUNKS: u32 = 4096;

/// Units in a page.
pub const UNITS_PER_PAGE: u32 = 128;

/// Words in a unit.
pub const UNIT_WORDS: usize = 4;

/// Words of a node's planes.
pub const PLANES_WORDS: usize = 8;

/// Pages of a table: 65,536 slots of 4 bytes.
pub const TABLE_PAGES: u32 = 64;

/// Kind of a slot: the code of every address here, or of those with a prefix.
pub const FINAL: u32 = 0;
/// Kind of a slot: a node.
pub const NODE: u32 = 1;
/// Kind of a slot: a record.
pub const RECORD: u32 = 2;
/// Kind of a slot: up to three values of the last byte.
pub const HOSTS: u32 = 3;

/// What a scope's lists say of an address, deny-first resolved.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// On neither list.
    Neither = 0,
    /// On a block list.
    Blocked = 1,
    /// On an allow list, and on no block list.
    Allowed = 2,
}

impl Code {
    /// The code in the lowest two bits.
    #[inline(always)]
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        match bits & 3 {
            1 => Self::Blocked,
            2 => Self::Allowed,
            _ => Self::Neither,
        }
    }
}

/// The kind of a slot.
#[inline(always)]
#[must_use]
pub const fn kind(slot: u32) -> u32 {
    slot & 3
}

/// A slot of kind [`FINAL`].
#[must_use]
pub const fn final_slot(code: Code) -> u32 {
    (code as u32) << 2 | FINAL
}

/// Bits of a prefix for which a slot of kind [`FINAL`] has room.
pub const PREFIX_BITS: u32 = 16;

/// A slot of kind [`FINAL`]: addresses whose next `len` bits (1 to [`PREFIX_BITS`]) are
/// the first of `bits` have `code`, all others `rest`.
#[must_use]
pub const fn prefix_slot(bits: u16, len: u32, code: Code, rest: Code) -> u32 {
    (bits as u32) << 16 | len << 6 | (rest as u32) << 4 | (code as u32) << 2 | FINAL
}

/// Whether a slot is of kind [`FINAL`] and says the same of every address.
#[inline(always)]
#[must_use]
pub const fn is_plain(slot: u32) -> bool {
    kind(slot) == FINAL && prefix_len(slot) == 0
}

/// Bits of the prefix that a slot of kind [`FINAL`] holds; 0: it holds none.
#[inline(always)]
#[must_use]
pub const fn prefix_len(slot: u32) -> u32 {
    slot >> 6 & 31
}

/// What a slot of kind [`FINAL`] says of an address whose next bits are these.
#[inline(always)]
#[must_use]
pub const fn final_code(slot: u32, next: u16) -> Code {
    // Without a prefix nothing is compared.
    let differing = (slot >> 16 ^ next as u32) >> (PREFIX_BITS.wrapping_sub(prefix_len(slot)) & 31);
    Code::from_bits(if differing == 0 { slot >> 2 } else { slot >> 4 })
}

/// A slot that points to a unit.
#[must_use]
pub const fn pointer(kind: u32, unit: u32) -> u32 {
    unit << 2 | kind
}

/// The unit that a slot points to.
#[inline(always)]
#[must_use]
pub const fn unit(slot: u32) -> u32 {
    slot >> 2
}

/// A slot of kind [`HOSTS`]: these values of the last byte have `code`, all others
/// `rest`. A value may stand twice, to fill three places.
#[must_use]
pub const fn hosts_slot(values: [u8; 3], code: Code, rest: Code) -> u32 {
    (values[0] as u32) << 24
        | (values[1] as u32) << 16
        | (values[2] as u32) << 8
        | (code as u32) << 4
        | (rest as u32) << 2
        | HOSTS
}

/// In [`Root::flags`]: [`Root::start`] is the first page of a table, not a slot.
pub const TABLE: u32 = 1;

/// Where the lists of one scope and family are.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Root {
    /// The trie: a slot, or the number of a table's first page. 0: a final slot, neither
    /// list.
    pub start: u32,
    /// [`TABLE`] or nothing.
    pub flags: u32,
    /// Hosts on a block list.
    pub block: Hosts,
    /// Hosts on an allow list.
    pub allow: Hosts,
}

/// A table of hosts.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    /// The first of its pages, which follow each other, as they were made.
    pub start: u32,
    /// Buckets; 0: there are no hosts.
    pub buckets: u32,
    /// The base-2 logarithm of `buckets`, rounded down.
    pub shift: u32,
    /// The first of the pages that say, in 32 bits for each of the table's pages, which page
    /// stands in for it since a change; 0: none does. 0: no page has a stand-in.
    pub stand_ins: u32,
}

impl Hosts {
    /// Which bucket a mixed address belongs to, and what is left to tell it from
    /// others: its tag.
    #[inline(always)]
    #[must_use]
    pub const fn place(self, mixed: u32) -> (u32, u32) {
        let product = self.product(mixed);
        (Self::bucket(product), self.tag(product))
    }

    /// What a mixed address' place is made of.
    #[inline(always)]
    #[must_use]
    pub const fn product(&self, mixed: u32) -> u64 {
        mixed as u64 * self.buckets as u64
    }

    /// The bucket of a [`Hosts::product`].
    #[inline(always)]
    #[must_use]
    pub const fn bucket(product: u64) -> u32 {
        (product >> 32) as u32
    }

    /// The tag of a [`Hosts::product`].
    #[inline(always)]
    #[must_use]
    pub const fn tag(&self, product: u64) -> u32 {
        (product as u32) >> (self.shift & 31)
    }

    /// A tag that no address of a bucket has, for places where nothing is; `u32::MAX`,
    /// which fits no lane, if there is none.
    ///
    /// Where tags leave a bit of their lane to spare, that bit. Where they need all of
    /// them, so many buckets ([`Lanes::fewest_buckets`]) leave out some of the numbers:
    /// the lower halves of the products in one bucket are `first`, `first + buckets`, and
    /// so on, and a tag is their part above `shift` bits. So the tags of neighbours differ
    /// by one, and by two where what the bits below gain, `buckets - 2^shift` with each
    /// step, carries.
    #[must_use]
    pub const fn no_tag(self, bucket: u32) -> u32 {
        let lanes = Lanes::of(self.shift);
        if 32 - (self.shift & 31) < lanes.width() - 1 {
            return 1 << (lanes.width() - 2);
        }
        let (buckets, unit) = (self.buckets as u64, 1 << (self.shift & 31));
        let gain = buckets.saturating_sub(unit);
        if gain == 0 {
            return u32::MAX;
        }
        let begin = (bucket as u64) << 32;
        let first = begin.div_ceil(buckets).wrapping_mul(buckets) - begin;
        let steps = (unit - first % unit).div_ceil(gain);
        ((first + steps * buckets) / unit - 1) as u32
    }
}

/// How tags stand in the words of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lanes {
    /// Two of 32 bits a word.
    Two,
    /// Three of 21 bits a word: from 4,096 buckets on.
    Three,
    /// Four of 16 bits a word: from 131,072 buckets on.
    Four,
}

impl Lanes {
    /// The widest tag of so many buckets (by [`Hosts::shift`]) leaves the highest bit of
    /// a lane zero, so that lanes can be compared together.
    #[inline(always)]
    #[must_use]
    pub const fn of(shift: u32) -> Self {
        if shift >= 17 {
            Self::Four
        } else if shift >= 12 {
            Self::Three
        } else {
            Self::Two
        }
    }

    /// Bits of a lane.
    #[inline(always)]
    #[must_use]
    pub const fn width(self) -> u32 {
        match self {
            Self::Two => 32,
            Self::Three => 21,
            Self::Four => 16,
        }
    }

    /// Lanes of a word.
    #[inline(always)]
    #[must_use]
    pub const fn per_word(self) -> u32 {
        match self {
            Self::Two => 2,
            Self::Three => 3,
            Self::Four => 4,
        }
    }

    /// The lowest bit of each lane.
    #[inline(always)]
    #[must_use]
    pub const fn ones(self) -> u64 {
        match self {
            Self::Two => 1 | 1 << 32,
            Self::Three => 1 | 1 << 21 | 1 << 42,
            Self::Four => 0x0001_0001_0001_0001,
        }
    }

    /// The highest bit of each lane.
    #[inline(always)]
    #[must_use]
    pub const fn highest(self) -> u64 {
        self.ones() << (self.width() - 1)
    }

    /// The fewest buckets with which tags fit, and leave out a number in each bucket:
    /// a thirty-second more than a power of two (see [`Hosts::no_tag`]).
    #[must_use]
    pub const fn fewest_buckets(self) -> u32 {
        match self {
            Self::Two => 4,
            Self::Three => (1 << 12) + (1 << 7),
            Self::Four => (1 << 17) + (1 << 12),
        }
    }

    /// Tags of a line.
    #[inline(always)]
    #[must_use]
    pub const fn per_line(self) -> u32 {
        self.per_word() * LINE_WORDS as u32
    }
}

/// Words of a cache line.
pub const LINE_WORDS: usize = 8;

/// Lines in a page.
pub const LINES_PER_PAGE: u32 = (PAGE_WORDS / LINE_WORDS) as u32;

/// IPv6 addresses in a line.
pub const ADDRESSES_PER_LINE: usize = LINE_WORDS / 2;

/// Shuffles IPv4 addresses one to one (see [`unmix`]), so that those of one network
/// spread over the buckets: a multiplicative hash (Knuth, The Art of Computer Programming,
/// volume 3, section 6.4), its upper half folded into its lower, and hashed again.
#[inline(always)]
#[must_use]
pub const fn mix(address: u32) -> u32 {
    let x = address.wrapping_mul(MULTIPLIER);
    let x = x ^ x >> 15;
    x.wrapping_mul(MULTIPLIER)
}

/// The address that [`mix`] made this of.
#[must_use]
pub const fn unmix(mixed: u32) -> u32 {
    let x = mixed.wrapping_mul(INVERSE);
    let x = x ^ x >> 15 ^ x >> 30;
    x.wrapping_mul(INVERSE)
}

/// 2^32 divided by the golden ratio, made odd.
const MULTIPLIER: u32 = 0x9e37_79b1;

/// Its inverse modulo 2^32.
const INVERSE: u32 = inverse(MULTIPLIER);

/// By Newton's method: each step doubles the right bits, of which an odd number has
/// three to begin with.
const fn inverse(odd: u32) -> u32 {
    let mut x = odd;
    let mut step = 0;
    while step < 4 {
        x = x.wrapping_mul(2u32.wrapping_sub(odd.wrapping_mul(x)));
        step += 1;
    }
    x
}

/// 32 bits of an IPv6 address, in two words, that spread as [`mix`] does (not one to one).
#[inline(always)]
#[must_use]
pub const fn mix_v6(high: u64, low: u64) -> u32 {
    let x = high.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ low.wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    let x = x ^ x >> 32;
    (x.wrapping_mul(0xd6e8_feb8_6659_fd93) >> 32) as u32
}

const _: () = assert!(size_of::<Root>() == 40);
const _: () = assert!(UNITS_PER_PAGE as usize * UNIT_WORDS == PAGE_WORDS);
const _: () = assert!(TABLE_PAGES as usize * PAGE_WORDS * 2 == 65_536);
const _: () = assert!(MULTIPLIER.wrapping_mul(INVERSE) == 1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixing_is_one_to_one() {
        for address in (0..=u32::MAX).step_by(65_521).chain([1, u32::MAX]) {
            assert_eq!(unmix(mix(address)), address);
        }
    }

    /// The least number, of those that are mixed, in a bucket.
    fn first_of(hosts: Hosts, bucket: u32) -> u32 {
        ((u64::from(bucket) << 32).div_ceil(u64::from(hosts.buckets))) as u32
    }

    fn of(buckets: u32) -> Hosts {
        Hosts {
            buckets,
            shift: buckets.ilog2(),
            ..Hosts::default()
        }
    }

    #[test]
    fn tags_fit_their_lanes_and_tell_neighbours_apart() {
        for buckets in [
            4, 5, 1023, 4095, 4224, 8191, 8192, 9000, 131_071, 135_168, 262_143, 300_001,
        ] {
            let hosts = of(buckets);
            let highest = 1 << (Lanes::of(hosts.shift).width() - 1);
            for mixed in (0..=u32::MAX - 1).step_by(999_983).chain([u32::MAX - 1]) {
                let (bucket, tag) = hosts.place(mixed);
                assert!(bucket < buckets && tag < highest);
                assert!(hosts.no_tag(bucket) < highest);
                assert_ne!(hosts.place(mixed + 1), (bucket, tag));
            }
        }
    }

    #[test]
    fn no_address_of_a_bucket_has_the_tag_of_none() {
        for buckets in [
            135_168, 140_001, 200_000, 262_143, 262_144, 4224, 5000, 8191,
        ] {
            let hosts = of(buckets);
            for bucket in [0, 1, 77, buckets / 2, buckets - 2] {
                let none = hosts.no_tag(bucket);
                for mixed in first_of(hosts, bucket)..first_of(hosts, bucket + 1) {
                    assert_eq!(hosts.place(mixed).0, bucket);
                    assert_ne!(hosts.place(mixed).1, none, "{buckets} {bucket}");
                }
            }
        }
    }

    #[test]
    fn tags_that_take_all_numbers_leave_none_for_empty_places() {
        assert_eq!(of(1 << 17).no_tag(3), u32::MAX);
    }
}
