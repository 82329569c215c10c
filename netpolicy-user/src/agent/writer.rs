//! The single writer: owns the store, the kernel's write side and the state in force.
//!
//! Holds what is, takes over what was found and publishes it; how a change goes is in
//! `change.rs`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use netpolicy_common::ScopeId;
use tokio::sync::{mpsc, watch};

use super::attach::{self, Attacher, SharedAttacher};
use super::clients::{KernelSockets, Sockets};
use super::enforcer::Enforcer;
use super::error::{AgentError, chain};
use super::guard::Guard;
use super::held::Held;
use super::lock::Lock;
use super::memory;
use super::snapshot::{Faults, Snapshot};
use crate::api::{ProgressView, RevisionView};
use crate::clock::Clock;
use crate::compiler::{Compilation, Extent, Ruleset};
use crate::model::{Bypass, Grant, Limits, State};
use crate::store::{Past, Pending, Revision, Store, Stored};

/// A change of so many rules, or with so many bytes of text, is large: the memory that
/// it took is given back at once.
pub(super) const LARGE_RULES: u64 = 50_000;
pub(super) const LARGE_TEXT: usize = 1 << 20;

/// What the writer starts from.
#[derive(Debug)]
pub struct Settings {
    /// Interfaces to filter; none: whatever is filtered already.
    pub interfaces: Vec<String>,
    /// How much a host takes.
    pub limits: Limits,
    /// Time between two comparisons of the kernel's lists with the desired state.
    pub verify_interval: Duration,
    /// The file that says that nothing is to be attached.
    pub marker: PathBuf,
    /// What deadlines are measured by; the store's, too.
    pub clock: Clock,
    /// The agent's own arguments, for the guard of a change that waits for its
    /// confirmation; `None`: none is left.
    pub guard: Option<Vec<OsString>>,
}

/// See the module.
pub struct Writer<E: Enforcer> {
    pub(super) enforcer: E,
    pub(super) store: Box<dyn Store>,
    pub(super) settings: Settings,
    pub(super) state: Arc<State>,
    pub(super) revision: u64,
    /// What is, or should be, in force.
    pub(super) ruleset: Arc<Ruleset>,
    /// What it was compiled to, to compile the next one from.
    pub(super) compiled: Compilation,
    pub(super) digest: [u8; 32],
    pub(super) entries: u64,
    pub(super) generation: u64,
    pub(super) bypasses: Vec<Bypass>,
    pub(super) grants: Vec<Grant>,
    /// The change that waits for its confirmation.
    pub(super) pending: Option<Pending>,
    /// The state to go back to.
    pub(super) pending_base: Option<Arc<State>>,
    /// Why the store is not to be gone on from until an admin says otherwise.
    pub(super) held: Option<Held>,
    /// Of the state directory, where that is another one than at start.
    pub(super) lock: Option<Lock>,
    /// What takes it back if the agent is gone.
    pub(super) guard: Option<Guard>,
    /// The host's sockets.
    pub(super) sockets: Box<dyn Sockets>,
    pub(super) faults: Faults,
    /// Attaches to interfaces.
    pub(super) attacher: SharedAttacher,
    /// When the kernel's lists are to be read back next.
    pub(super) verify_at: Instant,
    /// How much of them then: all at first, and after a repair.
    pub(super) extent: Extent,
    /// Whether revisions were made since old ones were removed.
    pub(super) prune_due: bool,
    /// What the last change replaced: freeing it takes time that nobody waits for.
    pub(super) replaced: Option<(Arc<State>, Compilation)>,
    /// Names of services that were removed since the agent started, by their scopes.
    pub(super) removed: BTreeMap<ScopeId, String>,
    /// Whether the last change was large.
    pub(super) was_large: bool,
    sources: mpsc::UnboundedSender<E::Events>,
    published: watch::Sender<Arc<Snapshot>>,
    progress: watch::Sender<ProgressView>,
}

impl<E: Enforcer> Writer<E> {
    /// Takes over what the store holds; `compiled` is made from it and in force.
    /// Where events can be read from is sent to `sources`.
    pub fn new(
        enforcer: E,
        store: Box<dyn Store>,
        stored: Stored,
        compiled: Compilation,
        settings: Settings,
        sources: mpsc::UnboundedSender<E::Events>,
    ) -> Self {
        let state = Arc::new(stored.state);
        let ruleset = Arc::clone(compiled.ruleset());
        let attacher = Attacher::new(
            enforcer.links(),
            settings.interfaces.clone(),
            settings.marker.clone(),
        );
        let mut writer = Self {
            digest: ruleset.digest(),
            entries: ruleset.entries(),
            published: watch::Sender::new(Arc::new(Snapshot::of(&state, stored.revision))),
            enforcer,
            store,
            settings,
            state,
            revision: stored.revision,
            ruleset,
            compiled,
            generation: 0,
            bypasses: stored.bypasses,
            grants: stored.grants,
            pending: stored.pending,
            pending_base: None,
            held: None,
            lock: None,
            guard: None,
            sockets: Box::new(KernelSockets),
            faults: Faults::default(),
            attacher: Arc::new(Mutex::new(attacher)),
            verify_at: Instant::now(),
            extent: Extent::Full,
            prune_due: true,
            replaced: None,
            removed: BTreeMap::new(),
            was_large: false,
            sources,
            progress: watch::Sender::new(idle()),
        };
        writer.publish();
        writer
    }

