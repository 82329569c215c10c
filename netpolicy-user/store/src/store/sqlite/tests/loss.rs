//! Files that are lost, moved, cut or overwritten under an open store.

use std::fs;
use std::path::PathBuf;

use rusqlite::Connection;

use super::*;
use crate::store::by_rescue;

/// A store with two revisions and a bypass, in a directory of its own.
fn open(dir: &Path) -> (SqliteStore, PathBuf) {
    let state = dir.join("state");
    let mut store = SqliteStore::open(&state).unwrap();
    store.commit(&blocking(0..3), &by("a")).unwrap();
    store.commit(&blocking(0..4), &by("b")).unwrap();
    (store, state)
}

/// A store of another host, closed.
fn other(dir: &Path) -> PathBuf {
    let mut store = SqliteStore::open(&dir.join("other")).unwrap();
    store.commit(&blocking(7..9), &by("other")).unwrap();
    store.path().to_path_buf()
}

fn audit() -> AuditEntry {
    AuditEntry {
        time: time(9),
        uid: 0,
        actor: "root".into(),
        from: None,
        action: "store rescue".into(),
        outcome: Outcome::Done,
        before: 2,
        after: 2,
        detail: Default::default(),
    }
}

/// What may happen to the files, by name; whether everything can still be read through the open
/// descriptors then.
type Loss = (&'static str, bool, fn(&Path, &Path));

const LOSSES: [Loss; 8] = [
    ("deleted", true, |state, _| {
        fs::remove_file(state.join("state.db")).unwrap();
    }),
    ("its directory moved", true, |state, _| {
        fs::rename(state, state.with_file_name("moved")).unwrap();
    }),
    ("its directory replaced", true, |state, _| {
        fs::rename(state, state.with_file_name("moved")).unwrap();
        fs::create_dir(state).unwrap();
    }),
    ("replaced by another", true, |state, other| {
        fs::rename(other, state.join("state.db")).unwrap();
    }),
    ("its log deleted", true, |state, _| {
        fs::remove_file(state.join("state.db-wal")).unwrap();
    }),
    ("cut to nothing", false, |state, _| {
        fs::write(state.join("state.db"), "").unwrap();
    }),
    ("overwritten by a copy", false, |state, other| {
        fs::copy(other, state.join("state.db")).unwrap();
    }),
    ("changed by another program", false, |state, _| {
        let conn = Connection::open(state.join("state.db")).unwrap();
        conn.execute("DELETE FROM revisions WHERE revision = 2", [])
            .unwrap();
    }),
];

#[test]
fn store_whose_files_are_lost_takes_nothing_and_is_rescued_whole() {
    for (what, is_readable, lose) in LOSSES {
        let dir = tempfile::tempdir().unwrap();
        let other = other(dir.path());
        let (mut store, state) = open(dir.path());
        store.check().unwrap();
        lose(&state, &other);
        for _ in 0..2 {
            let error = store.commit(&blocking(0..5), &by("c")).unwrap_err();
            assert!(matches!(error, StoreError::Lost { .. }), "{what}: {error}");
            assert!(store.audit(&audit()).is_err(), "{what}");
        }

        let newest = blocking(0..4);
        let bypass = Bypass {
            source: "10.0.0.1/32".parse().unwrap(),
            service: None,
            granted: time(5),
            expires: time(100),
            granted_by: "bob".into(),
        };
        let rescued = store.rescue(&Whole {
            state: &newest,
            revision: 2,
            by: by_rescue(time(9), "root"),
            bypasses: std::slice::from_ref(&bypass),
            grants: &[],
            feeds: &[],
            fleets: &[],
            pending: None,
            audit: audit(),
        });
        let rescued = rescued.unwrap_or_else(|error| panic!("{what}: {error}"));
        if is_readable {
            assert!(rescued.history, "{what}");
        }
        store.check().unwrap();
        assert_eq!(
            store.commit(&blocking(0..6), &by("d")).unwrap(),
            3,
            "{what}"
        );
        drop(store);
        let mut store = SqliteStore::open(&state).unwrap();
        let stored = store.load().unwrap();
        assert_eq!(
            (stored.revision, &stored.state),
            (3, &blocking(0..6)),
            "{what}"
        );
        assert_eq!(stored.bypasses, [bypass], "{what}");
        assert_eq!(store.state_at(2).unwrap(), newest, "{what}");
        assert_eq!(audit_log(&store, 1)[0].1.action, "store rescue");
        if rescued.history {
            assert_eq!(store.state_at(1).unwrap(), blocking(0..3), "{what}");
        }
    }
}

#[test]
fn directory_that_is_moved_back_is_a_store_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, state) = open(dir.path());
    let away = state.with_file_name("away");
    fs::rename(&state, &away).unwrap();
    assert!(store.check().is_err());
    fs::rename(&away, &state).unwrap();
    store.check().unwrap();
    store.commit(&blocking(0..5), &by("c")).unwrap();
}

