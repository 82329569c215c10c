//! Nodes, records and leaves: writing them, reading them, giving them back. They know the
//! slots that they hold, and not what those lead to.

use netpolicy_common::Listing;

use super::{
    arena::Arena,
    bits::{halves, low_ones, words_of},
    prefix::ListedPrefix,
};
use crate::layout::{
    FINAL, LINE_WORDS, Leaf, NODE, PLANES_WORDS, PREFIX_BITS, RECORD, UNIT_WORDS, final_slot,
    is_plain, leaf, leaf_slot, leaf_unit, pointer, prefix_slot, unit,
};

/// Writes items as a leaf, if they have one code and one has room for them.
pub(super) fn write_leaf(
    arena: &mut Arena,
    items: &[ListedPrefix],
    depth: u8,
    rest: Listing,
) -> Option<u32> {
    let code = items.first()?.code;
    let mut kept: Vec<ListedPrefix> = Vec::with_capacity(Leaf::Large.count());
    let mut longest = 0;
    for item in items {
        // Sorted: what lies in another follows it.
        let is_inside = |outer: &ListedPrefix| {
            low_ones(outer.len) | item.bits == low_ones(outer.len) | outer.bits
        };
        if kept.last().is_some_and(is_inside) && item.code == code {
            continue;
        }
        if item.code != code || kept.len() == Leaf::Large.count() {
            return None;
        }
        longest = longest.max(u32::from(item.len - depth));
        kept.push(*item);
    }
    let leaf = Leaf::ALL
        .into_iter()
        .find(|leaf| longest <= leaf.longest() && kept.len() <= leaf.count())?;
    let mut words = [0; LINE_WORDS];
    let words = &mut words[..leaf.words()];
    // What is left over is filled with what is there already.
    for (place, item) in kept.iter().cycle().take(leaf.count()).enumerate() {
        let bits = u32::try_from(item.bits << depth >> 96).unwrap_or(0);
        leaf.store(words, place, bits, u32::from(item.len - depth));
    }
    let at = arena.take(leaf_units(leaf));
    arena.words_mut(at, words.len()).copy_from_slice(words);
    Some(leaf_slot(at, leaf, code, rest))
}

/// Units of a leaf.
fn leaf_units(leaf: Leaf) -> u32 {
    u32::try_from(leaf.words() / UNIT_WORDS).unwrap_or(1)
}

/// The slot by which addresses whose next `len` bits are these go on with `inner`, others
/// with the slot `rest`, which says the same of all: in a record, where one is needed.
pub(super) fn record(arena: &mut Arena, bits: u128, len: u8, inner: u32, rest: u32) -> u32 {
    if inner == rest {
        return rest;
    }
    let bits = bits & u128::MAX << (128 - u32::from(len));
    let [high, low] = words_of(bits);
    if is_plain(inner) && u32::from(len) <= PREFIX_BITS {
        let [a, b, ..] = high.to_be_bytes();
        let (code, rest) = (
            Listing::from_bits(inner >> 2),
            Listing::from_bits(rest >> 2),
        );
        return prefix_slot(u16::from_be_bytes([a, b]), len.into(), code, rest);
    }
    let at = arena.take(1);
    let next = u64::from(inner) | u64::from(rest) << 32;
    arena
        .words_mut(at, UNIT_WORDS)
        .copy_from_slice(&[high, low, next, u64::from(len)]);
    pointer(RECORD, at)
}

/// Writes a node of the slots for all values of the next byte; where all are final and the
/// same, there is none to write.
pub(super) fn write_slots(arena: &mut Arena, slots: &[u32; 256]) -> u32 {
    if is_plain(slots[0]) && slots.iter().all(|slot| *slot == slots[0]) {
        return slots[0];
    }
    write_node(arena, slots)
}

/// The slots of a node, for all values of the next byte.
pub(super) fn node_slots(arena: &Arena, slot: u32) -> [u32; 256] {
    let planes = arena.words(unit(slot), PLANES_WORDS);
    let words = PLANES_WORDS + deeper(planes).div_ceil(2) as usize;
    planes_to_slots(arena.words(unit(slot), words))
}

/// The slots of a node from its words: the planes, and what stands behind them.
pub(super) fn planes_to_slots(words: &[u64]) -> [u32; 256] {
    let planes = &words[..PLANES_WORDS];
    let mut behind = words[PLANES_WORDS..].iter().flat_map(|word| halves(*word));
    let mut slots = [FINAL; 256];
    for (value, slot) in slots.iter_mut().enumerate() {
        let bit = |plane: usize| planes[plane + value / 64] >> (value % 64) & 1;
        *slot = match (bit(0), bit(4)) {
            (1, 1) => behind.next().unwrap_or(FINAL),
            (1, _) => final_slot(Listing::Blocked),
            (_, 1) => final_slot(Listing::Allowed),
            _ => final_slot(Listing::Neither),
        };
    }
    slots
}

/// How many slots stand behind a node's planes.
pub(super) fn deeper(planes: &[u64]) -> u32 {
    (0..4)
        .map(|i| (planes[i] & planes[4 + i]).count_ones())
        .sum()
}

/// The slots behind a node's planes.
pub(super) fn slots_behind(arena: &Arena, slot: u32) -> Vec<u32> {
    let deeper = deeper(arena.words(unit(slot), PLANES_WORDS));
    let words = arena.words(unit(slot), PLANES_WORDS + deeper.div_ceil(2) as usize);
    words[PLANES_WORDS..]
        .iter()
        .flat_map(|word| halves(*word))
        .take(deeper as usize)
        .collect()
}

/// The slot by which a record's prefix goes on.
pub(super) fn record_inner(arena: &Arena, slot: u32) -> u32 {
    let [inner, _] = halves(arena.words(unit(slot), UNIT_WORDS)[2]);
    inner
}

/// Gives a record back, but nothing that it leads to.
pub(super) fn free_record(arena: &mut Arena, slot: u32) {
    arena.give(unit(slot), 1);
}

/// Gives a leaf back.
pub(super) fn free_leaf(arena: &mut Arena, slot: u32) {
    arena.give(leaf_unit(slot), leaf_units(leaf(slot)));
}

/// Gives a node back, but nothing that it leads to.
pub(super) fn free_node(arena: &mut Arena, slot: u32) {
    let slots = deeper(arena.words(unit(slot), PLANES_WORDS));
    arena.give(unit(slot), node_units(slots as usize));
}

fn write_node(arena: &mut Arena, slots: &[u32; 256]) -> u32 {
    let mut planes = [0u64; PLANES_WORDS];
    let mut deeper = Vec::new();
    for (value, slot) in slots.iter().enumerate() {
        let code = if is_plain(*slot) {
            slot >> 2 & 3
        } else {
            deeper.push(*slot);
            3
        };
        planes[value / 64] |= u64::from(code & 1) << (value % 64);
        planes[4 + value / 64] |= u64::from(code >> 1) << (value % 64);
    }
    let at = arena.take(node_units(deeper.len()));
    let words = arena.words_mut(at, PLANES_WORDS + deeper.len().div_ceil(2));
    words[..PLANES_WORDS].copy_from_slice(&planes);
    for (word, pair) in words[PLANES_WORDS..].iter_mut().zip(deeper.chunks(2)) {
        *word = u64::from(pair[0]) | u64::from(pair.get(1).copied().unwrap_or(0)) << 32;
    }
    pointer(NODE, at)
}

/// Units of a node with so many slots behind its planes.
fn node_units(slots: usize) -> u32 {
    2 + u32::try_from(slots.div_ceil(8)).unwrap_or(32)
}
