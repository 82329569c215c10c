//! Tables: a slot for each value of 16 bits, where nodes would be two deep.

use super::arena::Arena;
use crate::layout::{TABLE_PAGES, table_slot, table_start};

/// Bits that a table looks at.
pub(super) const TABLE_BITS: u8 = 16;

/// Values of these bits.
pub(super) const TABLE_SLOTS: u32 = 1 << TABLE_BITS;

/// From so many prefixes on, a trie begins with a table.
pub(super) const TABLE_FROM: usize = 64;

/// Further down, a table takes the place of nodes from so many on: they and their slots
/// would take as much memory. It stays when fewer are left, until the trie has lost half
/// of its prefixes and all is rebuilt.
pub(super) const TABLE_BELOW_FROM: usize = 4096;

/// Whether a part of the trie below `depth` bits that holds so many prefixes is to begin
/// with a table. Only where most of the address is still to come.
pub(super) fn is_worth_a_table(count: usize, depth: u8, width: u8) -> bool {
    let from = if depth == 0 {
        TABLE_FROM
    } else {
        TABLE_BELOW_FROM
    };
    count >= from && width - depth >= 2 * TABLE_BITS
}

/// A copy of a table, to be changed.
pub(super) fn copy_table(arena: &mut Arena, slot: u32) -> u32 {
    table_slot(arena.move_pages(table_start(slot), TABLE_PAGES))
}

/// The entry for an address of the table below `depth` bits.
pub(super) fn entry_of(bits: u128, depth: u8) -> u32 {
    let [a, b, ..] = (bits << depth).to_be_bytes();
    u32::from(u16::from_be_bytes([a, b]))
}
