//! Stores that do not go on from the one that was in use last, and logs of another database.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::store::{Departure, DepartureKind, prepare_restore, restore};

/// A store with so many revisions, closed; each a policy with one address more.
fn with_revisions(dir: &Path, count: u32) -> PathBuf {
    let state = dir.join("state");
    let mut store = SqliteStore::open(&state).unwrap();
    for n in 1..=count {
        store.commit(&blocking(0..n), &by("a")).unwrap();
    }
    state
}

fn copy(state: &Path, to: &str) -> PathBuf {
    let to = state.with_file_name(to);
    fs::copy(state.join("state.db"), &to).unwrap();
    to
}

fn departure(state: &Path) -> Option<(DepartureKind, u64)> {
    let departure = load(state).unwrap().departure;
    departure.map(|Departure { kind, last }| (kind, last))
}

#[test]
fn older_and_diverged_stores_are_known_by_what_the_marker_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let state = with_revisions(dir.path(), 2);
    assert_eq!(departure(&state), None);
    let older = copy(&state, "older");
    {
        let mut store = SqliteStore::open(&state).unwrap();
        store.commit(&blocking(0..3), &by("b")).unwrap();
    }
    assert_eq!(departure(&state), None);
    let newest = copy(&state, "newest");
    fs::copy(&older, state.join("state.db")).unwrap();
    // Opening it again and again adopts nothing.
    for _ in 0..2 {
        assert_eq!(departure(&state), Some((DepartureKind::Older, 3)));
    }
    // Of the same number, and of a later one.
    for count in 0..2_u32 {
        let mut store = SqliteStore::open(&state).unwrap();
        store.commit(&blocking(7..9 + count), &by("c")).unwrap();
        drop(store);
        let other = copy(&state, "other");
        fs::copy(&newest, state.join("state.db")).unwrap();
        let mut store = SqliteStore::open(&state).unwrap();
        store.adopt().unwrap();
        drop(store);
        fs::copy(&other, state.join("state.db")).unwrap();
        assert_eq!(departure(&state), Some((DepartureKind::Diverged, 3)));
    }
    let mut store = SqliteStore::open(&state).unwrap();
    store.adopt().unwrap();
    drop(store);
    assert_eq!(departure(&state), None);
}

#[test]
fn marker_that_lags_behind_or_was_written_by_an_earlier_version_holds_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let state = with_revisions(dir.path(), 2);
    let marker = state.join("filled");
    let lagging = fs::read(&marker).unwrap();
    let mut store = SqliteStore::open(&state).unwrap();
    store.commit(&blocking(0..3), &by("b")).unwrap();
    drop(store);
    assert_ne!(fs::read(&marker).unwrap(), lagging);
    for content in [lagging, b"an id\nand words\n".to_vec(), b"\xff\n".to_vec()] {
        fs::write(&marker, content).unwrap();
        assert_eq!(departure(&state), None);
    }
}

#[test]
fn other_host_s_store_has_another_history() {
    let dir = tempfile::tempdir().unwrap();
    let other = with_revisions(&dir.path().join("other"), 5);
    let state = with_revisions(dir.path(), 2);
    let mut store = SqliteStore::open(&other).unwrap();
    store.commit(&blocking(9..12), &by("other")).unwrap();
    store
        .prune_to(Keep {
            revisions: 2,
            bytes: u64::MAX,
            at_least: 1,
        })
        .unwrap();
    drop(store);
    fs::copy(other.join("state.db"), state.join("state.db")).unwrap();
    assert_eq!(departure(&state), Some((DepartureKind::Diverged, 2)));
}

#[test]
fn empty_store_of_the_same_id_is_refused_once_one_was_filled() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    drop(SqliteStore::open(&state).unwrap());
    let empty = copy(&state, "empty");
    with_revisions(dir.path(), 1);
    fs::copy(empty, state.join("state.db")).unwrap();
    let error = SqliteStore::open(&state).err().unwrap();
    assert!(matches!(error, StoreError::Emptied { .. }), "{error}");
}

#[test]
fn restored_backup_stays_marked_as_such_until_it_is_adopted() {
    let dir = tempfile::tempdir().unwrap();
    let state = with_revisions(dir.path(), 2);
    let backup = copy(&state, "backup");
    {
        let mut store = SqliteStore::open(&state).unwrap();
        store.commit(&blocking(0..3), &by("b")).unwrap();
    }
    prepare_restore(&state, &backup, backup::entry).unwrap();
    restore(&state, time(9)).unwrap();
    for _ in 0..2 {
        let stored = load(&state).unwrap();
        assert!(stored.restored && stored.departure.is_some());
    }
    let mut store = SqliteStore::open(&state).unwrap();
    store.adopt().unwrap();
    let stored = store.load().unwrap();
    assert_eq!((stored.restored, stored.departure), (false, None));
    drop(store);
    let stored = load(&state).unwrap();
    assert_eq!((stored.restored, stored.departure), (false, None));
}

#[test]
fn database_next_to_the_log_of_another_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let live = dir.path().join("live");
    let mut store = SqliteStore::open(&live).unwrap();
    store.commit(&blocking(0..3), &by("a")).unwrap();
    let backup = dir.path().join("backup");
    backup::back_up(&mut store, &backup);
    store.commit(&blocking(0..4), &by("b")).unwrap();
    // As `kill -9` leaves it, with the backup copied over the database.
    let state = dir.path().join("state");
    fs::create_dir(&state).unwrap();
    for name in ["state.db", "state.db-wal", "filled"] {
        fs::copy(live.join(name), state.join(name)).unwrap();
    }
    fs::copy(&backup, state.join("state.db")).unwrap();
    for _ in 0..2 {
        let error = SqliteStore::open(&state).err().unwrap();
        assert!(matches!(error, StoreError::OtherLog { .. }), "{error}");
        assert!(error.hint().unwrap().contains("netpolicy restore"));
    }
    // What was meant is still possible.
    prepare_restore(&state, &backup, backup::entry).unwrap();
    restore(&state, time(9)).unwrap();
    assert_eq!(load(&state).unwrap().revision, 1);

    // A log whose database is gone would be replayed over a new one.
    let orphaned = dir.path().join("orphaned");
    fs::create_dir(&orphaned).unwrap();
    fs::copy(live.join("state.db-wal"), orphaned.join("state.db-wal")).unwrap();
    let error = SqliteStore::open(&orphaned).err().unwrap();
    assert!(
        error.to_string().contains("the database is missing"),
        "{error}"
    );
    assert!(!orphaned.join("state.db").exists());
}

#[test]
fn decided_reset_is_finished_by_the_next_opening() {
    let dir = tempfile::tempdir().unwrap();
    let state = with_revisions(dir.path(), 2);
    fs::write(state.join("state.db.reset"), "").unwrap();
    let stored = load(&state).unwrap();
    assert_eq!((stored.revision, stored.departure), (0, None));
    assert!(!state.join("state.db.reset").exists());
}
