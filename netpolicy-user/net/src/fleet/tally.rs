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
    pub(super) absent: usize,
    /// Those that are there.
    pub(super) alive: usize,
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
        let is_alive = entry.alive.is_some();
        self.alive += usize::from(is_alive);
        let status = entry.status.as_ref();
        // What it said before it saw this roll-out says nothing of it; a host that refuses the
        // records keeps none of their counters.
        let name = format!("rollout {}", rollout.group);
        let seen = status.filter(|status| status.counters.of(&name) >= rollout.counter);
        let failed = seen.filter(|status| matches!(status.phase, Phase::Failed | Phase::Refused));
        if let Some(status) = failed {
            self.failed
                .push(format!("{host}: {}", status.faults.join("; ")));
        } else if !is_alive {
            self.absent += 1;
        }
        let Some(status) = seen.filter(|_| is_alive) else {
            return;
        };
        let is_at = status.at.as_ref() == Some(&rollout.to);
        self.current += usize::from(is_at && status.phase == Phase::Current);
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

    /// Whether all that are there have it, and at least one of them.
    pub(super) fn is_settled(&self) -> bool {
        let is_any = self.current > 0 || self.alive == 0;
        is_any && self.current + self.absent + self.failed.len() >= self.chosen
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::testing::{entry, rollout, status};

    #[test]
    fn only_what_a_host_says_of_this_roll_out_counts() {
        let of = |phase, seen, is_alive| {
            let mut entry = entry("db");
            entry.status = Some(status(phase, "rollout db", seen));
            entry.alive = entry.alive.filter(|_| is_alive);
            let mut tally = Tally::default();
            tally.add(&"h1".parse().unwrap(), &entry, &rollout(7));
            let Tally {
                current, absent, ..
            } = tally;
            (current, tally.failed.len(), absent, tally.is_settled())
        };
        assert_eq!(of(Phase::Failed, 6, true), (0, 0, 0, false));
        assert_eq!(of(Phase::Refused, 7, true), (0, 1, 0, false));
        assert_eq!(of(Phase::Failed, 7, false), (0, 1, 0, true));
        assert_eq!(of(Phase::Current, 7, true), (1, 0, 0, true));
        assert_eq!(of(Phase::Current, 7, false), (0, 0, 1, true));
        assert_eq!(of(Phase::Current, 6, true), (0, 0, 0, false));
    }
}
