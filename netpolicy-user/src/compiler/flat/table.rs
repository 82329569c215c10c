//! Tables: a slot for each value of 16 bits, where nodes would be two deep.

use netpolicy_common::flat::{Code, TABLE_PAGES, final_slot, table_slot, table_start};

use super::{
    Arena,
    build::{Item, build, free},
    lists::low_ones,
};

/// Bits that a table looks at.
pub(super) const TABLE_BITS: u8 = 16;

/// Values of these bits.
const TABLE_SLOTS: u32 = 1 << TABLE_BITS;

/// From so many prefixes on, a trie begins with a table.
pub(super) const TABLE_FROM: usize = 64;

/// Further down, a table takes the place of nodes from so many on: they and their slots
/// would take as much memory. It stays when fewer are left, until the trie has lost half
/// of its prefixes and all is built anew.
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

/// Builds a table of the part of the trie below `depth` bits, as
/// [`build`](super::build::build) does; `items` are longer than that.
pub(super) fn build_table(
    arena: &mut Arena,
    items: &[Item],
    depth: u8,
    width: u8,
    rest: Code,
) -> u32 {
    let table = arena.take_pages(TABLE_PAGES);
    let mut covers = vec![rest; TABLE_SLOTS as usize];
    for code in [Code::Allowed, Code::Blocked] {
        for item in items {
            if item.len <= depth + TABLE_BITS && item.code == code {
                let last = entry_of(item.bits | low_ones(item.len), depth);
                covers[entry_of(item.bits, depth) as usize..=last as usize].fill(code);
            }
        }
    }
    let mut left = items;
    for (entry, cover) in (0..TABLE_SLOTS).zip(covers) {
        let count = left
            .iter()
            .take_while(|item| entry_of(item.bits, depth) == entry)
            .count();
        let (here, others) = left.split_at(count);
        left = others;
        let slot = match cover {
            Code::Blocked => final_slot(Code::Blocked),
            cover => {
                let beyond = beyond(here, depth + TABLE_BITS);
                build(arena, beyond, depth + TABLE_BITS, width, cover)
            }
        };
        arena.set_half(table, entry, slot);
    }
    table_slot(table)
}

/// Without those that cover the whole entry: they come first.
fn beyond(items: &[Item], end: u8) -> &[Item] {
    &items[items.partition_point(|item| item.len <= end)..]
}

/// A copy of a table, to be changed.
pub(super) fn copy_table(arena: &mut Arena, slot: u32) -> u32 {
    table_slot(arena.move_pages(table_start(slot), TABLE_PAGES))
}

/// Gives a table back, and all that it leads to.
pub(super) fn free_table(arena: &mut Arena, slot: u32) {
    let start = table_start(slot);
    for entry in 0..TABLE_SLOTS {
        let slot = arena.half(start, entry);
        free(arena, slot);
    }
    arena.give_pages(start, TABLE_PAGES);
}

/// The entry for an address of the table below `depth` bits.
pub(super) fn entry_of(bits: u128, depth: u8) -> u32 {
    let [a, b, ..] = (bits << depth).to_be_bytes();
    u32::from(u16::from_be_bytes([a, b]))
}
