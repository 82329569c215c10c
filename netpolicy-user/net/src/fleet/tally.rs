//! What hosts say of a roll-out, and what they are to have.

use netpolicy_fleet::{HostId, Phase, Pin, Rollout, Selection, bucket, select};

use super::snapshot::{HostEntry, Snapshot};

/// What the hosts of a stage say of a revision.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Hosts that take it at this stage.
    pub(crate) chosen: usize,
    /// Those that have it, confirmed.
    pub(crate) current: usize,
    /// Those that refuse it or rolled it back, and why.
    pub(crate) failed: Vec<String>,
    /// Those with more clients that it denies than allowed.
    denying: Vec<String>,
    /// Those that are not there.
    pub(crate) absent: usize,
}

impl Tally {
    pub(crate) fn of(snapshot: &Snapshot, rollout: &Rollout) -> Self {
        let mut tally = Self::default();
        for (host, entry) in snapshot.of_group(&rollout.group) {
            if bucket(&rollout.salt, host) < rollout.stage {
                tally.add(host, entry, rollout);
            }
        }
        tally
    }

    fn add(&mut self, host: &HostId, entry: &HostEntry, rollout: &Rollout) {
        self.chosen += 1;
        let status = entry.status.as_ref();
        // What it said before it saw this roll-out says nothing of it; a host that refuses the
        // records keeps none of their counters.
        let name = format!("rollout {}", rollout.group);
        let seen = status.filter(|status| {
            status.counters.of(&name) >= rollout.counter || status.phase == Phase::Refused
        });
        let Some(status) = seen else {
            self.absent += usize::from(entry.alive.is_none());
            return;
        };
        let is_at = status.at.as_ref() == Some(&rollout.to);
        match status.phase {
            Phase::Current if is_at => self.current += 1,
            Phase::Failed | Phase::Refused => {
                self.failed
                    .push(format!("{host}: {}", status.faults.join("; ")));
            }
            _ if entry.alive.is_none() => self.absent += 1,
            _ => {}
        }
        if is_at && status.denied_clients > u64::from(rollout.max_denied_clients) {
            let count = status.denied_clients;
            self.denying
                .push(format!("{host}: it denies {count} connected clients"));
        }
    }

    /// Why the roll-out has to stop.
    pub(crate) fn stops(&self, rollout: &Rollout) -> Option<String> {
        let failed = self.failed.len() as u64 > u64::from(rollout.max_failed);
        let reasons = match failed {
            true => &self.failed,
            false => &self.denying,
        };
        (!reasons.is_empty() && (failed || !self.denying.is_empty())).then(|| reasons.join("; "))
    }

    /// Whether all that are there have it.
    pub(crate) fn is_settled(&self) -> bool {
        self.current + self.absent + self.failed.len() >= self.chosen
    }
}

/// What a host is to have, by the signed records.
pub(crate) fn desired(snapshot: &Snapshot, host: &HostId) -> Option<Pin> {
    let spec = snapshot.hosts.get(host)?.spec.as_ref()?;
    let group = &snapshot.groups.get(&spec.record.group)?.record;
    let rollout = snapshot
        .rollouts
        .get(&spec.record.group)
        .map(|found| &found.record);
    match select(&snapshot.head.as_ref()?.record, group, rollout, host) {
        Selection::Take(pin) => Some(pin),
        Selection::Stay(_) => None,
    }
}
