//! The flat engine: memory built here and copied to the kernel.
//!
//! The memory in this process and the kernel's are alike. A change takes free pages for
//! what it writes; what the generation in force uses stays as it is until no program
//! can read it any more. When what the kernel holds is not known, or much too large, the
//! memory is rebuilt in the other half of the chunks.

mod chunks;
mod grace;
pub(super) mod image;

use std::{collections::VecDeque, sync::Arc};

use netpolicy_common::{EngineWords, Governance, SLOTS, ScopeId};
use netpolicy_flat::{
    layout::Roots,
    memory::{self, Memory, Retired, ScopeLists},
};

use self::{
    chunks::{Chunks, HALF},
    grace::{Grace, Moment},
};
use super::{
    DatapathError,
    engine::{ListEngine, Progress, ScopeContents},
    maps::Maps,
};
use crate::compiler::{Extent, Ruleset, ScopeRules};

/// When a ruleset has so many times fewer entries than the one before, the memory is
/// rebuilt, to give back what is free.
const SHRINK: u64 = 4;

/// The memory, and what of it may be written.
pub(super) struct FlatLists {
    memory: Memory,
    /// What the memory holds; `None`: it is to be rebuilt.
    held: Option<Arc<Ruleset>>,
    chunks: Chunks,
    /// First chunk of the memory in force.
    in_force: u32,
    /// Given back by changes that are not in force yet.
    pending: Retired,
    /// Given back by changes in force, and when they came.
    waiting: VecDeque<(Moment, Retired)>,
    /// The half that nothing in force uses, once nothing reads it: to be let go.
    left: Option<(Moment, u32)>,
    /// When each slot was given up.
    given_up: [Moment; SLOTS as usize],
    grace: Grace,
}

impl FlatLists {
    /// Nothing is in force yet.
    pub(super) fn empty(maps: &Maps) -> Result<Self, DatapathError> {
        Self::starting_at(maps, HALF)
    }

    /// Something that is not known is in force, in the slot `live`.
    pub(super) fn adopted(maps: &Maps, live: u32) -> Result<Self, DatapathError> {
        Self::starting_at(maps, first_chunk(maps, live)?)
    }

    /// What is in force is in the chunks from `first_chunk` on.
    fn starting_at(maps: &Maps, first_chunk: u32) -> Result<Self, DatapathError> {
        let grace = Grace::new(maps)?;
        // Programs may still run that began before this process did.
        let now = grace.moment();
        Ok(Self {
            memory: Memory::default(),
            held: None,
            chunks: Chunks::open(maps, first_chunk..first_chunk + HALF),
            in_force: first_chunk,
            pending: Retired::default(),
            waiting: VecDeque::new(),
            left: None,
            given_up: [now; SLOTS as usize],
            grace,
        })
    }

    /// Frees what no program reads any more.
    fn reclaim(&mut self, maps: &Maps) {
        while let Some((moment, _)) = self.waiting.front()
            && self.grace.is_over(*moment)
            && let Some((_, retired)) = self.waiting.pop_front()
        {
            self.memory.reclaim(retired);
        }
        if let Some((moment, first)) = self.left
            && self.grace.is_over(moment)
        {
            self.chunks.release(maps, first..first + HALF);
            self.left = None;
        }
    }

    fn rebuild(&mut self, maps: &Maps, target: &Ruleset) -> Result<(), DatapathError> {
        let first = other_half(self.in_force);
        if let Some((moment, _)) = self.left {
            self.grace.wait(moment)?;
            self.reclaim(maps);
        }
        // Whatever is there belongs to a change that never came into force, of this
        // process or another: new chunks take its place.
        self.chunks.forget(first..first + HALF);
        self.pending = Retired::default();
        self.waiting.clear();
        self.memory = Memory::new(&lists(target), first);
        Ok(())
    }
}

/// Spare chunks for so many in use. Whenever some are provided the kernel waits for
/// running programs, for tens of milliseconds, and the small changes that follow a large
/// one need a little more memory.
fn spare(used: u32) -> u32 {
    1 + used / 16
}

fn other_half(first_chunk: u32) -> u32 {
    if first_chunk == 0 { HALF } else { 0 }
}

impl ListEngine for FlatLists {
    fn forget(&mut self, _: u32) {
        self.held = None;
    }

    fn wait_for_readers(&mut self, _: &mut Maps, slot: u32) -> Result<(), DatapathError> {
        self.grace.wait(self.given_up[slot as usize])
    }

