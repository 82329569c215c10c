//! Backups of a store in use, and restoring them, whatever cuts that short.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use rusqlite::Connection;

use super::*;
use crate::store::{Outcome, Summary, prepare_restore, restore};

pub(super) fn entry(summary: &Summary) -> AuditEntry {
    AuditEntry {
        time: time(9),
        uid: 0,
        actor: "root".into(),
        from: None,
        action: "restore".into(),
        outcome: Outcome::Done,
        before: summary.revision,
        after: summary.revision,
        detail: Default::default(),
    }
}

/// Writes a backup of an open store.
pub(super) fn back_up(store: &mut SqliteStore, to: &Path) {
    let archivist = store.archivist().unwrap();
    let mut backup = archivist.write().unwrap();
    let mut bytes = Vec::new();
    backup.file.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, backup.bytes);
    assert_eq!(blake3::hash(&bytes).as_bytes(), &backup.digest);
    fs::write(to, bytes).unwrap();
}

/// A state directory as `kill -9` leaves it: revision 2 in the database and 3 in its log; and
/// a backup of revision 1.
fn killed(dir: &Path) -> PathBuf {
    let live = dir.join("live");
    let mut store = SqliteStore::open(&live).unwrap();
    store.commit(&blocking(0..300), &by("a")).unwrap();
    back_up(&mut store, &dir.join("backup"));
    store.commit(&blocking(0..400), &by("b")).unwrap();
    store.settle();
    store.commit(&blocking(0..500), &by("c")).unwrap();
    let state = dir.join("state");
    fs::create_dir(&state).unwrap();
    for file in fs::read_dir(&live).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), state.join(file.file_name())).unwrap();
    }
    assert!(fs::metadata(state.join("state.db-wal")).unwrap().len() > 0);
    state
}

#[test]
fn backup_of_a_store_in_use_holds_what_is_in_the_log_alone() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let mut store = SqliteStore::open(&state).unwrap();
    store.commit(&blocking(0..300), &by("a")).unwrap();
    // What a copy of the one file holds.
    let copy = dir.path().join("copy");
    fs::copy(store.path(), &copy).unwrap();
    let count = "SELECT count(*) FROM revisions";
    let rows = |path: &Path| {
        let conn = Connection::open(path).unwrap();
        conn.query_row(count, [], |row| row.get::<_, i64>(0))
    };
    assert_ne!(rows(&copy), Ok(1));
    let backup = dir.path().join("backup");
    back_up(&mut store, &backup);
    assert_eq!(rows(&backup), Ok(1));
    let names = fs::read_dir(&state).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(
        names,
        ["filled", "state.db", "state.db-shm", "state.db-wal"]
    );
    // The store goes on.
    store.commit(&blocking(0..301), &by("b")).unwrap();
}

#[test]
fn restored_backup_is_not_undone_by_the_old_log() {
    let dir = tempfile::tempdir().unwrap();
    let state = killed(dir.path());
    let found = prepare_restore(&state, &dir.path().join("backup"), entry).unwrap();
    assert_eq!((found.summary.revision, found.summary.policies), (1, 1));
    assert_eq!(found.state, blocking(0..300));
    let kept = restore(&state, time(9)).unwrap().unwrap();
    let mut store = SqliteStore::open(&state).unwrap();
    let mode = fs::metadata(store.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let stored = store.load().unwrap();
    assert_eq!((stored.revision, stored.state), (1, blocking(0..300)));
    assert!(stored.restored);
    store.adopt().unwrap();
    assert!(!store.load().unwrap().restored);
    assert_eq!(audit_log(&store, 1)[0].1.action, "restore");
    // The old one is kept with its log.
    assert!(kept.log.unwrap().exists());
    let old = Connection::open(&kept.path).unwrap();
    let newest: i64 = old
        .query_row("SELECT max(revision) FROM revisions", [], |row| row.get(0))
        .unwrap();
    assert_eq!(newest, 3);
}

#[test]
fn what_is_no_whole_backup_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let state = killed(dir.path());
    let backup = fs::read(dir.path().join("backup")).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let mut flipped = backup.clone();
    let place = flipped.len() / 2 + 100;
    flipped[place] ^= 1;
    // The end of a page that is in use: content, not free space.
    let object = backup
        .windows(4)
        .rposition(|bytes| bytes == [10, 0, 1, 0])
        .unwrap_or(place);
    let mut altered = backup.clone();
    altered[object] ^= 1;
    let with_log = write("beside", &backup);
    write("beside-wal", b"something");
    let empty = {
        let empty = dir.path().join("empty");
        let store = SqliteStore::open(&empty).unwrap();
        store.path().to_path_buf()
    };
    for path in [
        write("nothing", b""),
        write("text", b"[[policy]]\nname = \"office\"\n"),
        write("cut", &backup[..backup.len() - 4096]),
        write("altered", &altered),
        with_log,
        empty,
        dir.path().join("missing"),
        dir.path().to_path_buf(),
    ] {
        let error = prepare_restore(&state, &path, entry).unwrap_err();
        // The file is to blame, and no hint leads to giving the store up.
        let text = error.to_string();
        assert!(
            !text.contains("state database"),
            "{}: {text}",
            path.display()
        );
        let hint = error.hint().unwrap_or_default();
        assert!(!hint.contains("store reset"), "{}: {hint}", path.display());
        assert!(!state.join("state.db.draft").exists());
    }
    // Free space may differ; what is stored never does.
    if let Ok(found) = prepare_restore(&state, &write("flipped", &flipped), entry) {
        assert_eq!(found.summary.revision, 1);
    }
    assert_eq!(load(&state).unwrap().revision, 3);
}

