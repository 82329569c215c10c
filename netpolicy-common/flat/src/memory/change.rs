//! Changing a trie: copies of what changes, up to a new root.

use netpolicy_common::Listing;

use super::{
    arena::Arena,
    bits::{Range, halves, low_ones},
    build::{build, free},
    lists::{Content, Family},
    nodes::{free_node, free_record, node_slots, record, write_slots},
    table::{TABLE_BITS, copy_table, entry_of},
};
use crate::layout::{NODE, RECORD, UNIT_WORDS, is_table, kind, table_start, unit};

/// A region of the address space: what the first `depth` bits, a multiple of 8, tell.
#[derive(Clone, Copy)]
struct Region {
    first: u128,
    depth: u8,
}

impl Region {
    fn range(self) -> Range {
        (self.first, self.first | low_ones(self.depth))
    }

    /// The part of it with this value in the next byte.
    fn part(self, byte: u8) -> Self {
        Self {
            first: self.first | u128::from(byte) << (120 - self.depth),
            depth: self.depth + 8,
        }
    }

    /// The next byte of an address in it.
    fn byte(self, bits: u128) -> u8 {
        let [byte, ..] = (bits << self.depth).to_be_bytes();
        byte
    }
}

/// Makes the trie that begins with `slot` hold what `content` holds. Only `touched` parts
/// differ: ranges, sorted and disjoint. Returns the new slot.
pub(super) fn change<P: Family>(
    arena: &mut Arena,
    content: &Content<'_, P>,
    slot: u32,
    touched: &[Range],
) -> u32 {
    let all = Region { first: 0, depth: 0 };
    change_region(arena, content, slot, all, touched)
}

fn change_region<P: Family>(
    arena: &mut Arena,
    content: &Content<'_, P>,
    slot: u32,
    region: Region,
    touched: &[Range],
) -> u32 {
    let (first, last) = region.range();
    let touched = within(touched, (first, last));
    let Some((from, to)) = touched.first() else {
        return slot;
    };
    let is_whole = *from <= first && *to >= last;
    match kind(slot) {
        NODE if is_table(slot) && !is_whole => change_table(arena, content, slot, region, touched),
        NODE if !is_whole && region.depth + 8 < P::WIDTH => {
            change_node(arena, content, slot, region, touched)
        }
        RECORD if !is_whole => {
            let words = arena.words(unit(slot), UNIT_WORDS);
            let bits = u128::from(words[0]) << 64 | u128::from(words[1]);
            let ([inner, rest], len) = (halves(words[2]), words[3]);
            let len = u8::try_from(len).unwrap_or(u8::MAX);
            let skipped = Region {
                first: region.first | bits >> region.depth,
                depth: region.depth + len,
            };
            let (first, last) = skipped.range();
            let is_inside = touched.iter().all(|(a, b)| *a >= first && *b <= last);
            let is_skip = kind(inner) == NODE || kind(inner) == RECORD;
            if !(is_inside && is_skip && len.is_multiple_of(8)) {
                return build_region(arena, content, slot, region);
            }
            let inner = change_region(arena, content, inner, skipped, touched);
            free_record(arena, slot);
            record(arena, bits, len, inner, rest)
        }
        _ => build_region(arena, content, slot, region),
    }
}

/// Rebuilds all of a region.
fn build_region<P: Family>(
    arena: &mut Arena,
    content: &Content<'_, P>,
    slot: u32,
    region: Region,
) -> u32 {
    free(arena, slot);
    let items = content.items(arena, region.range());
    build(arena, &items, region.depth, P::WIDTH, Listing::Neither)
}

fn change_table<P: Family>(
    arena: &mut Arena,
    content: &Content<'_, P>,
    slot: u32,
    region: Region,
    touched: &[Range],
) -> u32 {
    let slot = copy_table(arena, slot);
    let (first, last) = region.range();
    let mut next = 0;
    for (from, to) in touched {
        let from = entry_of(*from.max(&first), region.depth);
        for entry in from.max(next)..=entry_of(*to.min(&last), region.depth) {
            next = entry + 1;
            let part = Region {
                first: region.first | u128::from(entry) << (112 - region.depth),
                depth: region.depth + TABLE_BITS,
            };
            let start = table_start(slot);
            let changed = change_region(arena, content, arena.half(start, entry), part, touched);
            arena.set_half(start, entry, changed);
        }
    }
    slot
}

fn change_node<P: Family>(
    arena: &mut Arena,
    content: &Content<'_, P>,
    slot: u32,
    region: Region,
    touched: &[Range],
) -> u32 {
    let mut slots = node_slots(arena, slot);
    let mut next = 0;
    for (from, to) in touched {
        let (first, last) = region.range();
        let (from, to) = (region.byte(*from.max(&first)), region.byte(*to.min(&last)));
        // A byte that two ranges touch is done with the first of them.
        for byte in u16::from(from).max(next)..=u16::from(to) {
            next = byte + 1;
            let Ok(byte) = u8::try_from(byte) else { break };
            let slot = &mut slots[usize::from(byte)];
            *slot = change_region(arena, content, *slot, region.part(byte), touched);
        }
    }
    free_node(arena, slot);
    write_slots(arena, &slots)
}

/// The ranges that have a part in `range`.
fn within(touched: &[Range], (first, last): Range) -> &[Range] {
    let from = touched.partition_point(|(_, end)| *end < first);
    let touched = &touched[from..];
    &touched[..touched.partition_point(|(start, _)| *start <= last)]
}
