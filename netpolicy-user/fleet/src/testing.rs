//! Records and an operator's key for tests.

use jiff::Timestamp;
use minisign::KeyPair;
use netpolicy_store::store::ObjectKind;

use crate::record::{Group, Head, HostSpec, Labels, Pin, Revision, Rollout, RolloutState};
use crate::signed::{Record, seal, unsigned};
use crate::{FleetName, Keyring};

/// An operator with a key.
pub(crate) struct Operator(KeyPair);

impl Operator {
    pub(crate) fn new() -> Self {
        Self(KeyPair::generate_unencrypted_keypair().unwrap())
    }

    pub(crate) fn keyring(&self) -> Keyring {
        let mut keys = Keyring::default();
        let text = self.0.pk.to_box().unwrap().into_string();
        keys.add("operator.pub", &text).unwrap();
        keys
    }

    pub(crate) fn sign(&self, record: &impl Record) -> String {
        self.sign_text(&unsigned(record).unwrap())
    }

    pub(crate) fn sign_text(&self, text: &str) -> String {
        let signature = minisign::sign(None, &self.0.sk, text.as_bytes(), None, None).unwrap();
        seal(text.to_owned(), signature.into_string()).unwrap()
    }
}

pub(crate) fn fleet() -> FleetName {
    "prod".parse().unwrap()
}

pub(crate) fn pin(revision: u64) -> Pin {
    Pin {
        revision,
        root: ObjectKind::State.id(&revision.to_be_bytes()).to_string(),
    }
}

pub(crate) fn revision(number: u64) -> Revision {
    Revision {
        fleet: fleet(),
        revision: number,
        root: pin(number).root,
        parent: number.checked_sub(1).filter(|parent| *parent > 0),
        staged: false,
        author: "op".to_owned(),
        time: Timestamp::UNIX_EPOCH,
        message: "change".to_owned(),
    }
}

pub(crate) fn head(counter: u64, newest: u64) -> Head {
    Head {
        fleet: fleet(),
        counter,
        newest: pin(newest),
        staged: false,
        base: None,
        author: "op".to_owned(),
        time: Timestamp::UNIX_EPOCH,
    }
}

pub(crate) fn group(name: &str, counter: u64) -> Group {
    Group {
        fleet: fleet(),
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

pub(crate) fn rollout(from: Option<u64>, to: u64) -> Rollout {
    Rollout {
        fleet: fleet(),
        group: "db".parse().unwrap(),
        counter: 3,
        from: from.map(pin),
        to: pin(to),
        stage: 0,
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

pub(crate) fn spec(host: &str, group: &str, counter: u64) -> HostSpec {
    HostSpec {
        fleet: fleet(),
        host: host.parse().unwrap(),
        group: group.parse().unwrap(),
        counter,
        labels: Labels::new(),
        author: "op".to_owned(),
        time: Timestamp::UNIX_EPOCH,
    }
}