#[test]
fn closing_a_lost_store_writes_into_no_file_and_leaves_no_log() {
    let dir = tempfile::tempdir().unwrap();
    let other = other(dir.path());
    let (store, state) = open(dir.path());
    fs::copy(&other, state.join("state.db")).unwrap();
    drop(store);
    assert_eq!(
        fs::read(state.join("state.db")).unwrap(),
        fs::read(&other).unwrap()
    );
    assert!(!state.join("state.db-wal").exists());
    let stored = load(&state).unwrap();
    assert_eq!((stored.revision, stored.state), (1, blocking(7..9)));
}

#[test]
fn much_work_is_no_loss() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    for round in 0..6_u32 {
        store
            .commit(
                &blocking(round * 40_000..(round + 1) * 40_000),
                &by("large"),
            )
            .unwrap();
        for small in 0..20 {
            store.commit(&blocking(0..small + 1), &by("small")).unwrap();
            store.check().unwrap();
        }
        store.settle();
        store.check().unwrap();
        store
            .prune_to(Keep {
                revisions: 5,
                bytes: u64::MAX,
                at_least: 1,
            })
            .unwrap();
        // A reader and its checkpoint-less end are none either.
        let conn = Connection::open(store.path()).unwrap();
        conn.query_row("SELECT count(*) FROM revisions", [], |_| Ok(()))
            .unwrap();
        drop(conn);
        store.check().unwrap();
    }
}

#[test]
fn filled_store_that_is_missing_or_empty_is_refused_until_it_is_reset() {
    let dir = tempfile::tempdir().unwrap();
    let path = {
        let mut store = SqliteStore::open(dir.path()).unwrap();
        store.commit(&blocking(0..3), &by("a")).unwrap();
        store.path().to_path_buf()
    };
    let refusal = |what: &str| {
        let error = SqliteStore::open(dir.path()).err().unwrap();
        let text = error.to_string();
        assert!(matches!(error, StoreError::Emptied { .. }), "{text}");
        assert!(text.contains(&format!("state.db is {what}, but")), "{text}");
        assert!(error.hint().unwrap().contains("store reset"));
    };
    fs::remove_file(&path).unwrap();
    refusal("missing");
    refusal("missing");
    let empty = dir.path().join("empty");
    drop(SqliteStore::open(&empty).unwrap());
    fs::rename(empty.join("state.db"), &path).unwrap();
    refusal("empty");

    let kept = reset(dir.path(), time(9)).unwrap().unwrap();
    assert!(kept.path.exists());
    assert_eq!(load(dir.path()).unwrap().revision, 0);
}

#[test]
fn first_commit_that_was_cut_short_is_no_loss() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    store.marker.fill().unwrap();
    drop(store);
    let mut store = SqliteStore::open(dir.path()).unwrap();
    assert_eq!(store.commit(&blocking(0..3), &by("a")).unwrap(), 1);
}

#[test]
fn marker_that_was_removed_is_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let (store, state) = open(dir.path());
    drop(store);
    fs::remove_file(state.join("filled")).unwrap();
    drop(SqliteStore::open(&state).unwrap());
    assert!(state.join("filled").exists());
}
