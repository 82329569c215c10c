//! A kernel, sockets and a store for unit tests, which record the order of things and fail
//! when told to. What the real ones do is tested against a real kernel in `tests/`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;
use tokio::sync::mpsc;

pub(super) use self::kernel::FakeKernel;
pub(super) use self::sockets::FakeSockets;
use self::store::NotedStore;
use crate::agent::access::{Caller, OperatorOrigin, Requester, audit};
use crate::agent::bans::StoredBans;
use crate::agent::change::ChangeOptions;
use crate::agent::change::Consent;
use crate::agent::confirm::pending;
use crate::agent::http::routes::sql::response;
use crate::agent::snapshot::Snapshot;
use crate::agent::sql;
use crate::agent::writer::{Settings, Writer, revision_view};
use crate::api::{AuditView, RevisionView, SqlRequest, SqlResponse};
use crate::clock::testing::Hands;
use crate::compiler::Compilation;
use crate::config::DETACHED_MARKER;
use crate::model::{Change, ChangeContext, Limits, ListInput, SourceText, State};
use crate::store::{SqliteStore, Store, Window};

mod kernel;
mod sockets;
mod store;

/// root, at the machine itself.
pub(super) const ROOT: Requester = Requester {
    caller: Caller {
        uid: 0,
        gid: 0,
        pid: None,
        person: None,
    },
    origin: OperatorOrigin::Console,
};

/// A change without further ado; whatever it opens is agreed to.
pub(super) const PLAIN: ChangeOptions = ChangeOptions {
    dry_run: false,
    force: false,
    strict: false,
    existing: None,
    confirm_within: None,
    consent: Consent::Any,
    if_revision: None,
    local_override: false,
    by_files: false,
    defer: false,
    carry: crate::agent::change::Carry::InTurn,
};

/// A change that is only tried.
pub(super) const DRY: ChangeOptions = ChangeOptions {
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
        mode: Default::default(),
        services: Vec::new(),
        unbound: false,
        replace: false,
        except: Default::default(),
        compat: Default::default(),
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
        allow_empty: false,
        keep_others: false,
    }
}

pub(super) fn add_service(name: &str, port: &str) -> Change {
    Change::AddService {
        name: name.to_owned(),
        ports: vec![port.to_owned()],
        combine: Default::default(),
        mode: Default::default(),
        on_deny: Default::default(),
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

/// What the API answers to a script.
pub(super) fn run_sql(
    bench: &mut Bench,
    request: &SqlRequest,
    requester: Requester,
    options: ChangeOptions,
) -> SqlResponse {
    response(sql::run(&mut bench.writer, request, requester, options))
}

pub(super) fn empty_snapshot() -> Snapshot {
    Snapshot::of(&Arc::new(State::empty()), 0)
}

/// A writer over a fake kernel that has `eth7` and `eth8`, of which `eth7` is
/// configured.
pub(super) struct Bench {
    pub dir: TempDir,
    pub kernel: FakeKernel,
    pub clock: Hands,
    pub writer: Writer,
}

impl Bench {
    pub(super) fn new() -> Self {
        let kernel = FakeKernel::default();
        kernel.lock().links = [("eth7".to_owned(), 7), ("eth8".to_owned(), 8)].into();
        let dir = tempfile::tempdir().unwrap();
        let clock = Hands::new();
        let writer = start(dir.path(), &kernel, &clock, &["eth7"]);
        kernel.journal();
        Self {
            dir,
            kernel,
            clock,
            writer,
        }
    }

    /// The agent again, over the same kernel and store.
    pub(super) fn restart(self, interfaces: &[&str]) -> Self {
        drop(self.writer);
        let writer = start(self.dir.path(), &self.kernel, &self.clock, interfaces);
        Self { writer, ..self }
    }

    /// The newest entries of the audit log.
    pub(super) fn audit_log(&self, limit: usize) -> Vec<AuditView> {
        let past = self.writer.past().unwrap();
        let log = past.audit_log(&Window::newest(limit)).unwrap();
        log.items.into_iter().map(audit::view).collect()
    }

    /// The newest revisions.
    pub(super) fn revisions(&self, limit: usize) -> Vec<RevisionView> {
        let past = self.writer.past().unwrap();
        let found = past.revisions(&Window::newest(limit)).unwrap();
        let revisions = found.items.into_iter();
        revisions.map(|r| revision_view(r, Vec::new())).collect()
    }

    /// Connected clients, none at first.
    pub(super) fn sockets(&mut self) -> FakeSockets {
        let sockets = FakeSockets::default();
        self.writer.set_sockets(Box::new(sockets.clone()));
        sockets
    }

    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.writer.published().borrow().clone()
    }
}

fn start(dir: &Path, kernel: &FakeKernel, hands: &Hands, interfaces: &[&str]) -> Writer {
    let clock = hands.clock();
    let store = SqliteStore::open_with(dir, clock.clone()).unwrap();
    let mut store = NotedStore(store, kernel.clone());
    let stored = store.load().unwrap();
    let stored = pending::at_start(&mut store, stored, &clock).unwrap();
    let compiled = Compilation::new(&stored.state);
    let mut bans = StoredBans::read(&mut store, &stored, &clock).unwrap();
    let ruleset = compiled.ruleset();
    {
        kernel.lock().bans = bans.lists(&stored.state);
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
        fleet_file: dir.join("fleet.toml"),
        clock,
        never_banned: Vec::new(),
        ban_burst: 100,
        guard: None,
    };
    let (sources, _) = mpsc::unbounded_channel();
    let kernel = Box::new(kernel.clone());
    let store = Box::new(store);
    let mut writer = Writer::new(kernel, store, (stored, bans), compiled, settings, sources);
    writer.take_over().unwrap();
    writer
}
