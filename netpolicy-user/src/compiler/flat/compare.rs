//! Whether two memories hold the same trie, wherever in them its parts are.

use netpolicy_common::flat::{
    FINAL, HOSTS, NODE, PAGE_WORDS, PLANES_WORDS, RECORD, Root, TABLE, UNIT_WORDS, UNITS_PER_PAGE,
    kind, unit,
};

use super::{Arena, Page, build::halves};

/// Pages of another memory; `None` past its end.
type Other<'a> = &'a dyn Fn(u32) -> Option<&'a Page>;

/// Whether the trie at `root` in `arena` is the one at `other_root` in `other`.
///
/// Walks both side by side, so it ends however damaged the other is.
#[must_use]
pub fn same(arena: &Arena, root: Root, other: Other<'_>, other_root: Root) -> bool {
    if root.flags != other_root.flags {
        return false;
    }
    if root.flags & TABLE == 0 {
        return same_slot(arena, root.start, other, other_root.start);
    }
    (0..1 << 16).all(|index| {
        half_at(other, other_root.start, index)
            .is_some_and(|slot| same_slot(arena, arena.half(root.start, index), other, slot))
    })
}

fn same_slot(arena: &Arena, slot: u32, other: Other<'_>, other_slot: u32) -> bool {
    if kind(slot) != kind(other_slot) {
        return false;
    }
    match kind(slot) {
        FINAL | HOSTS => slot == other_slot,
        NODE => {
            let planes = arena.words(unit(slot), PLANES_WORDS);
            let slots: u32 = (0..4)
                .map(|i| (planes[i] & planes[4 + i]).count_ones())
                .sum();
            let words = PLANES_WORDS + slots.div_ceil(2) as usize;
            let Some(others) = words_at(other, unit(other_slot), words) else {
                return false;
            };
            let ours = arena.words(unit(slot), words);
            ours[..PLANES_WORDS] == others[..PLANES_WORDS]
                && inner(ours, slots)
                    .zip(inner(others, slots))
                    .all(|(a, b)| same_slot(arena, a, other, b))
        }
        RECORD => {
            let Some(others) = words_at(other, unit(other_slot), UNIT_WORDS) else {
                return false;
            };
            let ours = arena.words(unit(slot), UNIT_WORDS);
            let ([next, rest], [other_next, other_rest]) = (halves(ours[2]), halves(others[2]));
            (ours[0], ours[1], ours[3], rest) == (others[0], others[1], others[3], other_rest)
                && same_slot(arena, next, other, other_next)
        }
        _ => false,
    }
}

/// The slots behind a node's planes.
fn inner(words: &[u64], slots: u32) -> impl Iterator<Item = u32> {
    words[PLANES_WORDS..]
        .iter()
        .flat_map(|word| halves(*word))
        .take(slots as usize)
}

fn words_at(other: Other<'_>, unit: u32, words: usize) -> Option<&[u64]> {
    let at = (unit % UNITS_PER_PAGE) as usize * UNIT_WORDS;
    other(unit / UNITS_PER_PAGE)?.get(at..at + words)
}

fn half_at(other: Other<'_>, page: u32, index: u32) -> Option<u32> {
    let word = index as usize / 2;
    let page = other(page.checked_add(u32::try_from(word / PAGE_WORDS).ok()?)?)?;
    let [lower, upper] = halves(page[word % PAGE_WORDS]);
    Some(if index.is_multiple_of(2) {
        lower
    } else {
        upper
    })
}
