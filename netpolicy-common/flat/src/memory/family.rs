//! The lists of one scope and family in memory: tables of hosts, and a trie.

use netpolicy_common::Listing;
use netpolicy_prefixes::Prefixes;

use super::{
    arena::Arena,
    bits::{Range, low_ones},
    build::{build, free},
    change::change,
    difference::Difference,
    hosts::{FEWEST, HostTable},
    lists::{Content, Family, HostTables, ListPair},
    prefix::ListedPrefix,
    presence::PresenceMap,
    table::{TABLE_BELOW_FROM, TABLE_FROM},
};
use crate::layout::{Root, is_table};

/// Where one family of one scope is, and how much of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FamilyLists {
    tables: HostTables,
    presence: PresenceMap,
    start: u32,
    /// Prefixes in the trie.
    in_trie: usize,
    /// The most that were in it since it was built: so many may have made tables.
    most_in_trie: usize,
    /// Those of them that a table had no room for.
    homeless: usize,
}

impl FamilyLists {
    /// Where it begins.
    pub(super) fn root(&self) -> Root {
        Root {
            start: self.start,
            block: self.tables.block.hosts,
            allow: self.tables.allow.hosts,
            presence: self.presence.presence,
        }
    }

    /// Builds it.
    pub(super) fn build<P: Family>(arena: &mut Arena, lists: &ListPair<P>) -> Self {
        let mut items = Vec::new();
        let (block, homeless_block) = table_of(arena, &lists.block, Listing::Blocked, &mut items);
        let (allow, homeless_allow) = table_of(arena, &lists.allow, Listing::Allowed, &mut items);
        // Several sorted runs: a stable sort merges them.
        items.sort_by_key(|item| (item.bits, item.len));
        Self {
            tables: HostTables { block, allow },
            presence: PresenceMap::build(arena, lists),
            in_trie: items.len(),
            most_in_trie: items.len(),
            homeless: homeless_block + homeless_allow,
            start: build(arena, &items, 0, P::WIDTH, Listing::Neither),
        }
    }

    /// Makes what holds `old` hold `new`. Costs what differs, or, when much does, all.
    pub(super) fn change<P: Family>(
        &mut self,
        arena: &mut Arena,
        old: &ListPair<P>,
        new: &ListPair<P>,
    ) {
        let Some(difference) = Difference::between(old, new, &self.tables) else {
            return self.rebuild(arena, new);
        };
        let Difference {
            block,
            allow,
            mut touched,
            come,
            gone,
            homeless,
            new: came,
            old: went,
        } = difference;
        self.presence.change(arena, &came, went);
        self.homeless += homeless;
        for (table, moves) in [
            (&mut self.tables.block, block),
            (&mut self.tables.allow, allow),
        ] {
            let (out, add) = table.edit(arena, &moves.out, &moves.add);
            self.homeless = (self.homeless + add.len()).saturating_sub(out.len());
            self.in_trie = (self.in_trie + add.len()).saturating_sub(out.len());
            let left = out.into_iter().chain(add);
            touched.extend(left.map(|host| (P::align(host), P::align(host) | low_ones(P::WIDTH))));
        }
        self.in_trie = (self.in_trie + come).saturating_sub(gone);
        self.most_in_trie = self.most_in_trie.max(self.in_trie);
        if self.is_unfit() || self.presence.is_unfit::<P>(new.len()) {
            return self.rebuild(arena, new);
        }
        let touched = joined(touched);
        let content = Content {
            lists: new,
            tables: self.tables,
        };
        self.start = change(arena, &content, self.start, &touched);
    }

    /// Whether the parts have grown out of their shapes.
    fn is_unfit(&self) -> bool {
        let HostTables { block, allow } = &self.tables;
        let hosts = block.count + allow.count;
        block.is_unfit()
            || allow.is_unfit()
            || self.homeless > 2 * FEWEST + hosts / 8
            || !is_table(self.start) && self.in_trie > 2 * TABLE_FROM
            || is_table(self.start) && self.in_trie < TABLE_FROM / 4
            // HostTables below the first stay when their prefixes go.
            || self.most_in_trie >= TABLE_BELOW_FROM && self.in_trie < self.most_in_trie / 2
    }

    fn rebuild<P: Family>(&mut self, arena: &mut Arena, new: &ListPair<P>) {
        self.free(arena);
        *self = Self::build(arena, new);
    }

    /// Gives all of it back.
    pub(super) fn free(&mut self, arena: &mut Arena) {
        let HostTables { block, allow } = self.tables;
        block.free(arena);
        allow.free(arena);
        free(arena, self.start);
        self.presence.free(arena);
        *self = Self::default();
    }
}

/// Ranges, sorted and disjoint.
fn joined(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_unstable();
    // They are those of prefixes: what begins within another lies within it. The shorter
    // prefix may come second, with the same beginning.
    ranges.dedup_by(|(first, last), (_, before)| {
        let is_within = *first <= *before;
        if is_within {
            *before = (*before).max(*last);
        }
        is_within
    });
    ranges
}

/// Makes a table of a list's hosts. What is not in it goes to `items`; returns also how
/// many hosts of these found no place in a table.
fn table_of<P: Family>(
    arena: &mut Arena,
    list: &Prefixes<P>,
    code: Listing,
    items: &mut Vec<ListedPrefix>,
) -> (HostTable, usize) {
    let item = |first: P::Address, len: u8| ListedPrefix {
        bits: P::align(first),
        len,
        code,
    };
    let mut hosts = Vec::new();
    for prefix in list {
        if prefix.is_host() {
            hosts.push(prefix.first());
        } else {
            items.push(item(prefix.first(), prefix.length()));
        }
    }
    let (table, left) = HostTable::build(arena, &hosts);
    items.extend(left.iter().map(|host| item(*host, P::WIDTH)));
    (table, left.len())
}
