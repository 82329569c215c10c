//! From signed records to a revision in force: the one task that speaks to the agent.

mod confirm;
mod step_error;

use step_error::StepError;

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use netpolicy_fleet::api::{FleetView, PutRevision};
use netpolicy_fleet::{
    Evidence, FleetKey, FleetName, GroupName, HostId, HostStatus, Judged, Keyring, Layout,
    ObjectId, Phase, Pin, Refusal, Selection,
};
use tokio::sync::watch;

use super::agent::{FleetAgent, FleetAgentError};
use super::bundle;
use super::etcd::{Etcd, EtcdError};
use super::objects::{TransferError, hand_over};
use super::pause::Pause;
use super::records::Records;
use super::settings::{Settings, SettingsError};

/// How often the agent is asked whether anything changed there.
const LOOK: Duration = Duration::from_secs(20);

/// The shortest and longest pause before something that failed is tried again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

/// What etcd has for this host.
#[derive(Clone)]
pub(crate) struct Desired {
    pub(crate) records: Records,
    pub(crate) etcd: Etcd,
    /// Another process has this host's name.
    pub(crate) twin: Option<String>,
}

/// What a step came to.
struct Step {
    phase: Phase,
    to: Option<Pin>,
}

/// The task.
pub(crate) struct Applier {
    pub(crate) settings: Settings,
    pub(crate) fleet: FleetName,
    pub(crate) host: HostId,
    pub(crate) agent: FleetAgent,
    pub(crate) desired: watch::Receiver<Option<Desired>>,
    pub(crate) reports: watch::Sender<Option<HostStatus>>,
    pub(crate) instance: String,
    keys: Option<Keyring>,
    denied_clients: u64,
    group: Option<GroupName>,
    /// The records of a revision that failed for good, and how.
    failed: Option<(Evidence, String)>,
    /// The records of the last revision that was handed over, and how often it was.
    handed: Option<(Evidence, u32)>,
}

impl Applier {
    pub(crate) fn new(
        settings: &Settings,
        host: &HostId,
        socket: &Path,
        instance: String,
        desired: watch::Receiver<Option<Desired>>,
        reports: watch::Sender<Option<HostStatus>>,
    ) -> Self {
        Self {
            settings: settings.clone(),
            fleet: settings.fleet.clone(),
            host: host.clone(),
            agent: FleetAgent::new(socket),
            desired,
            reports,
            instance,
            keys: None,
            denied_clients: 0,
            group: None,
            failed: None,
            handed: None,
        }
    }

    /// Brings the agent to what the records say, whenever they or the agent change, until what
    /// sends them is gone.
    pub(crate) async fn run(mut self) {
        let mut pause = Pause::new(self.host.as_str(), PAUSES);
        let mut said = String::new();
        loop {
            let desired = self.desired.borrow_and_update().clone();
            let mut next = LOOK;
            if let Some(desired) = desired {
                let (done, view) = self.step(&desired).await;
                self.agent.rest();
                let mut faults = view.faults.clone();
                let (phase, to) = match done {
                    Ok(step) => {
                        pause.reset();
                        (step.phase, step.to)
                    }
                    Err(error) => {
                        if error.is_passing() {
                            next = pause.next();
                        }
                        faults.push(error.to_string());
                        (error.phase(), None)
                    }
                };
                let now = faults.join("; ");
                if now != said {
                    match now.is_empty() {
                        true => tracing::info!("host {}: nothing is wrong any more", self.host),
                        false => tracing::warn!("host {}: {now}", self.host),
                    }
                    said = now;
                }
                self.report(phase, to, &view, faults);
            }
            tokio::select! {
                changed = self.desired.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(next) => {}
            }
        }
    }

