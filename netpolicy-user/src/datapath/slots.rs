//! From a ruleset to a generation in force: fill the idle slot, then flip.

use std::sync::Arc;

use netpolicy_common::{
    Engine, Governance, HOST_SCOPE, HostPorts, SLOTS, ScopeConfig, ScopeFlags, ScopeId, ScopeSet,
    SlotHead, SlotInfo, flat::Root, slot_of,
};

use super::{
    DatapathError,
    chunks::{Chunks, HALF},
    counters,
    engine::Lists,
    flat::{self, FlatLists},
    lpm::{self, LpmLists},
    maps::Maps,
    verify,
};
use crate::compiler::{Extent, Ruleset, flat::Roots};

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
    #[cfg(test)]
    pub(crate) fn made_up(generation: u64, serial: u64) -> Self {
        Self { generation, serial }
    }

    /// The generation that it will be.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

/// Where the flat engine's memory of a slot begins.
pub(super) fn first_chunk(maps: &Maps, slot: u32) -> Result<u32, DatapathError> {
    let info = maps
        .slot_info
        .get(&slot, 0)
        .map_err(DatapathError::map("read", "SLOT_INFO"))?;
    // Of two numbers only: whatever else was written there is one of them.
    Ok(if info.first_chunk == 0 { 0 } else { HALF })
}

/// All slots.
pub(super) struct Slots {
    lists: Box<dyn Lists>,
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
            Engine::Flat => {
                let first = first_chunk(maps, live)?;
                Self::of(FlatLists::adopted(maps, first)?)
            }
        };
        slots.in_force = content.cloned();
        Ok(slots)
    }

    fn of(lists: impl Lists + 'static) -> Self {
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
            Engine::Flat => {
                let first = first_chunk(maps, live)?;
                let chunks = Chunks::open(maps, first..first + HALF);
                flat::compare(&chunks, maps, live, expected, extent, found);
                Ok(())
            }
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

        let roots = |scope| self.lists.roots(scope);
        if let Some(governance) = maps.governance.get_mut(slot as usize) {
            govern(governance, target, &roots);
            maps.control.set_slot(slot, head_of(governance));
        }
        let info = SlotInfo {
            generation,
            revision,
            entries: target.entries(),
            first_chunk: self.lists.first_chunk().into(),
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

/// What the program is to know of a slot first.
pub(super) fn head_of(governance: &Governance) -> SlotHead {
    let host = governance.scopes[usize::from(HOST_SCOPE)];
    let enforces = ScopeFlags::OWN_LISTS.with(ScopeFlags::OWN_ENFORCE);
    // The LPM engine's lists have no roots.
    let is_flat = [host.root_v4, host.root_v6] != [Root::default(); 2];
    let mut host_ports = HostPorts::default();
    if is_flat && host.flags.has(enforces) {
        host_ports = HostPorts::ALL;
        for (port, scope) in (0..=u16::MAX).zip(governance.scope_of_port) {
            if scope != HOST_SCOPE {
                host_ports.remove(port);
            }
        }
    }
    SlotHead {
        host,
        host_ports,
        unclassified: judging_unclassified(governance),
        reserved: [0; 11],
    }
}

/// The scopes that judge a packet whose port cannot be found.
fn judging_unclassified(governance: &Governance) -> ScopeSet {
    let mut has_port = ScopeSet::default();
    // Port 0 is no service's.
    has_port.insert(HOST_SCOPE);
    for scope in governance.scope_of_port {
        has_port.insert(scope);
    }
    let mut judging = ScopeSet::default();
    judging.insert(HOST_SCOPE);
    for (id, scope) in (0..).zip(&governance.scopes) {
        let has_policies =
            scope.flags.has(ScopeFlags::OWN_LISTS) || scope.flags.has(ScopeFlags::HOST_LISTS);
        if has_policies && has_port.holds(id) {
            judging.insert(id);
        }
    }
    judging
}

/// Writes a slot's ports and scopes.
fn govern(slot: &mut Governance, target: &Ruleset, roots: &dyn Fn(ScopeId) -> Roots) {
    slot.scope_of_port.copy_from_slice(target.ports.as_slice());
    slot.scopes.fill(ScopeConfig::default());
    for scope in &target.scopes {
        let Roots { v4, v6 } = roots(scope.id);
        slot.scopes[usize::from(scope.id)] = ScopeConfig {
            root_v4: v4,
            root_v6: v6,
            ..scope.config
        };
    }
}

#[cfg(test)]
mod tests {
    use netpolicy_common::FAILSAFE_SCOPE;

    use super::*;

    /// Whether the host's lists decide alone on some ports, of a host with these flags. Port
    /// 5432 is a service's, 22 the failsafe port.
    fn decides_alone(flags: &[ScopeFlags], root_v6: Root) -> [bool; 4] {
        let mut governance = Governance {
            scope_of_port: [HOST_SCOPE; 65536],
            scopes: [ScopeConfig::default(); netpolicy_common::MAX_SCOPES as usize],
        };
        governance.scope_of_port[5432] = 1;
        governance.scope_of_port[22] = FAILSAFE_SCOPE;
        governance.scopes[usize::from(HOST_SCOPE)] = ScopeConfig {
            flags: flags.iter().fold(ScopeFlags::default(), |a, b| a.with(*b)),
            root_v6,
            ..ScopeConfig::default()
        };
        let host_ports = head_of(&governance).host_ports;
        [80, 5432, 22, 5432 + 64].map(|port: u16| host_ports.holds(port.to_be_bytes()[1]))
    }

    #[test]
    fn the_host_decides_alone_where_it_enforces_lists_and_no_other_port_is_meant() {
        use ScopeFlags as F;

        let some = Root {
            start: 4,
            ..Root::default()
        };
        let enforced = [F::OWN_LISTS, F::OWN_ENFORCE, F::OWN_ONLY];
        assert_eq!(decides_alone(&enforced, some), [true, false, false, false]);
        assert_eq!(decides_alone(&[F::OWN_LISTS], some), [false; 4], "observed");
        assert_eq!(
            decides_alone(&[F::OWN_ENFORCE], some),
            [false; 4],
            "no lists"
        );
        assert_eq!(decides_alone(&enforced, Root::default()), [false; 4], "LPM");
    }
}
