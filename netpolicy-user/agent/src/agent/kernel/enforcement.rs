//! The kernel's write side, and what the agent knows of it: what is ready there, what was
//! put in force, when its lists are to be read back, what is attached.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::attach::{self, Attacher, SharedAttacher};
use super::enforcer::{Enforcer, EventSource};
use crate::agent::error::{AgentError, EnforcerError, chain};
use crate::agent::faults::Faults;
use crate::agent::in_force::InForce;
use crate::agent::progress::ProgressReporter;
use crate::agent::snapshot::Snapshot;
use crate::api::Phase;
use crate::compiler::{Compilation, Extent, Ruleset};
use crate::datapath::{BanLists, BypassEntry, EnforcedRules, PreparedBans, PreparedSlot};
use crate::model::State;
use crate::netdev::Device;

/// A comparison of all lists takes at most one part in this many of the writer's time.
const VERIFY_SHARE: u32 = 20;

/// See the module.
pub struct KernelWriter {
    enforcer: Box<dyn Enforcer>,
    /// Attaches to interfaces.
    attacher: SharedAttacher,
    /// Where events can be read from is sent there.
    sources: mpsc::UnboundedSender<Box<dyn EventSource>>,
    /// Time between two comparisons of the kernel's lists with the desired state.
    verify_interval: Duration,
    /// When the kernel's lists are to be read back next.
    verify_at: Instant,
    /// How much of them then: all at first, and after a repair.
    extent: Extent,
}

/// What is to be in force next: ready in the kernel, as far as the kernel has to know of it.
/// Dropping it abandons it.
#[must_use = "nothing is in force until it is committed"]
pub struct Prepared {
    state: Arc<State>,
    compiled: Compilation,
    digest: [u8; 32],
    /// Where the rules are; `None`: they are those in force.
    slot: Option<PreparedSlot>,
    /// The generation in force.
    generation: u64,
}

impl Prepared {
    /// The state that is to be in force.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }
}

impl KernelWriter {
    /// Takes nothing over yet.
    pub fn new(
        enforcer: Box<dyn Enforcer>,
        interfaces: &[String],
        marker: std::path::PathBuf,
        verify_interval: Duration,
        sources: mpsc::UnboundedSender<Box<dyn EventSource>>,
    ) -> Self {
        let attacher = Attacher::new(enforcer.links(), interfaces, marker);
        Self {
            attacher: Arc::new(Mutex::new(attacher)),
            enforcer,
            sources,
            verify_interval,
            verify_at: Instant::now(),
            extent: Extent::Full,
        }
    }

    /// Attaches to interfaces; to be told of their changes.
    #[must_use]
    pub fn attacher(&self) -> SharedAttacher {
        self.attacher.clone()
    }

    /// The generation in force, as the kernel says.
    ///
    /// # Errors
    /// The kernel cannot be read.
    pub fn generation(&self) -> Result<u64, AgentError> {
        let enforced = self
            .enforcer
            .enforced()
            .map_err(|source| AgentError::Kernel {
                what: "the kernel's maps cannot be read",
                source,
            })?;
        Ok(enforced.generation)
    }

    /// Opens the events and hands them on. Without them filtering goes on.
    pub fn open_events(&mut self) {
        match self.enforcer.events() {
            // There is no receiver while the agent ends.
            Ok(source) => drop(self.sources.send(source)),
            Err(error) => {
                tracing::error!(error = chain(&error), "no events: they cannot be opened");
            }
        }
    }

    /// Fills the idle slot with what is to be in force after `now`, as `revision`, with progress.
    ///
    /// # Errors
    /// The kernel does not take it.
    pub fn prepare(
        &mut self,
        now: &InForce,
        revision: u64,
        state: State,
        compiled: Compilation,
        digest: [u8; 32],
        progress: &ProgressReporter,
    ) -> Result<Prepared, AgentError> {
        // Names and comments are none of the kernel's business.
        let slot = if digest == now.digest {
            None
        } else {
            let ruleset = compiled.ruleset();
            Some(self.fill(ruleset, revision, now, progress)?)
        };
        Ok(Prepared {
            state: Arc::new(state),
            compiled,
            digest,
            slot,
            generation: now.generation,
        })
    }

