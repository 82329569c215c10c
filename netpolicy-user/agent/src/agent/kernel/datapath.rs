//! The agent's kernel traits, implemented by the datapath.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use netpolicy_common::{Action, Event, EventStats, Reason};

use super::enforcer::{Allowance, Enforcer, EventSource, Inspector, KillSwitch, LinkSet};
use crate::agent::error::EnforcerError;
use crate::arrival::{self, ArrivalError, Origin};
use crate::compiler::{Extent, Ruleset};
use crate::config::BpffsChoice;
use crate::datapath::{
    self, AttachedInterface, BanLists, BypassEntry, CounterSnapshot, Datapath, DatapathError,
    Enforced, EnforcedRules, EventReader, Links, Opened, Options, PreparedBans, PreparedSlot,
    Reader, counters_at, enforced_at, event_stats_at, probe_at,
};
use crate::netdev::Device;

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
    bpffs: BpffsChoice,
    /// Why filtering ends with the agent's mount namespace, if it does.
    private: Option<String>,
}

impl Kernel {
    /// Takes over what is pinned, or installs it; either way `ruleset` is in force
    /// then.
    ///
    /// # Errors
    /// See [`Datapath::open`].
    pub fn open(
        options: Options,
        bpffs: BpffsChoice,
        ruleset: &Arc<Ruleset>,
        revision: u64,
    ) -> Result<(Self, Opened), DatapathError> {
        let (datapath, opened) = Datapath::open(&options, ruleset, revision)?;
        let private = datapath::private_bpffs(&options.bpffs_dir, bpffs);
        if let Some(why) = &private {
            tracing::warn!("filtering ends with the agent's mount namespace: {why}");
        }
        let options = Options {
            keep: false,
            ..options
        };
        let kernel = Self {
            datapath,
            options,
            bpffs,
            private,
        };
        Ok((kernel, opened))
    }
}

impl Kernel {
    /// The program's links, as they are.
    #[must_use]
    pub fn held_links(&self) -> Links {
        self.datapath.links()
    }
}

impl Enforcer for Kernel {
    fn distrust(&mut self) {
        self.datapath.distrust();
    }

    fn prepare(
        &mut self,
        ruleset: &Arc<Ruleset>,
        revision: u64,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<PreparedSlot, EnforcerError> {
        Ok(self.datapath.prepare(ruleset, revision, progress)?)
    }

    fn commit(&mut self, prepared: PreparedSlot) -> u64 {
        self.datapath.commit(&prepared)
    }

    fn is_pinned(&self) -> bool {
        self.datapath.pins_are_there()
    }

    fn reinstall(&mut self, ruleset: &Arc<Ruleset>, revision: u64) -> Result<u64, EnforcerError> {
        self.datapath.reopen(&self.options, ruleset, revision)?;
        self.private = datapath::private_bpffs(&self.options.bpffs_dir, self.bpffs);
        Ok(self.datapath.enforced()?.generation)
    }

    fn events(&mut self) -> Result<Box<dyn EventSource>, EnforcerError> {
        Ok(Box::new(self.datapath.take_events()?))
    }

    fn links(&self) -> Arc<dyn LinkSet> {
        Arc::new(self.datapath.links())
    }

    fn private_pins(&self) -> Option<&str> {
        self.private.as_deref()
    }

    fn enforced(&self) -> Result<Enforced, EnforcerError> {
        Ok(self.datapath.enforced()?)
    }

    fn in_force(&self) -> Result<EnforcedRules, EnforcerError> {
        // By the pins: the agent's own maps are for writing.
        Ok(Reader::open(&self.options.bpffs_dir)?.in_force()?)
    }

    fn verify(&self, ruleset: &Ruleset, extent: Extent) -> Result<Vec<String>, EnforcerError> {
        Ok(self.datapath.verify(ruleset, extent)?)
    }

    fn set_bypasses(&mut self, entries: &[BypassEntry]) -> Result<(), EnforcerError> {
        Ok(self.datapath.set_bypasses(entries)?)
    }

    fn prepare_bans(&mut self, bans: &Arc<BanLists>) -> Result<PreparedBans, EnforcerError> {
        let prepared = self.datapath.prepare_bans(bans)?;
        // What is installed again after the pins were lost.
        self.options.bans = Some(Arc::clone(bans));
        self.options.keep_bans = false;
        Ok(prepared)
    }

    fn commit_bans(&mut self, prepared: PreparedBans) -> Result<(), EnforcerError> {
        Ok(self.datapath.commit_bans(&prepared)?)
    }

    fn verify_bans(&self, bans: &BanLists, extent: Extent) -> Result<Vec<String>, EnforcerError> {
        Ok(self.datapath.verify_bans(bans, extent)?)
    }
}

impl LinkSet for Links {
    fn attach(&self, interface: &str) -> Result<(), EnforcerError> {
        Self::attach(self, interface)?;
        Ok(())
    }

