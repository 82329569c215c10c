//! Whether a revision stays: the program in force and a new connection to etcd decide.

use netpolicy_fleet::api::ProbeRequest;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::*;

/// What is left of the time for a confirmation when no more is tried.
const MARGIN: Duration = Duration::from_secs(2);

/// The longest pause before a new connection.
const SPREAD: Duration = Duration::from_millis(300);

/// How often records are handed over with which etcd cannot be reached: the agent takes no third.
const TRIES: u32 = 2;

impl Applier {
    /// Counts how often these records were handed over.
    pub(super) fn note_handed(&mut self, evidence: &Evidence) {
        let records = Evidence {
            revision: None,
            ..evidence.clone()
        };
        let before = self.handed.take().filter(|(of, _)| *of == records);
        let count = before.map_or(0, |(_, count)| count);
        self.handed = Some((records, count + 1));
    }

    /// Remembers what failed for good.
    pub(super) fn settled(
        &mut self,
        confirmed: Result<(), StepError>,
        evidence: Evidence,
    ) -> Result<(), StepError> {
        self.failed = match &confirmed {
            Err(StepError::Unconfirmed { why, again, .. }) => {
                let handed = self.handed.as_ref().filter(|(of, _)| *of == evidence);
                let is_last = handed.is_some_and(|(_, count)| *count >= TRIES);
                (!again || is_last).then(|| (evidence, why.clone()))
            }
            _ => None,
        };
        confirmed
    }

    /// All members, those of the mirror too; first the one that is followed.
    fn members<'a>(&'a self, followed: &'a str) -> impl Iterator<Item = &'a str> {
        let (own, mirror) = (&self.settings.endpoints, &self.settings.mirror);
        let others = own.iter().chain(mirror).map(String::as_str);
        std::iter::once(followed).chain(others.filter(move |other| *other != followed))
    }

    /// Confirms a revision if the program in force admits what it must, and a fresh connection
    /// to etcd works; else the agent rolls it back when the time is over.
    pub(super) async fn confirm(
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
        // Hosts of a fleet that take a revision at once do not connect at once.
        sleep(
            Pause::new(self.host.as_str(), (SPREAD, SPREAD))
                .next()
                .min(left / 4),
        )
        .await;
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
