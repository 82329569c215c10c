//! A fake kernel that records its calls, and fails on request.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, mpsc};

use netpolicy_common::{Action, Event, EventStats, HOST_SCOPE, Reason, ResetStats};

use crate::agent::error::EnforcerError;
use crate::agent::kernel::{Allowance, Enforcer, EventSource, Inspector, KillSwitch, LinkSet};
use crate::arrival::{ArrivalError, ArrivalLink, Origin};
use crate::compiler::{Extent, Ruleset};
use crate::datapath::{
    AttachedInterface, BanLists, BypassEntry, CounterSnapshot, Enforced, EnforcedRules, Hook,
    LinkLayer, PreparedBans, PreparedSlot,
};
use crate::netdev::Device;

/// What the fake kernel holds, and what it is to do.
#[derive(Default)]
pub(in crate::agent) struct FakeKernelState {
    pub generation: u64,
    pub revision: u64,
    pub live: Option<Arc<Ruleset>>,
    /// What was prepared last: by which fill, and for which revision.
    pub idle: Option<(u64, Arc<Ruleset>, u64)>,
    /// Counts what was prepared.
    pub fills: u64,
    /// Interfaces that exist.
    pub links: BTreeMap<String, u32>,
    pub attached: BTreeMap<String, u32>,
    /// What interfaces say of themselves.
    pub devices: Vec<Device>,
    pub bypasses: Vec<BypassEntry>,
    pub bans: Arc<BanLists>,
    /// With the number of the fill.
    pub idle_bans: Option<(u64, Arc<BanLists>)>,
    pub fail_bans: bool,
    pub unpinned: bool,
    /// What the next read-back finds.
    pub differences: Vec<String>,
    pub fail_prepare: bool,
    pub fail_bypasses: bool,
    pub fail_commit: bool,
    /// Interfaces cannot be listed.
    pub fail_devices: bool,
    /// Interfaces that the program cannot be attached to.
    pub refusing: BTreeSet<String>,
    pub probe: Option<(Action, Reason)>,
    /// Where looks stop: told that one arrived, it waits to go on.
    pub gate: Option<Gate>,
    /// What was done, in order.
    pub journal: Vec<String>,
}

/// Sends that a look arrived, and receives that it may go on.
pub(in crate::agent) type Gate = (mpsc::Sender<()>, Arc<Mutex<mpsc::Receiver<()>>>);

#[derive(Clone, Default)]
pub(in crate::agent) struct FakeKernel(Arc<Mutex<FakeKernelState>>);

impl FakeKernel {
    pub(in crate::agent) fn lock(&self) -> MutexGuard<'_, FakeKernelState> {
        self.0.lock().unwrap()
    }

    /// What was done since this was asked last.
    pub(in crate::agent) fn journal(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().journal)
    }

    pub(in crate::agent) fn note(&self, what: impl Into<String>) {
        self.lock().journal.push(what.into());
    }
}

fn refusal(what: &str, no_memory: bool) -> EnforcerError {
    EnforcerError {
        source: what.into(),
        hint: Some("free some memory".to_owned()),
        no_memory,
    }
}

impl Enforcer for FakeKernel {
    fn distrust(&mut self) {
        self.note("distrust");
    }

