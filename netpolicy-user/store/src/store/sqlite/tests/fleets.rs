//! Fleets: what is known of them, and objects that are handed over for a state to come.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::clock::testing::Hands;
use crate::store::objects::{ObjectKind, memory::Memory};

/// A state's name and objects, as another host wrote them.
fn objects_of(of: &State) -> (ObjectId, BTreeMap<ObjectId, Vec<u8>>) {
    let memory = Memory::default();
    let (root, _) = state::put(&memory, &[], of).unwrap();
    (root, memory.0.into_inner().into_iter().collect())
}

fn handed(objects: &BTreeMap<ObjectId, Vec<u8>>, ids: &[ObjectId]) -> Vec<HandedOver> {
    let one = |id: &ObjectId| HandedOver {
        id: *id,
        body: objects[id].clone(),
    };
    ids.iter().map(one).collect()
}

fn waiting(store: &SqliteStore) -> i64 {
    let count = "SELECT count(*) FROM handed";
    store.conn.query_row(count, [], |row| row.get(0)).unwrap()
}

fn record(revision: u64) -> FleetRecord {
    let mut record = FleetRecord::new("prod");
    let digest = revision.to_string();
    let seen = SeenRecord {
        counter: revision,
        digest,
    };
    record.counters.insert("head".into(), seen);
    record.applied = Some(AppliedFleetRevision {
        revision,
        root: "00".repeat(32),
        group: Some("db".into()),
        with_services: true,
        since: time(3),
        left_out: vec![],
        left_out_by: None,
    });
    record
}

#[test]
fn only_objects_that_are_missing_are_handed_over_and_a_state_is_read_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    store.commit(&blocking(0..40_000), &by("apply")).unwrap();
    let wanted = blocking((0..40_000).filter(|at| *at != 20_000));
    let (root, objects) = objects_of(&wanted);
    let all: Vec<_> = objects.keys().copied().collect();
    let missing = store.missing(&all).unwrap();
    assert!(
        missing.len() * 2 < all.len(),
        "{} of {}",
        missing.len(),
        all.len()
    );
    assert!(missing.contains(&root));
    let error = store.state_of(&root).unwrap_err();
    let told = format!("state {root}: it is missing");
    assert_eq!(error.missing_object(), Some(&*told));

    assert!(store.hand_over(&handed(&objects, &missing)).unwrap());
    assert_eq!(store.missing(&all).unwrap(), []);
    let found = store.state_of(&root).unwrap();
    assert_eq!(found, wanted);
    let extras = Extras {
        fleet: Some(record(7)),
        used: Some(root),
        ..Extras::default()
    };
    store.commit_with(&found, &by("fleet 7"), &extras).unwrap();
    assert_eq!(waiting(&store), 1, "the state's own object");
    drop(store);
    let stored = load(dir.path()).unwrap();
    assert_eq!(stored.state, wanted);
    assert_eq!(stored.fleets, [record(7)]);
}

#[test]
fn what_is_handed_over_and_not_used_is_swept_and_never_taken_for_there() {
    let dir = tempfile::tempdir().unwrap();
    let hands = Hands::new();
    let mut store = SqliteStore::open_with(dir.path(), hands.clock()).unwrap();
    store.commit(&blocking(0..10), &by("apply")).unwrap();
    let before = objects(&store);
    let wanted = blocking(50..9_000);
    let (root, all) = objects_of(&wanted);
    let ids: Vec<_> = all.keys().copied().collect();
    assert!(store.hand_over(&handed(&all, &ids)).unwrap());
    // It is read, and refused by whoever asked for it.
    let found = store.state_of(&root).unwrap();
    hands.pass(Duration::from_secs(1_800));
    store.prune().unwrap();
    assert_eq!(objects(&store), before + i64::try_from(ids.len()).unwrap());
    // Longer than an hour after that.
    hands.pass(Duration::from_secs(1_900));
    store.prune().unwrap();
    assert_eq!(objects(&store), before);
    assert_eq!(waiting(&store), 0);
    // Though its lists were read before the sweep, they are written again.
    store.commit(&found, &by("apply")).unwrap();
    drop(store);
    assert_eq!(load(dir.path()).unwrap().state, wanted);
}

#[test]
fn more_than_the_bound_is_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    let big = |byte: u8| {
        let body = vec![byte; 1 << 20];
        let id = ObjectKind::Chunk.id(&body);
        HandedOver { id, body }
    };
    store
        .conn
        .execute_batch(
            "PRAGMA foreign_keys = OFF;
             INSERT INTO handed VALUES (x'01', 267386368, unixepoch());",
        )
        .unwrap();
    assert!(store.hand_over(&[big(1)]).unwrap());
    assert!(!store.hand_over(&[big(2)]).unwrap());
    assert_eq!(store.missing(&[big(2).id]).unwrap(), [big(2).id]);

    // Each counts, however small it is.
    store
        .conn
        .execute_batch(
            "DELETE FROM handed;
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
             INSERT INTO handed SELECT CAST(i AS BLOB), 0, unixepoch() FROM n;",
        )
        .unwrap();
    assert!(!store.hand_over(&[big(2)]).unwrap());
}

#[test]
fn rolled_back_revision_leaves_the_counters() {
    let mut waits = record(8);
    waits.base = record(7).applied;
    waits.unconfirmed = true;
    let back = waits.rolled_back(time(9), false);
    assert_eq!(back.applied, record(7).applied);
    assert_eq!(back.counters, record(8).counters);
    let refused = back.rolled_back.unwrap();
    assert_eq!(
        (refused.revision, refused.time, refused.is_refused),
        (8, time(9), true)
    );
    assert!(!back.unconfirmed);
    // Late once, it may be tried again; late twice, it is refused.
    let late = |of: &FleetRecord| {
        let back = of.rolled_back(time(9), true);
        (back.rolled_back.clone().unwrap().is_refused, back)
    };
    let (is_refused, once) = late(&waits);
    assert!(!is_refused);
    let again = FleetRecord {
        applied: waits.applied.clone(),
        unconfirmed: true,
        ..once.clone()
    };
    assert!(late(&again).0);
    assert!(again.confirmed().rolled_back.is_none());
    assert!(once.confirmed().rolled_back.is_some());
    let kept = waits.confirmed();
    assert_eq!((kept.applied, kept.base), (record(8).applied, None));
}

#[test]
fn rollback_to_before_an_override_ends_it() {
    let mut record = record(7);
    record.local_override = Some(LocalOverride {
        actor: "alice".into(),
        action: "policy drop office".into(),
        time: time(4),
        base: 12,
    });
    assert_eq!(record.back_at(13), record);
    assert_eq!(record.back_at(12).local_override, None);
    assert_eq!(record.back_at(3).local_override, None);
    // One that waits does not forget it.
    let waits = record.back_at_unconfirmed(12);
    assert_eq!(waits.local_override, None);
    assert_eq!(waits.undone(14, time(9), true), record);
    assert_eq!(waits.confirmed().base_override, None);
    assert_eq!(record.back_at_unconfirmed(13), record);
}