    /// Fills the idle slot once more with what should be in force, and takes nothing for
    /// granted of what the kernel holds.
    ///
    /// # Errors
    /// The kernel does not take it.
    pub fn prepare_again(
        &mut self,
        now: &InForce,
        progress: &ProgressReporter,
    ) -> Result<Prepared, AgentError> {
        self.enforcer.distrust();
        let slot = self.fill(&now.ruleset, now.revision, now, progress)?;
        Ok(Prepared {
            state: now.state.clone(),
            compiled: now.compiled.clone(),
            digest: now.digest,
            slot: Some(slot),
            generation: now.generation,
        })
    }

    fn fill(
        &mut self,
        ruleset: &Arc<Ruleset>,
        revision: u64,
        now: &InForce,
        progress: &ProgressReporter,
    ) -> Result<PreparedSlot, AgentError> {
        progress.report(Phase::Filling, 0, ruleset.entries());
        self.enforcer
            .prepare(ruleset, revision, &mut |done, total| {
                progress.report(Phase::Filling, done, total);
            })
            .map_err(|source| {
                tracing::error!(error = chain(&source), "the kernel rejected the new rules");
                AgentError::Prepare {
                    revision: now.revision,
                    source,
                }
            })
    }

    /// Puts it in force, as a revision that is stored.
    #[must_use]
    pub fn commit(&mut self, prepared: Prepared, revision: u64) -> InForce {
        let Prepared {
            state,
            compiled,
            digest,
            slot,
            generation,
        } = prepared;
        let generation = slot.map_or(generation, |slot| self.enforcer.commit(slot));
        InForce::new(state, revision, compiled, digest, generation)
    }

