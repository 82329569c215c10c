//! The reference engine: one LPM trie for each list and family.
//!
//! Each slot has tries of its own, so filling the idle slot touches nothing in
//! force. A slot remembers what it holds; a ruleset that differs little from it is
//! reached by adding and removing the differences, one that differs much by
//! building new tries.

mod read_back;
mod tries;

use std::sync::Arc;

use aya::{
    Pod,
    maps::{LpmTrie, MapData, MapError, lpm_trie::Key},
};
use netpolicy_common::{EngineWords, LIST_SLOTS, ScopeId, list_slot_of};

pub(super) use self::read_back::{contents, differences};
use self::tries::Tries;
use super::{
    DatapathError,
    engine::{ListEngine, Progress},
    maps::Maps,
    retry::while_out_of_memory,
    trie_key::{key_v4, key_v6},
};
use crate::compiler::{Extent, Prefix4, Prefix6, PrefixSet, Ruleset, ScopeRules};

/// The value of every entry: only its presence counts.
const LISTED: u8 = 1;

/// Both slots.
#[derive(Default)]
pub(super) struct LpmLists {
    slots: [Slot; LIST_SLOTS as usize],
}

/// One slot: its tries, and what they hold if that is known.
#[derive(Default)]
struct Slot {
    tries: Option<Tries>,
    content: Option<Arc<Ruleset>>,
}

impl LpmLists {
    /// The slots as they are found in the kernel, where the live one holds `content`.
    pub(super) fn adopted(maps: &Maps, live: u32, content: Option<&Arc<Ruleset>>) -> Self {
        let mut lists = Self::default();
        let live = list_slot_of(live);
        for (number, slot) in (0..).zip(&mut lists.slots) {
            slot.tries = Tries::of_slot(maps, number);
            slot.content = content.filter(|_| number == live).cloned();
        }
        lists
    }
}

impl ListEngine for LpmLists {
    fn forget(&mut self, slot: u32) {
        self.slots[list_slot_of(slot) as usize].content = None;
    }

    /// The kernel waits for all running programs when an outer map is written
    /// (kernel/bpf/syscall.c, `maybe_wait_bpf_programs`), even if nothing changes by it.
    fn wait_for_readers(&mut self, maps: &mut Maps, slot: u32) -> Result<(), DatapathError> {
        let slot = list_slot_of(slot);
        let Some(tries) = &self.slots[slot as usize].tries else {
            // Never filled, so never in force.
            return Ok(());
        };
        maps.allow_v6
            .set(slot, &tries.allow_v6, 0)
            .map_err(DatapathError::map("set", "ALLOW_V6"))
    }

    /// Takes time in proportion to the differences, or to `target` when the slot
    /// holds something quite different; about 2 µs an entry.
    fn fill(
        &mut self,
        maps: &mut Maps,
        slot: u32,
        target: &Arc<Ruleset>,
        progress: Progress<'_>,
    ) -> Result<(), DatapathError> {
        let slot = list_slot_of(slot);
        let state = &mut self.slots[slot as usize];
        let held = state.content.take();
        if let (Some(held), Some(tries)) = (held, state.tries.as_mut()) {
            let differences = count_differences(&held, target);
            if differences <= target.entries() / 2 + 64 {
                let mut writer = TrieWriter {
                    tries,
                    done: 0,
                    total: differences,
                    progress,
                };
                walk_differences(&held, target, &mut |list, scope, prefix, present| {
                    writer.write(list, scope, prefix, present)
                })?;
                state.content = Some(Arc::clone(target));
                return Ok(());
            }
        }
        let mut tries = Tries::create()?;
        let mut writer = TrieWriter {
            tries: &mut tries,
            done: 0,
            total: target.entries(),
            progress,
        };
        for scope in &target.scopes {
            each_prefix(scope, &mut |list, prefix| {
                writer.write(list, scope.id, prefix, true)
            })?;
        }
        tries.install(maps, slot)?;
        state.tries = Some(tries);
        state.content = Some(Arc::clone(target));
        Ok(())
    }

    fn committed(&mut self, _: u32) {}

    fn words(&self, _: ScopeId) -> EngineWords {
        EngineWords::default()
    }

    fn slot_word(&self) -> u64 {
        0
    }

    fn differences(
        &self,
        maps: &Maps,
        slot: u32,
        expected: &Ruleset,
        extent: Extent,
        found: &mut Vec<String>,
    ) -> Result<(), DatapathError> {
        differences(maps, slot, expected, extent, found)
    }
}

