//! The block and allow list of one scope and family, by the entries of a table.

use std::collections::BTreeSet;

use netpolicy_common::flat::Code;

use super::build::Item;
use crate::compiler::{Prefix4, Prefix6, PrefixSet, ScopeRules};

/// Bits that a table looks at.
pub(super) const TABLE_BITS: u8 = 16;

/// A prefix of either family, as left-aligned bits.
pub(super) trait Prefix: Copy + Ord + 'static {
    /// Bits of an address.
    const WIDTH: u8;
    fn bits(self) -> u128;
    fn len(self) -> u8;
    fn of(set: &PrefixSet) -> Vec<Self>;
}

impl Prefix for Prefix4 {
    const WIDTH: u8 = 32;
    fn bits(self) -> u128 {
        u128::from(self.addr) << 96
    }
    fn len(self) -> u8 {
        self.len
    }
    fn of(set: &PrefixSet) -> Vec<Self> {
        set.v4.iter().copied().collect()
    }
}

impl Prefix for Prefix6 {
    const WIDTH: u8 = 128;
    fn bits(self) -> u128 {
        self.addr
    }
    fn len(self) -> u8 {
        self.len
    }
    fn of(set: &PrefixSet) -> Vec<Self> {
        set.v6.iter().copied().collect()
    }
}

/// Both lists, sorted and each of disjoint prefixes, or a part of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair<'a, P> {
    pub(super) block: &'a [P],
    pub(super) allow: &'a [P],
}

/// The prefixes of a [`Pair`] in one piece.
pub(super) struct Whole<P> {
    block: Vec<P>,
    allow: Vec<P>,
}

impl<P: Prefix> Whole<P> {
    pub(super) fn of(scope: Option<&ScopeRules>) -> Self {
        Self {
            block: scope.map(|scope| P::of(&scope.block)).unwrap_or_default(),
            allow: scope.map(|scope| P::of(&scope.allow)).unwrap_or_default(),
        }
    }

    pub(super) fn pair(&self) -> Pair<'_, P> {
        Pair {
            block: &self.block,
            allow: &self.allow,
        }
    }
}

impl<'a, P: Prefix> Pair<'a, P> {
    pub(super) fn len(&self) -> usize {
        self.block.len() + self.allow.len()
    }

    /// What begins in a table's entry.
    pub(super) fn entry(&self, entry: u32) -> Self {
        let within = |list: &'a [P]| {
            let start = list.partition_point(|prefix| entry_of(prefix.bits()) < entry);
            let list = &list[start..];
            &list[..list.partition_point(|prefix| entry_of(prefix.bits()) == entry)]
        };
        Self {
            block: within(self.block),
            allow: within(self.allow),
        }
    }

    /// Takes what begins in `entry` off the front, where nothing begins before it.
    pub(super) fn split_entry(&mut self, entry: u32) -> Self {
        let split = |list: &mut &'a [P]| {
            let here = list
                .iter()
                .take_while(|prefix| entry_of(prefix.bits()) == entry)
                .count();
            let (taken, left) = list.split_at(here);
            *list = left;
            taken
        };
        Self {
            block: split(&mut self.block),
            allow: split(&mut self.allow),
        }
    }

    /// What a prefix that covers a whole entry says of it.
    pub(super) fn cover_of_entry(&self, entry: u32) -> Code {
        let covers = |list: &[P]| {
            let after = list.partition_point(|prefix| entry_of(prefix.bits()) <= entry);
            // Prefixes are disjoint: only one can cover the entry, and nothing else of
            // the list begins in what it covers.
            after.checked_sub(1).is_some_and(|last| {
                let prefix = list[last];
                prefix.len() <= TABLE_BITS && entry <= last_entry_of(prefix)
            })
        };
        if covers(self.block) {
            Code::Blocked
        } else if covers(self.allow) {
            Code::Allowed
        } else {
            Code::Neither
        }
    }

    /// Both lists in one, sorted by bits, then length.
    pub(super) fn items(&self) -> Vec<Item> {
        let mut items = Vec::with_capacity(self.len());
        for (list, code) in [(self.block, Code::Blocked), (self.allow, Code::Allowed)] {
            items.extend(list.iter().map(|p| Item {
                bits: p.bits(),
                len: p.len(),
                code,
            }));
        }
        // Two sorted runs: a stable sort merges them.
        items.sort_by_key(|item| (item.bits, item.len));
        items
    }
}

/// The entry in which an address lies.
fn entry_of(bits: u128) -> u32 {
    let [a, b, ..] = bits.to_be_bytes();
    u32::from(u16::from_be_bytes([a, b]))
}

/// The last entry that a prefix reaches into.
fn last_entry_of<P: Prefix>(prefix: P) -> u32 {
    entry_of(prefix.bits() | u128::MAX.checked_shr(u32::from(prefix.len())).unwrap_or(0))
}

/// The table entries in which two pairs of lists differ.
pub(super) fn changed_entries<P: Prefix>(old: &Pair<'_, P>, new: &Pair<'_, P>) -> BTreeSet<u32> {
    let mut entries = BTreeSet::new();
    for (old, new) in [(old.block, new.block), (old.allow, new.allow)] {
        let (old, new) = middle(old, new);
        let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
        loop {
            let differing = match (old.peek(), new.peek()) {
                (None, None) => break,
                (Some(a), Some(b)) if a == b => {
                    old.next();
                    new.next();
                    continue;
                }
                (Some(a), Some(b)) if b < a => new.next(),
                (Some(_), _) => old.next(),
                (None, Some(_)) => new.next(),
            };
            if let Some(prefix) = differing {
                entries.extend(entry_of(prefix.bits())..=last_entry_of(*prefix));
            }
        }
    }
    entries
}

/// Two lists without what they have in common at both ends: most changes are few, and
/// comparing memory is quick.
fn middle<'a, P: Prefix>(old: &'a [P], new: &'a [P]) -> (&'a [P], &'a [P]) {
    let same = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[same..], &new[same..]);
    let same = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    (&old[..old.len() - same], &new[..new.len() - same])
}