    /// Whether what is pinned is what the agent works on.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.enforcer.is_pinned()
    }

    /// Installs again after the pins were lost, and what should be in force with it.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn reinstall(&mut self, now: &InForce) -> Result<InForce, EnforcerError> {
        let generation = self.enforcer.reinstall(&now.ruleset, now.revision)?;
        Ok(InForce {
            generation,
            ..now.clone()
        })
    }

    /// Makes the kernel's bypasses exactly these.
    ///
    /// # Errors
    /// The kernel does not take them.
    pub fn set_bypasses(&mut self, entries: &[BypassEntry]) -> Result<(), EnforcerError> {
        self.enforcer.set_bypasses(entries)
    }

    /// Makes bans ready.
    ///
    /// # Errors
    /// The kernel does not take them.
    pub fn prepare_bans(&mut self, bans: &Arc<BanLists>) -> Result<PreparedBans, EnforcerError> {
        self.enforcer.prepare_bans(bans)
    }

    /// Puts them in force.
    ///
    /// # Errors
    /// The kernel holds more than these.
    pub fn commit_bans(&mut self, prepared: PreparedBans) -> Result<(), EnforcerError> {
        self.enforcer.commit_bans(prepared)
    }

    /// How the bans in force differ from these, if it is time to look at lists.
    ///
    /// # Errors
    /// The maps cannot be read.
    pub fn look_at_bans(&self, bans: &BanLists) -> Result<Vec<String>, EnforcerError> {
        match Instant::now() >= self.verify_at {
            true => self.enforcer.verify_bans(bans, self.extent),
            false => Ok(Vec::new()),
        }
    }

    /// Relies no longer on what the kernel was known to hold.
    pub fn distrust(&mut self) {
        self.enforcer.distrust();
    }

    /// All interfaces of the agent's network namespace; `None`: they cannot be listed.
    #[must_use]
    pub fn devices(&self) -> Option<Vec<Device>> {
        self.enforcer.links().devices().ok()
    }

    /// All rules and bypasses that the kernel enforces, in full.
    ///
    /// # Errors
    /// The maps cannot be read.
    pub fn read_back(&self) -> Result<EnforcedRules, EnforcerError> {
        self.enforcer.in_force()
    }

    /// How what is in force differs from what should be, the lists included if it is time to
    /// look at them.
    ///
    /// # Errors
    /// As [`Self::compare`].
    pub fn look(&mut self, now: &InForce, faults: &mut Faults) -> Result<Vec<String>, AgentError> {
        let is_time = Instant::now() >= self.verify_at;
        self.compare(now, is_time.then_some(self.extent), faults)
    }

    /// How what is in force differs from what should be: the generation, the digest, and
    /// if an extent is given the lists.
    ///
    /// # Errors
    /// The kernel cannot be read, which is noted as a fault.
    pub fn compare(
        &mut self,
        now: &InForce,
        lists: Option<Extent>,
        faults: &mut Faults,
    ) -> Result<Vec<String>, AgentError> {
        let read = |what, result: Result<_, _>| {
            result.map_err(|source| AgentError::Kernel { what, source })
        };
        let compared = read("the kernel's maps cannot be read", self.enforcer.enforced());
        let compared = compared.and_then(|enforced| {
            if enforced.generation != now.generation {
                return Ok(vec![format!(
                    "generation {} is in force, not {}",
                    enforced.generation, now.generation
                )]);
            }
            if enforced.digest != now.digest {
                return Ok(vec!["the rules' digest is another".to_owned()]);
            }
            let Some(extent) = lists else {
                return Ok(Vec::new());
            };
            self.verify(now, extent)
        });
        if let Err(error) = &compared {
            let fault = chain(error);
            tracing::error!("{fault}");
            faults.kernel = Some(fault);
        }
        compared
    }

    fn verify(&mut self, now: &InForce, extent: Extent) -> Result<Vec<String>, AgentError> {
        let started = Instant::now();
        let differences = self.enforcer.verify(&now.ruleset, extent);
        let differences = differences.map_err(|source| AgentError::Kernel {
            what: "the kernel's lists cannot be read",
            source,
        })?;
        let took = started.elapsed();
        tracing::debug!(?extent, ?took, "the kernel's lists were read back");
        self.verify_at = Instant::now() + self.verify_interval.max(took * VERIFY_SHARE);
        self.extent = match extent {
            Extent::Full => Extent::Sample(0),
            Extent::Sample(number) => Extent::Sample(number + 1),
        };
        Ok(differences)
    }

    /// Lets the next look read all lists back.
    pub fn verify_soon(&mut self) {
        self.verify_at = Instant::now();
        self.extent = Extent::Full;
    }

    /// Another time between two comparisons of lists.
    pub fn set_verify_interval(&mut self, interval: Duration) {
        self.verify_interval = interval;
        self.verify_at = self.verify_at.min(Instant::now() + interval);
    }

    /// Lets the next look read back what is due then.
    #[cfg(test)]
    pub(in crate::agent) fn verify_now(&mut self) {
        self.verify_at = Instant::now();
    }

    /// Makes the kernel's attachments the configured ones, at start.
    pub fn take_over_interfaces(&self) {
        attach::lock(&self.attacher).take_over();
    }

    /// See [`Attacher::check`].
    pub fn check_interfaces(&self) {
        attach::lock(&self.attacher).check();
    }

    /// See [`Attacher::attach`].
    ///
    /// # Errors
    /// The marker cannot be removed.
    pub fn attach(&self) -> Result<Vec<String>, AgentError> {
        attach::lock(&self.attacher).attach()
    }

    /// Adds to a snapshot what is known of interfaces and pins, and to faults what is wrong.
    pub fn publish(&self, snapshot: &mut Snapshot, faults: &mut Faults) {
        attach::lock(&self.attacher).publish(snapshot, faults);
    }

    /// Why filtering ends with the agent's mount namespace; `None`: it does not.
    #[must_use]
    pub fn private_pins(&self) -> Option<String> {
        let why = self.enforcer.private_pins()?;
        Some(format!(
            "filtering ends with the agent's mount namespace: {why}"
        ))
    }
}