    fn prepare(
        &mut self,
        ruleset: &Arc<Ruleset>,
        revision: u64,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<PreparedSlot, EnforcerError> {
        self.note("prepare");
        progress(1, 2);
        if self.lock().fail_prepare {
            return Err(refusal("no memory for the map", true));
        }
        let mut kernel = self.lock();
        kernel.fills += 1;
        let prepared = PreparedSlot::made_up(kernel.generation + 1, kernel.fills);
        kernel.idle = Some((kernel.fills, ruleset.clone(), revision));
        Ok(prepared)
    }

    fn commit(&mut self, prepared: PreparedSlot) -> u64 {
        self.note("flip");
        let mut kernel = self.lock();
        let (fill, ruleset, revision) = kernel.idle.take().expect("something is prepared");
        let expected = PreparedSlot::made_up(kernel.generation + 1, fill);
        assert_eq!(prepared, expected, "another fill overtook it");
        kernel.generation += 1;
        kernel.revision = revision;
        kernel.live = Some(ruleset);
        kernel.differences.clear();
        kernel.generation
    }

    fn is_pinned(&self) -> bool {
        !self.lock().unpinned
    }

    fn reinstall(&mut self, ruleset: &Arc<Ruleset>, revision: u64) -> Result<u64, EnforcerError> {
        self.note("reinstall");
        let mut kernel = self.lock();
        if kernel.fail_prepare {
            return Err(refusal("no memory for the map", true));
        }
        kernel.unpinned = false;
        kernel.generation = 1;
        kernel.revision = revision;
        kernel.live = Some(ruleset.clone());
        kernel.attached.clear();
        kernel.bypasses.clear();
        Ok(1)
    }

    fn events(&mut self) -> Result<Box<dyn EventSource>, EnforcerError> {
        Ok(Box::new(NoEvents))
    }

    fn links(&self) -> Arc<dyn LinkSet> {
        Arc::new(self.clone())
    }

    fn private_pins(&self) -> Option<&str> {
        None
    }

    fn enforced(&self) -> Result<Enforced, EnforcerError> {
        Inspector::enforced(self)
    }

    fn in_force(&self) -> Result<EnforcedRules, EnforcerError> {
        let kernel = self.lock();
        let rules = kernel.live.as_ref();
        let rules = rules.ok_or_else(|| refusal("nothing is pinned", false))?;
        let exempt = kernel.bypasses.iter();
        Ok(EnforcedRules {
            rules: Ruleset::clone(rules),
            bypasses: exempt.map(|bypass| (bypass.scope, bypass.source)).collect(),
        })
    }

    fn verify(&self, _: &Ruleset, extent: Extent) -> Result<Vec<String>, EnforcerError> {
        self.note(match extent {
            Extent::Full => "verify".to_owned(),
            Extent::Sample(number) => format!("verify sample {number}"),
        });
        Ok(self.lock().differences.clone())
    }

    fn set_bypasses(&mut self, entries: &[BypassEntry]) -> Result<(), EnforcerError> {
        self.note(format!("bypasses {}", entries.len()));
        let mut kernel = self.lock();
        if kernel.fail_bypasses {
            return Err(refusal("the map is full", false));
        }
        kernel.bypasses = entries.to_vec();
        Ok(())
    }

    fn prepare_bans(&mut self, bans: &Arc<BanLists>) -> Result<PreparedBans, EnforcerError> {
        self.note(format!("ready {}", bans.entries()));
        let mut kernel = self.lock();
        if kernel.fail_bans {
            return Err(refusal("no memory for bans", true));
        }
        kernel.fills += 1;
        kernel.idle_bans = Some((kernel.fills, Arc::clone(bans)));
        Ok(PreparedBans::made_up(kernel.fills))
    }

    fn commit_bans(&mut self, prepared: PreparedBans) -> Result<(), EnforcerError> {
        self.note("bans");
        let mut kernel = self.lock();
        let (fill, bans) = kernel.idle_bans.take().expect("bans are prepared");
        assert_eq!(
            prepared,
            PreparedBans::made_up(fill),
            "other bans overtook them"
        );
        kernel.bans = bans;
        Ok(())
    }

    fn verify_bans(&self, bans: &BanLists, _: Extent) -> Result<Vec<String>, EnforcerError> {
        let same = *self.lock().bans == *bans;
        Ok(match same {
            true => Vec::new(),
            false => vec!["bans differ".to_owned()],
        })
    }
}

impl LinkSet for FakeKernel {
    fn attach(&self, interface: &str) -> Result<(), EnforcerError> {
        self.note(format!("attach {interface}"));
        let mut kernel = self.lock();
        let index = *kernel
            .links
            .get(interface)
            .ok_or_else(|| refusal("no such interface", false))?;
        if kernel.refusing.contains(interface) {
            return Err(refusal("operation not supported", false));
        }
        kernel.attached.insert(interface.to_owned(), index);
        Ok(())
    }

    fn settle(&self, _: &str) -> Result<(), EnforcerError> {
        Ok(())
    }

    fn detach(&self, interface: &str) -> Result<bool, EnforcerError> {
        self.note(format!("detach {interface}"));
        Ok(self.lock().attached.remove(interface).is_some())
    }

    fn detach_all(&self) -> Result<Vec<String>, EnforcerError> {
        self.note("detach all");
        KillSwitch::detach_all(self)
    }

    fn keep(&self) -> Result<Vec<u32>, EnforcerError> {
        Ok(Vec::new())
    }

