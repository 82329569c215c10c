//! The layout of the flat engine's memory: part of the ABI, so a change to it raises
//! [`ABI_VERSION`](netpolicy_common::ABI_VERSION).
//!
//! An arena of pages holds, for each scope and family, two tables of single hosts and
//! a trie of everything else. A packet's source is looked for in the hosts on a block
//! list, then in those on an allow list, then in the trie; each of them says what is
//! final, deny-first resolved.
//!
//! # Hosts
//!
//! A *bucket* is a unit, half a cache line, found from the address alone; see [`Hosts`]. A
//! host for which there is no room is in the trie. IPv4: a one-to-one mixing of the address
//! ([`mix`]), multiplied by the number of buckets, has the bucket in its upper 32 bits; of the
//! lower 32, so many as the buckets leave undecided are the host's *tag*, and equal tags in
//! one bucket mean equal addresses. So a bucket holds 16, 12 or 8 hosts as tags of up to 15,
//! 20 or 30 bits in lanes of 16, 21 or 32 ([`Lanes`]), and comparing all of them takes no
//! branch. A lane without a host holds a tag that no address of its bucket has
//! ([`Hosts::no_tag`]). IPv6: addresses as they are, two to a bucket, each in its own or in
//! another of the same page ([`Hosts::pair`]); where none stands, one that belongs elsewhere.
//!
//! # Trie
//!
//! A multibit trie over the bits of an address, in an arena of pages. Every step is
//! told by a *slot*, 32 bits whose lowest two are its kind:
//!
//! | kind | the other 30 bits |
//! |---|---|
//! | [`FINAL`] | the code (a [`Listing`]) of every address here; or of those with a prefix of up to 16 bits, and the code of the rest |
//! | [`NODE`] | unit of a node; or, if it is odd, the first page of a table |
//! | [`RECORD`] | unit of a record |
//! | [`LEAF`] | unit of a leaf, its kind, the code of addresses with one of its prefixes, and the code of the rest |
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
//! A *leaf* ([`Leaf`]) ends the way. It holds prefixes of the next bits, all of one code,
//! that are compared at once without a branch, in lanes: of 21 bits, where a one follows
//! the prefix and then zeros, 12 lanes to a unit or 24 to a cache line; or of 32 bits, 8 to
//! a line, in its first four words, and in the other four the bits of each that count. In a
//! lane that is left over a prefix stands again.
//!
//! A *table* begins a trie, or a part of one that holds much: a slot for every value of the
//! next 16 bits.
//!
//! # Presence
//!
//! Long lists have a bitmap ([`Presence`]): a bit for each part of the address space, zero
//! where no list has an address. It answers for most sources on no list, out of a tenth of the
//! memory.
//!
//! # Change
//!
//! What a generation in force leads to is never written: a change writes copies to
//! where nothing is, up to new roots. Only bits of a presence bitmap are set in place, since one
//! too many makes no difference. The pages of a table of hosts follow each other when
//! it is built; a page that a change copied is found by a list of *overlay pages*
//! ([`Hosts::overlays`]). Pages come in *chunks*, each a map of its own.

#![expect(
    clippy::cast_possible_truncation,
    reason = "words are taken apart; small constants"
)]

mod hosts;
mod leaf;
mod presence;

use netpolicy_common::{EngineWords, Listing};

pub use hosts::{Hosts, Lanes, mix, mix_v6, unmix};
pub use leaf::{Leaf, NARROW, WIDE, WIDE_WORDS, leaf, leaf_code, leaf_slot, leaf_unit};
pub use presence::Presence;

/// Words of 64 bits in a page: of memory, since a change copies pages.
pub const PAGE_WORDS: usize = 512;

/// A page.
pub type Page = [u64; PAGE_WORDS];

/// Pages in a chunk.
pub const CHUNK_PAGES: u32 = 256;

/// Chunks that an arena may have: 2 GiB.
pub const MAX_CHUNKS: u32 = 2048;

/// Chunks that each of the two memories of lists may have: one is built while the other is in
/// force. They come first.
pub const LIST_CHUNKS: u32 = 896;

/// Chunks that each of the two memories of bans may have, behind those of lists.
pub const BAN_CHUNKS: u32 = MAX_CHUNKS / 2 - LIST_CHUNKS;

/// IPv6 addresses in a unit.
pub const ADDRESSES_PER_UNIT: u32 = (UNIT_WORDS / 2) as u32;

/// Units in a page.
pub const UNITS_PER_PAGE: u32 = 128;

/// Words in a unit.
pub const UNIT_WORDS: usize = 4;

/// A unit of a page.
pub type Unit = [u64; UNIT_WORDS];

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
/// Kind of a slot: a leaf.
pub const LEAF: u32 = 3;

