//! The single writer: owns the store, the kernel's write side and the state in force.
//!
//! Holds what is, takes over what was found and publishes it; how a change goes is in
//! `change.rs`. What changes together is a group of its own, with its own methods.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use super::ahead::LinesAhead;
use super::burst::BanBurst;
use super::counted::CountedServices;
use super::gather::BanGathering;
use super::leftovers::Leftovers;
use super::rule_ends::RuleEnds;
use crate::agent::access::Grants;
use crate::agent::bans::{self, BanQueue, Bans, StoredBans};
use crate::agent::bypasses::{Around, Bypasses};
use crate::agent::change::Situation;
use crate::agent::change::clients::{KernelSockets, Sockets};
use crate::agent::confirm::Confirmation;
use crate::agent::databases::OrderBoard;
use crate::agent::error::AgentError;
use crate::agent::faults::Faults;
use crate::agent::feeds::Feeds;
use crate::agent::fleet::Fleets;
use crate::agent::held::StoreHold;
use crate::agent::in_force::InForce;
use crate::agent::kernel::attach::SharedAttacher;
use crate::agent::kernel::{Enforcer, EventSource, KernelWriter};
use crate::agent::notices::Notices;
use crate::agent::progress::ProgressReporter;
use crate::agent::rehearsal::{NothingSeen, SeenSources};
use crate::agent::snapshot::Snapshot;
use crate::agent::tally::WorkTally;
use crate::agent::upkeep::{Upkeep, unrecorded};
use crate::api::{FaultKind, Phase, ProgressView};
use crate::clock::Clock;
use crate::compiler::Compilation;
use crate::model::{Limits, State};
use crate::store::{Past, Store, Stored, Window};

/// What the writer starts from.
#[derive(Debug)]
pub struct Settings {
    /// Interfaces to filter, as in the configuration; none: whatever is filtered already.
    pub interfaces: Vec<String>,
    /// How much a host takes.
    pub limits: Limits,
    /// Time between two comparisons of the kernel's lists with the desired state.
    pub verify_interval: Duration,
    /// The file that says that nothing is to be attached.
    pub marker: PathBuf,
    /// The file that names the host's fleet, and whose signatures count.
    pub fleet_file: PathBuf,
    /// What deadlines are measured by; the store's, too.
    pub clock: Clock,
    /// Sources that are never banned, as configured.
    pub never_banned: Vec<IpNet>,
    /// Bans within a minute that are noticed as a burst; 0: none are.
    pub ban_burst: u64,
    /// The agent's own arguments, for the guard of a change that waits for its
    /// confirmation; `None`: none is left.
    pub guard: Option<Vec<OsString>>,
}

/// See the module.
pub struct Writer {
    pub(super) settings: Settings,
    pub(super) store: Box<dyn Store>,
    pub(super) kernel: KernelWriter,
    pub(super) in_force: InForce,
    pub(super) bypasses: Bypasses,
    pub(super) bans: Bans,
    /// Requests of bans that wait.
    pub(super) ban_queue: BanQueue,
    pub(super) gathering: BanGathering,
    pub(super) grants: Grants,
    pub(super) feeds: Feeds,
    pub(super) fleets: Fleets,
    /// The last refusal of a revision of the fleet, and of which action.
    pub(super) fleet_refusal: Option<(String, String)>,
    pub(super) databases: OrderBoard,
    pub(super) ahead: LinesAhead,
    pub(super) confirmation: Confirmation,
    pub(super) upkeep: Upkeep,
    pub(super) counted: CountedServices,
    pub(super) rule_ends: RuleEnds,
    pub(super) faults: Faults,
    pub(super) leftovers: Leftovers,
    pub(super) progress: ProgressReporter,
    /// When the revision in force was made, as far as that is known.
    pub(super) made: Option<Timestamp>,
    pub(super) tally: Arc<WorkTally>,
    pub(super) notices: Notices,
    pub(super) ban_burst: BanBurst,
    /// The host's sockets.
    sockets: Box<dyn Sockets>,
    /// The sources that came.
    seen: Arc<dyn SeenSources>,
    /// Interfaces that are to be filtered, as published last.
    interfaces: Vec<String>,
    published: watch::Sender<Arc<Snapshot>>,
}

