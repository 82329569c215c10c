//! Looking an address up, as the program does; [`layout`](crate::layout) tells where what is.
//!
//! One step reads one page, and takes and returns only numbers: after each, all that the
//! kernel's verifier knows is the same, so it walks no way through the trie twice.

#![expect(
    clippy::cast_possible_truncation,
    reason = "words are taken apart; what is cut off is not wanted"
)]

use core::hint::cold_path;

use netpolicy_common::Listing;

use crate::layout::{
    FINAL, Hosts, LINE_WORDS, Lanes, Leaf, NARROW, NODE, PAGE_WORDS, PLANES_WORDS, Page, Presence,
    RECORD, Root, UNIT_WORDS, UNITS_PER_PAGE, Unit, WIDE, WIDE_WORDS, final_code, is_table, kind,
    leaf, leaf_code, leaf_unit, mix, mix_v6, table_start, unit,
};

/// The pages of an arena, and the units on them.
pub trait Pages {
    /// A page, or `None` past the end.
    fn page(&self, number: u32) -> Option<&Page>;

    /// A unit, by its number, among those of all pages, in the upper half of a
    /// [`Hosts::spot`]; `None` past the end.
    #[inline(always)]
    fn unit(&self, spot: u64) -> Option<&Unit> {
        let number = (spot >> 32) as u32;
        self.page(unit_page(number))
            .map(|page| &page.as_chunks().0[(number % UNITS_PER_PAGE) as usize])
    }

    /// A word, by its number among those of all pages; `None` past the end.
    #[inline(always)]
    fn word(&self, number: u32) -> Option<u64> {
        let page = self.page(number / PAGE_WORDS as u32)?;
        Some(page[number as usize % PAGE_WORDS])
    }

    /// The two units of one page in which an IPv6 address may stand, by its
    /// [`Hosts::spot`].
    #[inline(always)]
    fn two_units(&self, spot: u64) -> Option<(&Unit, &Unit)> {
        let other = spot ^ u64::from(Hosts::apart(spot)) << 32;
        Some((self.unit(spot)?, self.unit(other)?))
    }
}

/// What lies past the arena's end says nothing; userspace writes no such slot.
const NOTHING: u32 = FINAL;

/// The kinds of steps: each finds the right page and takes the step on it.
pub trait Steps: Pages {
    /// The slot of a table whose first page is `start`, for the next 16 bits.
    #[inline(always)]
    fn table(&self, start: u32, index: u32) -> u32 {
        self.page(table_page(start, index))
            .map_or(NOTHING, |page| table_step(page, index))
    }

    /// The slot behind a node, for the next byte.
    #[inline(always)]
    fn node(&self, unit: u32, byte: u32) -> u32 {
        self.page(unit_page(unit))
            .map_or(NOTHING, |page| node_step(page, unit, byte))
    }

    /// The slot behind a record, and in the upper half the bits that it took.
    #[inline(always)]
    fn record(&self, unit: u32, high: u64, low: u64) -> u64 {
        self.page(unit_page(unit))
            .map_or(NOTHING.into(), |page| record_step(page, unit, high, low))
    }

    /// What a slot that points to a leaf says, of the next 32 bits.
    #[inline(always)]
    fn leaf(&self, slot: u32, next: u32) -> Listing {
        self.page(unit_page(leaf_unit(slot)))
            .map_or(Listing::Neither, |page| leaf_step(page, slot, next))
    }
}

/// Steps of the longest way: each takes a byte of IPv6 at least, and one is for the end.
const MAX_STEPS: usize = 17;

/// The first slot of the trie that begins at `root`, behind a table if it begins with one,
/// of an address left aligned in 128 bits (an IPv4 address in the upper half of `high`),
/// and what of the address is left.
#[inline(always)]
pub fn enter<S: Steps>(steps: &S, root: &Root, high: u64, low: u64) -> (u32, u64, u64) {
    if is_table(root.start) {
        through_table(steps, root.start, high, low)
    } else {
        (root.start, high, low)
    }
}

#[inline(always)]
fn through_table<S: Steps>(steps: &S, slot: u32, high: u64, low: u64) -> (u32, u64, u64) {
    let slot = steps.table(table_start(slot), (high >> 48) as u32);
    (slot, high << 16 | low >> 48, low << 16)
}

/// What the trie says from a slot on, for the rest of an address.
#[inline(always)]
pub fn descend<S: Steps>(steps: &S, slot: u32, high: u64, low: u64) -> Listing {
    let (mut slot, mut high, mut low) = (slot, high, low);
    for _ in 0..MAX_STEPS {
        if kind(slot) == FINAL {
            return final_code(slot, (high >> 48) as u16);
        } else if is_table(slot) {
            (slot, high, low) = through_table(steps, slot, high, low);
        } else if kind(slot) == NODE {
            slot = steps.node(unit(slot), (high >> 56) as u32);
            high = high << 8 | low >> 56;
            low <<= 8;
        } else if kind(slot) == RECORD {
            let step = steps.record(unit(slot), high, low);
            slot = step as u32;
            (high, low) = shifted(high, low, step >> 32);
        } else {
            return steps.leaf(slot, (high >> 32) as u32);
        }
    }
    Listing::Neither
}

