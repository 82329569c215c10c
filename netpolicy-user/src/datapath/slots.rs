//! From a ruleset to a generation in force: fill the idle slot, then flip.

use std::sync::Arc;

use netpolicy_common::{MAX_SCOPES, Reason, SLOTS, ScopeConfig, ScopeId, SlotInfo, slot_of};

use super::{DatapathError, counters::on_every_cpu, lpm, maps::Maps};
use crate::compiler::Ruleset;

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
#[derive(Default)]
pub(super) struct Slots {
    slots: [lpm::Slot; SLOTS as usize],
    /// Counts fills, so that a [`Prepared`] that another fill overtook is known.
    serial: u64,
}

impl Slots {
    /// The slots as they are found in the kernel, where the live one holds `live`
    /// if that is known.
    pub(super) fn adopted(maps: &Maps, live: Option<&Arc<Ruleset>>) -> Self {
        let live_slot = slot_of(maps.control.generation());
        let slot = |number| {
            let content = live.filter(|_| number == live_slot).cloned();
            lpm::Slot::adopted(maps, number, content)
        };
        Self {
            slots: [slot(0), slot(1)],
            serial: 0,
        }
    }

    /// Forgets what the slots hold, so that the next fill writes everything.
    pub(super) fn forget(&mut self) {
        for slot in &mut self.slots {
            slot.forget();
        }
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
            self.slots[slot as usize].forget();
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
        let held = self.slots[slot as usize].content().cloned();
        self.serial += 1;
        self.slots[slot as usize].wait_for_readers(maps, slot)?;
        self.slots[slot as usize].fill(maps, slot, target, progress)?;

        if held.as_ref().is_none_or(|held| held.ports != target.ports) {
            maps.ports
                .set(slot, target.ports.as_ref(), 0)
                .map_err(DatapathError::map("set", "PORTS"))?;
        }
        let before = held.as_deref().map(configs);
        let wanted = configs(target);
        for (index, config) in (slot * MAX_SCOPES..).zip(&wanted) {
            let at = (index - slot * MAX_SCOPES) as usize;
            if before.as_ref().is_none_or(|before| before[at] != *config) {
                maps.scopes
                    .set(index, config, 0)
                    .map_err(DatapathError::map("set", "SCOPES"))?;
            }
        }
        let in_force = self.slots[live as usize].content();
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

fn configs(ruleset: &Ruleset) -> Vec<ScopeConfig> {
    let mut configs = vec![ScopeConfig::default(); MAX_SCOPES as usize];
    for scope in &ruleset.scopes {
        configs[usize::from(scope.id)] = scope.config;
    }
    configs
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
