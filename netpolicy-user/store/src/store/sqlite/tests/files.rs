//! Other kinds of files where the store expects its directory and its file.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::*;
use crate::store::sqlite::open::FILE_NAME;

fn refusal(dir: &Path) -> StoreError {
    SqliteStore::open(dir).err().expect("the store is refused")
}

/// A store with one revision, closed.
fn stored(dir: &Path) -> PathBuf {
    let mut store = SqliteStore::open(dir).unwrap();
    store.commit(&blocking(0..3), &by("a")).unwrap();
    store.path().to_path_buf()
}

#[test]
fn a_missing_directory_is_made_for_its_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("var/lib/netpolicy");
    let path = stored(&state);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&state), mode(&path)), (0o700, 0o600));
    let mut names: Vec<_> = fs::read_dir(&state)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    names.sort();
    // The marker says that the store was filled.
    assert_eq!(
        names,
        ["filled", FILE_NAME],
        "closing leaves one database file"
    );
    assert_eq!(mode(&state.join("filled")), 0o600);
    // The log is as private as the database.
    let _store = SqliteStore::open(&state).unwrap();
    assert_eq!(mode(&state.join("state.db-wal")), 0o600);
}

#[test]
fn what_a_crash_left_of_a_first_start_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("state.db.new"), "half a database").unwrap();
    fs::write(dir.path().join("state.db.new-journal"), "half a journal").unwrap();
    stored(dir.path());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn a_directory_that_is_a_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = refusal(&path);
        assert!(matches!(error, StoreError::NotADirectory { .. }), "{error}");
        assert!(error.hint().is_some());
    }
}

#[test]
fn a_database_that_is_a_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join(FILE_NAME)).unwrap();
    let error = refusal(dir.path());
    assert!(matches!(error, StoreError::NotAFile { .. }), "{error}");
}

#[test]
fn a_newer_database_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = stored(dir.path());
    Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let before = fs::read(&path).unwrap();
    let error = refusal(dir.path());
    assert_eq!(
        error.to_string(),
        format!(
            "the state database {} has format version 99, written by a newer netpolicy; this one reads up to 8",
            path.display()
        )
    );
    assert!(error.hint().unwrap().contains("install"));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn another_programs_database_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    let other = Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE pictures (a)").unwrap();
    drop(other);
    let before = fs::read(&path).unwrap();
    let error = refusal(dir.path());
    assert!(
        matches!(error, StoreError::Foreign { found: 0, .. }),
        "{error}"
    );
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn no_permission_is_said_so() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = stored(dir.path());
    // As another user, in a thread of its own.
    let refusal_to_other_user = |path: &Path, mode: u32| {
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
        std::thread::scope(|scope| {
            let as_other_user = || {
                let uid = rustix::process::Uid::from_raw(65534);
                rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
                refusal(path)
            };
            scope.spawn(as_other_user).join().unwrap()
        })
    };
    let new = dir.path().join("new");
    for (mode, at, refused) in [
        (0o700, dir.path(), dir.path()),
        (0o700, &new, &new),
        (0o755, dir.path(), dir.path()),
        (0o755, &new, &new),
        (0o777, dir.path(), &path),
    ] {
        match refusal_to_other_user(at, mode) {
            StoreError::NoPermission { path } => assert_eq!(path, refused, "mode {mode:o}"),
            error => panic!("mode {mode:o}: {error}"),
        }
    }
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(load(dir.path()).unwrap().revision, 1);
}

/// There is no later commit, and the database is not closed: only the thread is left to do it.
#[test]
fn what_a_large_commit_wrote_ahead_comes_into_the_database_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    store.commit(&blocking(0..500_000), &by("large")).unwrap();
    let copy = dir.path().join("copy.db");
    let deadline = Instant::now() + Duration::from_secs(60);
    let in_database = || {
        // Without the log, which a connection to the copy does not find.
        fs::copy(store.path(), &copy).unwrap();
        let conn = Connection::open(&copy).unwrap();
        conn.query_row("SELECT count(*) FROM revisions", [], |row| row.get(0))
    };
    while in_database() != Ok(1) {
        assert!(Instant::now() < deadline, "it is still in the log alone");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(store.commit(&blocking(0..5), &by("next")).unwrap(), 2);
    let path = store.path().to_path_buf();
    drop(store);
    let log = path.with_extension("db-wal");
    assert!(!log.exists(), "the last connection takes the log away");
}

/// Of two connections that are closed at once none is the last.
#[test]
fn a_closed_store_leaves_no_log() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..100 {
        let mut store = SqliteStore::open(dir.path()).unwrap();
        store.commit(&blocking(0..round + 1), &by("next")).unwrap();
        let log = store.path().with_extension("db-wal");
        assert!(log.exists());
        drop(store);
        assert!(!log.exists(), "round {round}");
    }
}
