//! The signed records that decide about one host, as they are in etcd.

use std::time::Instant;

use etcd_client::{EventType, GetOptions, Txn, TxnOp, TxnOpResponse, WatchOptions, WatchStream};
use netpolicy_fleet::{
    Alive, Evidence, FleetKey, FleetName, GroupName, HostId, HostSpec, Keyring, Layout, open,
};

use super::etcd::{Etcd, EtcdError, Value, after};

/// The records of one host, as they were at one revision of etcd.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Records {
    pub(crate) spec: Option<String>,
    pub(crate) head: Option<String>,
    pub(crate) group: Option<String>,
    pub(crate) rollout: Option<String>,
    pub(crate) alive: Option<Alive>,
    /// When another process last said that it is this host, too.
    pub(crate) contended: Option<Instant>,
    /// The group that the host's record names.
    pub(crate) group_name: Option<GroupName>,
}

/// What a watch says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    /// Records are other ones.
    Changed,
    /// Nothing of note.
    Same,
    /// All has to be listed again.
    ListAgain(String),
}

impl Records {
    /// Lists them, and etcd's revision.
    ///
    /// # Errors
    /// See [`EtcdError`].
    pub(crate) async fn list(
        etcd: &Etcd,
        fleet: &FleetName,
        host: &HostId,
        keys: &Keyring,
    ) -> Result<(Self, i64), EtcdError> {
        let layout = Layout::new(fleet);
        let (groups, rollouts) = (layout.groups(), layout.rollouts());
        let get = |key: FleetKey| TxnOp::get(layout.key(&key), None);
        let prefix = |prefix: &str| {
            let options = GetOptions::new().with_range(after(prefix));
            TxnOp::get(prefix, Some(options))
        };
        let gets = [
            get(FleetKey::Spec(host.clone())),
            get(FleetKey::Head),
            get(FleetKey::Alive(host.clone())),
            prefix(&groups),
            prefix(&rollouts),
        ];
        let mut client = etcd.client.clone();
        let answer = etcd.within(client.txn(Txn::new().and_then(gets))).await?;
        let at = answer
            .header()
            .map_or(0, etcd_client::ResponseHeader::revision);
        let mut answers = answer
            .op_responses()
            .into_iter()
            .map(|answer| match answer {
                TxnOpResponse::Get(found) => found.kvs().iter().map(value).collect::<Vec<_>>(),
                _ => Vec::new(),
            });
        let mut next = || answers.next().unwrap_or_default();
        let one = |mut found: Vec<Value>| found.pop();
        let mut records = Self {
            spec: one(next()).map(|found| found.text()),
            head: one(next()).map(|found| found.text()),
            alive: one(next()).and_then(|found| serde_json::from_slice(&found.value).ok()),
            ..Self::default()
        };
        records.note_contender();
        records.group_name = records.group_of(fleet, keys);
        let (all_groups, all_rollouts) = (next(), next());
        if let Some(group) = &records.group_name {
            let find = |all: Vec<Value>, key: FleetKey| {
                let key = layout.key(&key);
                let found = all.into_iter().find(|found| found.key == key);
                found.map(|found| found.text())
            };
            records.group = find(all_groups, FleetKey::Group(group.clone()));
            records.rollout = find(all_rollouts, FleetKey::Rollout(group.clone()));
        }
        Ok((records, at))
    }

    fn note_contender(&mut self) {
        let contender = self
            .alive
            .as_ref()
            .and_then(|alive| alive.contender.as_ref());
        self.contended = contender.map(|_| Instant::now());
    }

    /// Whether others decide the same.
    pub(crate) fn decide_alike(&self, other: &Self) -> bool {
        self.spec == other.spec
            && self.head == other.head
            && self.group == other.group
            && self.rollout == other.rollout
    }

    /// The group that the host's record names, if an operator signed that.
    fn group_of(&self, fleet: &FleetName, keys: &Keyring) -> Option<GroupName> {
        let spec = open::<HostSpec>(self.spec.as_deref()?, fleet, keys).ok()?;
        Some(spec.record.group)
    }

    /// Watches them from this revision of etcd on.
    ///
    /// # Errors
    /// See [`EtcdError`].
    pub(crate) async fn watch(
        &self,
        etcd: &Etcd,
        layout: &Layout,
        host: &HostId,
        from: i64,
    ) -> Result<WatchStream, EtcdError> {
        let mut keys = vec![
            FleetKey::Head,
            FleetKey::Spec(host.clone()),
            FleetKey::Alive(host.clone()),
        ];
        if let Some(group) = &self.group_name {
            keys.push(FleetKey::Group(group.clone()));
            keys.push(FleetKey::Rollout(group.clone()));
        }
        let mut keys = keys.iter().map(|key| layout.key(key));
        let options = || Some(WatchOptions::new().with_start_revision(from));
        let mut client = etcd.client.clone();
        let first = keys.next().unwrap_or_default();
        let mut stream = etcd.within(client.watch(first, options())).await?;
        for key in keys {
            etcd.within(stream.watch(key, options())).await?;
        }
        Ok(stream)
    }

    /// Takes up what a watch says.
    pub(crate) fn update(&mut self, said: &etcd_client::WatchResponse, layout: &Layout) -> Watched {
        if said.compact_revision() > 0 {
            return Watched::ListAgain(format!(
                "etcd was compacted at revision {}",
                said.compact_revision()
            ));
        }
        if said.canceled() {
            return Watched::ListAgain(format!("a watch was canceled: {}", said.cancel_reason()));
        }
        let mut watched = Watched::Same;
        for event in said.events() {
            let Some(found) = event.kv() else {
                continue;
            };
            let found = value(found);
            let text = (event.event_type() == EventType::Put).then(|| found.text());
            match layout.parse(&found.key) {
                Some(FleetKey::Head) => self.head = text,
                Some(FleetKey::Group(_)) => self.group = text,
                Some(FleetKey::Rollout(_)) => self.rollout = text,
                // It may name another group, whose records are watched then.
                Some(FleetKey::Spec(_)) => {
                    return Watched::ListAgain("the host's record changed".to_owned());
                }
                Some(FleetKey::Alive(_)) => {
                    let alive = text.and_then(|text| serde_json::from_str(&text).ok());
                    self.alive = alive;
                    self.note_contender();
                }
                _ => continue,
            }
            watched = Watched::Changed;
        }
        watched
    }

    /// What they prove, or which of them is missing.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn evidence(&self, host: &HostId) -> Result<Evidence, String> {
        let of = |record: &Option<String>, what: &str, hint: &str| {
            record
                .clone()
                .ok_or_else(|| format!("{what} is not in etcd; {hint}"))
        };
        let spec = of(
            &self.spec,
            &format!("the record of host {host}"),
            "`netpolicy fleet join` makes it",
        )?;
        if self.group_name.is_none() {
            return Err(format!(
                "the record of host {host} is not signed by a trusted key"
            ));
        }
        Ok(Evidence {
            spec,
            head: of(&self.head, "the head", "`netpolicy fleet push` makes it")?,
            group: of(
                &self.group,
                "the host's group",
                "`netpolicy fleet groups set` makes it",
            )?,
            rollout: self.rollout.clone(),
            revision: None,
        })
    }
}

fn value(found: &etcd_client::KeyValue) -> Value {
    Value {
        key: String::from_utf8_lossy(found.key()).into_owned(),
        value: found.value().to_vec(),
        written: found.mod_revision(),
    }
}
