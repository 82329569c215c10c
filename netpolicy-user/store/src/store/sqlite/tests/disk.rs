//! File systems that are full or read-only: real ones, small tmpfs mounts that
//! only the test's thread sees and that go when it ends. Needs root.

use std::fs;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::*;

/// Runs `test` with a directory on a tmpfs of its own. Does nothing without root.
fn on_tmpfs(kib: u32, test: impl FnOnce(&Path) + Send) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let none = None::<&str>;
    std::thread::scope(|scope| {
        let run = || {
            unshare(CloneFlags::CLONE_NEWNS).unwrap();
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
            let options = format!("size={kib}k");
            mount(
                Some("tmpfs"),
                dir.path(),
                Some("tmpfs"),
                MsFlags::empty(),
                Some(&*options),
            )
            .unwrap();
            test(dir.path());
        };
        scope.spawn(run).join().unwrap();
    });
}

/// Fills the file system to its last block.
fn fill(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    while std::io::Write::write(&mut file, &[7; 4096]).is_ok_and(|written| written > 0) {}
}

#[test]
fn a_full_disk_refuses_the_change_and_keeps_the_state() {
    on_tmpfs(2048, |dir| {
        let mut store = SqliteStore::open(dir).unwrap();
        store.commit(&blocking(0..100), &by("fits")).unwrap();
        for attempt in 0..3 {
            let error = store
                .commit(&blocking(0..500_000), &by("too large"))
                .unwrap_err();
            assert!(
                matches!(error, StoreError::Full { .. }),
                "{attempt}: {error}"
            );
            assert_eq!(store.load().unwrap().state, blocking(0..100));
        }
        assert_eq!(store.commit(&blocking(0..101), &by("fits")).unwrap(), 2);

        let filler = dir.join("filler");
        fill(&filler);
        // What is free within the log may still do for some.
        let error = (102..).find_map(|n| store.commit(&blocking(0..n * 50), &by("more")).err());
        assert!(matches!(error, Some(StoreError::Full { .. })), "{error:?}");
        let kept = store.load().unwrap();
        drop(store);
        // Closing could not clean up; opening needs a little space.
        fs::remove_file(filler).unwrap();
        let mut store = SqliteStore::open(dir).unwrap();
        assert_eq!(store.load().unwrap(), kept);
        assert_eq!(
            store.commit(&blocking(0..7), &by("again")).unwrap(),
            kept.revision + 1
        );
    });
}

#[test]
fn a_full_disk_refuses_a_first_start_and_leaves_nothing() {
    on_tmpfs(1024, |dir| {
        let filler = dir.join("filler");
        fill(&filler);
        let state = dir.join("state");
        let error = SqliteStore::open(&state).err().unwrap();
        assert!(matches!(error, StoreError::Full { .. }), "{error}");
        assert!(error.hint().unwrap().contains("space"));
        fs::remove_file(filler).unwrap();
        assert_eq!(load(dir).unwrap().revision, 0);
    });
}

#[test]
fn a_database_at_its_size_limit_counts_as_full() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    store.commit(&blocking(0..100), &by("fits")).unwrap();
    store
        .conn
        .pragma_update_and_check(None, "max_page_count", 30, |_| Ok(()))
        .unwrap();
    let error = store
        .commit(&blocking(0..50_000), &by("too large"))
        .unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    assert_eq!(store.load().unwrap().state, blocking(0..100));
    assert_eq!(store.commit(&blocking(0..101), &by("fits")).unwrap(), 2);
}

#[test]
fn a_read_only_file_system_is_said_so() {
    on_tmpfs(2048, |dir| {
        drop(SqliteStore::open(dir).unwrap());
        let none = None::<&str>;
        let read_only = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(none, dir, none, read_only, none).unwrap();
        for path in [dir.to_path_buf(), dir.join("new")] {
            let error = SqliteStore::open(&path).err().unwrap();
            assert!(matches!(error, StoreError::ReadOnly { .. }), "{error}");
            assert!(error.hint().unwrap().contains("writable"));
        }
    });
}
