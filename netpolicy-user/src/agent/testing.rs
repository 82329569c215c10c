//! A kernel and a store for unit tests, which record the order of things and fail
//! when told to. What the real ones do is tested against a real kernel in `tests/`.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use netpolicy_common::{Action, Event, EventStats, HOST_SCOPE, Reason};
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::caller::Caller;
use super::clients::Sockets;
use super::enforcer::{Brake, Enforcer, EnforcerError, EventSource, Inspector};
use super::request::{Asker, Options, Seat};
use super::snapshot::Snapshot;
use super::writer::{Settings, Writer};
use crate::api::Attachment;
use crate::compiler::{Compilation, Ruleset};
use crate::config::DETACHED_MARKER;
use crate::datapath::{AttachedInterface, BypassEntry, CounterSnapshot, Enforced};
use crate::model::{
    Bypass, Change, ChangeContext, Grant, Limits, ListInput, Name, SourceText, State,
};
use crate::sockets::{Connection, SocketsError, State as Open};
use crate::store::{
    AuditEntry, Extras, Pruned, Revision, RevisionMeta, SqliteStore, Store, StoreError, Stored,
};

/// root, at the machine itself.
pub(super) const ROOT: Asker = Asker {
    caller: Caller {
        uid: 0,
        gid: 0,
        pid: None,
    },
    seat: Seat::Console,
};

/// A change without further ado.
pub(super) const PLAIN: Options = Options {
    dry_run: false,
    force: false,
    strict: false,
    existing: None,
    confirm_within: None,
};

/// A change that is only tried.
pub(super) const DRY: Options = Options {
    dry_run: true,
    ..PLAIN
};

/// A change that makes a policy for the host.
pub(super) fn create(name: &str, allow: &[&str], block: &[&str]) -> Change {
    let list = |items: &[&str]| ListInput {
        items: items.iter().map(|&i| i.to_owned()).collect(),
        ..ListInput::default()
    };
    Change::CreatePolicy {
        name: name.to_owned(),
        allow: (!allow.is_empty()).then(|| list(allow)),
        block: list(block),
        comment: None,
        inactive: false,
        services: Vec::new(),
        unbound: false,
        replace: false,
        blocked_rest: None,
    }
}

pub(super) fn apply(text: &str) -> Change {
    Change::Apply {
        file: SourceText {
            name: "policies.toml".to_owned(),
            text: text.to_owned(),
        },
        lists: Vec::new(),
        skip_invalid: false,
        keep_others: false,
    }
}

pub(super) fn add_service(name: &str, port: &str) -> Change {
    Change::AddService {
        name: name.to_owned(),
        ports: vec![port.to_owned()],
        combine: Default::default(),
        mode: Default::default(),
        comment: None,
    }
}

pub(super) fn state_with_policy(name: &str, allow: &[&str], block: &[&str]) -> State {
    let cx = ChangeContext {
        now: Timestamp::UNIX_EPOCH,
        actor: "root",
        limits: Limits::default(),
        force: false,
    };
    State::empty()
        .apply(&create(name, allow, block), &cx)
        .unwrap()
        .state
}

pub(super) fn empty_snapshot() -> Snapshot {
    Snapshot::of(&Arc::new(State::empty()), 0)
}

/// What the fake kernel holds, and what it is to do.
#[derive(Default)]
pub(super) struct Kernel {
    pub generation: u64,
    pub revision: u64,
    pub live: Option<Arc<Ruleset>>,
    /// Interfaces that exist.
    pub links: BTreeMap<String, u32>,
    pub attached: BTreeMap<String, u32>,
    pub bypasses: Vec<BypassEntry>,
    pub unpinned: bool,
    /// What the next read-back finds.
    pub differences: Vec<String>,
    pub fail_prepare: bool,
    pub fail_bypasses: bool,
    pub fail_commit: bool,
    pub probe: Option<(Action, Reason)>,
    /// What was done, in order.
    pub journal: Vec<String>,
}

#[derive(Clone, Default)]
pub(super) struct FakeKernel(Arc<Mutex<Kernel>>);

