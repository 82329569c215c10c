//! The block and allow list of one scope and family, as the trie sees them.

use netpolicy_common::{Listing, ScopeId};
use netpolicy_prefixes::{Address, Prefix, Prefix4, Prefix6, PrefixSet, Prefixes};

use super::{
    arena::Arena,
    bits::{Range, low_ones},
    hosts::HostTable,
    key::Key,
    prefix::ListedPrefix,
};
use crate::layout::Presence;

/// The lists of a scope.
#[derive(Clone, Copy, Debug)]
pub struct ScopeLists<'a> {
    /// The scope's number.
    pub id: ScopeId,
    /// Sorted, disjoint prefixes.
    pub block: &'a PrefixSet,
    /// The same; none lies wholly inside one of `block`.
    pub allow: &'a PrefixSet,
}

/// A prefix of a family that this engine knows.
pub(super) trait Family: Prefix<Address: Key> {
    /// Bits of an address.
    const WIDTH: u8 = <Self::Address as Address>::WIDTH;

    /// The family's part of a set.
    fn of(set: &PrefixSet) -> &Prefixes<Self>;

    /// Left aligned; what is not there is zero.
    fn align(address: Self::Address) -> u128;

    /// The upper bits of a left-aligned value.
    fn address(bits: u128) -> Self::Address;

    /// From so many prefixes on, the lists of a scope have a presence bitmap: with fewer, all
    /// that a look-up reads is in the caches anyway.
    const PRESENCE_FROM: usize;

    /// Bits of a presence bitmap for each prefix, rounded up to a power of two.
    const PRESENCE_BITS: usize;

    /// The bits of a presence bitmap that stand for what it covers: ranges with their last ones.
    fn presence_bits(self, presence: Presence, visit: &mut dyn FnMut(u32, u32));

    /// Whether it is a single host.
    fn is_host(self) -> bool {
        self.length() == Self::WIDTH
    }

    /// What it covers.
    fn range(self) -> Range {
        let first = Self::align(self.first());
        (first, first | low_ones(self.length()))
    }
}

impl Family for Prefix4 {
    const PRESENCE_FROM: usize = if cfg!(test) { 48 } else { 1 << 18 };
    const PRESENCE_BITS: usize = 8;

    fn presence_bits(self, presence: Presence, visit: &mut dyn FnMut(u32, u32)) {
        visit(presence.bit_v4(self.first()), presence.bit_v4(self.last()));
    }

    fn of(set: &PrefixSet) -> &Prefixes<Self> {
        &set.v4
    }

    fn align(address: u32) -> u128 {
        u128::from(address) << 96
    }

    fn address(bits: u128) -> u32 {
        let [a, b, c, d, ..] = bits.to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }
}

impl Family for Prefix6 {
    const PRESENCE_FROM: usize = if cfg!(test) { 48 } else { 1 << 16 };
    const PRESENCE_BITS: usize = 16;

    fn presence_bits(self, presence: Presence, visit: &mut dyn FnMut(u32, u32)) {
        /// All addresses that have one bit share at least so many.
        const SITE: u8 = 40;
        /// Networks shorter than this are of so many blocks that all bits are theirs.
        const SHORTEST: u8 = 16;
        let upper_half = |address: u128| (address >> 64) as u64;
        let (first, last) = (upper_half(self.first()), upper_half(self.last()));
        if self.len < SHORTEST {
            visit(0, u32::MAX >> (u32::BITS - presence.bits_log2()));
        } else if self.len >= SITE {
            visit(presence.bit_v6(first), presence.bit_v6(last));
        } else {
            for block in first >> 32..=last >> 32 {
                let end = block << 32 | u64::from(u32::MAX);
                visit(presence.bit_v6(block << 32), presence.bit_v6(end));
            }
        }
    }

    fn of(set: &PrefixSet) -> &Prefixes<Self> {
        &set.v6
    }

    fn align(address: u128) -> u128 {
        address
    }

    fn address(bits: u128) -> u128 {
        bits
    }
}

/// Both lists.
#[derive(Clone, Debug)]
pub(super) struct ListPair<P: Family> {
    pub(super) block: Prefixes<P>,
    pub(super) allow: Prefixes<P>,
}

impl<P: Family> Default for ListPair<P> {
    fn default() -> Self {
        Self {
            block: Prefixes::default(),
            allow: Prefixes::default(),
        }
    }
}

impl<P: Family> ListPair<P> {
    pub(super) fn of(scope: Option<ScopeLists<'_>>) -> Self {
        scope.map_or_else(Self::default, |scope| Self {
            block: P::of(scope.block).clone(),
            allow: P::of(scope.allow).clone(),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.block.len() + self.allow.len()
    }
}

/// Where hosts are looked for before the trie.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HostTables {
    pub(super) block: HostTable,
    pub(super) allow: HostTable,
}

/// What the trie is to hold: the lists without the hosts that are in tables.
pub(super) struct Content<'a, P: Family> {
    pub(super) lists: &'a ListPair<P>,
    pub(super) tables: HostTables,
}

impl<P: Family> Content<'_, P> {
    /// All that has an address in a range, sorted by bits, then length.
    pub(super) fn items(&self, arena: &Arena, range: Range) -> Vec<ListedPrefix> {
        let mut items = Vec::new();
        for (list, table, code) in [
            (&self.lists.block, &self.tables.block, Listing::Blocked),
            (&self.lists.allow, &self.tables.allow, Listing::Allowed),
        ] {
            let within = P::address(range.0)..=P::address(range.1);
            let outside_table =
                |prefix: &P| !(prefix.is_host() && table.contains(arena, prefix.first()));
            items.extend(
                list.range(within)
                    .filter(outside_table)
                    .map(|prefix| ListedPrefix {
                        bits: P::align(prefix.first()),
                        len: prefix.length(),
                        code,
                    }),
            );
        }
        // Two sorted runs: a stable sort merges them.
        items.sort_by_key(|item| (item.bits, item.len));
        items
    }
}
