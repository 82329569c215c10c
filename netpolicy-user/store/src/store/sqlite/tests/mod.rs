//! The store as the agent uses it.

mod backup;
mod bans;
mod compat;
mod crash;
mod damage;
mod departure;
mod disk;
mod feeds;
mod files;
mod fleets;
mod format;
mod loss;
mod observed;
mod records;
mod sharing;

use super::*;
use crate::model::rule::Note;
use crate::model::{
    AllowPart, Binding, Combine, Mode, OnDeny, Policy, PortSet, Rule, RuleList, Service, Spelling,
};
use crate::store::*;

/// A time, in seconds since 1970 and some nanoseconds.
fn time(seconds: i64) -> Timestamp {
    Timestamp::new(seconds, 123_456_789).unwrap()
}

fn by(action: &str) -> RevisionMeta {
    RevisionMeta {
        created: time(1_000),
        actor: "alice".into(),
        action: action.into(),
    }
}

/// The newest entries of the audit log.
fn audit_log(store: &impl Store, limit: usize) -> Vec<(u64, AuditEntry)> {
    let past = store.past().unwrap();
    past.audit_log(&Window::newest(limit)).unwrap().items
}

/// The newest revisions.
fn revisions(store: &impl Store, limit: usize) -> Vec<Revision> {
    let past = store.past().unwrap();
    past.revisions(&Window::newest(limit)).unwrap().items
}

/// The single addresses 10.0.0.0 + i.
fn list(addresses: impl IntoIterator<Item = u32>) -> RuleList {
    let rules = (1..).zip(addresses).map(|(line, i)| Rule {
        net: ipnet::Ipv4Net::from(std::net::Ipv4Addr::from_bits(0x0a00_0000 + i)).into(),
        source: 0,
        line,
        note: None,
    });
    RuleList::from_parts(rules.collect(), vec!["list.txt".into()])
}

fn policy(name: &str, allow: AllowPart, block: RuleList) -> Policy {
    Policy {
        allow_lists: vec![],
        block_lists: vec![],
        except_lists: vec![],
        except: RuleList::default(),
        name: Name::new(name).unwrap(),
        allow,
        block,
        compat: Default::default(),
        comment: None,
        owner: "root".into(),
        created: time(1),
        altered: time(2),
        active: true,
        mode: Default::default(),
        bindings: [Binding::Host].into(),
    }
}

/// A state with one policy that blocks these.
fn blocking(addresses: impl IntoIterator<Item = u32>) -> State {
    State {
        policies: vec![policy("office", AllowPart::Any, list(addresses))],
        ..State::empty()
    }
}

/// A state with something of everything.
fn rich() -> State {
    let note = Note {
        spelling: Spelling::Text("192.168.1.77/24".into()),
        name: Some("desk".into()),
        comment: Some("third floor".into()),
        expires: None,
    };
    let rules = vec![
        Rule {
            net: "192.168.1.0/24".parse().unwrap(),
            source: 1,
            line: 4,
            note: note.share(),
        },
        Rule {
            net: "2001:db8::/32".parse().unwrap(),
            source: 0,
            line: 0,
            note: None,
        },
    ];
    let mixed = RuleList::from_parts(rules, vec!["--allow".into(), "office.toml".into()]);
    let mut state = State {
        services: vec![Service {
            name: Name::new("postgres").unwrap(),
            id: 200,
            ports: PortSet::parse(&["5432", "7000-7010"]).unwrap(),
            combine: Combine::And,
            mode: Mode::Observe,
            on_deny: OnDeny::Drop,
            comment: Some("the \"main\" one".into()),
        }],
        policies: vec![
            policy(
                "nobody",
                AllowPart::Only(RuleList::default()),
                RuleList::default(),
            ),
            policy("office", AllowPart::Only(mixed.clone()), mixed),
        ],
        ..State::empty()
    };
    state.host.mode = Mode::Observe;
    state.host.failsafe_ports = PortSet::default();
    let office = &mut state.policies[1];
    office.comment = Some("head office".into());
    office.active = false;
    office
        .bindings
        .insert(Binding::Service(Name::new("postgres").unwrap()));
    state
}

fn objects(store: &SqliteStore) -> i64 {
    store
        .conn
        .query_row("SELECT count(*) FROM objects", [], |row| row.get(0))
        .unwrap()
}

fn load(dir: &Path) -> Result<Stored, StoreError> {
    SqliteStore::open(dir)?.load()
}

#[test]
fn a_new_store_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    let empty = Stored {
        departure: None,
        state: State::empty(),
        revision: 0,
        bypasses: vec![],
        grants: vec![],
        feeds: vec![],
        fleets: vec![],
        pending: None,
        restored: false,
    };
    assert_eq!(store.load().unwrap(), empty);
    assert_eq!(revisions(&store, 10), []);
    assert_eq!(store.state_at(0).unwrap(), State::empty());
    let error = store.state_at(1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no revision 1; none was made yet"
    );
    drop(store);
    assert_eq!(load(dir.path()).unwrap(), empty);
}

#[test]
fn all_of_a_state_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    assert_eq!(store.commit(&rich(), &by("apply")).unwrap(), 1);
    drop(store);
    let stored = load(dir.path()).unwrap();
    assert_eq!((stored.revision, stored.state), (1, rich()));
}

#[test]
fn every_revision_can_be_had() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    for n in 1..=5 {
        assert_eq!(
            store.commit(&blocking(0..n), &by(&n.to_string())).unwrap(),
            u64::from(n)
        );
    }
    let newest: Vec<_> = revisions(&store, 2)
        .into_iter()
        .map(|revision| (revision.revision, revision.meta))
        .collect();
    assert_eq!(newest, [(5, by("5")), (4, by("4"))]);
    for n in 1..=5 {
        assert_eq!(store.state_at(u64::from(n)).unwrap(), blocking(0..n));
    }
    for missing in [6, u64::MAX] {
        let error = store.state_at(missing).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("there is no revision {missing}; kept are 1 to 5")
        );
    }
}

