//! A fleet's operator: signs what leads a host to a state, and hands it to the host's agent as the
//! fleet process does.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use jiff::Timestamp;
use minisign::KeyPair;
use netpolicy_fleet::api::PutRevision;
use netpolicy_fleet::{
    Evidence, Group, Head, HostSpec, Labels, ObjectId, ObjectKind, Objects, Pin, Record, Revision,
    frame, references, seal, unsigned,
};
use netpolicy_user::model::{Change, ChangeContext, Limits, SourceText, State};
use netpolicy_user::store::{StoreError, write_state};
use serde_json::{Value, json};

use crate::DatabaseHost;

/// The fleet.
pub const FLEET: &str = "prod";
/// The host's name in it.
pub const HOST: &str = "db-1";

/// A state as objects.
pub struct SignedState {
    /// Its name.
    pub root: ObjectId,
    bodies: BTreeMap<ObjectId, Vec<u8>>,
}

#[derive(Default)]
struct Memory(RefCell<BTreeMap<ObjectId, Vec<u8>>>);

impl Objects for Memory {
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

impl SignedState {
    /// The state that a policy file says.
    ///
    /// # Panics
    /// It says none.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let change = Change::Apply {
            file: SourceText {
                name: "fleet.toml".to_owned(),
                text: text.to_owned(),
            },
            lists: Vec::new(),
            skip_invalid: false,
            allow_empty: false,
            keep_others: false,
        };
        let cx = ChangeContext {
            now: Timestamp::UNIX_EPOCH,
            actor: "operator",
            limits: Limits::default(),
            force: false,
        };
        let applied = State::empty().apply(&change, &cx);
        let memory = Memory::default();
        let state = applied.expect("a policy file").state;
        let root = write_state(&memory, &state).expect("objects");
        Self {
            root,
            bodies: memory.0.into_inner(),
        }
    }

    /// The names of its objects.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.bodies.keys().map(ToString::to_string).collect()
    }

    /// The objects of these names, as the agent takes them.
    ///
    /// # Panics
    /// It has none of that name.
    #[must_use]
    pub fn framed(&self, names: &[String]) -> Vec<u8> {
        let mut kinds = BTreeMap::from([(self.root, ObjectKind::State)]);
        let mut open = vec![self.root];
        while let Some(id) = open.pop() {
            for (kind, id) in references(kinds[&id], &self.bodies[&id]).expect("references") {
                kinds.insert(id, kind);
                open.push(id);
            }
        }
        let mut sequence = Vec::new();
        for name in names {
            let id = ObjectId::from_hex(name).expect("a name");
            frame(kinds[&id], &self.bodies[&id], &mut sequence);
        }
        sequence
    }
}

/// An operator.
pub struct Operator {
    key: KeyPair,
    counter: u64,
    /// The host that is signed for.
    pub host: &'static str,
    /// Sources and local ports that the host must admit.
    pub must_admit: Vec<String>,
    /// Seconds until an unconfirmed revision is rolled back.
    pub within: u32,
}

impl Operator {
    /// One whose key the host trusts.
    ///
    /// # Panics
    /// Files cannot be written.
    #[must_use]
    pub fn of(host: &DatabaseHost) -> Self {
        let operator = Self {
            key: KeyPair::generate_unencrypted_keypair().expect("a key"),
            counter: 0,
            host: HOST,
            must_admit: Vec::new(),
            within: 60,
        };
        operator.trusted_by(host, HOST);
        operator
    }

