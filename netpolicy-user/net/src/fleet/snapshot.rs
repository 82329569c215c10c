//! A whole fleet, as operators see it: what is signed is checked, the rest is what hosts say.

use std::collections::BTreeMap;

use netpolicy_fleet::{
    Alive, FleetKey, FleetName, Group, GroupName, Head, HostId, HostSpec, HostStatus, Keyring,
    Layout, Pin, Record, Revision, Rollout, open,
};

use super::etcd::{Etcd, Value};

/// The most records that a backup of etcd lacks.
const LOST: u64 = 1_000_000;

/// A record, and etcd's revision of its last write.
#[derive(Clone, Debug)]
pub(crate) struct Written<R> {
    pub(crate) record: R,
    pub(crate) written: i64,
}

/// A host.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostEntry {
    pub(crate) spec: Option<Written<HostSpec>>,
    pub(crate) status: Option<HostStatus>,
    pub(crate) alive: Option<Alive>,
}

/// The fleet without its objects and revisions.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) head: Option<Written<Head>>,
    pub(crate) groups: BTreeMap<GroupName, Written<Group>>,
    pub(crate) rollouts: BTreeMap<GroupName, Written<Rollout>>,
    pub(crate) hosts: BTreeMap<HostId, HostEntry>,
    /// What of the signed records is not what it has to be.
    pub(crate) faults: Vec<String>,
    /// What of the rest is not: hosts write it, so nothing depends on it.
    pub(crate) notes: Vec<String>,
}

impl Snapshot {
    /// Reads it.
    ///
    /// # Errors
    /// etcd does not give it.
    pub(crate) async fn read(
        etcd: &Etcd,
        fleet: &FleetName,
        keys: &Keyring,
    ) -> anyhow::Result<Self> {
        let layout = Layout::new(fleet);
        let mut snapshot = Self::default();
        let mut all = Vec::new();
        all.extend(etcd.get(&layout.key(&FleetKey::Head)).await?);
        for prefix in [layout.groups(), layout.rollouts(), layout.hosts()] {
            all.extend(etcd.all(&prefix).await?);
        }
        for found in all {
            snapshot.take(&layout, fleet, keys, &found);
        }
        Ok(snapshot)
    }

    fn take(&mut self, layout: &Layout, fleet: &FleetName, keys: &Keyring, found: &Value) {
        match layout.parse(&found.key) {
            Some(FleetKey::Head) => self.head = self.record(found, fleet, keys),
            Some(FleetKey::Group(group)) => {
                let record = self.record(found, fleet, keys);
                self.groups.extend(record.map(|record| (group, record)));
            }
            Some(FleetKey::Rollout(group)) => {
                let record = self.record(found, fleet, keys);
                self.rollouts.extend(record.map(|record| (group, record)));
            }
            Some(FleetKey::Spec(host)) => {
                let record = self.record(found, fleet, keys);
                self.hosts.entry(host).or_default().spec = record;
            }
            Some(FleetKey::Status(host)) => {
                let status = serde_json::from_slice(&found.value);
                if status.is_err() {
                    self.notes
                        .push(format!("the status of host {host} cannot be read"));
                }
                self.hosts.entry(host).or_default().status = status.ok();
            }
            Some(FleetKey::Alive(host)) => {
                let alive = serde_json::from_slice(&found.value).ok();
                self.hosts.entry(host).or_default().alive = alive;
            }
            Some(
                FleetKey::Object(_) | FleetKey::Revision(_) | FleetKey::Lock | FleetKey::Mirror,
            ) => {}
            None => self
                .notes
                .push(format!("{} is no key of a fleet", found.key)),
        }
    }

    fn record<R: Record>(
        &mut self,
        found: &Value,
        fleet: &FleetName,
        keys: &Keyring,
    ) -> Option<Written<R>> {
        match open(&found.text(), fleet, keys) {
            Ok(opened) => Some(Written {
                record: opened.record,
                written: found.written,
            }),
            Err(error) => {
                self.faults.push(format!("{}: {error}", found.key));
                None
            }
        }
    }

    /// A counter above all that were signed or seen, also when etcd was restored from a backup
    /// and hosts have seen more.
    pub(crate) fn next_counter(&self) -> u64 {
        let head = self.head.iter().map(|head| head.record.counter);
        let groups = self.groups.values().map(|group| group.record.counter);
        let rollouts = self.rollouts.values().map(|rollout| rollout.record.counter);
        let specs = self.hosts.values().filter_map(|host| host.spec.as_ref());
        let specs = specs.map(|spec| spec.record.counter);
        let signed = head.chain(groups).chain(rollouts).chain(specs);
        let seen = self.statuses().map(|status| status.counters.highest());
        above(signed, seen) + 1
    }

    /// The highest number of a revision that any record or host names.
    pub(crate) fn highest_revision(&self) -> u64 {
        let head = self.head.iter().map(|head| head.record.newest.revision);
        let seen = self
            .statuses()
            .flat_map(|status| status.at.iter().chain(&status.to));
        above(head, seen.map(|pin| pin.revision))
    }

    fn statuses(&self) -> impl Iterator<Item = &HostStatus> {
        self.hosts.values().filter_map(|host| host.status.as_ref())
    }

    /// The hosts of a group.
    pub(crate) fn of_group<'a>(
        &'a self,
        group: &'a GroupName,
    ) -> impl Iterator<Item = (&'a HostId, &'a HostEntry)> {
        self.hosts.iter().filter(move |(_, host)| {
            let spec = host.spec.as_ref();
            spec.is_some_and(|spec| spec.record.group == *group)
        })
    }
}

/// The highest of what operators signed and hosts say, which one host cannot drive to the end of
/// all numbers.
fn above(signed: impl Iterator<Item = u64>, said: impl Iterator<Item = u64>) -> u64 {
    let signed = signed.max().unwrap_or(0);
    let most = signed.saturating_add(LOST);
    let said = said.filter(|said| *said <= most).max().unwrap_or(0);
    signed.max(said)
}

/// Reads a revision.
///
/// # Errors
/// It is not there, or no operator signed it.
pub(crate) async fn revision(
    etcd: &Etcd,
    fleet: &FleetName,
    keys: &Keyring,
    number: u64,
) -> anyhow::Result<Revision> {
    let layout = Layout::new(fleet);
    let found = etcd.get(&layout.key(&FleetKey::Revision(number))).await?;
    let found =
        found.ok_or_else(|| anyhow::anyhow!("there is no revision {number} of fleet {fleet}"))?;
    let revision: Revision = open(&found.text(), fleet, keys)?.record;
    anyhow::ensure!(
        revision.revision == number,
        "{}: revision {} is in its place",
        found.key,
        revision.revision
    );
    Ok(revision)
}

/// A revision as records name it.
pub(crate) fn pin_of(revision: &Revision) -> Pin {
    Pin {
        revision: revision.revision,
        root: revision.root.clone(),
    }
}
