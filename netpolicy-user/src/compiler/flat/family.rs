//! The lists of one scope and family in memory: tables of hosts, and a trie.

use netpolicy_common::flat::{Code, Root, TABLE, TABLE_PAGES, final_slot};

use super::{
    Arena,
    build::{Item, build, free},
    change::change,
    difference::Difference,
    hosts::{FEWEST, HostTable},
    lists::{Content, Family, Pair, Range, Tables, low_ones},
};
use crate::compiler::Prefixes;

/// Bits that a table looks at.
const TABLE_BITS: u8 = 16;

/// Values of the first 16 bits.
const TABLE_SLOTS: u32 = 1 << 16;

/// From so many prefixes on, a trie begins with a table.
const TABLE_FROM: usize = 64;

/// Where one family of one scope is, and how much of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lists {
    tables: Tables,
    start: u32,
    flags: u32,
    /// Prefixes in the trie.
    in_trie: usize,
    /// Those of them that a table had no room for.
    homeless: usize,
}

impl Lists {
    /// Where it begins.
    pub(super) fn root(&self) -> Root {
        Root {
            start: self.start,
            flags: self.flags,
            block: self.tables.block.hosts,
            allow: self.tables.allow.hosts,
        }
    }

    /// Builds it.
    pub(super) fn build<P: Family>(arena: &mut Arena, lists: &Pair<P>) -> Self {
        let mut items = Vec::new();
        let (block, homeless_block) = table_of(arena, &lists.block, Code::Blocked, &mut items);
        let (allow, homeless_allow) = table_of(arena, &lists.allow, Code::Allowed, &mut items);
        // Several sorted runs: a stable sort merges them.
        items.sort_by_key(|item| (item.bits, item.len));
        let mut built = Self {
            tables: Tables { block, allow },
            in_trie: items.len(),
            homeless: homeless_block + homeless_allow,
            ..Self::default()
        };
        if items.len() < TABLE_FROM {
            built.start = build(arena, &items, 0, P::WIDTH, Code::Neither);
        } else {
            built.start = build_table(arena, &items, P::WIDTH);
            built.flags = TABLE;
        }
        built
    }

    /// Makes what holds `old` hold `new`. Costs what differs, or, when much does, all.
    pub(super) fn change<P: Family>(&mut self, arena: &mut Arena, old: &Pair<P>, new: &Pair<P>) {
        let Some(difference) = Difference::between(old, new, &self.tables) else {
            return self.build_anew(arena, new);
        };
        let Difference {
            block,
            allow,
            mut touched,
            come,
            gone,
            homeless,
        } = difference;
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
        if self.is_unfit() {
            return self.build_anew(arena, new);
        }
        let touched = joined(touched);
        let content = Content {
            lists: new,
            tables: self.tables,
        };
        self.start = if self.flags & TABLE == 0 {
            change(arena, &content, self.start, (0, 0), &touched)
        } else {
            change_table(arena, &content, self.start, &touched)
        };
    }

    /// Whether the parts have grown out of their shapes.
    fn is_unfit(&self) -> bool {
        let Tables { block, allow } = &self.tables;
        let hosts = block.count + allow.count;
        block.is_unfit()
            || allow.is_unfit()
            || self.homeless > 2 * FEWEST + hosts / 8
            || self.flags & TABLE == 0 && self.in_trie > 2 * TABLE_FROM
            || self.flags & TABLE != 0 && self.in_trie < TABLE_FROM / 4
    }

    fn build_anew<P: Family>(&mut self, arena: &mut Arena, new: &Pair<P>) {
        self.free::<P>(arena);
        *self = Self::build(arena, new);
    }

    /// Gives all of it back.
    pub(super) fn free<P: Family>(&mut self, arena: &mut Arena) {
        let Tables { block, allow } = self.tables;
        block.free::<P::Address>(arena);
        allow.free::<P::Address>(arena);
        if self.flags & TABLE == 0 {
            free(arena, self.start);
        } else {
            for entry in 0..TABLE_SLOTS {
                let slot = arena.half(self.start, entry);
                free(arena, slot);
            }
            arena.give_pages(self.start, TABLE_PAGES);
        }
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
    code: Code,
    items: &mut Vec<Item>,
) -> (HostTable, usize) {
    let item = |first: P::Address, len: u8| Item {
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

/// Builds a trie that begins with a table, of sorted items; returns the table's first page.
fn build_table(arena: &mut Arena, items: &[Item], width: u8) -> u32 {
    let table = arena.take_pages(TABLE_PAGES);
    let mut covers = vec![Code::Neither; TABLE_SLOTS as usize];
    for code in [Code::Allowed, Code::Blocked] {
        for item in items {
            if item.len <= TABLE_BITS && item.code == code {
                let last = entry_of(item.bits | low_ones(item.len));
                covers[entry_of(item.bits) as usize..=last as usize].fill(code);
            }
        }
    }
    let mut left = items;
    for (entry, cover) in (0..TABLE_SLOTS).zip(covers) {
        let count = left
            .iter()
            .take_while(|item| entry_of(item.bits) == entry)
            .count();
        let (here, rest) = left.split_at(count);
        left = rest;
        let slot = match cover {
            Code::Blocked => final_slot(Code::Blocked),
            rest => build(arena, beyond_table(here), TABLE_BITS, width, rest),
        };
        arena.set_half(table, entry, slot);
    }
    table
}

/// Without those that cover the whole entry: they come first.
fn beyond_table(items: &[Item]) -> &[Item] {
    &items[items.partition_point(|item| item.len <= TABLE_BITS)..]
}

/// Changes a copy of a table, and returns its first page.
fn change_table<P: Family>(
    arena: &mut Arena,
    content: &Content<'_, P>,
    table: u32,
    touched: &[Range],
) -> u32 {
    if touched.is_empty() {
        return table;
    }
    let table = arena.move_pages(table, TABLE_PAGES);
    let mut next = 0;
    for (first, last) in touched {
        for entry in entry_of(*first).max(next)..=entry_of(*last) {
            next = entry + 1;
            let region = (u128::from(entry) << 112, TABLE_BITS);
            let slot = change(arena, content, arena.half(table, entry), region, touched);
            arena.set_half(table, entry, slot);
        }
    }
    table
}

/// The table's entry for an address.
fn entry_of(bits: u128) -> u32 {
    let [a, b, ..] = bits.to_be_bytes();
    u32::from(u16::from_be_bytes([a, b]))
}