impl FakeKernel {
    pub(super) fn lock(&self) -> MutexGuard<'_, Kernel> {
        self.0.lock().unwrap()
    }

    /// What was done since this was asked last.
    pub(super) fn journal(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().journal)
    }

    fn note(&self, what: impl Into<String>) {
        self.lock().journal.push(what.into());
    }
}

fn refusal(what: &str, no_memory: bool) -> EnforcerError {
    EnforcerError {
        source: what.into(),
        hint: Some("free some memory".to_owned()),
        no_memory,
    }
}

impl Enforcer for FakeKernel {
    type Prepared = (Arc<Ruleset>, u64);
    type Events = NoEvents;

    fn distrust(&mut self) {
        self.note("distrust");
    }

    fn prepare(
        &mut self,
        ruleset: &Arc<Ruleset>,
        revision: u64,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self::Prepared, EnforcerError> {
        self.note("prepare");
        progress(1, 2);
        if self.lock().fail_prepare {
            return Err(refusal("no memory for the map", true));
        }
        Ok((ruleset.clone(), revision))
    }

    fn commit(&mut self, (ruleset, revision): Self::Prepared) -> u64 {
        self.note("flip");
        let mut kernel = self.lock();
        kernel.generation += 1;
        kernel.revision = revision;
        kernel.live = Some(ruleset);
        kernel.differences.clear();
        kernel.generation
    }

    fn is_pinned(&self) -> bool {
        !self.lock().unpinned
    }

    fn reinstall(&mut self, ruleset: &Arc<Ruleset>, revision: u64) -> Result<u64, EnforcerError> {
        self.note("reinstall");
        let mut kernel = self.lock();
        if kernel.fail_prepare {
            return Err(refusal("no memory for the map", true));
        }
        kernel.unpinned = false;
        kernel.generation = 1;
        kernel.revision = revision;
        kernel.live = Some(ruleset.clone());
        kernel.attached.clear();
        kernel.bypasses.clear();
        Ok(1)
    }

    fn events(&mut self) -> Result<NoEvents, EnforcerError> {
        Ok(NoEvents(UnixStream::pair().unwrap().0))
    }

    fn attach(&mut self, interface: &str) -> Result<(), EnforcerError> {
        self.note(format!("attach {interface}"));
        let mut kernel = self.lock();
        let index = *kernel
            .links
            .get(interface)
            .ok_or_else(|| refusal("no such interface", false))?;
        kernel.attached.insert(interface.to_owned(), index);
        Ok(())
    }

    fn detach(&mut self, interface: &str) -> Result<(), EnforcerError> {
        self.note(format!("detach {interface}"));
        self.lock().attached.remove(interface);
        Ok(())
    }

    fn detach_all(&mut self) -> Result<Vec<String>, EnforcerError> {
        self.note("detach all");
        let attached = std::mem::take(&mut self.lock().attached);
        Ok(attached.into_keys().collect())
    }

    fn interfaces(&self) -> Result<Vec<AttachedInterface>, EnforcerError> {
        Inspector::interfaces(self)
    }

    fn index_of(&self, interface: &str) -> Option<u32> {
        self.lock().links.get(interface).copied()
    }

    fn enforced(&self) -> Result<Enforced, EnforcerError> {
        Inspector::enforced(self)
    }

    fn verify(&self, _: &Ruleset) -> Result<Vec<String>, EnforcerError> {
        self.note("verify");
        Ok(self.lock().differences.clone())
    }

    fn set_bypasses(&mut self, entries: &[BypassEntry]) -> Result<(), EnforcerError> {
        self.note(format!("bypasses {}", entries.len()));
        let mut kernel = self.lock();
        if kernel.fail_bypasses {
            return Err(refusal("the map is full", false));
        }
        kernel.bypasses = entries.to_vec();
        Ok(())
    }
}

impl Inspector for FakeKernel {
    fn enforced(&self) -> Result<Enforced, EnforcerError> {
        let kernel = self.lock();
        Ok(Enforced {
            generation: kernel.generation,
            revision: kernel.revision,
            entries: kernel.live.as_ref().map_or(0, |r| r.entries()),
            digest: kernel.live.as_ref().map_or([0; 32], |r| r.digest()),
            abi: netpolicy_common::ABI_VERSION,
            engine: "fake",
        })
    }

