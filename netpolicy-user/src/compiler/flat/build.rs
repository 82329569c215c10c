//! Prefixes to slots: building a part of the trie, and taking it down.

use netpolicy_common::flat::{
    Code, FINAL, LEAF, LINE_WORDS, Leaf, NODE, PLANES_WORDS, PREFIX_BITS, RECORD, UNIT_WORDS,
    final_slot, is_plain, is_table, kind, leaf, leaf_slot, leaf_unit, pointer, prefix_slot, unit,
};

use super::{
    Arena,
    lists::low_ones,
    table::{build_table, free_table, is_worth_a_table},
};

/// A prefix and what it says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    /// Left aligned: an IPv4 address in the upper 32 bits.
    pub(super) bits: u128,
    /// Bits that count: 0 to 32 or 128.
    pub(super) len: u8,
    /// Never [`Code::Neither`].
    pub(super) code: Code,
}

/// Builds the part of the trie below the first `depth` bits, a multiple of 8.
///
/// `items` share those bits (or are shorter and cover the part), and are sorted by
/// their bits, then length; `width` is 32 or 128; `rest` is what addresses in no item
/// have. A block decides for all that is inside it.
pub(super) fn build(arena: &mut Arena, items: &[Item], depth: u8, width: u8, rest: Code) -> u32 {
    let (mut items, mut rest) = (items, rest);
    while let [first, others @ ..] = items
        && first.len <= depth
    {
        if first.code == Code::Blocked {
            return final_slot(Code::Blocked);
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

fn byte_at(item: &Item, depth: u8) -> u8 {
    let [byte, ..] = (item.bits << depth).to_be_bytes();
    byte
}

/// Writes items as a leaf, if they have one code and one has room for them.
fn write_leaf(arena: &mut Arena, items: &[Item], depth: u8, rest: Code) -> Option<u32> {
    let code = items.first()?.code;
    let mut kept: Vec<Item> = Vec::with_capacity(Leaf::Large.count());
    let mut longest = 0;
    for item in items {
        // Sorted: what lies in another follows it.
        let is_inside =
            |outer: &Item| low_ones(outer.len) | item.bits == low_ones(outer.len) | outer.bits;
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
        let (code, rest) = (Code::from_bits(inner >> 2), Code::from_bits(rest >> 2));
        return prefix_slot(u16::from_be_bytes([a, b]), len.into(), code, rest);
    }
    let at = arena.take(1);
    let next = u64::from(inner) | u64::from(rest) << 32;
    arena
        .words_mut(at, UNIT_WORDS)
        .copy_from_slice(&[high, low, next, u64::from(len)]);
    pointer(RECORD, at)
}

/// The two halves of 128 bits, upper first.
pub(super) fn words_of(bits: u128) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, rest @ ..] = bits.to_be_bytes();
    [
        u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        u64::from_be_bytes(rest),
    ]
}

fn node(arena: &mut Arena, items: &[Item], depth: u8, width: u8, rest: Code) -> u32 {
    let mut cover = [rest; 256];
    let mut slots = [u32::MAX; 256];
    let mut left = items;
    while let Some(first) = left.first() {
        let byte = usize::from(byte_at(first, depth));
        if first.len <= depth + 8 {
            let span = 1usize << (depth + 8 - first.len);
            for covered in &mut cover[byte..byte + span] {
                if *covered != Code::Blocked {
                    *covered = first.code;
                }
            }
            left = &left[1..];
            continue;
        }
        let here = left.partition_point(|item| usize::from(byte_at(item, depth)) == byte);
        slots[byte] = if cover[byte] == Code::Blocked {
            final_slot(Code::Blocked)
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
            (1, _) => final_slot(Code::Blocked),
            (_, 1) => final_slot(Code::Allowed),
            _ => final_slot(Code::Neither),
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

/// Gives back all that a slot leads to.
pub(super) fn free(arena: &mut Arena, slot: u32) {
    match kind(slot) {
        NODE if is_table(slot) => free_table(arena, slot),
        NODE => {
            let at = unit(slot);
            let deeper = deeper(arena.words(at, PLANES_WORDS));
            let words = arena.words(at, PLANES_WORDS + deeper.div_ceil(2) as usize);
            let inner: Vec<u32> = words[PLANES_WORDS..]
                .iter()
                .flat_map(|word| halves(*word))
                .take(deeper as usize)
                .collect();
            for slot in inner {
                free(arena, slot);
            }
            arena.give(at, node_units(deeper as usize));
        }
        RECORD => {
            let [inner, _] = halves(arena.words(unit(slot), UNIT_WORDS)[2]);
            free(arena, inner);
            arena.give(unit(slot), 1);
        }
        LEAF => arena.give(leaf_unit(slot), leaf_units(leaf(slot))),
        // Final: nothing but the slot itself.
        _ => {}
    }
}

/// The two 32-bit halves of a word, lower first.
pub(super) fn halves(word: u64) -> [u32; 2] {
    let [a, b, c, d, rest @ ..] = word.to_le_bytes();
    [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes(rest)]
}