    fn attached(&self) -> Result<Vec<AttachedInterface>, EnforcerError> {
        let interface = |(name, index)| AttachedInterface {
            is_here: true,
            name,
            index,
            hook: Hook::Native,
            program: 1,
            ahead: Vec::new(),
            reason: String::new(),
            offloads: Vec::new(),
            unanswered: None,
            link_layer: Some(LinkLayer::Ethernet),
        };
        let attached = self.lock().attached.clone();
        Ok(attached.into_iter().map(interface).collect())
    }

    fn index_of(&self, interface: &str) -> Result<Option<u32>, EnforcerError> {
        Ok(self.lock().links.get(interface).copied())
    }

    fn devices(&self) -> Result<Vec<Device>, EnforcerError> {
        if self.lock().fail_devices {
            return Err(refusal("no buffer space available", false));
        }
        let kernel = self.lock();
        let device = |(name, index): (&String, &u32)| {
            let more = kernel.devices.iter().find(|device| device.name == *name);
            Device {
                name: name.clone(),
                index: *index,
                ..more.cloned().unwrap_or_default()
            }
        };
        Ok(kernel.links.iter().map(device).collect())
    }
}

impl Inspector for FakeKernel {
    fn enforced(&self) -> Result<Enforced, EnforcerError> {
        let kernel = self.lock();
        Ok(Enforced {
            generation: kernel.generation,
            revision: kernel.revision,
            entries: kernel.live.as_ref().map_or(0, |r| r.entries()),
            digest: kernel.live.as_ref().map_or([0; 32], |r| r.digest()),
            abi: netpolicy_common::ABI_VERSION,
            engine: Some(netpolicy_common::Engine::Flat),
            is_own_program: true,
        })
    }

    fn attached(&self) -> Result<Vec<AttachedInterface>, EnforcerError> {
        LinkSet::attached(self)
    }

    fn devices(&self) -> Result<Vec<Device>, EnforcerError> {
        Ok(self.lock().devices.clone())
    }

    fn verify(&self, _: &Ruleset) -> Result<(Vec<String>, Enforced), EnforcerError> {
        self.note("look");
        let gate = self.lock().gate.clone();
        if let Some((arrived, go)) = gate {
            arrived.send(()).unwrap();
            let _ = go.lock().unwrap().recv();
        }
        let differences = self.lock().differences.clone();
        Ok((differences, Inspector::enforced(self)?))
    }

    fn counters(&self) -> Result<CounterSnapshot, EnforcerError> {
        Ok(CounterSnapshot {
            rows: vec![
                (HOST_SCOPE, Reason::Blocked, 3),
                (HOST_SCOPE, Reason::Allowed, 5),
                (7, Reason::NotAllowed, 1),
            ],
            events: self.event_stats()?,
            resets: ResetStats {
                sent: 2,
                limited: 1,
                ..ResetStats::default()
            },
            since: Some(std::time::SystemTime::UNIX_EPOCH),
        })
    }

    fn event_stats(&self) -> Result<EventStats, EnforcerError> {
        Ok(EventStats::default())
    }

    fn probe(&self, _: &[u8]) -> Result<(Action, Reason), EnforcerError> {
        self.lock()
            .probe
            .ok_or_else(|| refusal("no program", false))
    }

    fn origin(&self, _: IpAddr, interface: Option<&str>) -> Result<Origin, ArrivalError> {
        let Some(name) = interface else {
            return Ok(Origin::nowhere());
        };
        match self.lock().links.get(name) {
            Some(&index) => Ok(Origin::on(vec![ArrivalLink::plain(index, name)], true)),
            None => Err(ArrivalError::UnknownInterface(name.to_owned())),
        }
    }
}

impl KillSwitch for FakeKernel {
    fn filtered(&self) -> Result<Vec<String>, EnforcerError> {
        Ok(self.lock().attached.keys().cloned().collect())
    }

    fn detach_all(&self) -> Result<Vec<String>, EnforcerError> {
        let attached = std::mem::take(&mut self.lock().attached);
        Ok(attached.into_keys().collect())
    }
}

/// Never has any.
pub(in crate::agent) struct NoEvents;

impl EventSource for NoEvents {
    fn next(&mut self) -> Option<Event> {
        None
    }

    fn grant(&mut self, _: Allowance) -> Result<(), EnforcerError> {
        Ok(())
    }

    fn counters(&mut self) -> CounterSnapshot {
        CounterSnapshot {
            rows: Vec::new(),
            events: EventStats::default(),
            resets: ResetStats::default(),
            since: None,
        }
    }
}
