//! Looking an address up in the flat engine's memory; `netpolicy_common::flat` tells
//! the layout.

use netpolicy_common::flat::{
    Code, FINAL, NODE, PAGE_WORDS, PLANES_WORDS, RECORD, Root, TABLE, UNIT_WORDS, UNITS_PER_PAGE,
    kind, unit,
};

/// The arena, by pages.
pub trait Pages {
    /// The page with this number, or `None` past the end.
    fn page(&self, number: u32) -> Option<&[u64; PAGE_WORDS]>;
}

/// Steps of the longest way: a byte of IPv6 each, or a record and a byte for at
/// least two of them; the table takes the first two, and one step is for the end.
const MAX_STEPS: usize = 17;

/// What the trie says of an address, left aligned in 128 bits (an IPv4 address in the
/// upper half of `high`).
#[inline(always)]
pub fn look_up<P: Pages>(pages: &P, root: Root, high: u64, low: u64) -> Code {
    let (mut high, mut low) = (high, low);
    let mut slot = root.start;
    if root.flags & TABLE != 0 {
        // Slots of 4 bytes: 1,024 to a page, two to a word.
        let index = (high >> 48) as u32;
        let Some(page) = pages.page(root.start + (index >> 10)) else {
            return Code::Neither;
        };
        slot = half(page, index & 1023);
        high = high << 16 | low >> 48;
        low <<= 16;
    }
    for _ in 0..MAX_STEPS {
        if kind(slot) == FINAL {
            return Code::from_bits(slot >> 2);
        }
        if kind(slot) != NODE && kind(slot) != RECORD {
            return hosts(slot, (high >> 56) as u32);
        }
        let unit = unit(slot);
        let Some(page) = pages.page(unit / UNITS_PER_PAGE) else {
            return Code::Neither;
        };
        let at = (unit % UNITS_PER_PAGE) as usize * UNIT_WORDS;
        if kind(slot) == NODE {
            let byte = (high >> 56) as usize;
            let (plane, bit) = (byte >> 6, byte & 63);
            let first = word(page, at + plane);
            let second = word(page, at + 4 + plane);
            let code = (first >> bit & 1) | (second >> bit & 1) << 1;
            if code != 3 {
                return Code::from_bits(code as u32);
            }
            let mut rank = (first & second & ((1 << bit) - 1)).count_ones();
            // Three comparisons are cheaper than a loop that the verifier unrolls.
            if plane > 0 {
                rank += (word(page, at) & word(page, at + 4)).count_ones();
            }
            if plane > 1 {
                rank += (word(page, at + 1) & word(page, at + 5)).count_ones();
            }
            if plane > 2 {
                rank += (word(page, at + 2) & word(page, at + 6)).count_ones();
            }
            slot = half(page, ((at + PLANES_WORDS) * 2) as u32 + rank);
            high = high << 8 | low >> 56;
            low <<= 8;
        } else {
            let (other_high, other_low) = (word(page, at), word(page, at + 1));
            let len = word(page, at + 3);
            let next = word(page, at + 2);
            if differs(high ^ other_high, low ^ other_low, len) {
                slot = (next >> 32) as u32;
            } else {
                slot = next as u32;
                (high, low) = shifted(high, low, len);
            }
        }
    }
    Code::Neither
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

/// The address without its first `len` bits (1 to 128).
#[inline(always)]
fn shifted(high: u64, low: u64, len: u64) -> (u64, u64) {
    if len < 64 {
        (high << len | low >> ((64 - len) & 63), low << len)
    } else {
        // At 128 nothing is left, and nothing is looked at any more.
        (low << (len & 63), 0)
    }
}

#[inline(always)]
fn hosts(slot: u32, byte: u32) -> Code {
    let is_listed = byte == slot >> 24 || byte == slot >> 16 & 0xff || byte == slot >> 8 & 0xff;
    Code::from_bits(if is_listed { slot >> 4 } else { slot >> 2 })
}

#[inline(always)]
fn word(page: &[u64; PAGE_WORDS], at: usize) -> u64 {
    page[at & (PAGE_WORDS - 1)]
}

/// The `at`-th 32 bits of a page.
#[inline(always)]
fn half(page: &[u64; PAGE_WORDS], at: u32) -> u32 {
    let both = page[(at as usize / 2) & (PAGE_WORDS - 1)];
    if at & 1 == 0 {
        both as u32
    } else {
        (both >> 32) as u32
    }
}