impl Writer {
    /// Takes over what the store holds; `compiled` is made from it and in force.
    /// Where events can be read from is sent to `sources`.
    pub fn new(
        enforcer: Box<dyn Enforcer>,
        store: Box<dyn Store>,
        (stored, mut bans): (Stored, StoredBans),
        compiled: Compilation,
        mut settings: Settings,
        sources: mpsc::UnboundedSender<Box<dyn EventSource>>,
    ) -> Self {
        let state = Arc::new(stored.state);
        let published = watch::Sender::new(Arc::new(Snapshot::of(&state, stored.revision)));
        let digest = compiled.ruleset().digest();
        let lists = bans.lists(&state);
        let mut bans = Bans::new(bans, lists);
        bans.configure(std::mem::take(&mut settings.never_banned));
        let directory = settings.marker.parent().unwrap_or(Path::new("."));
        let counted = CountedServices::load(directory, &state);
        let mut writer = Self {
            bans,
            ban_queue: BanQueue::default(),
            gathering: BanGathering::default(),
            kernel: KernelWriter::new(
                enforcer,
                &settings.interfaces,
                settings.marker.clone(),
                settings.verify_interval,
                sources,
            ),
            store,
            in_force: InForce::new(state.clone(), stored.revision, compiled, digest, 0),
            bypasses: Bypasses::new(stored.bypasses),
            grants: Grants::new(stored.grants),
            feeds: Feeds::new(stored.feeds),
            fleets: Fleets::new(stored.fleets),
            fleet_refusal: None,
            databases: OrderBoard::default(),
            ahead: LinesAhead::default(),
            confirmation: Confirmation::new(stored.pending, settings.guard.take()),
            upkeep: Upkeep::default(),
            counted,
            rule_ends: RuleEnds::of(&state, &settings.clock),
            faults: Faults::default(),
            leftovers: Leftovers::default(),
            progress: ProgressReporter::default(),
            made: None,
            tally: Arc::default(),
            notices: Notices::default(),
            ban_burst: BanBurst::default(),
            sockets: Box::new(KernelSockets),
            seen: Arc::new(NothingSeen),
            interfaces: Vec::new(),
            published,
            settings,
        };
        writer.publish();
        writer
    }

    /// The store is not gone on from, if there is a reason.
    pub fn hold(&mut self, held: Option<StoreHold>) {
        self.upkeep.hold(held);
    }

    /// Makes kernel and state the same, as far as the opened datapath did not: reads
    /// the generation, restores bypasses, attaches.
    ///
    /// # Errors
    /// The kernel cannot be read.
    pub fn take_over(&mut self) -> Result<(), AgentError> {
        self.in_force = InForce {
            generation: self.kernel.generation()?,
            ..self.in_force.clone()
        };
        self.kernel.open_events();
        self.confirmation.take_over(&mut *self.store);
        let (bypasses, mut around) = self.bypasses();
        bypasses.take_over(&mut around);
        self.take_over_bans();
        self.kernel.take_over_interfaces();
        self.record_unrecorded();
        self.follow_databases();
        self.leave_guard();
        let past = self.store.past().ok();
        let newest = past.and_then(|past| past.revisions(&Window::newest(1)).ok());
        let newest = newest.and_then(|mut newest| newest.items.pop());
        self.made = newest.map(|newest| newest.meta.created);
        self.publish();
        Ok(())
    }

    /// Goes on with other settings, after a reload of the configuration.
    pub fn reconfigure(
        &mut self,
        limits: Limits,
        verify_interval: Duration,
        never_banned: Vec<IpNet>,
        ban_burst: u64,
    ) {
        self.bans.configure(never_banned);
        self.settings.ban_burst = ban_burst;
        self.settings.limits = limits;
        self.settings.verify_interval = verify_interval;
        self.kernel.set_verify_interval(verify_interval);
        self.publish();
    }

    /// Leaves a guard for the change that waits. Nothing is rolled back in a store that is
    /// held.
    pub(super) fn leave_guard(&mut self) {
        if !self.upkeep.is_held() {
            self.confirmation.leave_guard(self.settings.clock.now());
        }
    }

    /// What is in force.
    #[must_use]
    pub fn in_force(&self) -> &InForce {
        &self.in_force
    }

    /// The privileges that are granted.
    #[must_use]
    pub fn grants(&self) -> &Grants {
        &self.grants
    }

