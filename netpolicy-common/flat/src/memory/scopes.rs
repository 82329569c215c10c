//! The memory of all scopes, kept in step with their lists.

use std::collections::BTreeMap;

use netpolicy_common::ScopeId;
use netpolicy_prefixes::{Prefix4, Prefix6};

use super::{
    arena::{Arena, Retired},
    family::FamilyLists,
    lists::{Family, ListPair, ScopeLists},
};
use crate::layout::Roots;

/// The memory of the lists of some scopes.
#[derive(Debug, Default)]
pub struct Memory {
    arena: Arena,
    scopes: BTreeMap<ScopeId, Scope>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Scope {
    v4: FamilyLists,
    v6: FamilyLists,
}

impl Memory {
    /// Builds it, in pages numbered from those of a chunk on. About 50 ns an entry.
    #[must_use]
    pub fn new(scopes: &[ScopeLists<'_>], first_chunk: u32) -> Self {
        let mut memory = Self {
            arena: Arena::starting_at(first_chunk),
            scopes: BTreeMap::new(),
        };
        for scope in scopes {
            memory.change_scope(None, Some(*scope));
        }
        memory
    }

    /// Makes what was built for `old` that of `new`, without a change to anything that
    /// `old` uses. Costs what differs.
    pub fn update(&mut self, old: &[ScopeLists<'_>], new: &[ScopeLists<'_>]) {
        for scope in old {
            if find(new, scope.id).is_none() {
                self.change_scope(Some(*scope), None);
            }
        }
        for scope in new {
            self.change_scope(find(old, scope.id), Some(*scope));
        }
    }

    /// The pages.
    #[must_use]
    pub fn arena(&self) -> &Arena {
        &self.arena
    }

    /// Numbers of the pages written since the last call, and forgets them.
    pub fn take_written(&mut self) -> Vec<u32> {
        self.arena.take_written()
    }

    /// What nothing uses that is held from now on.
    pub fn take_retired(&mut self) -> Retired {
        self.arena.take_retired()
    }

    /// Makes use of what no program can read any more.
    pub fn reclaim(&mut self, retired: Retired) {
        self.arena.reclaim(retired);
    }

    /// Where a scope's lists begin.
    #[must_use]
    pub fn roots(&self, scope: ScopeId) -> Roots {
        let scope = self.scopes.get(&scope).copied().unwrap_or_default();
        Roots {
            v4: scope.v4.root(),
            v6: scope.v6.root(),
        }
    }

    fn change_scope(&mut self, old: Option<ScopeLists<'_>>, new: Option<ScopeLists<'_>>) {
        let Some(id) = old.or(new).map(|scope| scope.id) else {
            return;
        };
        let mut scope = self.scopes.remove(&id).unwrap_or_default();
        let Some(new) = new else {
            scope.v4.free(&mut self.arena);
            scope.v6.free(&mut self.arena);
            return;
        };
        change::<Prefix4>(&mut self.arena, &mut scope.v4, old, new);
        change::<Prefix6>(&mut self.arena, &mut scope.v6, old, new);
        self.scopes.insert(id, scope);
    }
}

/// The lists of a scope among those of others.
fn find<'a>(scopes: &[ScopeLists<'a>], id: ScopeId) -> Option<ScopeLists<'a>> {
    scopes.iter().find(|scope| scope.id == id).copied()
}

fn change<P: Family>(
    arena: &mut Arena,
    lists: &mut FamilyLists,
    old: Option<ScopeLists<'_>>,
    new: ScopeLists<'_>,
) {
    let (old, new) = (ListPair::<P>::of(old), ListPair::<P>::of(Some(new)));
    lists.change(arena, &old, &new);
}
