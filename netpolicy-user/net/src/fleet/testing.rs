//! Records, hosts and an operator's key for tests.

use std::sync::LazyLock;

use jiff::Timestamp;
use minisign::KeyPair;
use netpolicy_fleet::{
    Alive, Counters, Group, HostSpec, HostStatus, Keyring, Labels, Phase, Pin, Record, Rollout,
    RolloutState, Seen, seal, unsigned,
};

use super::etcd::Value;
use super::snapshot::{HostEntry, Written};

/// An operator with a key.
pub(super) struct Keys(KeyPair);

pub(super) static KEYS: LazyLock<Keys> =
    LazyLock::new(|| Keys(KeyPair::generate_unencrypted_keypair().unwrap()));

impl Keys {
    pub(super) fn keyring(&self) -> Keyring {
        let mut keys = Keyring::default();
        let text = self.0.pk.to_box().unwrap().into_string();
        keys.add("operator.pub", &text).unwrap();
        keys
    }

    pub(super) fn sign(&self, record: &impl Record) -> String {
        let text = unsigned(record).unwrap();
        let signature = minisign::sign(None, &self.0.sk, text.as_bytes(), None, None).unwrap();
        seal(text, signature.into_string()).unwrap()
    }
}

pub(super) fn found(key: String, text: &str) -> Value {
    Value {
        key,
        value: text.as_bytes().to_vec(),
        written: 1,
    }
}

pub(super) fn pin(revision: u64) -> Pin {
    Pin {
        revision,
        root: "00".repeat(32),
    }
}

pub(super) fn group(name: &str, counter: u64) -> Group {
    Group {
        fleet: "prod".parse().unwrap(),
        group: name.parse().unwrap(),
        counter,
        selector: Labels::new(),
        pinned: None,
        must_admit: Vec::new(),
        confirm_within: 60,
        author: "op".to_owned(),
        time: Timestamp::UNIX_EPOCH,
    }
}

pub(super) fn rollout(counter: u64) -> Rollout {
    Rollout {
        fleet: "prod".parse().unwrap(),
        group: "db".parse().unwrap(),
        counter,
        from: Some(pin(1)),
        to: pin(2),
        stage: netpolicy_fleet::ALL,
        salt: "s".to_owned(),
        soak: 60,
        max_failed: 0,
        max_denied_clients: 0,
        state: RolloutState::Running,
        reason: None,
        author: "op".to_owned(),
        time: Timestamp::UNIX_EPOCH,
    }
}

/// What a host at revision 2 says that has seen this record.
pub(super) fn status(phase: Phase, record: &str, counter: u64) -> HostStatus {
    let digest = String::new();
    let seen = (record.to_owned(), Seen { counter, digest });
    HostStatus {
        host: "h1".parse().unwrap(),
        group: None,
        instance: "i".to_owned(),
        phase,
        at: Some(pin(2)),
        to: None,
        counters: Counters([seen].into()),
        denied_clients: 0,
        faults: vec!["fault".to_owned()],
        local_override: None,
        time: Timestamp::UNIX_EPOCH,
        version: String::new(),
    }
}

/// A host of a group that is alive.
pub(super) fn entry(group: &str) -> HostEntry {
    let spec = HostSpec {
        fleet: "prod".parse().unwrap(),
        host: "h1".parse().unwrap(),
        group: group.parse().unwrap(),
        counter: 1,
        labels: Labels::new(),
        author: "op".to_owned(),
        time: Timestamp::UNIX_EPOCH,
    };
    HostEntry {
        spec: Some(Written {
            record: spec,
            written: 1,
        }),
        alive: Some(Alive {
            instance: "i".to_owned(),
            since: Timestamp::UNIX_EPOCH,
            contender: None,
        }),
        ..HostEntry::default()
    }
}
