//! The flat engine: pages of a trie, built here and copied to the kernel.
//!
//! One memory is kept in this process; each slot is a copy of it at some time, and
//! knows which pages were written since. A small change writes a few pages, to a slot
//! that no program reads.

use std::{collections::BTreeSet, sync::Arc};

use aya::maps::MapData;
use netpolicy_common::{MAX_SCOPES, SLOTS, ScopeId, flat::PAGE_WORDS};

use super::{
    DatapathError,
    engine::{Lists, Progress},
    maps::Maps,
    retry::while_out_of_memory,
    sys::Pages,
};
use crate::compiler::{
    Ruleset,
    flat::{Flat, Roots, same},
};

/// `BPF_MAP_TYPE_ARRAY`, `BPF_F_MMAPABLE` and `BPF_F_INNER_MAP` of `linux/bpf.h`.
const ARRAY: u32 = 2;
const MMAPABLE: u32 = 1 << 10;
const INNER_MAP: u32 = 1 << 12;

/// Bytes of a page.
#[expect(clippy::cast_possible_truncation, reason = "4,096")]
const PAGE_BYTES: u32 = (PAGE_WORDS * 8) as u32;

/// The smallest arena, in pages.
const SMALLEST: usize = 16;

/// When a ruleset has so many times fewer entries than the one before, the memory is
/// built anew, to give back what is free.
const SHRINK: u64 = 4;

/// Both slots, and the memory that they are copies of.
#[derive(Default)]
pub(super) struct FlatLists {
    memory: Flat,
    /// What the memory holds.
    held: Option<Arc<Ruleset>>,
    slots: [Slot; SLOTS as usize],
}

#[derive(Default)]
struct Slot {
    arena: Option<Arena>,
    content: Option<Arc<Ruleset>>,
    stale: Stale,
}

/// The pages of a slot that differ from the memory.
#[derive(Default)]
enum Stale {
    #[default]
    All,
    Pages(BTreeSet<u32>),
}

/// A slot's map, and its pages as memory of this process.
struct Arena {
    map: MapData,
    pages: Pages,
}

impl FlatLists {
    /// The slots as they are found in the kernel, where the live one holds `content`.
    pub(super) fn adopted(maps: &Maps, live: u32, content: Option<&Arc<Ruleset>>) -> Self {
        let mut lists = Self::default();
        for (number, slot) in (0..).zip(&mut lists.slots) {
            slot.arena = Arena::of_slot(maps, number);
            slot.content = content.filter(|_| number == live).cloned();
        }
        lists
    }

    fn change_memory(&mut self, target: &Arc<Ruleset>) {
        match self.held.take() {
            Some(held) if target.entries() >= held.entries() / SHRINK => {
                self.memory.update(&held, target);
            }
            _ => {
                self.memory = Flat::new(target);
                for slot in &mut self.slots {
                    slot.stale = Stale::All;
                }
            }
        }
        let written = self.memory.arena_mut().take_written();
        for slot in &mut self.slots {
            if let Stale::Pages(pages) = &mut slot.stale {
                pages.extend(&written);
            }
        }
        self.held = Some(Arc::clone(target));
    }
}

impl Lists for FlatLists {
    fn content(&self, slot: u32) -> Option<&Arc<Ruleset>> {
        self.slots[slot as usize].content.as_ref()
    }

    fn forget(&mut self, slot: u32) {
        let slot = &mut self.slots[slot as usize];
        slot.content = None;
        slot.stale = Stale::All;
    }

    fn wait_for_readers(&self, maps: &mut Maps, slot: u32) -> Result<(), DatapathError> {
        match &self.slots[slot as usize].arena {
            Some(arena) => maps.set_arena(slot, &arena.map),
            // Never filled, so never in force.
            None => Ok(()),
        }
    }

    fn fill(
        &mut self,
        maps: &mut Maps,
        slot: u32,
        target: &Arc<Ruleset>,
        progress: Progress<'_>,
    ) -> Result<(), DatapathError> {
        self.change_memory(target);
        let pages = self.memory.arena().pages();
        let state = &mut self.slots[slot as usize];
        state.content = None;
        let fits = state.arena.as_ref().is_some_and(|arena| {
            // An arena that is much too large goes when everything is written anyway.
            let much = pages.len().saturating_mul(4).max(SMALLEST * 4);
            let is_much = matches!(state.stale, Stale::All) && arena.pages.len() > much;
            pages.len() <= arena.pages.len() && !is_much
        });
        if !fits {
            let arena = Arena::create(pages.len() + pages.len() / 8)?;
            maps.set_arena(slot, &arena.map)?;
            state.arena = Some(arena);
            state.stale = Stale::All;
        }
        if let Some(arena) = &mut state.arena {
            match &state.stale {
                Stale::All => {
                    for (number, page) in pages.iter().enumerate() {
                        arena.pages.write(number, page);
                    }
                }
                Stale::Pages(numbers) => {
                    for number in numbers {
                        arena
                            .pages
                            .write(*number as usize, &pages[*number as usize]);
                    }
                }
            }
        }
        state.stale = Stale::Pages(BTreeSet::new());
        state.content = Some(Arc::clone(target));
        progress(target.entries(), target.entries());
        Ok(())
    }

    fn roots(&self, scope: ScopeId) -> Roots {
        self.memory.roots(scope)
    }

    fn differences(
        &self,
        maps: &Maps,
        slot: u32,
        expected: &Ruleset,
        found: &mut Vec<String>,
    ) -> Result<(), DatapathError> {
        let anew;
        let memory = if self.held.as_deref() == Some(expected) {
            &self.memory
        } else {
            anew = Flat::new(expected);
            &anew
        };
        let Some(arena) = &self.slots[slot as usize].arena else {
            found.push("lists are missing".to_owned());
            return Ok(());
        };
        let page = |number: u32| arena.pages.read(number as usize);
        for scope in &expected.scopes {
            let config = maps
                .scopes
                .get(&(slot * MAX_SCOPES + u32::from(scope.id)), 0)
                .map_err(DatapathError::map("read", "SCOPES"))?;
            let roots = memory.roots(scope.id);
            for (family, ours, theirs) in [
                ("IPv4", roots.v4, config.root_v4),
                ("IPv6", roots.v6, config.root_v6),
            ] {
                if !same(memory.arena(), ours, &page, theirs) {
                    found.push(format!("scope {}: the lists differ ({family})", scope.id));
                }
            }
        }
        Ok(())
    }
}

impl Arena {
    fn of_slot(maps: &Maps, slot: u32) -> Option<Self> {
        let map = maps.arena.get(&slot, 0).ok()?;
        let len = map.info().ok()?.max_entries() as usize;
        let pages = Pages::map(map.fd(), len).ok()?;
        Some(Self { map, pages })
    }

    fn create(pages: usize) -> Result<Self, DatapathError> {
        let len = u32::try_from(pages.max(SMALLEST)).unwrap_or(u32::MAX);
        let map = while_out_of_memory(|| {
            let shape =
                aya_obj::Map::new_from_params(ARRAY, 4, PAGE_BYTES, len, MMAPABLE | INNER_MAP);
            MapData::create(shape, "netpolicy_arena", None)
        })
        .map_err(DatapathError::map("create", "ARENA"))?;
        let pages = Pages::map(map.fd(), len as usize).map_err(|source| DatapathError::System {
            call: "mmap of an arena",
            source,
        })?;
        Ok(Self { map, pages })
    }
}
