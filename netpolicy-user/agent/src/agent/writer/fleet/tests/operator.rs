//! An operator who signs what leads a host to a state, and states as objects.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use jiff::Timestamp;
use minisign::KeyPair;
use netpolicy_fleet::{
    Evidence, Group, Head, HostSpec, Labels, Pin, Record, Revision, seal, unsigned,
};

use crate::agent::testing::{Bench, apply};
use crate::api::PutRevision;
use crate::model::{ChangeContext, Limits, State};
use crate::store::{HandedOver, ObjectId, Objects, StoreError, write_state};

#[derive(Default)]
struct StateObjects(RefCell<BTreeMap<ObjectId, Vec<u8>>>);

impl Objects for StateObjects {
    fn read(&self, id: &ObjectId, read: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        let bodies = self.0.borrow();
        let body = bodies.get(id);
        body.inspect(|body| read(body));
        Ok(body.is_some())
    }

    fn write(&self, id: &ObjectId, body: &[u8]) -> Result<(), StoreError> {
        self.0.borrow_mut().insert(*id, body.to_vec());
        Ok(())
    }

    fn corrupt(&self, detail: String) -> StoreError {
        let path = "memory".into();
        StoreError::Corrupt { path, detail }
    }
}

/// An operator, whose key the host trusts.
pub(super) struct SigningOperator {
    key: KeyPair,
    counter: u64,
}

pub(super) fn state(text: &str) -> State {
    let cx = ChangeContext {
        now: Timestamp::UNIX_EPOCH,
        actor: "operator",
        limits: Limits::default(),
        force: false,
    };
    State::empty().apply(&apply(text), &cx).unwrap().state
}

pub(super) fn objects(of: &State) -> (ObjectId, Vec<HandedOver>) {
    let memory = StateObjects::default();
    let root = write_state(&memory, of).unwrap();
    let all = memory.0.into_inner().into_iter();
    (
        root,
        all.map(|(id, body)| HandedOver { id, body }).collect(),
    )
}

impl SigningOperator {
    /// One that no host trusts.
    pub(super) fn stranger() -> Self {
        let key = KeyPair::generate_unencrypted_keypair().unwrap();
        Self { key, counter: 0 }
    }

    pub(super) fn new(bench: &Bench) -> Self {
        let operator = Self::stranger();
        operator.trust(bench.dir.path());
        operator
    }

    pub(super) fn trust(&self, dir: &Path) {
        let keys = dir.join("fleet.d");
        fs::create_dir_all(&keys).unwrap();
        fs::set_permissions(&keys, fs::Permissions::from_mode(0o755)).unwrap();
        let text = self.key.pk.to_box().unwrap().into_string();
        fs::write(keys.join("operator.pub"), text).unwrap();
        let member = format!(
            "fleet = \"prod\"\nhost = \"db-1\"\nkeys = \"{}\"\n",
            keys.display()
        );
        fs::write(dir.join("fleet.toml"), member).unwrap();
    }

    fn sign(&self, record: &impl Record) -> String {
        let text = unsigned(record).unwrap();
        let signature = minisign::sign(None, &self.key.sk, text.as_bytes(), None, None).unwrap();
        seal(text, signature.into_string()).unwrap()
    }

    /// Signs a revision as the newest one.
    pub(super) fn push(&mut self, number: u64, root: &ObjectId) -> PutRevision {
        self.push_with(number, root, &[], &[])
    }

    pub(super) fn push_with(
        &mut self,
        number: u64,
        root: &ObjectId,
        must_admit: &[&str],
        host: &[&str],
    ) -> PutRevision {
        self.counter += 1;
        let (fleet, time, author) = (
            "prod".parse().unwrap(),
            Timestamp::UNIX_EPOCH,
            "alice".to_owned(),
        );
        let root = root.to_string();
        let pin = Pin {
            revision: number,
            root: root.clone(),
        };
        let group = Group {
            fleet,
            group: "db".parse().unwrap(),
            counter: self.counter,
            selector: Labels::new(),
            pinned: None,
            must_admit: must_admit
                .iter()
                .map(|text| text.parse().unwrap())
                .collect(),
            confirm_within: 60,
            author,
            time,
        };
        let (fleet, author) = (group.fleet.clone(), group.author.clone());
        let spec = HostSpec {
            fleet: fleet.clone(),
            host: host.first().unwrap_or(&"db-1").parse().unwrap(),
            group: group.group.clone(),
            counter: 1,
            labels: Labels::new(),
            author: author.clone(),
            time,
        };
        let head = Head {
            fleet: fleet.clone(),
            counter: self.counter,
            newest: pin,
            staged: false,
            base: None,
            author: author.clone(),
            time,
        };
        let revision = Revision {
            fleet,
            revision: number,
            root,
            staged: false,
            parent: None,
            author,
            time,
            message: "tighten".to_owned(),
        };
        PutRevision {
            evidence: Evidence {
                spec: self.sign(&spec),
                head: self.sign(&head),
                group: self.sign(&group),
                rollout: None,
                revision: Some(self.sign(&revision)),
            },
            confirm_within: None,
        }
    }
}