    /// What deadlines are measured by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.settings.clock
    }

    /// Now, on the scale of deadlines.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.settings.clock.now()
    }

    /// How much a host takes.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.settings.limits
    }

    /// By what a change is judged that would follow on `base`.
    #[must_use]
    pub fn situation<'a>(&'a self, base: &'a InForce) -> Situation<'a> {
        Situation {
            in_force: base,
            unended: self.without_ended(&base.state),
            bypasses: &self.bypasses,
            grants: &self.grants,
            sockets: &*self.sockets,
            seen: &*self.seen,
            interfaces: &self.interfaces,
            limits: self.settings.limits,
            now: self.now(),
            published: self.published.borrow().clone(),
            progress: &self.progress,
        }
    }

    /// The bypasses, and what they are kept the same in.
    pub(super) fn bypasses(&mut self) -> (&mut Bypasses, Around<'_>) {
        let around = Around {
            now: &self.in_force,
            kernel: &mut self.kernel,
            store: &mut *self.store,
            clock: &self.settings.clock,
            upkeep: &self.upkeep,
            bans: self.published.borrow().bans.clone(),
        };
        (&mut self.bypasses, around)
    }

    /// The bans, and what they are kept the same in.
    pub(super) fn bans(&mut self) -> (&mut Bans, bans::BanContext<'_>) {
        let around = bans::BanContext {
            now: &self.in_force,
            kernel: &mut self.kernel,
            store: &mut *self.store,
            clock: &self.settings.clock,
            upkeep: &self.upkeep,
            grants: &self.grants,
        };
        (&mut self.bans, around)
    }

    /// Attaches to interfaces; to be told of their changes.
    #[must_use]
    pub fn attacher(&self) -> SharedAttacher {
        self.kernel.attacher()
    }

    /// What is published, now and from now on.
    pub fn published(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.published.subscribe()
    }

    /// What hooks are run for.
    #[must_use]
    pub fn notices(&self) -> Notices {
        self.notices.clone()
    }

    /// What the writer is doing.
    pub fn progress(&self) -> watch::Receiver<ProgressView> {
        self.progress.subscribe()
    }

    /// A request has a text of so many bytes.
    pub fn expect_text(&mut self, bytes: usize) {
        self.leftovers.text(bytes);
    }

    /// Says what is being done.
    pub fn phase(&self, phase: Phase) {
        self.progress.phase(phase);
    }

    /// Says that the work is done.
    pub fn rest(&self) {
        self.progress.rest();
    }

    /// Does what the last change left to be done, for which no caller has to wait.
    pub fn tidy(&mut self) {
        self.leftovers.tidy(&mut *self.store);
    }

    /// Publishes what is now.
    pub(in crate::agent) fn publish(&mut self) {
        let now = &self.in_force;
        let mut snapshot = Snapshot::of(&now.state, now.revision);
        snapshot.clock = self.settings.clock.clone();
        snapshot.generation = now.generation;
        snapshot.ruleset = Some(Arc::clone(&now.ruleset));
        snapshot.entries = now.entries;
        snapshot.bypasses = self.bypasses.to_vec();
        snapshot.bans = self.bans.shared();
        snapshot.grants = self.grants.to_vec();
        snapshot.feeds = self.feeds.clone();
        snapshot.fleets = self.fleets.clone();
        snapshot.pending = self.confirmation.pending().cloned();
        snapshot.removed = self.counted.removed(&now.state);
        snapshot.counted_since = self.counted.since();
        snapshot.next_rule_end = self.rule_ends.next();
        snapshot.next_loaded_end = self.rule_ends.next_loaded();
        self.kernel.publish(&mut snapshot, &mut self.faults);
        self.interfaces.clone_from(&snapshot.interfaces);
        let mut faults = self.faults.lines(self.bypasses.fault());
        let mut add = |kind, texts: &mut dyn Iterator<Item = String>| {
            faults.extend(texts.map(|text| (kind, text)));
        };
        add(FaultKind::Bans, &mut self.bans.fault().cloned().into_iter());
        let wall = self.settings.clock.wall();
        let feeds = self.feeds.faults(&now.state, wall);
        add(FaultKind::Feeds, &mut feeds.into_iter());
        let fleet = self.fleets.faults();
        add(FaultKind::Fleet, &mut fleet.into_iter());
        add(
            FaultKind::Databases,
            &mut self.databases.faults().into_iter(),
        );
        let held = self.upkeep.held_store(now.revision);
        add(FaultKind::Store, &mut held.into_iter());
        snapshot.held = self.upkeep.held();
        let private = self.kernel.private_pins();
        add(FaultKind::Kernel, &mut private.into_iter());
        let none = snapshot.interfaces.is_empty().then(|| {
            "no interface is configured, so nothing is filtered: name one with --interface or \
             in the configuration file"
                .to_owned()
        });
        add(FaultKind::Interfaces, &mut none.into_iter());
        (snapshot.fault_kinds, snapshot.faults) = faults.into_iter().unzip();
        snapshot.made = self.made;
        self.tally.drift_repaired.add(self.faults.take_repairs());
        snapshot.tally = Arc::clone(&self.tally);
        self.notices.look_for_detach(snapshot.detached.as_ref());
        self.published.send_replace(Arc::new(snapshot));
    }

    /// Records what was done without an agent.
    pub(super) fn record_unrecorded(&mut self) {
        let marker = &self.settings.marker;
        unrecorded::record(marker, &mut *self.store, self.in_force.revision);
    }

    /// A way to past states independent of this writer.
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

    /// What remembers the sources that came; nothing does at first.
    pub fn set_seen(&mut self, seen: Arc<dyn SeenSources>) {
        self.seen = seen;
    }

    /// Other sockets than the host's.
    #[cfg(test)]
    pub(in crate::agent) fn set_sockets(&mut self, sockets: Box<dyn Sockets>) {
        self.sockets = sockets;
    }

    /// What the agent stores in.
    #[cfg(test)]
    pub(in crate::agent) fn store(&mut self) -> &mut dyn Store {
        &mut *self.store
    }
}

#[cfg(test)]
mod tests;