    fn settle(&self, interface: &str) -> Result<(), EnforcerError> {
        Ok(Self::settle(self, interface)?)
    }

    fn detach(&self, interface: &str) -> Result<bool, EnforcerError> {
        Ok(Self::detach(self, interface)?)
    }

    fn detach_all(&self) -> Result<Vec<String>, EnforcerError> {
        Ok(Self::detach_all(self)?)
    }

    fn keep(&self) -> Result<Vec<u32>, EnforcerError> {
        Ok(Self::keep(self)?.pinned_again)
    }

    fn attached(&self) -> Result<Vec<AttachedInterface>, EnforcerError> {
        Ok(Self::filtered(self)?)
    }

    fn index_of(&self, interface: &str) -> Result<Option<u32>, EnforcerError> {
        Ok(self.device(interface)?.map(|device| device.index))
    }

    fn devices(&self) -> Result<Vec<Device>, EnforcerError> {
        Ok(Self::devices(self)?)
    }
}

/// The kernel's read side: opens the pins for each question, so that it never looks
/// at maps that were replaced. Where the program is attached is asked by what the agent
/// holds, so that it is known when pins are gone or no file can be opened.
#[derive(Debug)]
pub struct Inspection {
    /// The directory of the pins.
    pub bpffs_dir: PathBuf,
    /// The agent's links.
    pub links: Links,
}

impl Inspector for Inspection {
    fn enforced(&self) -> Result<Enforced, EnforcerError> {
        Ok(enforced_at(&self.bpffs_dir)?)
    }

    fn attached(&self) -> Result<Vec<AttachedInterface>, EnforcerError> {
        LinkSet::attached(&self.links)
    }

    fn devices(&self) -> Result<Vec<Device>, EnforcerError> {
        Ok(self.links.devices()?)
    }

    fn verify(&self, ruleset: &Ruleset) -> Result<(Vec<String>, Enforced), EnforcerError> {
        Ok(Reader::open(&self.bpffs_dir)?.verify(ruleset, Extent::Full)?)
    }

    fn counters(&self) -> Result<CounterSnapshot, EnforcerError> {
        Ok(counters_at(&self.bpffs_dir)?)
    }

    fn event_stats(&self) -> Result<EventStats, EnforcerError> {
        Ok(event_stats_at(&self.bpffs_dir)?)
    }

    fn probe(&self, packet: &[u8]) -> Result<(Action, Reason), EnforcerError> {
        Ok(probe_at(&self.bpffs_dir, packet)?)
    }

    fn origin(&self, source: IpAddr, interface: Option<&str>) -> Result<Origin, ArrivalError> {
        arrival::origin(source, interface)
    }
}

impl KillSwitch for Links {
    fn filtered(&self) -> Result<Vec<String>, EnforcerError> {
        let filtered = Self::filtered(self)?.into_iter();
        Ok(filtered.map(|interface| interface.name).collect())
    }

    fn detach_all(&self) -> Result<Vec<String>, EnforcerError> {
        Ok(Self::detach_all(self)?)
    }
}

impl EventSource for EventReader {
    fn next(&mut self) -> Option<Event> {
        self.next_event()
    }

    fn grant(&mut self, allowance: Allowance) -> Result<(), EnforcerError> {
        EventReader::grant(self, allowance.denied, allowance.passed);
        self.limit_resets(allowance.resets_per_second);
        Ok(())
    }

    fn counters(&mut self) -> CounterSnapshot {
        EventReader::counters(self)
    }
}
