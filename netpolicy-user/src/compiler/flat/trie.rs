//! The memory of all scopes, kept in step with a ruleset.

use std::collections::BTreeMap;

use netpolicy_common::ScopeId;
use netpolicy_common::flat::Root;

use super::{
    Arena, Retired,
    family::Lists,
    lists::{Family, Pair},
};
use crate::compiler::{Prefix4, Prefix6, Ruleset, ScopeRules};

/// Where a scope's lists begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roots {
    /// IPv4.
    pub v4: Root,
    /// IPv6.
    pub v6: Root,
}

/// The memory of a ruleset.
#[derive(Debug, Default)]
pub struct Flat {
    arena: Arena,
    scopes: BTreeMap<ScopeId, Scope>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Scope {
    v4: Lists,
    v6: Lists,
}

impl Flat {
    /// Builds it for a ruleset, in pages numbered from those of a chunk on. About 50 ns
    /// an entry.
    #[must_use]
    pub fn new(ruleset: &Ruleset, first_chunk: u32) -> Self {
        let mut flat = Self {
            arena: Arena::starting_at(first_chunk),
            scopes: BTreeMap::new(),
        };
        for scope in &ruleset.scopes {
            flat.change_scope(None, Some(scope));
        }
        flat
    }

    /// Makes what was built for `old` that of `new`, without a change to anything that
    /// `old` uses. Costs what differs.
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

    /// Numbers of the pages written since the last call, and forgets them.
    pub fn take_written(&mut self) -> Vec<u32> {
        self.arena.take_written()
    }

    /// What no ruleset uses that is held from now on.
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

    fn change_scope(&mut self, old: Option<&ScopeRules>, new: Option<&ScopeRules>) {
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

fn change<P: Family>(
    arena: &mut Arena,
    lists: &mut Lists,
    old: Option<&ScopeRules>,
    new: &ScopeRules,
) {
    let (old, new) = (Pair::<P>::of(old), Pair::<P>::of(Some(new)));
    lists.change(arena, &old, &new);
}