/// The kind of a slot.
#[inline(always)]
#[must_use]
pub const fn kind(slot: u32) -> u32 {
    slot & 3
}

/// A slot of kind [`FINAL`].
#[must_use]
pub const fn final_slot(code: Listing) -> u32 {
    (code as u32) << 2 | FINAL
}

/// Bits of a prefix for which a slot of kind [`FINAL`] has room.
pub const PREFIX_BITS: u32 = 16;

/// A slot of kind [`FINAL`]: addresses whose next `len` bits (1 to [`PREFIX_BITS`]) are
/// the first of `bits` have `code`, all others `rest`.
#[must_use]
pub const fn prefix_slot(bits: u16, len: u32, code: Listing, rest: Listing) -> u32 {
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
pub const fn final_code(slot: u32, next: u16) -> Listing {
    // Without a prefix nothing is compared.
    let differing = (slot >> 16 ^ next as u32) >> (PREFIX_BITS.wrapping_sub(prefix_len(slot)) & 31);
    Listing::from_bits(if differing == 0 { slot >> 2 } else { slot >> 4 })
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

/// A slot that points to a table, by its first page: of kind [`NODE`], with an odd unit,
/// since nodes begin on even ones.
#[must_use]
pub const fn table_slot(start: u32) -> u32 {
    pointer(NODE, start * UNITS_PER_PAGE + 1)
}

/// Whether a slot points to a table.
#[inline(always)]
#[must_use]
pub const fn is_table(slot: u32) -> bool {
    kind(slot) == NODE && unit(slot) & 1 != 0
}

/// The first page of the table that a slot points to.
#[inline(always)]
#[must_use]
pub const fn table_start(slot: u32) -> u32 {
    unit(slot) / UNITS_PER_PAGE
}

/// Where the lists of one scope and family are.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Root {
    /// Hosts on a block list.
    pub block: Hosts,
    /// Hosts on an allow list.
    pub allow: Hosts,
    /// The slot with which the trie begins. 0: a final one, neither list.
    pub start: u32,
    /// What is asked first for a source that is likely on no list.
    pub presence: Presence,
}

/// Where the lists of a scope are, as its [`EngineWords`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roots {
    /// IPv4.
    pub v4: Root,
    /// IPv6.
    pub v6: Root,
}

impl Roots {
    /// The roots that a scope's words are.
    #[inline(always)]
    #[must_use]
    pub const fn of(words: &EngineWords) -> &Self {
        // SAFETY: no larger than the words, and aligned as they are (asserted below); integers
        // without padding, so every bit pattern is valid.
        unsafe { &*core::ptr::from_ref(words).cast() }
    }
}

impl From<Roots> for EngineWords {
    fn from(roots: Roots) -> Self {
        let mut words = Self::default();
        // SAFETY: as in `Roots::of`.
        unsafe { core::ptr::from_mut(&mut words).cast::<Roots>().write(roots) };
        words
    }
}

/// Words of a cache line.
pub const LINE_WORDS: usize = 8;

const _: () = assert!(size_of::<Root>() == 40 && size_of::<Roots>() == 80);
const _: () = assert!(
    size_of::<Roots>() <= size_of::<EngineWords>()
        && align_of::<Roots>() <= align_of::<EngineWords>()
);
const _: () = assert!(UNITS_PER_PAGE as usize * UNIT_WORDS == PAGE_WORDS);
const _: () = assert!(TABLE_PAGES as usize * PAGE_WORDS * 2 == 65_536);
// Every unit of the largest arena has room in a slot.
const _: () = assert!(
    (MAX_CHUNKS * CHUNK_PAGES) as u64 * (UNITS_PER_PAGE as u64)
        <= 1 << (32 - leaf::LEAF_UNIT_SHIFT)
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_the_words_that_they_were_made_into() {
        assert_eq!(*Roots::of(&EngineWords::default()), Roots::default());
        assert_eq!(EngineWords::from(Roots::default()), EngineWords::default());
        let mut block = Hosts::with_buckets(1000);
        block.set_start(7);
        let v4 = Root {
            block,
            start: table_slot(64),
            ..Root::default()
        };
        let v6 = Root {
            allow: block,
            start: final_slot(Listing::Blocked),
            ..Root::default()
        };
        let roots = Roots { v4, v6 };
        let words = EngineWords::from(roots);
        assert_eq!(*Roots::of(&words), roots);
        assert_eq!(
            words.0[0], block.place,
            "the program finds them at these words"
        );
        assert_eq!(
            words.0[10..],
            [0; 5],
            "of words that are not used nothing is said"
        );
    }
}