    fn interfaces(&self) -> Result<Vec<AttachedInterface>, EnforcerError> {
        let attached = self.lock().attached.clone();
        let interface = |(name, index)| AttachedInterface {
            is_here: true,
            name,
            index,
            attachment: Attachment::Native,
            program: 1,
        };
        Ok(attached.into_iter().map(interface).collect())
    }

    fn counters(&self) -> Result<CounterSnapshot, EnforcerError> {
        Ok(CounterSnapshot {
            rows: vec![
                (HOST_SCOPE, Reason::Blocked, 3),
                (HOST_SCOPE, Reason::Allowed, 5),
                (7, Reason::NotAllowed, 1),
            ],
            events: self.event_stats()?,
        })
    }

    fn event_stats(&self) -> Result<EventStats, EnforcerError> {
        Ok(EventStats::default())
    }

    fn probe(&self, _: &[u8]) -> Result<(Action, Reason), EnforcerError> {
        self.lock()
            .probe
            .ok_or_else(|| refusal("no program", false))
    }
}

impl Brake for FakeKernel {
    fn detach_all(&self) -> Result<Vec<String>, EnforcerError> {
        let attached = std::mem::take(&mut self.lock().attached);
        Ok(attached.into_keys().collect())
    }
}

/// Connections that are made up, and what was asked to be closed.
#[derive(Clone, Default)]
pub(super) struct FakeSockets(Arc<Mutex<MadeUp>>);

#[derive(Default)]
struct MadeUp {
    open: Vec<Connection>,
    fail: bool,
}

impl FakeSockets {
    /// An open connection from a source to a port.
    pub(super) fn open(&self, source: &str, port: u16) {
        let remote = std::net::SocketAddr::new(source.parse().unwrap(), 40_000);
        let local: std::net::IpAddr = match remote.is_ipv4() {
            true => "198.51.100.1".parse().unwrap(),
            false => "2001:db8:ff::1".parse().unwrap(),
        };
        let made = Connection::made_up((local, port).into(), remote, Open::Established);
        self.0.lock().unwrap().open.push(made);
    }

    /// What is open, as "10.0.0.1 5432".
    pub(super) fn left(&self) -> Vec<String> {
        let made_up = self.0.lock().unwrap();
        let open = made_up.open.iter();
        open.map(|c| format!("{} {}", c.remote.ip(), c.local.port()))
            .collect()
    }

    /// The kernel says nothing any more.
    pub(super) fn fail(&self) {
        self.0.lock().unwrap().fail = true;
    }
}

impl Sockets for FakeSockets {
    fn inbound(&self, _: &dyn Fn(u16) -> bool) -> Result<Vec<Connection>, SocketsError> {
        let made_up = self.0.lock().unwrap();
        if made_up.fail {
            return Err(SocketsError::NoDiag);
        }
        Ok(made_up.open.clone())
    }

    fn cut(&self, connections: &[Connection]) -> Result<usize, SocketsError> {
        let mut made_up = self.0.lock().unwrap();
        let before = made_up.open.len();
        let is_cut = |open: &Connection| {
            let same = |cut: &Connection| (cut.local, cut.remote) == (open.local, open.remote);
            connections.iter().any(same)
        };
        made_up.open.retain(|open| !is_cut(open));
        Ok(before - made_up.open.len())
    }
}

/// Never has any.
pub(super) struct NoEvents(UnixStream);

impl AsFd for NoEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl EventSource for NoEvents {
    fn next(&mut self) -> Option<Event> {
        None
    }

    fn grant(&mut self, _: u64) -> Result<(), EnforcerError> {
        Ok(())
    }
}

/// The real store, with a note in the kernel's journal of each commit.
struct NotedStore(SqliteStore, FakeKernel);

impl Store for NotedStore {
    fn load(&mut self) -> Result<Stored, StoreError> {
        self.0.load()
    }

    fn commit_with(
        &mut self,
        state: &State,
        by: &RevisionMeta,
        extras: &Extras,
    ) -> Result<u64, StoreError> {
        self.1.note("store");
        if self.1.lock().fail_commit {
            return Err(StoreError::Full {
                path: "/full".into(),
            });
        }
        self.0.commit_with(state, by, extras)
    }