    /// Makes kernel and state the same, as far as the opened datapath did not: reads
    /// the generation, restores bypasses, attaches.
    ///
    /// # Errors
    /// The kernel cannot be read.
    pub fn take_over(&mut self) -> Result<(), AgentError> {
        let enforced = self
            .enforcer
            .enforced()
            .map_err(|source| AgentError::Kernel {
                what: "the kernel's maps cannot be read",
                source,
            })?;
        self.generation = enforced.generation;
        self.open_events();
        if let Some(pending) = &self.pending {
            // For a rescue, which is refused without it.
            self.pending_base = self.store.state_at(pending.base).ok().map(Arc::new);
        }
        self.take_over_bypasses(self.now());
        attach::lock(&self.attacher).take_over();
        self.record_unrecorded();
        self.leave_guard();
        self.publish();
        Ok(())
    }

    /// Opens the events and hands them on. Without them filtering goes on.
    pub(super) fn open_events(&mut self) {
        match self.enforcer.events() {
            // Nobody receives while the agent ends.
            Ok(source) => drop(self.sources.send(source)),
            Err(error) => {
                tracing::error!(error = chain(&error), "no events: they cannot be opened");
            }
        }
    }

    /// What was published last.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.published.borrow().clone()
    }

    /// Now, on the scale of deadlines.
    pub(super) fn now(&self) -> Timestamp {
        self.settings.clock.now()
    }

    /// Attaches to interfaces; to be told of their changes.
    pub fn attacher(&self) -> SharedAttacher {
        self.attacher.clone()
    }

    /// What is published, now and from now on.
    pub fn published(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.published.subscribe()
    }

    /// What the writer is doing.
    pub fn progress(&self) -> watch::Receiver<ProgressView> {
        self.progress.subscribe()
    }

    /// Does what the last change left to be done, for which nobody has to wait.
    pub fn tidy(&mut self) {
        self.replaced = None;
        // Whatever was large is gone by now, except what readers still hold.
        if std::mem::take(&mut self.was_large) {
            self.store.settle();
            memory::give_back();
        }
    }

    /// Fills the idle slot, with progress.
    pub(super) fn prepare(
        &mut self,
        ruleset: &Arc<Ruleset>,
        revision: u64,
    ) -> Result<E::Prepared, AgentError> {
        let progress = &self.progress;
        report(progress, "filling", 0, ruleset.entries());
        self.enforcer
            .prepare(ruleset, revision, &mut |done, total| {
                report(progress, "filling", done, total);
            })
            .map_err(|source| {
                tracing::error!(error = chain(&source), "the kernel rejected the new rules");
                AgentError::Prepare {
                    revision: self.revision,
                    source,
                }
            })
    }

    /// Publishes what is now.
    pub(super) fn publish(&mut self) {
        let mut snapshot = Snapshot::of(&self.state, self.revision);
        snapshot.clock = self.settings.clock.clone();
        snapshot.generation = self.generation;
        snapshot.ruleset = Some(Arc::clone(&self.ruleset));
        snapshot.entries = self.entries;
        snapshot.bypasses.clone_from(&self.bypasses);
        snapshot.grants.clone_from(&self.grants);
        snapshot.pending.clone_from(&self.pending);
        snapshot.removed.clone_from(&self.removed);
        attach::lock(&self.attacher).publish(&mut snapshot, &mut self.faults);
        snapshot.faults = self.faults.lines();
        snapshot.faults.extend(self.held_store());
        snapshot.held = self.held;
        if let Some(why) = self.enforcer.private_pins() {
            let fault = format!("filtering ends with the agent's mount namespace: {why}");
            snapshot.faults.push(fault);
        }
        if snapshot.interfaces.is_empty() {
            snapshot.faults.push(
                "no interface is configured, so nothing is filtered: name one with --interface or \
                 in the configuration file"
                    .to_owned(),
            );
        }
        self.published.send_replace(Arc::new(snapshot));
    }

    /// A way to past states beside this writer.
    ///
    /// # Errors
    /// The store cannot be opened once more.
    pub fn past(&self) -> Result<Box<dyn Past>, AgentError> {
        self.store.past().map_err(|source| AgentError::Store {
            what: "cannot read past revisions",
            source,
        })
    }

    /// The desired state at a revision.
    ///
    /// # Errors
    /// There is no such revision, or the store cannot be read.
    pub fn state_at(&mut self, revision: u64) -> Result<State, AgentError> {
        self.store
            .state_at(revision)
            .map_err(|source| AgentError::Store {
                what: "cannot read that revision",
                source,
            })
    }

    /// Says that the work is done.
    pub(super) fn rest(&self) {
        self.progress.send_replace(idle());
    }

    pub(super) fn progress_sender(&self) -> &watch::Sender<ProgressView> {
        &self.progress
    }

    pub(super) fn phase(&self, phase: &str) {
        report(&self.progress, phase, 0, 0);
    }
}

pub(super) fn report(progress: &watch::Sender<ProgressView>, phase: &str, done: u64, total: u64) {
    progress.send_modify(|p| {
        if p.phase != phase {
            phase.clone_into(&mut p.phase);
        }
        p.done = done;
        p.total = total;
    });
}

fn idle() -> ProgressView {
    ProgressView {
        phase: "idle".to_owned(),
        ..ProgressView::default()
    }
}

impl From<Revision> for RevisionView {
    fn from(revision: Revision) -> Self {
        Self {
            revision: revision.revision,
            created: revision.meta.created,
            actor: revision.meta.actor,
            action: revision.meta.action,
        }
    }
}

#[cfg(test)]
mod tests;