    /// Takes time in proportion to the differences; or to `target`, about 0.1 µs an
    /// entry, when they are many.
    fn fill(
        &mut self,
        maps: &mut Maps,
        _: u32,
        target: &Arc<Ruleset>,
        progress: Progress<'_>,
    ) -> Result<(), DatapathError> {
        self.reclaim(maps);
        match self.held.take() {
            Some(held) if target.entries() >= held.entries() / SHRINK => {
                self.memory.update(&lists(&held), &lists(target));
                self.pending.extend(self.memory.take_retired());
            }
            _ => self.rebuild(maps, target)?,
        }
        let arena = self.memory.arena();
        let (first, used) = (arena.first_chunk(), arena.chunk_count().max(1));
        let end = first + used;
        let spare = end..(end + spare(used)).min(first + HALF);
        self.chunks.provide(maps, first..end, spare)?;
        for number in self.memory.take_written() {
            self.chunks.write(number, self.memory.arena().page(number));
        }
        self.held = Some(Arc::clone(target));
        progress(target.entries(), target.entries());
        Ok(())
    }

    fn committed(&mut self, before: u32) {
        let now = self.grace.moment();
        self.given_up[before as usize] = now;
        let first = self.memory.arena().first_chunk();
        if first == self.in_force {
            let retired = std::mem::take(&mut self.pending);
            self.waiting.push_back((now, retired));
        } else {
            self.left = Some((now, self.in_force));
            self.waiting = VecDeque::from([(now, std::mem::take(&mut self.pending))]);
            self.in_force = first;
        }
    }

    fn words(&self, scope: ScopeId) -> EngineWords {
        self.memory.roots(scope).into()
    }

    /// The first chunk.
    fn slot_word(&self) -> u64 {
        self.memory.arena().first_chunk().into()
    }

    fn differences(
        &self,
        maps: &Maps,
        slot: u32,
        expected: &Ruleset,
        extent: Extent,
        found: &mut Vec<String>,
    ) -> Result<(), DatapathError> {
        compare(&self.chunks, maps, slot, expected, extent, found);
        Ok(())
    }
}

/// Where the memory of a slot begins.
fn first_chunk(maps: &Maps, slot: u32) -> Result<u32, DatapathError> {
    let info = maps
        .slot_info
        .get(&slot, 0)
        .map_err(DatapathError::map("read", "SLOT_INFO"))?;
    // Of two numbers only: whatever else was written there is one of them.
    Ok(if info.engine == 0 { 0 } else { HALF })
}

/// The lists of a ruleset.
fn lists(ruleset: &Ruleset) -> Vec<ScopeLists<'_>> {
    ruleset.scopes.iter().map(lists_of).collect()
}

fn lists_of(scope: &ScopeRules) -> ScopeLists<'_> {
    ScopeLists {
        id: scope.id,
        block: &scope.block,
        allow: &scope.allow,
    }
}

/// Names the differences between a slot's lists and `expected`, as far as the extent goes, by
/// what is pinned alone.
pub(super) fn differences(
    maps: &Maps,
    slot: u32,
    expected: &Ruleset,
    extent: Extent,
    found: &mut Vec<String>,
) -> Result<(), DatapathError> {
    let first = first_chunk(maps, slot)?;
    let chunks = Chunks::open(maps, first..first + HALF);
    compare(&chunks, maps, slot, expected, extent, found);
    Ok(())
}

/// The lists of some scopes that a slot holds.
pub(super) fn contents(
    maps: &Maps,
    slot: u32,
    held: &Governance,
    ids: &[ScopeId],
) -> Result<ScopeContents, DatapathError> {
    let info = maps.slot_info.get(&slot, 0);
    let info = info.map_err(DatapathError::map("read", "SLOT_INFO"))?;
    let first = first_chunk(maps, slot)?;
    let chunks = Chunks::open(maps, first..first + HALF);
    let page = |number: u32| chunks.page(number);
    let damaged = |what| DatapathError::Unreadable { what };
    let mut lists = ScopeContents::new();
    for id in ids {
        let config = held.scopes.get(usize::from(*id));
        let config = config.ok_or_else(|| damaged("ports and scopes"))?;
        let read = memory::lists_in(Roots::of(&config.engine), info.entries, &page);
        lists.insert(*id, read.ok_or_else(|| damaged("lists"))?);
    }
    Ok(lists)
}

/// Names the differences between what a slot's lists hold in these chunks and `expected`, as
/// far as the extent goes.
fn compare(
    chunks: &Chunks,
    maps: &Maps,
    slot: u32,
    expected: &Ruleset,
    extent: Extent,
    found: &mut Vec<String>,
) {
    let Some(held) = maps.governance.get(slot as usize) else {
        return;
    };
    for scope in &expected.scopes {
        let config = held.scopes[usize::from(scope.id)];
        let page = |number: u32| chunks.page(number);
        let roots = Roots::of(&config.engine);
        let differing = memory::differences(lists_of(scope), roots, extent, &page).into_iter();
        found.extend(differing.map(|what| format!("scope {}: {what}", scope.id)));
    }
}