    /// Makes a host of this name trust the key.
    ///
    /// # Panics
    /// Files cannot be written.
    pub fn trusted_by(&self, host: &DatabaseHost, name: &str) {
        let keys = host.file("fleet.d");
        fs::create_dir_all(&keys).expect("make a directory");
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&keys, open).expect("set a mode");
        let text = self.key.pk.to_box().expect("a key").into_string();
        fs::write(keys.join("operator.pub"), text).expect("write a key");
        let text = format!(
            "fleet = \"{FLEET}\"\nhost = \"{name}\"\nkeys = \"{}\"\n",
            keys.display()
        );
        fs::write(host.file("fleet.toml"), text).expect("write settings");
    }

    /// A record's text with its signature.
    ///
    /// # Panics
    /// It cannot be signed.
    pub fn sign(&self, record: &impl Record) -> String {
        let text = unsigned(record).expect("a record");
        let signature = minisign::sign(None, &self.key.sk, text.as_bytes(), None, None);
        seal(text, signature.expect("a signature").into_string()).expect("a text")
    }

    /// Signs that the host takes a state.
    ///
    /// # Panics
    /// As [`Self::sign`].
    pub fn push(&mut self, number: u64, state: &SignedState) -> PutRevision {
        self.counter += 1;
        let root = state.root.to_string();
        let spec = HostSpec {
            fleet: FLEET.parse().expect("a name"),
            host: self.host.parse().expect("a name"),
            group: "db".parse().expect("a name"),
            counter: 1,
            labels: Labels::new(),
            author: "alice".to_owned(),
            time: Timestamp::UNIX_EPOCH,
        };
        let must_admit = self.must_admit.iter().map(|text| text.parse());
        let group = Group {
            fleet: spec.fleet.clone(),
            group: spec.group.clone(),
            counter: self.counter,
            selector: Labels::new(),
            pinned: None,
            must_admit: must_admit.collect::<Result<_, _>>().expect("attempts"),
            confirm_within: self.within,
            author: spec.author.clone(),
            time: spec.time,
        };
        let head = Head {
            fleet: spec.fleet.clone(),
            counter: self.counter,
            newest: Pin {
                revision: number,
                root: root.clone(),
            },
            staged: false,
            base: None,
            author: spec.author.clone(),
            time: spec.time,
        };
        let revision = Revision {
            fleet: spec.fleet.clone(),
            revision: number,
            root,
            staged: false,
            parent: None,
            author: spec.author.clone(),
            time: spec.time,
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

    /// Pushes a state and hands it to the host's agent, up to the revision; the answer's status
    /// and body.
    pub fn hand_over(
        &mut self,
        host: &DatabaseHost,
        number: u64,
        state: &SignedState,
    ) -> (u16, Value) {
        let push = self.push(number, state);
        give(host, state);
        put(host, &push)
    }
}

/// Hands over what the agent lacks of a state.
///
/// # Panics
/// It does not take it.
pub fn give(host: &DatabaseHost, state: &SignedState) {
    let names = json!({ "digests": state.names() });
    let asked = exchange(
        host,
        "POST",
        "/v1/fleet/objects/missing",
        names.to_string().as_bytes(),
    );
    assert_eq!(asked.0, 200, "{asked:?}");
    let missing = asked.1["missing"].as_array().cloned().unwrap_or_default();
    let missing: Vec<String> = missing
        .iter()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    if !missing.is_empty() {
        let given = exchange(host, "POST", "/v1/fleet/objects", &state.framed(&missing));
        assert_eq!(given.1["taken"], json!(missing.len()), "{given:?}");
    }
}

/// Hands a revision over.
///
/// # Panics
/// There is no answer.
#[must_use]
pub fn put(host: &DatabaseHost, push: &PutRevision) -> (u16, Value) {
    let body = serde_json::to_vec(push).expect("JSON");
    exchange(host, "PUT", "/v1/fleet/revision", &body)
}

/// One exchange with the agent: the status and the body.
///
/// # Panics
/// There is no answer.
#[must_use]
pub fn exchange(host: &DatabaseHost, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
    let answer = try_exchange(host, method, path, body);
    answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
}

/// One exchange with the agent, which may go away meanwhile.
///
/// # Errors
/// There is no answer.
pub fn try_exchange(
    host: &DatabaseHost,
    method: &str,
    path: &str,
    body: &[u8],
) -> std::io::Result<(u16, Value)> {
    let mut stream = UnixStream::connect(host.socket())?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let text = String::from_utf8_lossy(&answer);
    let invalid = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(invalid)?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let body = serde_json::from_str(body.trim()).unwrap_or_default();
    Ok((status.ok_or_else(invalid)?, body))
}
