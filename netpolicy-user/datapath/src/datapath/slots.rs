//! From a ruleset to a generation in force: fill the idle slot, then flip.

use std::sync::Arc;

use netpolicy_common::{Engine, SLOTS, ScopeId, SlotInfo, slot_of};

use super::{
    DatapathError, counters,
    engine::ListEngine,
    flat::{self, FlatLists},
    governance::{govern, head_of},
    lpm::{self, LpmLists},
    maps::Maps,
    verify,
};
use crate::compiler::{Extent, Ruleset};

/// A ruleset that is ready in the idle slot. Nothing is different in force yet;
/// dropping it abandons it.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "nothing is in force until it is committed"]
pub struct PreparedSlot {
    generation: u64,
    serial: u64,
}

impl PreparedSlot {
    /// One for tests of those who only hand it on.
    pub fn made_up(generation: u64, serial: u64) -> Self {
        Self { generation, serial }
    }

    /// The generation that it will be.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

/// All slots.
pub(super) struct Slots {
    lists: Box<dyn ListEngine>,
    /// The ruleset in force, if it is known.
    in_force: Option<Arc<Ruleset>>,
    /// The ruleset prepared last.
    prepared: Option<Arc<Ruleset>>,
    /// Counts fills, so that a [`PreparedSlot`] that another fill overtook is known.
    serial: u64,
}

impl Slots {
    /// Slots in which nothing is yet.
    pub(super) fn empty(engine: Engine, maps: &mut Maps) -> Result<Self, DatapathError> {
        Ok(match engine {
            Engine::Lpm => Self::of(LpmLists::default()),
            Engine::Flat => Self::of(FlatLists::empty(maps)?),
        })
    }

    /// The slots as they are found in the kernel, where the live one holds `content`
    /// if that is known.
    pub(super) fn adopted(
        engine: Engine,
        maps: &mut Maps,
        content: Option<&Arc<Ruleset>>,
    ) -> Result<Self, DatapathError> {
        let live = slot_of(maps.control.generation());
        let mut slots = match engine {
            Engine::Lpm => Self::of(LpmLists::adopted(maps, live, content)),
            Engine::Flat => Self::of(FlatLists::adopted(maps, live)?),
        };
        slots.in_force = content.cloned();
        Ok(slots)
    }

    fn of(lists: impl ListEngine + 'static) -> Self {
        Self {
            lists: Box::new(lists),
            in_force: None,
            prepared: None,
            serial: 0,
        }
    }

    /// Forgets what the slots hold, so that the next fill writes everything.
    pub(super) fn forget(&mut self) {
        for slot in 0..SLOTS {
            self.lists.forget(slot);
        }
    }

    /// Names the differences between what is in force and `expected`, as far as the extent
    /// goes.
    pub(super) fn verify(
        &self,
        maps: &Maps,
        expected: &Ruleset,
        extent: Extent,
    ) -> Result<Vec<String>, DatapathError> {
        let live = slot_of(maps.control.generation());
        verify::differences(maps, live, expected, |found| {
            self.lists.differences(maps, live, expected, extent, found)
        })
    }

    /// As [`Self::verify`], by what is pinned alone. Of use only if the generation is the
    /// same afterwards: what it holds may be overwritten by the second change from then on.
    pub(super) fn verify_pinned(
        engine: Engine,
        maps: &Maps,
        expected: &Ruleset,
        extent: Extent,
    ) -> Result<Vec<String>, DatapathError> {
        let live = slot_of(maps.control.generation());
        verify::differences(maps, live, expected, |found| match engine {
            Engine::Lpm => lpm::differences(maps, live, expected, extent, found),
            Engine::Flat => flat::differences(maps, live, expected, extent, found),
        })
    }

    /// Fills the idle slot. After a failure its content is unknown, and the next fill
    /// writes everything.
    pub(super) fn prepare(
        &mut self,
        maps: &mut Maps,
        target: &Arc<Ruleset>,
        revision: u64,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<PreparedSlot, DatapathError> {
        let slot = slot_of(maps.control.generation() + 1);
        let prepared = self.fill_idle(maps, target, revision, progress);
        if prepared.is_err() {
            self.lists.forget(slot);
        }
        prepared
    }

    fn fill_idle(
        &mut self,
        maps: &mut Maps,
        target: &Arc<Ruleset>,
        revision: u64,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<PreparedSlot, DatapathError> {
        let generation = maps.control.generation() + 1;
        let slot = slot_of(generation);
        self.serial += 1;
        self.lists.wait_for_readers(maps, slot)?;
        self.lists.fill(maps, slot, target, progress)?;

        let words = |scope| self.lists.words(scope);
        if let Some(governance) = maps.governance.get_mut(slot as usize) {
            govern(governance, target, &words);
            maps.control.set_slot(slot, head_of(governance));
        }
        let info = SlotInfo {
            generation,
            revision,
            entries: target.entries(),
            engine: self.lists.slot_word(),
            digest: target.digest(),
        };
        maps.slot_info
            .set(slot, info, 0)
            .map_err(DatapathError::map("set", "SLOT_INFO"))?;
        self.prepared = Some(Arc::clone(target));
        Ok(PreparedSlot {
            generation,
            serial: self.serial,
        })
    }

    /// Puts what was prepared in force: one store to memory that the program reads
    /// once for each packet.
    ///
    /// # Panics
    /// When something else was prepared or committed since.
    pub(super) fn commit(&mut self, maps: &Maps, prepared: &PreparedSlot) -> u64 {
        assert!(
            prepared.serial == self.serial && prepared.generation == maps.control.generation() + 1,
            "a prepared ruleset was overtaken by another"
        );
        let before = slot_of(maps.control.generation());
        maps.control.set_generation(prepared.generation);
        if let (Some(old), Some(new)) = (&self.in_force, &self.prepared) {
            for scope in renumbered(old, new) {
                counters::reset(maps, scope);
            }
        }
        self.in_force = self.prepared.take();
        self.lists.committed(before);
        prepared.generation
    }
}

/// Scopes that another service had before, or none had in force: what is counted there is
/// not theirs.
fn renumbered(old: &Ruleset, new: &Ruleset) -> Vec<ScopeId> {
    let had = |id: ScopeId, name: &str| old.scopes.iter().any(|s| s.id == id && s.name == name);
    let scopes = new.scopes.iter();
    scopes
        .filter(|scope| !had(scope.id, &scope.name))
        .map(|scope| scope.id)
        .collect()
}