/// Whether an IPv4 address may be on a list, by a presence bitmap.
#[inline(always)]
pub fn may_be_listed_v4<P: Pages>(pages: &P, presence: Presence, address: u32) -> bool {
    is_one(pages, presence, presence.bit_v4(address))
}

/// Whether an IPv6 address, by its upper half, may be on a list, by a presence bitmap.
#[inline(always)]
pub fn may_be_listed_v6<P: Pages>(pages: &P, presence: Presence, high: u64) -> bool {
    is_one(pages, presence, presence.bit_v6(high))
}

/// What lies past the arena's end says nothing.
#[inline(always)]
fn is_one<P: Pages>(pages: &P, presence: Presence, bit: u32) -> bool {
    match pages.word(presence.word(bit)) {
        Some(word) => word >> (bit & 63) & 1 != 0,
        None => true,
    }
}

/// Whether an IPv4 address is among the hosts.
#[inline(always)]
pub fn is_host_v4<P: Pages>(pages: &P, hosts: &Hosts, address: u32) -> bool {
    let spot = spot_of(pages, hosts, hosts.product(mix(address)));
    let Some(unit) = spot.and_then(|spot| pages.unit(spot)) else {
        cold_path();
        return false;
    };
    let tag = hosts.tag(spot.unwrap_or_default());
    // Constants, in code of its own for each kind.
    match Lanes::of(hosts.shift) {
        Lanes::Two => is_among(unit, tag, Lanes::Two),
        Lanes::Three => is_among(unit, tag, Lanes::Three),
        Lanes::Four => is_among(unit, tag, Lanes::Four),
    }
}

/// Whether a lane of a unit equals a tag: of all lanes at once, without a branch that
/// would depend on memory that may have to be waited for.
#[inline(always)]
fn is_among(unit: &Unit, tag: u32, lanes: Lanes) -> bool {
    let (ones, highest) = (lanes.ones(), lanes.highest());
    let wanted = u64::from(tag).wrapping_mul(ones);
    let mut differing = highest;
    for word in unit {
        // Lanes' highest bits are zero; adding all other bits sets them, except where
        // the difference is zero.
        differing &= (word ^ wanted).wrapping_add(highest - ones);
    }
    differing != highest
}

/// Whether an IPv6 address is among the hosts.
#[inline(always)]
pub fn is_host_v6<P: Pages>(pages: &P, hosts: &Hosts, high: u64, low: u64) -> bool {
    let spot = spot_of(pages, hosts, hosts.product(mix_v6(high, low)));
    let units = spot.and_then(|spot| pages.two_units(spot));
    let Some((first, second)) = units else {
        cold_path();
        return false;
    };
    // Both at once: none of them waits for the other.
    (zeros_of(first, high, low) | zeros_of(second, high, low)) >> 63 != 0
}

/// The highest bit tells whether an address is in a unit.
#[inline(always)]
fn zeros_of(unit: &Unit, high: u64, low: u64) -> u64 {
    let mut zeros = 0;
    for [other_high, other_low] in unit.as_chunks::<2>().0 {
        let difference = (other_high ^ high) | (other_low ^ low);
        zeros |= difference.wrapping_sub(1) & !difference;
    }
    zeros
}

/// The [`Hosts::spot`] of an address, by its product: one number for its unit and what
/// else is looked for, since more would have to be written to memory around the look-ups of
/// the unit's chunk, and read again.
///
/// Few pages have an overlay page, and a branch is predicted: so the bucket is already being
/// loaded while it is not yet known whether its page has one.
#[inline(always)]
fn spot_of<P: Pages>(pages: &P, hosts: &Hosts, product: u64) -> Option<u64> {
    let overlays = hosts.overlays();
    if overlays == 0 {
        return Some(hosts.spot(product));
    }
    cold_path();
    let at = Hosts::bucket(product) / UNITS_PER_PAGE;
    Some(
        match table_step(pages.page(table_page(overlays, at))?, at) {
            0 => hosts.spot(product) - u64::from(overlays),
            overlay => Hosts::spot_on(overlay, product),
        },
    )
}

/// A cache line.
type Line = [u64; LINE_WORDS];

/// The line on its page that begins with a unit.
#[inline(always)]
fn line_of(page: &Page, unit: u32) -> &Line {
    &page.as_chunks().0[(unit % UNITS_PER_PAGE) as usize / 2]
}

/// The number of a table's page that holds an index.
#[inline(always)]
pub const fn table_page(start: u32, index: u32) -> u32 {
    // Slots of 4 bytes: 1,024 to a page.
    start + (index >> 10)
}

/// The number of the page that holds a unit.
#[inline(always)]
pub const fn unit_page(unit: u32) -> u32 {
    unit / UNITS_PER_PAGE
}

