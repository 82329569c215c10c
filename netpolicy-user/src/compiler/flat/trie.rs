//! The tries of all scopes, kept in step with a ruleset.

use std::collections::BTreeMap;

use netpolicy_common::ScopeId;
use netpolicy_common::flat::{Code, Root, TABLE, TABLE_PAGES, final_slot};

use super::{
    Arena,
    build::{build, free},
    pair::{Pair, Prefix, TABLE_BITS, Whole, changed_entries},
};
use crate::compiler::{Prefix4, Prefix6, Ruleset, ScopeRules};

/// From so many prefixes of a family on, a trie begins with a table.
const TABLE_FROM: usize = 512;

/// Values of the first 16 bits.
const TABLE_SLOTS: u32 = 1 << 16;

/// Where a scope's tries begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roots {
    /// IPv4.
    pub v4: Root,
    /// IPv6.
    pub v6: Root,
}

/// The memory of a ruleset.
#[derive(Clone, Debug, Default)]
pub struct Flat {
    arena: Arena,
    roots: BTreeMap<ScopeId, Roots>,
    /// Tables that no trie uses any more.
    free_tables: Vec<u32>,
}

impl Flat {
    /// Builds it for a ruleset. About 50 ns an entry.
    #[must_use]
    pub fn new(ruleset: &Ruleset) -> Self {
        let mut flat = Self::default();
        for scope in &ruleset.scopes {
            flat.change_scope(None, Some(scope));
        }
        flat
    }

    /// Makes what was built for `old` that of `new`; costs the parts that differ, and
    /// a walk over both.
    pub fn update(&mut self, old: &Ruleset, new: &Ruleset) {
        for scope in &old.scopes {
            if new.scope(scope.id).is_none() {
                self.change_scope(Some(scope), None);
            }
        }
        for scope in &new.scopes {
            self.change_scope(old.scope(scope.id), Some(scope));
        }
    }

    /// The pages.
    #[must_use]
    pub fn arena(&self) -> &Arena {
        &self.arena
    }

    /// The pages, to ask which were written.
    pub fn arena_mut(&mut self) -> &mut Arena {
        &mut self.arena
    }

    /// Where a scope's tries begin.
    #[must_use]
    pub fn roots(&self, scope: ScopeId) -> Roots {
        self.roots.get(&scope).copied().unwrap_or_default()
    }

    fn change_scope(&mut self, old: Option<&ScopeRules>, new: Option<&ScopeRules>) {
        let Some(id) = old.or(new).map(|scope| scope.id) else {
            return;
        };
        let held = self.roots(id);
        let (old4, new4) = (Whole::<Prefix4>::of(old), Whole::of(new));
        let v4 = self.change(held.v4, &old4.pair(), &new4.pair());
        let (old6, new6) = (Whole::<Prefix6>::of(old), Whole::of(new));
        let v6 = self.change(held.v6, &old6.pair(), &new6.pair());
        if new.is_some() {
            self.roots.insert(id, Roots { v4, v6 });
        } else {
            self.roots.remove(&id);
        }
    }

    fn change<P: Prefix>(&mut self, root: Root, old: &Pair<'_, P>, new: &Pair<'_, P>) -> Root {
        if root.flags & TABLE != 0 && new.len() >= TABLE_FROM {
            for entry in changed_entries(old, new) {
                let slot = self.arena.half(root.start, entry);
                free(&mut self.arena, slot);
                self.build_entry(root.start, entry, new, &new.entry(entry));
            }
            return root;
        }
        if old.block == new.block && old.allow == new.allow {
            return root;
        }
        self.take_down(root);
        if new.len() < TABLE_FROM {
            let start = build(&mut self.arena, &new.items(), 0, P::WIDTH, Code::Neither);
            return Root { start, flags: 0 };
        }
        let table = match self.free_tables.pop() {
            Some(table) => table,
            None => self.arena.add_pages(TABLE_PAGES),
        };
        let mut left = *new;
        for entry in 0..TABLE_SLOTS {
            let here = left.split_entry(entry);
            self.build_entry(table, entry, new, &here);
        }
        Root {
            start: table,
            flags: TABLE,
        }
    }

    /// Builds what a table's entry leads to: `here` of all `lists` begins in it.
    fn build_entry<P: Prefix>(
        &mut self,
        table: u32,
        entry: u32,
        lists: &Pair<'_, P>,
        here: &Pair<'_, P>,
    ) {
        let slot = match lists.cover_of_entry(entry) {
            Code::Blocked => final_slot(Code::Blocked),
            rest => build(&mut self.arena, &here.items(), TABLE_BITS, P::WIDTH, rest),
        };
        self.arena.set_half(table, entry, slot);
    }

    fn take_down(&mut self, root: Root) {
        if root.flags & TABLE == 0 {
            free(&mut self.arena, root.start);
            return;
        }
        for entry in 0..TABLE_SLOTS {
            let slot = self.arena.half(root.start, entry);
            free(&mut self.arena, slot);
        }
        self.free_tables.push(root.start);
    }
}
