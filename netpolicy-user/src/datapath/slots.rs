//! From a ruleset to a generation in force: fill the idle slot, then flip.

use std::sync::Arc;

use netpolicy_common::{
    Engine, MAX_SCOPES, Reason, SLOTS, ScopeConfig, ScopeId, SlotInfo, slot_of,
};

use super::{
    DatapathError, counters::on_every_cpu, engine::Lists, flat::FlatLists, lpm::LpmLists,
    maps::Maps, verify,
};
use crate::compiler::{Ruleset, flat::Roots};

/// A ruleset that is ready in the idle slot. Nothing is different in force yet;
/// dropping it abandons it.
#[derive(Debug)]
#[must_use = "nothing is in force until it is committed"]
pub struct Prepared {
    generation: u64,
    serial: u64,
}

impl Prepared {
    /// The generation that it will be.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

/// Both slots.
pub(super) struct Slots {
    lists: Box<dyn Lists>,
    /// What was written last for each slot's scopes; `None`: not known.
    configs: [Option<Vec<ScopeConfig>>; SLOTS as usize],
    /// Counts fills, so that a [`Prepared`] that another fill overtook is known.
    serial: u64,
}

impl Slots {
    /// Slots in which nothing is yet.
    pub(super) fn empty(engine: Engine) -> Self {
        match engine {
            Engine::Lpm => Self::of(LpmLists::default()),
            Engine::Flat => Self::of(FlatLists::default()),
        }
    }

    /// The slots as they are found in the kernel, where the live one holds `content`
    /// if that is known.
    pub(super) fn adopted(engine: Engine, maps: &Maps, content: Option<&Arc<Ruleset>>) -> Self {
        let live = slot_of(maps.control.generation());
        match engine {
            Engine::Lpm => Self::of(LpmLists::adopted(maps, live, content)),
            Engine::Flat => Self::of(FlatLists::adopted(maps, live, content)),
        }
    }

    fn of(lists: impl Lists + 'static) -> Self {
        Self {
            lists: Box::new(lists),
            configs: [None, None],
            serial: 0,
        }
    }

    /// Forgets what the slots hold, so that the next fill writes everything.
    pub(super) fn forget(&mut self) {
        for slot in 0..SLOTS {
            self.forget_slot(slot);
        }
    }

    fn forget_slot(&mut self, slot: u32) {
        self.lists.forget(slot);
        self.configs[slot as usize] = None;
    }

    /// Names the differences between what is in force and `expected`.
    pub(super) fn verify(
        &self,
        maps: &Maps,
        expected: &Ruleset,
    ) -> Result<Vec<String>, DatapathError> {
        let live = slot_of(maps.control.generation());
        verify::differences(maps, self.lists.as_ref(), live, expected)
    }

    /// Fills the idle slot. After a failure its content is unknown, and the next fill
    /// writes everything.
    pub(super) fn prepare(
        &mut self,
        maps: &mut Maps,
        target: &Arc<Ruleset>,
        revision: u64,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Prepared, DatapathError> {
        let slot = slot_of(maps.control.generation() + 1);
        let prepared = self.fill_idle(maps, target, revision, progress);
        if prepared.is_err() {
            self.forget_slot(slot);
        }
        prepared
    }

    fn fill_idle(
        &mut self,
        maps: &mut Maps,
        target: &Arc<Ruleset>,
        revision: u64,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Prepared, DatapathError> {
        let live = slot_of(maps.control.generation());
        let generation = maps.control.generation() + 1;
        let slot = slot_of(generation);
        let held = self.lists.content(slot).cloned();
        self.serial += 1;
        self.lists.wait_for_readers(maps, slot)?;
        self.lists.fill(maps, slot, target, progress)?;

        if held.as_ref().is_none_or(|held| held.ports != target.ports) {
            maps.ports
                .set(slot, target.ports.as_ref(), 0)
                .map_err(DatapathError::map("set", "PORTS"))?;
        }
        let before = self.configs[slot as usize].take();
        let wanted = self.wanted_configs(target);
        for (at, config) in wanted.iter().enumerate() {
            if before.as_ref().is_none_or(|before| before[at] != *config) {
                let index = slot * MAX_SCOPES + u32::try_from(at).unwrap_or(0);
                maps.scopes
                    .set(index, config, 0)
                    .map_err(DatapathError::map("set", "SCOPES"))?;
            }
        }
        self.configs[slot as usize] = Some(wanted);
        let in_force = self.lists.content(live);
        for scope in &target.scopes {
            let is_new = in_force.is_some_and(|r| r.scopes.iter().all(|s| s.id != scope.id));
            if is_new {
                reset_counters(maps, scope.id)?;
            }
        }
        let info = SlotInfo {
            generation,
            revision,
            entries: target.entries(),
            digest: target.digest(),
        };
        maps.slot_info
            .set(slot, info, 0)
            .map_err(DatapathError::map("set", "SLOT_INFO"))?;
        Ok(Prepared {
            generation,
            serial: self.serial,
        })
    }

    /// What the kernel is to know of each scope of `target`, which was filled last.
    fn wanted_configs(&self, target: &Ruleset) -> Vec<ScopeConfig> {
        let mut configs = vec![ScopeConfig::default(); MAX_SCOPES as usize];
        for scope in &target.scopes {
            let Roots { v4, v6 } = self.lists.roots(scope.id);
            configs[usize::from(scope.id)] = ScopeConfig {
                root_v4: v4,
                root_v6: v6,
                ..scope.config
            };
        }
        configs
    }

    /// Puts what was prepared in force: one store to memory that the program reads
    /// once for each packet.
    ///
    /// # Panics
    /// When something else was prepared or committed since.
    pub(super) fn commit(&mut self, maps: &Maps, prepared: &Prepared) -> u64 {
        assert!(
            prepared.serial == self.serial && prepared.generation == maps.control.generation() + 1,
            "a prepared ruleset was overtaken by another"
        );
        maps.control.set_generation(prepared.generation);
        prepared.generation
    }
}

/// A new service may have the number of one that is gone; its counts are not its own.
fn reset_counters(maps: &mut Maps, scope: ScopeId) -> Result<(), DatapathError> {
    for reason in Reason::ALL {
        let index = u32::from(scope) * Reason::SLOTS + *reason as u32;
        maps.counters
            .set(index, on_every_cpu(0)?, 0)
            .map_err(DatapathError::map("reset", "COUNTERS"))?;
    }
    Ok(())
}
