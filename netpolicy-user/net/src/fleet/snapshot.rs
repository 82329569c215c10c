//! A whole fleet, as operators see it: what is signed is checked, the rest is what hosts say.

use std::collections::BTreeMap;
use std::fmt;

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
    /// It has a status that cannot be read: that says nothing of any other host.
    pub(crate) is_unreadable: bool,
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
            Some(FleetKey::Head) => self.head = self.record(found, fleet, keys, |_| true),
            Some(FleetKey::Group(group)) => {
                let record = self.record(found, fleet, keys, |of: &Group| of.group == group);
                self.groups.extend(record.map(|record| (group, record)));
            }
            Some(FleetKey::Rollout(group)) => {
                let record = self.record(found, fleet, keys, |of: &Rollout| of.group == group);
                self.rollouts.extend(record.map(|record| (group, record)));
            }
            Some(FleetKey::Spec(host)) => {
                let record = self.record(found, fleet, keys, |of: &HostSpec| of.host == host);
                self.hosts.entry(host).or_default().spec = record;
            }
            Some(FleetKey::Status(host)) => {
                let status = serde_json::from_slice(&found.value);
                let entry = self.hosts.entry(host).or_default();
                entry.is_unreadable = status.is_err();
                entry.status = status.ok();
            }
            Some(FleetKey::Alive(host)) => {
                let alive = serde_json::from_slice(&found.value).ok();
                self.hosts.entry(host).or_default().alive = alive;
            }
            Some(
                FleetKey::Object(_)
                | FleetKey::Revision(_)
                | FleetKey::Bundle(_)
                | FleetKey::Lock
                | FleetKey::Mirror,
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
        is_its: impl Fn(&R) -> bool,
    ) -> Option<Written<R>> {
        match open(&found.text(), fleet, keys) {
            Ok(opened) if is_its(&opened.record) => Some(Written {
                record: opened.record,
                written: found.written,
            }),
            Ok(_) => {
                let key = &found.key;
                self.faults
                    .push(format!("{key}: the record of another name is in its place"));
                None
            }
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

    /// The records that are older than what hosts have seen: replayed, or of a backup. What hosts
    /// say is not signed, so it stops no push; a record that is signed again for its counter's
    /// sake has to be looked at.
    pub(crate) fn behind(&self) -> Vec<Behind> {
        let head = self.head.iter();
        let head = head.map(|head| ("head".to_owned(), head.record.counter));
        let groups = self.groups.iter();
        let groups = groups.map(|(name, of)| (format!("group {name}"), of.record.counter));
        let rollouts = self.rollouts.iter();
        let rollouts = rollouts.map(|(name, of)| (format!("rollout {name}"), of.record.counter));
        let specs = self.hosts.iter();
        let specs = specs.filter_map(|(host, entry)| {
            let counter = entry.spec.as_ref()?.record.counter;
            Some((format!("host {host}"), counter))
        });
        let records = head.chain(groups).chain(rollouts).chain(specs);
        let behind = records.filter_map(|(name, found)| {
            let seen = above(
                std::iter::once(found),
                self.statuses().map(|status| status.counters.of(&name)),
            );
            (seen > found).then_some(Behind { name, found, seen })
        });
        behind.collect()
    }

    /// Refuses to sign a record again that is older than what hosts have seen.
    ///
    /// # Errors
    /// It is, and this is not forced.
    pub(crate) fn is_newest(&self, name: &str, force: bool) -> anyhow::Result<()> {
        let behind = self.behind().into_iter().find(|behind| behind.name == name);
        match behind.filter(|_| !force) {
            None => Ok(()),
            Some(behind) => anyhow::bail!(
                "{behind}; nothing was written\n\
                 hint: look at what it says, then repeat with --force to sign that again"
            ),
        }
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

/// A record that is older than what hosts have seen of its name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Behind {
    /// "head", "group db", "rollout db", "host h1".
    name: String,
    found: u64,
    seen: u64,
}

impl fmt::Display for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, found, seen } = self;
        write!(
            f,
            "the record {name} in etcd is older than hosts have seen: its counter is {found}, {seen} was seen"
        )
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

#[cfg(test)]
mod tests {
    use netpolicy_fleet::Phase;

    use super::*;
    use crate::fleet::testing::{KEYS, found, group, status};

    #[test]
    fn unreadable_status_is_no_fault_of_the_fleet() {
        let mut snapshot = Snapshot::default();
        let (fleet, keys) = ("prod".parse().unwrap(), Keyring::default());
        let layout = Layout::new(&fleet);
        let key = layout.key(&FleetKey::Status("h1".parse().unwrap()));
        snapshot.take(&layout, &fleet, &keys, &found(key, "{"));
        assert!(super::super::push::is_sound(&snapshot).is_ok());
        let (_, entry) = snapshot.hosts.first_key_value().unwrap();
        let fault = crate::fleet::groups::fault_of(entry).unwrap();
        assert!(fault.contains("its status cannot be read"), "{fault}");
    }

    #[test]
    fn record_in_another_ones_place_is_a_fault() {
        let fleet = "prod".parse().unwrap();
        let layout = Layout::new(&fleet);
        for (place, faults) in [("db", 0), ("web", 1)] {
            let mut snapshot = Snapshot::default();
            let key = layout.key(&FleetKey::Group(place.parse().unwrap()));
            let text = KEYS.sign(&group("db", 1));
            snapshot.take(&layout, &fleet, &KEYS.keyring(), &found(key, &text));
            assert_eq!(snapshot.faults.len(), faults, "{:?}", snapshot.faults);
        }
    }

    #[test]
    fn record_behind_what_hosts_have_seen_is_not_signed_again() {
        let mut snapshot = Snapshot::default();
        let written = Written {
            record: group("db", 3),
            written: 1,
        };
        snapshot
            .groups
            .insert(written.record.group.clone(), written);
        let mut say = |counter| {
            let entry = HostEntry {
                status: Some(status(Phase::Current, "group db", counter)),
                ..HostEntry::default()
            };
            snapshot.hosts.insert("h1".parse().unwrap(), entry);
            snapshot.is_newest("group db", false).is_ok()
        };
        assert!(say(3));
        assert!(!say(4));
        assert!(say(u64::MAX), "one host cannot block an operator");
        assert!(snapshot.is_newest("group db", true).is_ok());
    }
}