    fn report(&self, phase: Phase, to: Option<Pin>, view: &FleetView, faults: Vec<String>) {
        let status = HostStatus {
            host: self.host.clone(),
            group: self.group.clone(),
            instance: self.instance.clone(),
            phase,
            at: view.at.clone(),
            to,
            counters: view.counters.clone(),
            denied_clients: self.denied_clients,
            faults,
            local_override: view.local_override,
            time: Timestamp::now(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        self.reports.send_if_modified(|last| {
            let same = last.as_ref().is_some_and(|last| {
                HostStatus {
                    time: last.time,
                    ..status.clone()
                } == *last
            });
            if !same {
                *last = Some(status);
            }
            !same
        });
    }

    /// One step, and what the agent knows after it.
    async fn step(&mut self, desired: &Desired) -> (Result<Step, StepError>, FleetView) {
        let mut view = match self.agent.view().await {
            Ok(view) => view,
            Err(error) => return (Err(error.into()), FleetView::default()),
        };
        let done = self.advance(desired, &mut view).await;
        (done, view)
    }

    async fn advance(
        &mut self,
        desired: &Desired,
        view: &mut FleetView,
    ) -> Result<Step, StepError> {
        self.is_ours(desired, view)?;
        let evidence = desired.records.evidence(&self.host);
        let mut evidence = evidence.map_err(StepError::Unproven)?;
        let judged = self.judged(&evidence, view)?;
        self.group = Some(judged.group.group.clone());
        let pin = match &judged.selection {
            Selection::Take(pin) => pin.clone(),
            Selection::Stay(_) => {
                if view.counters != judged.counters {
                    *view = self.put(&evidence).await?;
                }
                return Ok(Step {
                    phase: Phase::Waiting,
                    to: Some(judged.head.newest.clone()),
                });
            }
        };
        let is_at = |view: &FleetView| view.at.as_ref() == Some(&pin);
        if !is_at(view)
            && let Some((of, why)) = &self.failed
            && *of == evidence
        {
            return Err(StepError::Unconfirmed {
                revision: pin.revision,
                why: why.clone(),
                again: false,
            });
        }
        if is_at(view) && view.counters != judged.counters {
            *view = self.put(&evidence).await?;
        }
        if !is_at(view) || is_to_be_taken_again(view) {
            let faults = view.faults.clone();
            self.report(Phase::Applying, Some(pin.clone()), view, faults);
            match self.take(desired, &mut evidence, &pin, view).await {
                Ok(after) => {
                    *view = after;
                    self.note_handed(&evidence);
                }
                Err(error) => {
                    // What is reported is of the records that were seen.
                    evidence.revision = None;
                    drop(self.put(&evidence).await);
                    *view = self.agent.view().await?;
                    return Err(error);
                }
            }
        }
        // A newer revision ends it; until then the host keeps it.
        if view.local_override.is_some() {
            return Ok(Step {
                phase: Phase::Overridden,
                to: Some(pin),
            });
        }
        if is_at(view) && !view.confirmed {
            let confirmed = self.confirm(desired, &judged, &pin, view).await;
            evidence.revision = None;
            self.settled(confirmed, evidence)?;
            *view = self.agent.view().await?;
        }
        let phase = match view.local_override {
            Some(_) => Phase::Overridden,
            None => Phase::Current,
        };
        Ok(Step { phase, to: None })
    }

    fn is_ours(&self, desired: &Desired, view: &FleetView) -> Result<(), StepError> {
        if let Some(twin) = &desired.twin {
            return Err(StepError::Elsewhere(format!(
                "the name {} is used twice, also by {twin}: nothing new is taken; \
                 give one of them another with `netpolicy fleet join`",
                self.host
            )));
        }
        let is = |found: &Option<String>, ours: &str| found.as_deref() == Some(ours);
        if is(&view.fleet, self.fleet.as_str()) && is(&view.host, self.host.as_str()) {
            return Ok(());
        }
        let name = |found: &Option<String>| found.clone().unwrap_or_else(|| "none".to_owned());
        Err(StepError::Elsewhere(format!(
            "the agent is host {} of fleet {}, expected host {} of fleet {}: \
             it reads the settings when it starts",
            name(&view.host),
            name(&view.fleet),
            self.host,
            self.fleet
        )))
    }

    fn judged(&mut self, evidence: &Evidence, view: &FleetView) -> Result<Judged, StepError> {
        // Read again after something was refused: a key may have been added.
        let keys = match self.keys.take() {
            Some(keys) => keys,
            None => self.settings.keyring()?,
        };
        let judged = evidence.judge(&self.fleet, &self.host, &keys, &view.counters);
        if judged.is_ok() {
            self.keys = Some(keys);
        }
        Ok(judged?)
    }

    async fn put(&mut self, evidence: &Evidence) -> Result<FleetView, StepError> {
        let revision = PutRevision {
            evidence: evidence.clone(),
            confirm_within: None,
        };
        let put = self.agent.put(&revision).await?;
        // What was only counted denied none.
        if evidence.revision.is_some() {
            self.denied_clients = put.denied_clients();
        }
        Ok(self.agent.view().await?)
    }

    /// Hands a revision over with all that it consists of; what the agent knows then.
    async fn take(
        &mut self,
        desired: &Desired,
        evidence: &mut Evidence,
        pin: &Pin,
        view: &FleetView,
    ) -> Result<FleetView, StepError> {
        let (etcd, layout) = (&desired.etcd, Layout::new(&self.fleet));
        let keys = [
            FleetKey::Revision(pin.revision),
            FleetKey::Bundle(pin.revision),
        ];
        let keys = keys.map(|key| layout.key(&key));
        let (mut found, _) = etcd.several(&keys).await?;
        let (new, revision) = (found.pop().flatten(), found.pop().flatten());
        let missing = || StepError::Gone(pin.revision);
        evidence.revision = Some(revision.ok_or_else(missing)?.text());
        let judged = self.judged(evidence, view)?;
        let root = ObjectId::from_hex(&pin.root).ok_or_else(missing)?;
        let parent = judged.revision.and_then(|revision| revision.parent);
        let has_parent = view.at.as_ref().map(|at| at.revision) == parent;
        let new = new.filter(|_| has_parent && parent.is_some());
        match new.and_then(|new| bundle::sequence(root, &new.value)) {
            Some(sequence) => {
                _ = self
                    .agent
                    .objects(sequence)
                    .await
                    .map_err(TransferError::from)?;
            }
            None => _ = hand_over(etcd, &layout, &self.agent, root, false).await?,
        }
        let put = match self.put(evidence).await {
            // What it has of an earlier state was removed since.
            Err(StepError::Agent(error)) if error.is_refusal("incomplete") => {
                hand_over(etcd, &layout, &self.agent, root, true).await?;
                self.put(evidence).await
            }
            put => put,
        };
        let after = put?;
        tracing::info!("host {}: revision {} handed over", self.host, pin.revision);
        Ok(after)
    }
}

/// Whether the host has got what it lacked when the revision in force came.
fn is_to_be_taken_again(view: &FleetView) -> bool {
    view.is_outdated && view.confirmed && view.local_override.is_none()
}
