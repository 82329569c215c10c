//! The flat engine: memory built here and copied to the kernel.
//!
//! The memory in this process and the kernel's are alike. A change takes free pages for
//! what it writes; what the generation in force uses stays as it is until no program
//! can read it any more. When what the kernel holds is not known, or much too large, the
//! memory is rebuilt in the other half of the chunks.

mod bans;
mod chunks;
mod grace;
pub(super) mod image;
mod kernel_memory;

use std::sync::Arc;

use netpolicy_common::{EngineWords, Governance, SLOTS, ScopeId};
use netpolicy_flat::{
    layout::Roots,
    memory::{self, ScopeLists},
};

pub(super) use self::bans::FlatBans;
use self::chunks::Chunks;
use self::{chunks::Region, kernel_memory::KernelMemory};
use super::{
    DatapathError,
    engine::{ListEngine, Progress, ScopeContents},
    maps::Maps,
};
use crate::compiler::{Extent, Ruleset, ScopeRules};

/// When so many times fewer entries are to be held than before, the memory is rebuilt, to give
/// back what is free.
const SHRINK: u64 = 4;

/// The lists of policies in the kernel.
pub(super) struct FlatLists {
    kernel: KernelMemory,
    /// What the memory holds; `None`: it is to be rebuilt.
    held: Option<Arc<Ruleset>>,
}

impl FlatLists {
    /// Nothing is in force yet.
    pub(super) fn empty(maps: &Maps) -> Result<Self, DatapathError> {
        Self::starting_at(maps, Region::LISTS.second())
    }

    /// Something that is not known is in force, in the slot `live`.
    pub(super) fn adopted(maps: &Maps, live: u32) -> Result<Self, DatapathError> {
        Self::starting_at(maps, first_chunk(maps, live)?)
    }

    /// What is in force is in the chunks from `first_chunk` on.
    fn starting_at(maps: &Maps, first_chunk: u32) -> Result<Self, DatapathError> {
        let slots = SLOTS as usize;
        Ok(Self {
            kernel: KernelMemory::starting_at(maps, Region::LISTS, first_chunk, slots)?,
            held: None,
        })
    }
}

impl ListEngine for FlatLists {
    fn forget(&mut self, _: u32) {
        self.held = None;
    }

    fn wait_for_readers(&mut self, _: &mut Maps, slot: u32) -> Result<(), DatapathError> {
        self.kernel.wait_for_readers(slot)
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
        let held = self.held.take();
        let held = held.filter(|held| target.entries() >= held.entries() / SHRINK);
        let before = held.as_deref().map(lists);
        self.kernel.fill(maps, before.as_deref(), &lists(target))?;
        self.held = Some(Arc::clone(target));
        progress(target.entries(), target.entries());
        Ok(())
    }

    fn committed(&mut self, before: u32) {
        self.kernel.committed(before);
    }

    fn words(&self, scope: ScopeId) -> EngineWords {
        self.kernel.roots(scope).into()
    }

    /// The first chunk.
    fn slot_word(&self) -> u64 {
        self.kernel.first_chunk().into()
    }

    fn differences(
        &self,
        maps: &Maps,
        slot: u32,
        expected: &Ruleset,
        extent: Extent,
        found: &mut Vec<String>,
    ) -> Result<(), DatapathError> {
        compare(self.kernel.chunks(), maps, slot, expected, extent, found);
        Ok(())
    }
}

/// Where the memory of a slot begins.
fn first_chunk(maps: &Maps, slot: u32) -> Result<u32, DatapathError> {
    let info = maps
        .slot_info
        .get(&slot, 0)
        .map_err(DatapathError::map("read", "SLOT_INFO"))?;
    Ok(Region::LISTS.half_of(info.engine))
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
    let chunks = Chunks::open(maps, Region::LISTS.chunks(first));
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
    let chunks = Chunks::open(maps, Region::LISTS.chunks(first));
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
