//! The layout of the flat engine's memory.
//!
//! A multibit trie over the bits of an address, in an arena of pages. Every step is
//! told by a *slot*, 32 bits whose lowest two are its kind:
//!
//! | kind | the other 30 bits |
//! |---|---|
//! | [`FINAL`] | the [`Code`] of every address here |
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
//! A *record* (32 bytes) holds one prefix: the next bits of the address, left
//! aligned, in two words; the slot to go on with where they match and the one where
//! they do not, in the third; their number in the fourth.
//!
//! A *table* begins a large list: a slot for every value of the first 16 bits.

/// Words of 64 bits in a page; a page is what one array look-up finds.
pub const PAGE_WORDS: usize = 512;

/// Units in a page.
pub const UNITS_PER_PAGE: u32 = 128;

/// Words in a unit.
pub const UNIT_WORDS: usize = 4;

/// Words of a node's planes.
pub const PLANES_WORDS: usize = 8;

/// Pages of a table: 65,536 slots of 4 bytes.
pub const TABLE_PAGES: u32 = 64;

/// Kind of a slot: the code of every address here.
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

/// Where a scope's trie of one family begins: a slot, or, with this bit in
/// [`Root::flags`], the first page of a table.
pub const TABLE: u32 = 1;

/// The beginning of a trie.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Root {
    /// A slot, or the number of a table's first page. 0: a final slot, neither list.
    pub start: u32,
    /// [`TABLE`] or nothing.
    pub flags: u32,
}

const _: () = assert!(size_of::<Root>() == 8);
const _: () = assert!(UNITS_PER_PAGE as usize * UNIT_WORDS == PAGE_WORDS);
const _: () = assert!(TABLE_PAGES as usize * PAGE_WORDS * 2 == 65_536);
