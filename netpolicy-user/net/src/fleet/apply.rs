//! From signed records to a revision in force: the one task that speaks to the agent.

mod step_error;

use step_error::StepError;

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use netpolicy_fleet::api::{FleetView, ProbeRequest, PutRevision};
use netpolicy_fleet::{
    Evidence, FleetKey, FleetName, GroupName, HostId, HostStatus, Judged, Keyring, Layout,
    ObjectId, Phase, Pin, Refusal, Selection,
};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::agent::{FleetAgent, FleetAgentError};
use super::etcd::{Etcd, EtcdError};
use super::objects::{TransferError, hand_over};
use super::pause::Pause;
use super::records::Records;
use super::settings::{Settings, SettingsError};

/// How often the agent is asked whether anything changed there.
const LOOK: Duration = Duration::from_secs(20);

/// What is left of the time for a confirmation when no more is tried.
const MARGIN: Duration = Duration::from_secs(2);

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
    /// The records of a revision with which etcd was not reached once.
    unreached: Option<Evidence>,
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
            unreached: None,
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
        // First what was seen, so that what is reported from here on is of these records.
        if view.counters != judged.counters {
            *view = self.put(&evidence).await?;
        }
        if !is_at(view) {
            let faults = view.faults.clone();
            self.report(Phase::Applying, Some(pin.clone()), view, faults);
            let found = self.take(desired, &mut evidence, &pin, view).await;
            // What the agent says by now, also of what it refused.
            *view = self.agent.view().await?;
            found?;
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

    /// Remembers what failed for good.
    fn settled(
        &mut self,
        confirmed: Result<(), StepError>,
        evidence: Evidence,
    ) -> Result<(), StepError> {
        let (failed, unreached) = match &confirmed {
            Err(StepError::Unconfirmed { why, again, .. }) => {
                match *again && self.unreached.as_ref() != Some(&evidence) {
                    true => (None, Some(evidence)),
                    false => (Some((evidence, why.clone())), None),
                }
            }
            _ => (None, None),
        };
        (self.failed, self.unreached) = (failed, unreached);
        confirmed
    }

    /// All members, those of the mirror too; first the one that is followed.
    fn members<'a>(&'a self, followed: &'a str) -> impl Iterator<Item = &'a str> {
        let (own, mirror) = (&self.settings.endpoints, &self.settings.mirror);
        let others = own.iter().chain(mirror).map(String::as_str);
        std::iter::once(followed).chain(others.filter(move |other| *other != followed))
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

    /// Hands a revision over with all that it consists of.
    async fn take(
        &mut self,
        desired: &Desired,
        evidence: &mut Evidence,
        pin: &Pin,
        view: &FleetView,
    ) -> Result<(), StepError> {
        let (etcd, layout) = (&desired.etcd, Layout::new(&self.fleet));
        let key = layout.key(&FleetKey::Revision(pin.revision));
        let found = etcd.get(&key).await?;
        let missing = || StepError::Gone(pin.revision);
        evidence.revision = Some(found.ok_or_else(missing)?.text());
        self.judged(evidence, view)?;
        let root = ObjectId::from_hex(&pin.root).ok_or_else(missing)?;
        hand_over(etcd, &layout, &self.agent, root, false).await?;
        let put = match self.put(evidence).await {
            // What it has of an earlier state was removed since.
            Err(StepError::Agent(error)) if error.is_refusal("incomplete") => {
                hand_over(etcd, &layout, &self.agent, root, true).await?;
                self.put(evidence).await
            }
            put => put,
        };
        put?;
        tracing::info!("host {}: revision {} handed over", self.host, pin.revision);
        Ok(())
    }

    /// Confirms a revision if the program in force admits what it must, and a fresh connection
    /// to etcd works; else the agent rolls it back when the time is over.
    async fn confirm(
        &self,
        desired: &Desired,
        judged: &Judged,
        pin: &Pin,
        view: &FleetView,
    ) -> Result<(), StepError> {
        let unconfirmed = |why: String, again: bool| StepError::Unconfirmed {
            revision: pin.revision,
            why,
            again,
        };
        let must_admit = judged.group.must_admit.clone();
        if !must_admit.is_empty() {
            let probed = self.agent.probe(&ProbeRequest { must_admit }).await?;
            let denied: Vec<_> = probed
                .verdicts
                .iter()
                .filter(|verdict| !verdict.admitted)
                .map(|verdict| format!("{} ({})", verdict.attempt, verdict.reason))
                .collect();
            if !denied.is_empty() || probed.verdicts.len() != judged.group.must_admit.len() {
                let why = format!("it must admit {}, and denies it", denied.join(", "));
                return Err(unconfirmed(why, false));
            }
        }
        let left = view
            .confirm_before
            .and_then(|until| Duration::try_from(until.duration_since(Timestamp::now())).ok())
            .unwrap_or(Duration::from_secs(u64::from(judged.group.confirm_within)));
        let until = Instant::now() + left.saturating_sub(MARGIN);
        let head = Layout::new(&self.fleet).key(&FleetKey::Head);
        let mut pause = Pause::new(self.host.as_str(), PAUSES);
        loop {
            // Not the one that was there before: what is open is never judged again.
            let members = self.members(&desired.etcd.endpoint);
            let reached = Etcd::first(&self.settings, members, &head);
            let reached = timeout_at(until, reached).await;
            let why = match reached {
                Ok(Ok(_)) => break,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no member of etcd answers".to_owned(),
            };
            let next = Instant::now() + pause.next();
            if next >= until {
                return Err(unconfirmed(
                    format!("no new connection to etcd works with it: {why}"),
                    true,
                ));
            }
            sleep_until(next).await;
        }
        self.agent.confirm().await?;
        tracing::info!("host {}: revision {} confirmed", self.host, pin.revision);
        Ok(())
    }
}