    fn revisions(&mut self, limit: usize) -> Result<Vec<Revision>, StoreError> {
        self.0.revisions(limit)
    }

    fn state_at(&mut self, revision: u64) -> Result<State, StoreError> {
        self.0.state_at(revision)
    }

    fn clear_pending(&mut self, audit: &AuditEntry) -> Result<(), StoreError> {
        self.0.clear_pending(audit)
    }

    fn audit(&mut self, entry: &AuditEntry) -> Result<(), StoreError> {
        self.0.audit(entry)
    }

    fn audit_log(&mut self, limit: usize) -> Result<Vec<(u64, AuditEntry)>, StoreError> {
        self.0.audit_log(limit)
    }

    fn put_grant(&mut self, grant: &Grant, audit: &AuditEntry) -> Result<(), StoreError> {
        self.0.put_grant(grant, audit)
    }

    fn remove_grant(&mut self, grant: &Grant, audit: &AuditEntry) -> Result<bool, StoreError> {
        self.0.remove_grant(grant, audit)
    }

    fn put_bypass(
        &mut self,
        bypass: &Bypass,
        audit: Option<&AuditEntry>,
    ) -> Result<(), StoreError> {
        if self.1.lock().fail_commit {
            return Err(StoreError::Full {
                path: "/full".into(),
            });
        }
        self.0.put_bypass(bypass, audit)
    }

    fn remove_bypass(
        &mut self,
        source: IpNet,
        service: Option<&Name>,
        audit: Option<&AuditEntry>,
    ) -> Result<bool, StoreError> {
        self.0.remove_bypass(source, service, audit)
    }

    fn expire_bypasses(&mut self, now: Timestamp) -> Result<Vec<Bypass>, StoreError> {
        self.0.expire_bypasses(now)
    }

    fn settle(&mut self) {
        self.0.settle();
    }

    fn prune(&mut self) -> Result<Pruned, StoreError> {
        self.0.prune()
    }
}

/// A writer over a fake kernel that has `eth7` and `eth8`, of which `eth7` is
/// configured.
pub(super) struct Bench {
    pub dir: TempDir,
    pub kernel: FakeKernel,
    pub writer: Writer<FakeKernel>,
}

impl Bench {
    pub(super) fn new() -> Self {
        let kernel = FakeKernel::default();
        kernel.lock().links = [("eth7".to_owned(), 7), ("eth8".to_owned(), 8)].into();
        let dir = tempfile::tempdir().unwrap();
        let writer = start(dir.path(), &kernel, &["eth7"]);
        kernel.journal();
        Self {
            dir,
            kernel,
            writer,
        }
    }

    /// The agent again, over the same kernel and store.
    pub(super) fn restart(self, interfaces: &[&str]) -> Self {
        drop(self.writer);
        let writer = start(self.dir.path(), &self.kernel, interfaces);
        Self { writer, ..self }
    }

    /// Connected clients, none at first.
    pub(super) fn sockets(&mut self) -> FakeSockets {
        let sockets = FakeSockets::default();
        self.writer.sockets = Box::new(sockets.clone());
        sockets
    }

    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.writer.published().borrow().clone()
    }
}

fn start(dir: &Path, kernel: &FakeKernel, interfaces: &[&str]) -> Writer<FakeKernel> {
    let mut store = NotedStore(SqliteStore::open(dir).unwrap(), kernel.clone());
    let stored = store.load().unwrap();
    let compiled = Compilation::new(&stored.state);
    let ruleset = compiled.ruleset();
    {
        let mut kernel = kernel.lock();
        if kernel.live.as_ref().map(|r| r.digest()) != Some(ruleset.digest()) {
            kernel.generation += 1;
            kernel.live = Some(ruleset.clone());
        }
    }
    let settings = Settings {
        interfaces: interfaces.iter().map(|&i| i.to_owned()).collect(),
        limits: Limits::default(),
        verify_interval: Duration::from_secs(300),
        marker: dir.join(DETACHED_MARKER),
        guard: None,
    };
    let (sources, _) = mpsc::unbounded_channel();
    let kernel = kernel.clone();
    let mut writer = Writer::new(kernel, Box::new(store), stored, compiled, settings, sources);
    writer.take_over().unwrap();
    writer
}