/// See [`Steps::table`].
#[inline(always)]
pub fn table_step(page: &Page, index: u32) -> u32 {
    half(page, index & 1023)
}

/// See [`Steps::node`].
#[inline(always)]
pub fn node_step(page: &Page, unit: u32, byte: u32) -> u32 {
    let at = words_of_unit(unit);
    let (plane, bit) = (byte as usize >> 6 & 3, byte & 63);
    let first = word(page, at + plane);
    let second = word(page, at + 4 + plane);
    let code = (first >> bit & 1) | (second >> bit & 1) << 1;
    if code != 3 {
        return (code as u32) << 2 | FINAL;
    }
    let mut rank = (first & second & ((1 << bit) - 1)).count_ones();
    if plane > 0 {
        rank += (word(page, at) & word(page, at + 4)).count_ones();
    }
    if plane > 1 {
        rank += (word(page, at + 1) & word(page, at + 5)).count_ones();
    }
    if plane > 2 {
        rank += (word(page, at + 2) & word(page, at + 6)).count_ones();
    }
    half(page, ((at + PLANES_WORDS) * 2) as u32 + rank)
}

/// See [`Steps::record`].
#[inline(always)]
pub fn record_step(page: &Page, unit: u32, high: u64, low: u64) -> u64 {
    let at = words_of_unit(unit);
    let (other_high, other_low) = (word(page, at), word(page, at + 1));
    let (next, len) = (word(page, at + 2), word(page, at + 3));
    if differs(high ^ other_high, low ^ other_low, len) {
        next >> 32
    } else {
        next & 0xffff_ffff | len << 32
    }
}

/// Whether the first `len` bits (1 to 128) of a difference hold a one.
#[inline(always)]
fn differs(high: u64, low: u64, len: u64) -> bool {
    if len <= 64 {
        high >> ((64 - len) & 63) != 0
    } else {
        high != 0 || low >> ((128 - len) & 63) != 0
    }
}

/// The address without its first `len` bits (0 to 128).
#[inline(always)]
fn shifted(high: u64, low: u64, len: u64) -> (u64, u64) {
    if len == 0 {
        (high, low)
    } else if len < 64 {
        (high << len | low >> ((64 - len) & 63), low << len)
    } else {
        // At 128 nothing is left, and nothing is looked at any more.
        (low << (len & 63), 0)
    }
}

/// See [`Steps::leaf`].
#[inline(always)]
pub fn leaf_step(page: &Page, slot: u32, next: u32) -> Listing {
    let unit = leaf_unit(slot);
    let line = line_of(page, unit);
    let has_prefix = match leaf(slot) {
        Leaf::Small => {
            let words: &[u64; UNIT_WORDS] = &page.as_chunks().0[(unit % UNITS_PER_PAGE) as usize];
            holds_narrow(words, next)
        }
        Leaf::Large => holds_narrow(line, next),
        Leaf::Wide => holds_wide(line, next),
    };
    leaf_code(slot, has_prefix)
}

/// Whether one of the prefixes in lanes of 21 bits begins these bits.
#[inline(always)]
fn holds_narrow<const WORDS: usize>(words: &[u64; WORDS], next: u32) -> bool {
    // The lowest bit of a lane is never a prefix's.
    let wanted = u64::from(next >> (32 - NARROW.width) & !1).wrapping_mul(NARROW.ones);
    let mut zeros = 0;
    for word in words {
        // No lane is zero, so that none borrows from the next: what changes is the one
        // behind the prefix and the zeros that follow it.
        let beyond = word ^ word.wrapping_sub(NARROW.ones);
        let difference = (word ^ wanted) & !beyond;
        // Where a lane is zero, its highest bit is set; above, perhaps others as well.
        zeros |= difference.wrapping_sub(NARROW.ones) & !difference;
    }
    zeros & NARROW.ones << (NARROW.width - 1) != 0
}

/// Whether one of the prefixes in lanes of 32 bits begins these bits.
#[inline(always)]
fn holds_wide(line: &Line, next: u32) -> bool {
    let wanted = u64::from(next).wrapping_mul(WIDE.ones);
    let mut zeros = 0;
    for at in 0..WIDE_WORDS {
        let difference = (line[at] ^ wanted) & line[WIDE_WORDS + at];
        zeros |= difference.wrapping_sub(WIDE.ones) & !difference;
    }
    zeros & WIDE.ones << (WIDE.width - 1) != 0
}

#[inline(always)]
fn words_of_unit(unit: u32) -> usize {
    (unit % UNITS_PER_PAGE) as usize * UNIT_WORDS
}

#[inline(always)]
fn word(page: &Page, at: usize) -> u64 {
    page[at & (PAGE_WORDS - 1)]
}

/// The `at`-th 32 bits of a page.
#[inline(always)]
fn half(page: &Page, at: u32) -> u32 {
    let both = page[(at as usize / 2) & (PAGE_WORDS - 1)];
    if at & 1 == 0 {
        both as u32
    } else {
        (both >> 32) as u32
    }
}
