//! Presence bitmaps: building them, and adding bits while programs read them.

use super::{
    arena::{Arena, PageSource},
    lists::{Family, ListPair},
};
use crate::layout::{PAGE_WORDS, Presence};

/// A presence bitmap, and what became of the prefixes that it was made for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PresenceMap {
    pub(super) presence: Presence,
    /// Prefixes that it was made for.
    made_for: usize,
    /// Prefixes that went since, and may have left ones.
    gone: usize,
}

impl PresenceMap {
    /// Makes one, where there are prefixes enough.
    pub(super) fn build<P: Family>(arena: &mut Arena, lists: &ListPair<P>) -> Self {
        if lists.len() < P::PRESENCE_FROM {
            return Self::default();
        }
        let bits = (lists.len() * P::PRESENCE_BITS).next_power_of_two();
        let log2 = bits
            .ilog2()
            .clamp(Presence::FEWEST_LOG2, Presence::MOST_LOG2);
        let pages = Presence::new(0, log2).pages();
        let start = arena.take_pages(pages);
        for page in start..start + pages {
            *arena.page_mut(page) = [0; PAGE_WORDS];
        }
        let map = Self {
            presence: Presence::new(start, log2),
            made_for: lists.len(),
            gone: 0,
        };
        for prefix in lists.block.iter().chain(lists.allow.iter()) {
            map.add(arena, *prefix);
        }
        map
    }

    /// Takes a change into account: what comes is in it before any program looks for it; of
    /// what goes the bits stay. So it is written while programs read it, and whatever they read
    /// is right for the lists before as well as after.
    pub(super) fn change<P: Family>(&mut self, arena: &mut Arena, come: &[P], gone: usize) {
        if self.presence.is_some() {
            self.gone += gone;
            for prefix in come {
                self.add(arena, *prefix);
            }
        }
    }

    /// Whether it is time for another one, or none, with so many prefixes.
    pub(super) fn is_unfit<P: Family>(&self, prefixes: usize) -> bool {
        if !self.presence.is_some() {
            return prefixes >= P::PRESENCE_FROM;
        }
        prefixes < P::PRESENCE_FROM / 2
            || prefixes > 2 * self.made_for
            || self.gone > self.made_for / 4
    }

    fn add<P: Family>(&self, arena: &mut Arena, prefix: P) {
        let presence = self.presence;
        prefix.presence_bits(presence, &mut |first, last| {
            for (number, mask) in words(presence, first, last) {
                let (page, at) = place(number);
                if arena.page(page)[at] & mask != mask {
                    arena.page_mut(page)[at] |= mask;
                }
            }
        });
    }

    /// Gives it back.
    pub(super) fn free(self, arena: &mut Arena) {
        if self.presence.is_some() {
            arena.give_pages(self.presence.start(), self.presence.pages());
        }
    }
}

/// Whether a prefix is in a bitmap that is wherever its pages are; `None` if one of them is
/// missing.
pub(super) fn holds<P: Family>(
    presence: Presence,
    prefix: P,
    pages: PageSource<'_>,
) -> Option<bool> {
    if !presence.is_some() {
        return Some(true);
    }
    if !presence.is_sound() {
        return None;
    }
    let mut held = Some(true);
    prefix.presence_bits(presence, &mut |first, last| {
        for (number, mask) in words(presence, first, last) {
            let (page, at) = place(number);
            held = match (held, pages(page)) {
                (Some(held), Some(page)) => Some(held && page[at] & mask == mask),
                _ => None,
            };
        }
    });
    held
}

/// The words that hold these bits, the last one included, and which bits of each.
fn words(presence: Presence, first: u32, last: u32) -> impl Iterator<Item = (u32, u64)> {
    let (from, upto) = (presence.word(first), presence.word(last));
    (from..=upto).map(move |number| {
        let above = if number == from { first % 64 } else { 0 };
        let below = if number == upto { 63 - last % 64 } else { 0 };
        (number, u64::MAX << above & u64::MAX >> below)
    })
}

/// The page of a word, and the word's place on it.
fn place(number: u32) -> (u32, usize) {
    let number = number as usize;
    (
        u32::try_from(number / PAGE_WORDS).unwrap_or(u32::MAX),
        number % PAGE_WORDS,
    )
}

#[cfg(test)]
mod tests {
    use netpolicy_prefixes::{Address as _, Prefix as _, Prefix4, Prefix6};

    use super::*;

    /// The bits of a prefix, one by one.
    fn bits<P: Family>(presence: Presence, prefix: P) -> Vec<u32> {
        let mut all = Vec::new();
        prefix.presence_bits(presence, &mut |first, last| all.extend(first..=last));
        all.sort_unstable();
        all.dedup();
        all
    }

    #[test]
    fn a_prefix_has_the_bits_of_all_its_addresses() {
        let presence = Presence::new(9, 21);
        for len in 8..=32 {
            let prefix = Prefix4 {
                addr: 0xc633_6480 & u32::MAX << (32 - len),
                len: u8::try_from(len).unwrap(),
            };
            let step = 1usize << 32u32.saturating_sub(len + 4).min(10);
            let mut expected: Vec<u32> = (prefix.first()..=prefix.last())
                .step_by(step)
                .map(|address| presence.bit_v4(address))
                .collect();
            expected.dedup();
            assert_eq!(bits(presence, prefix), expected, "/{len}");
        }
        for len in 14..=128u8 {
            let prefix = Prefix6 {
                addr: 0x2001_0db8_1234_5678 << 64 & u128::MAX << (128 - len),
                len,
            };
            let held = bits(presence, prefix);
            let mut random = 1u64;
            for _ in 0..5000 {
                random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                let inside = u128::from(random.rotate_left(32)) << 64 & !(u128::MAX << (128 - len));
                let high = u64::try_from((prefix.addr | inside) >> 64).unwrap();
                assert!(held.binary_search(&presence.bit_v6(high)).is_ok(), "/{len}");
            }
            if len >= 48 {
                assert_eq!(held.len(), 1, "no more than needed");
            }
            assert!(prefix.last().next().is_some());
        }
    }

    #[test]
    fn words_of_bits_are_just_those_bits() {
        let presence = Presence::new(1, 20);
        for (first, last) in [(0, 0), (63, 64), (5, 700), (64, 127), (1000, 1000)] {
            let found: Vec<u32> = words(presence, first, last)
                .flat_map(|(number, mask)| {
                    let word = (number - presence.word(0)) * 64;
                    (0..64)
                        .filter(move |bit| mask >> bit & 1 == 1)
                        .map(move |bit| word + bit)
                })
                .collect();
            assert_eq!(found, (first..=last).collect::<Vec<_>>());
        }
    }
}