/// Which list of a scope.
#[derive(Clone, Copy, PartialEq, Eq)]
enum List {
    Block,
    Allow,
}

impl List {
    fn of(self, scope: &ScopeRules) -> &PrefixSet {
        match self {
            Self::Block => &scope.block,
            Self::Allow => &scope.allow,
        }
    }
}

/// A prefix of either family.
#[derive(Clone, Copy)]
enum EitherPrefix {
    V4(Prefix4),
    V6(Prefix6),
}

struct TrieWriter<'a> {
    tries: &'a mut Tries,
    done: u64,
    total: u64,
    progress: &'a mut dyn FnMut(u64, u64),
}

impl TrieWriter<'_> {
    fn write(
        &mut self,
        list: List,
        scope: ScopeId,
        prefix: EitherPrefix,
        present: bool,
    ) -> Result<(), DatapathError> {
        let tries = &mut *self.tries;
        match (list, prefix) {
            (List::Block, EitherPrefix::V4(p)) => {
                put(&mut tries.block_v4, "BLOCK_V4", &key_v4(scope, p), present)
            }
            (List::Block, EitherPrefix::V6(p)) => {
                put(&mut tries.block_v6, "BLOCK_V6", &key_v6(scope, p), present)
            }
            (List::Allow, EitherPrefix::V4(p)) => {
                put(&mut tries.allow_v4, "ALLOW_V4", &key_v4(scope, p), present)
            }
            (List::Allow, EitherPrefix::V6(p)) => {
                put(&mut tries.allow_v6, "ALLOW_V6", &key_v6(scope, p), present)
            }
        }?;
        self.done += 1;
        if self.done.is_multiple_of(8192) || self.done == self.total {
            (self.progress)(self.done, self.total);
        }
        Ok(())
    }
}

fn put<K: Pod>(
    trie: &mut LpmTrie<MapData, K, u8>,
    name: &'static str,
    key: &Key<K>,
    present: bool,
) -> Result<(), DatapathError> {
    if present {
        while_out_of_memory(|| trie.insert(key, LISTED, 0))
            .map_err(DatapathError::map("add to", name))
    } else {
        match while_out_of_memory(|| trie.remove(key)) {
            // Gone already: that is what was wanted.
            Err(MapError::KeyNotFound) => Ok(()),
            done => done.map_err(DatapathError::map("remove from", name)),
        }
    }
}

fn each_prefix(
    scope: &ScopeRules,
    visit: &mut dyn FnMut(List, EitherPrefix) -> Result<(), DatapathError>,
) -> Result<(), DatapathError> {
    for list in [List::Block, List::Allow] {
        let set = list.of(scope);
        for prefix in &set.v4 {
            visit(list, EitherPrefix::V4(*prefix))?;
        }
        for prefix in &set.v6 {
            visit(list, EitherPrefix::V6(*prefix))?;
        }
    }
    Ok(())
}

fn count_differences(old: &Ruleset, new: &Ruleset) -> u64 {
    let mut count = 0;
    // Cannot fail: the visitor does not.
    let _ = walk_differences(old, new, &mut |_, _, _, _| {
        count += 1;
        Ok(())
    });
    count
}

type Visit<'a> = &'a mut dyn FnMut(List, ScopeId, EitherPrefix, bool) -> Result<(), DatapathError>;

/// Visits every prefix that only `old` has (`false`) or only `new` has (`true`).
fn walk_differences(old: &Ruleset, new: &Ruleset, visit: Visit<'_>) -> Result<(), DatapathError> {
    let nothing = PrefixSet::default();
    let gone = old.scopes.iter().filter(|old| new.scope(old.id).is_none());
    for id in new.scopes.iter().chain(gone).map(|scope| scope.id) {
        for list in [List::Block, List::Allow] {
            let of = |rules: &'_ Ruleset| match rules.scope(id) {
                Some(scope) => list.of(scope).clone(),
                None => nothing.clone(),
            };
            let (old, new) = (of(old), of(new));
            let mut result = Ok(());
            let mut see = |prefix, is_new| {
                if result.is_ok() {
                    result = visit(list, id, prefix, is_new);
                }
            };
            old.v4.differences(&new.v4, |prefix, is_new| {
                see(EitherPrefix::V4(prefix), is_new);
            });
            old.v6.differences(&new.v6, |prefix, is_new| {
                see(EitherPrefix::V6(prefix), is_new);
            });
            result?;
        }
    }
    Ok(())
}