/// Says to the test's own child process what it works on.
const CHILD: &str = "NETPOLICY_TEST_RESTORER";

/// System calls that change files.
const CALLS: &str = "openat,write,pwrite64,fsync,fdatasync,ftruncate,rename,linkat,unlink";

/// Runs a test of this module as a child that is killed at the `nth` of the system calls named,
/// before it happens; whether it came to its end.
fn killed_at(test: &str, call: &str, nth: u32, dir: &Path) -> bool {
    let status = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e"])
        .arg(format!("inject={call}:signal=SIGKILL:when={nth}"))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "--test-threads=1"])
        .arg(format!("store::sqlite::tests::backup::{test}"))
        .env(CHILD, dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("strace is installed");
    status.success()
}

#[test]
fn restore_killed_at_any_system_call_leaves_old_or_new() {
    if let Some(dir) = std::env::var_os(CHILD) {
        let dir = Path::new(&dir);
        let state = dir.join("state");
        prepare_restore(&state, &dir.join("backup"), entry).unwrap();
        restore(&state, time(9)).unwrap();
        std::process::exit(0);
    }
    let (old, new) = kill_at_each(
        "restore_killed_at_any_system_call_leaves_old_or_new",
        |stored, what| match stored.revision {
            1 => assert_eq!(stored.state, blocking(0..300), "{what}"),
            other => panic!("{what}: revision {other}"),
        },
    );
    assert!(old > 10 && new > 10, "{old} old, {new} new");
}

#[test]
fn reset_killed_at_any_system_call_leaves_old_or_none() {
    if let Some(dir) = std::env::var_os(CHILD) {
        reset(&Path::new(&dir).join("state"), time(9)).unwrap();
        std::process::exit(0);
    }
    let (old, new) = kill_at_each(
        "reset_killed_at_any_system_call_leaves_old_or_none",
        |stored, what| assert_eq!((stored.revision, stored.departure), (0, None), "{what}"),
    );
    assert!(old > 3 && new > 3, "{old} old, {new} new");
}

/// Kills a test's child at each system call; how often the old store is found afterwards, whole,
/// and how often the new one, which `is_new` looks at.
fn kill_at_each(test: &str, is_new: fn(&Stored, &str)) -> (u32, u32) {
    let template = tempfile::tempdir().unwrap();
    killed(template.path());
    let (mut old, mut new) = (0, 0);
    for call in CALLS.split(',') {
        for nth in 1.. {
            assert!(nth < 500, "{call}: it never ends");
            let what = format!("{call} {nth}");
            let dir = tempfile::tempdir().unwrap();
            let state = dir.path().join("state");
            fs::create_dir(&state).unwrap();
            for name in [
                "backup",
                "state/state.db",
                "state/state.db-wal",
                "state/filled",
            ] {
                fs::copy(template.path().join(name), dir.path().join(name)).unwrap();
            }
            let ended = killed_at(test, call, nth, dir.path());
            let mut store =
                SqliteStore::open(&state).unwrap_or_else(|error| panic!("{what}: {error}"));
            let stored = store.load().unwrap();
            if stored.revision == 3 {
                old += 1;
                assert!(!ended, "{what}: it came to its end");
                assert_eq!(stored.state, blocking(0..500), "{what}");
                assert_eq!(stored.departure, None, "{what}");
            } else {
                new += 1;
                is_new(&stored, &what);
            }
            store.commit(&blocking(0..7), &by("next")).unwrap();
            if ended {
                break;
            }
        }
    }
    (old, new)
}
