//! Prefixes to slots: building a part of the trie, and taking it down.

use netpolicy_common::Listing;

use super::{
    arena::Arena,
    bits::low_ones,
    nodes::{
        free_leaf, free_node, free_record, record, record_inner, slots_behind, write_leaf,
        write_slots,
    },
    prefix::ListedPrefix,
    table::{TABLE_BITS, TABLE_SLOTS, entry_of, is_worth_a_table},
};
use crate::layout::{
    LEAF, NODE, RECORD, TABLE_PAGES, final_slot, is_table, kind, table_slot, table_start,
};

/// Builds the part of the trie below the first `depth` bits, a multiple of 8.
///
/// `items` share those bits (or are shorter and cover the part), and are sorted by
/// their bits, then length; `width` is 32 or 128; `rest` is what addresses in no item
/// have. A block decides for all that is inside it.
pub(super) fn build(
    arena: &mut Arena,
    items: &[ListedPrefix],
    depth: u8,
    width: u8,
    rest: Listing,
) -> u32 {
    let (mut items, mut rest) = (items, rest);
    while let [first, others @ ..] = items
        && first.len <= depth
    {
        if first.code == Listing::Blocked {
            return final_slot(Listing::Blocked);
        }
        rest = first.code;
        items = others;
    }
    let (Some(first), Some(last)) = (items.first(), items.last()) else {
        return final_slot(rest);
    };
    if items.len() == 1 {
        let inner = final_slot(first.code);
        return record(
            arena,
            first.bits << depth,
            first.len - depth,
            inner,
            final_slot(rest),
        );
    }
    if let Some(slot) = write_leaf(arena, items, depth, rest) {
        return slot;
    }
    if depth == 0 && is_worth_a_table(items.len(), depth, width) {
        return build_table(arena, items, depth, width, rest);
    }
    // Sorted: what all have in common, the first and the last have; and one that covers
    // all of them is the first.
    let common = (first.bits ^ last.bits)
        .leading_zeros()
        .min(u32::from(first.len));
    let skip = u8::try_from(common).unwrap_or(width).saturating_sub(depth) & !7;
    if skip > 0 {
        let inner = build(arena, items, depth + skip, width, rest);
        return record(arena, first.bits << depth, skip, inner, final_slot(rest));
    }
    if is_worth_a_table(items.len(), depth, width) {
        build_table(arena, items, depth, width, rest)
    } else {
        node(arena, items, depth, width, rest)
    }
}

fn byte_at(item: &ListedPrefix, depth: u8) -> u8 {
    let [byte, ..] = (item.bits << depth).to_be_bytes();
    byte
}

fn node(arena: &mut Arena, items: &[ListedPrefix], depth: u8, width: u8, rest: Listing) -> u32 {
    let mut cover = [rest; 256];
    let mut slots = [u32::MAX; 256];
    let mut left = items;
    while let Some(first) = left.first() {
        let byte = usize::from(byte_at(first, depth));
        if first.len <= depth + 8 {
            let span = 1usize << (depth + 8 - first.len);
            for covered in &mut cover[byte..byte + span] {
                if *covered != Listing::Blocked {
                    *covered = first.code;
                }
            }
            left = &left[1..];
            continue;
        }
        let here = left.partition_point(|item| usize::from(byte_at(item, depth)) == byte);
        slots[byte] = if cover[byte] == Listing::Blocked {
            final_slot(Listing::Blocked)
        } else {
            build(arena, &left[..here], depth + 8, width, cover[byte])
        };
        left = &left[here..];
    }
    for (slot, cover) in slots.iter_mut().zip(cover) {
        if *slot == u32::MAX {
            *slot = final_slot(cover);
        }
    }
    write_slots(arena, &slots)
}

/// Builds a table of the part of the trie below `depth` bits, as
/// [`build`] does; `items` are longer than that.
fn build_table(
    arena: &mut Arena,
    items: &[ListedPrefix],
    depth: u8,
    width: u8,
    rest: Listing,
) -> u32 {
    let table = arena.take_pages(TABLE_PAGES);
    let mut covers = vec![rest; TABLE_SLOTS as usize];
    for code in [Listing::Allowed, Listing::Blocked] {
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
            Listing::Blocked => final_slot(Listing::Blocked),
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
fn beyond(items: &[ListedPrefix], end: u8) -> &[ListedPrefix] {
    &items[items.partition_point(|item| item.len <= end)..]
}

/// Gives back all that a slot leads to.
pub(super) fn free(arena: &mut Arena, slot: u32) {
    match kind(slot) {
        NODE if is_table(slot) => free_table(arena, slot),
        NODE => {
            for inner in slots_behind(arena, slot) {
                free(arena, inner);
            }
            free_node(arena, slot);
        }
        RECORD => {
            let inner = record_inner(arena, slot);
            free(arena, inner);
            free_record(arena, slot);
        }
        LEAF => free_leaf(arena, slot),
        // Final: nothing but the slot itself.
        _ => {}
    }
}

/// Gives a table back, and all that it leads to.
fn free_table(arena: &mut Arena, slot: u32) {
    let start = table_start(slot);
    for entry in 0..TABLE_SLOTS {
        let slot = arena.half(start, entry);
        free(arena, slot);
    }
    arena.give_pages(start, TABLE_PAGES);
}
