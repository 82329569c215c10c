//! The agent's seams before the kernel, by the real datapath.

use std::path::PathBuf;
use std::sync::Arc;

use netpolicy_common::{Action, Event, EventStats, Reason};

use super::enforcer::{Brake, Enforcer, EnforcerError, EventSource, Inspector};
use crate::compiler::{Extent, Ruleset};
use crate::datapath::{
    AttachedInterface, BypassEntry, CounterSnapshot, Datapath, DatapathError, Enforced,
    EventReader, Opened, Options, Prepared, Reader, detach_pins,
};

impl From<DatapathError> for EnforcerError {
    fn from(error: DatapathError) -> Self {
        Self {
            hint: error.hint(),
            no_memory: error.is_out_of_memory(),
            source: error.into(),
        }
    }
}

/// The kernel's write side.
#[derive(Debug)]
pub struct Kernel {
    datapath: Datapath,
    options: Options,
}

impl Kernel {
    /// Takes over what is pinned, or installs anew; either way `ruleset` is in force
    /// then.
    ///
    /// # Errors
    /// See [`Datapath::open`].
    pub fn open(
        options: Options,
        ruleset: &Arc<Ruleset>,
        revision: u64,
    ) -> Result<(Self, Opened), DatapathError> {
        let (datapath, opened) = Datapath::open(&options, ruleset, revision)?;
        Ok((Self { datapath, options }, opened))
    }
}

impl Enforcer for Kernel {
    type Prepared = Prepared;
    type Events = EventReader;

    fn distrust(&mut self) {
        self.datapath.distrust();
    }

    fn prepare(
        &mut self,
        ruleset: &Arc<Ruleset>,
        revision: u64,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Prepared, EnforcerError> {
        Ok(self.datapath.prepare(ruleset, revision, progress)?)
    }

    fn commit(&mut self, prepared: Prepared) -> u64 {
        self.datapath.commit(&prepared)
    }

    fn is_pinned(&self) -> bool {
        self.datapath.pins_are_there()
    }

    fn reinstall(&mut self, ruleset: &Arc<Ruleset>, revision: u64) -> Result<u64, EnforcerError> {
        let (datapath, _) = Datapath::open(&self.options, ruleset, revision)?;
        self.datapath = datapath;
        Ok(self.datapath.enforced()?.generation)
    }

    fn events(&mut self) -> Result<EventReader, EnforcerError> {
        Ok(self.datapath.take_events()?)
    }

    fn attach(&mut self, interface: &str) -> Result<(), EnforcerError> {
        self.datapath.attach(interface)?;
        Ok(())
    }

    fn detach(&mut self, interface: &str) -> Result<(), EnforcerError> {
        self.datapath.detach(interface)?;
        Ok(())
    }

    fn detach_all(&mut self) -> Result<Vec<String>, EnforcerError> {
        Ok(self.datapath.detach_all()?)
    }

    fn interfaces(&self) -> Result<Vec<AttachedInterface>, EnforcerError> {
        let mut filtered = Vec::new();
        for interface in self.datapath.interfaces()? {
            if self.datapath.filters(&interface)? {
                filtered.push(interface);
            }
        }
        Ok(filtered)
    }

    fn index_of(&self, interface: &str) -> Option<u32> {
        nix::net::if_::if_nametoindex(interface).ok()
    }

    fn enforced(&self) -> Result<Enforced, EnforcerError> {
        Ok(self.datapath.enforced()?)
    }

    fn verify(&self, ruleset: &Ruleset, extent: Extent) -> Result<Vec<String>, EnforcerError> {
        Ok(self.datapath.verify(ruleset, extent)?)
    }

    fn set_bypasses(&mut self, entries: &[BypassEntry]) -> Result<(), EnforcerError> {
        Ok(self.datapath.set_bypasses(entries)?)
    }
}

/// The kernel's read side: opens the pins for each question, so that it never looks
/// at maps that were replaced.
#[derive(Debug)]
pub struct Pins(pub PathBuf);

impl Inspector for Pins {
    fn in_force(&self) -> Result<(Enforced, Vec<AttachedInterface>), EnforcerError> {
        let reader = Reader::open(&self.0)?;
        Ok((reader.enforced()?, reader.interfaces()?))
    }

    fn counters(&self) -> Result<CounterSnapshot, EnforcerError> {
        Ok(Reader::open(&self.0)?.counters())
    }

    fn event_stats(&self) -> Result<EventStats, EnforcerError> {
        Ok(Reader::open(&self.0)?.event_stats())
    }

    fn probe(&self, packet: &[u8]) -> Result<(Action, Reason), EnforcerError> {
        Ok(Reader::open(&self.0)?.probe(packet)?)
    }
}

impl Brake for Pins {
    fn detach_all(&self) -> Result<Vec<String>, EnforcerError> {
        Ok(detach_pins(&self.0)?)
    }
}

impl EventSource for EventReader {
    fn next(&mut self) -> Option<Event> {
        self.next_event()
    }

    fn grant(&mut self, per_cpu: u64) -> Result<(), EnforcerError> {
        EventReader::grant(self, per_cpu);
        Ok(())
    }
}