#[test]
fn only_what_is_new_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    let first = blocking(0..20_000);
    store.commit(&first, &by("a")).unwrap();
    let before = objects(&store);
    assert!(before > 5, "several chunks: {before}");

    store.commit(&first, &by("the same again")).unwrap();
    assert_eq!(objects(&store), before);

    // A new chunk, list and state.
    store
        .commit(&blocking(0..20_001), &by("one more rule"))
        .unwrap();
    assert_eq!(objects(&store), before + 3);

    // The list is an equal one elsewhere in memory: only the state is new.
    let mut renamed = blocking(0..20_001);
    renamed.policies[0].comment = Some("new".into());
    store.commit(&renamed, &by("comment")).unwrap();
    assert_eq!(objects(&store), before + 4);

    store.commit(&first, &by("roll back")).unwrap();
    assert_eq!(objects(&store), before + 4);
    assert_eq!(store.load().unwrap().state, first);
}

#[test]
fn bypasses_are_stored_replaced_and_expire() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    let postgres = Name::new("postgres").unwrap();
    let bypass = |source: &str, service: Option<&Name>, expires| Bypass {
        source: source.parse().unwrap(),
        service: service.cloned(),
        granted: time(5),
        expires: time(expires),
        granted_by: "bob".into(),
    };
    let host = bypass("10.0.0.1/32", None, 100);
    let service = bypass("10.0.0.1/32", Some(&postgres), 200);
    let six = bypass("2001:db8::/32", None, 300);
    for bypass in [&host, &service, &six] {
        store.put_bypass(bypass, None).unwrap();
    }
    let longer = bypass("10.0.0.1/32", None, 150);
    store.put_bypass(&longer, None).unwrap();
    drop(store);

    let mut store = SqliteStore::open(dir.path()).unwrap();
    assert_eq!(
        store.load().unwrap().bypasses,
        [longer.clone(), service.clone(), six.clone()]
    );
    assert!(
        store
            .remove_bypass(service.source, Some(&postgres), None)
            .unwrap()
    );
    assert!(
        !store
            .remove_bypass(service.source, Some(&postgres), None)
            .unwrap()
    );
    assert_eq!(store.expire_bypasses(time(149)).unwrap(), []);
    assert_eq!(store.expire_bypasses(time(150)).unwrap(), [longer]);
    assert_eq!(store.load().unwrap().bypasses, [six]);
}

#[test]
fn pruning_forgets_the_oldest_and_what_only_they_needed() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    store
        .commit(&blocking(50_000..150_000), &by("large"))
        .unwrap();
    for n in 0..10 {
        store.commit(&blocking(0..5_000 + n), &by("small")).unwrap();
    }
    let size = |store: &mut SqliteStore| {
        store.settle();
        std::fs::metadata(store.path()).unwrap().len()
    };
    let large = size(&mut store);
    let keep = Keep {
        revisions: 4,
        bytes: u64::MAX,
        at_least: 1,
    };
    let pruned = store.prune_to(keep).unwrap();
    assert_eq!(pruned.revisions, 7);
    assert!(pruned.objects > 40, "{pruned:?}");
    assert_eq!(store.prune_to(keep).unwrap(), Pruned::default());
    let small = size(&mut store);
    assert!(small < large / 2, "{large} bytes shrank to {small}");

    for n in 6..10 {
        assert_eq!(
            store.state_at(2 + n).unwrap().policies[0].block.len() as u64,
            5_000 + n
        );
    }
    let error = store.state_at(7).unwrap_err().to_string();
    assert_eq!(error, "there is no revision 7; kept are 8 to 11");
    assert_eq!(store.commit(&blocking(0..1), &by("next")).unwrap(), 12);
    drop(store);
    assert_eq!(load(dir.path()).unwrap().state, blocking(0..1));
}

#[test]
fn pruning_forgets_more_where_revisions_are_large() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    for n in 0..6 {
        store
            .commit(&blocking(n * 10_000..(n + 1) * 10_000), &by("large"))
            .unwrap();
    }
    // A rule takes 9 bytes, so that two states are over it.
    let keep = Keep {
        revisions: 100,
        bytes: 150_000,
        at_least: 1,
    };
    assert_eq!(store.prune_to(keep).unwrap().revisions, 4);
    assert_eq!(
        store
            .prune_to(Keep {
                bytes: 1,
                at_least: 2,
                ..keep
            })
            .unwrap(),
        Pruned::default()
    );
    assert_eq!(store.state_at(5).unwrap(), blocking(40_000..50_000));
    assert_eq!(
        store.prune_to(Keep { bytes: 1, ..keep }).unwrap().revisions,
        1
    );
    assert_eq!(store.state_at(6).unwrap(), blocking(50_000..60_000));
    assert_eq!(store.prune().unwrap(), Pruned::default());
}

#[test]
fn a_locked_database_is_said_to_be_locked_and_works_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    store.commit(&blocking(0..1), &by("a")).unwrap();
    store.conn.busy_timeout(Duration::from_millis(20)).unwrap();
    let other = Connection::open(store.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.commit(&blocking(0..2), &by("b")).unwrap_err();
    assert!(matches!(error, StoreError::Busy { .. }), "{error}");
    assert!(error.hint().unwrap().contains("another netpolicy agent"));
    assert_eq!(
        store.load().unwrap().state,
        blocking(0..1),
        "reading goes on"
    );
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.commit(&blocking(0..2), &by("b")).unwrap(), 2);
}
