//! Damaged databases: found, or harmless; never another state than was stored.

use std::fs;

use super::*;
use crate::store::sqlite::open::FILE_NAME;

/// A database of a few revisions, its file, and the state in it.
fn stored(dir: &Path) -> (PathBuf, State) {
    let mut store = SqliteStore::open(dir).unwrap();
    for n in 0..3 {
        store.commit(&blocking(0..n), &by("old")).unwrap();
    }
    let mut state = rich();
    state.policies[0].block = list(0..3_000);
    store.commit(&state, &by("new")).unwrap();
    (store.path().to_path_buf(), state)
}

/// A cheap sequence of numbers that differ.
fn numbers() -> impl Iterator<Item = usize> {
    std::iter::successors(Some(12_345_usize), |n| {
        Some(
            n.wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407),
        )
    })
    .map(|n| n >> 20)
}

#[test]
fn noise_is_no_database() {
    let dir = tempfile::tempdir().unwrap();
    let noise: Vec<u8> = numbers()
        .map(|n| n.to_le_bytes()[0])
        .take(100_000)
        .collect();
    for len in [0, 1, 100, 100_000] {
        fs::write(dir.path().join(FILE_NAME), &noise[..len]).unwrap();
        let error = load(dir.path()).unwrap_err();
        assert!(
            matches!(error, StoreError::Corrupt { .. }),
            "{len} bytes: {error}"
        );
        assert!(error.to_string().contains(FILE_NAME));
        assert!(error.hint().unwrap().contains("backup"));
        assert_eq!(fs::read(dir.path().join(FILE_NAME)).unwrap(), noise[..len]);
    }
}

#[test]
fn a_truncated_database_is_found_out() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = stored(dir.path());
    let whole = fs::read(&path).unwrap();
    let pages = whole.len() / 4096;
    for len in [0, 1, 99, 100, 512, 4095]
        .into_iter()
        .chain((1..pages).map(|n| n * 4096))
    {
        fs::write(&path, &whole[..len]).unwrap();
        let error = load(dir.path()).unwrap_err();
        assert!(
            matches!(error, StoreError::Corrupt { .. }),
            "{len} bytes: {error}"
        );
    }
}

#[test]
fn a_flipped_bit_never_makes_another_state() {
    let dir = tempfile::tempdir().unwrap();
    let (path, state) = stored(dir.path());
    let whole = fs::read(&path).unwrap();
    let mut found = 0;
    for n in numbers().take(600) {
        let mut damaged = whole.clone();
        damaged[n / 8 % whole.len()] ^= 1 << (n % 8);
        fs::write(&path, &damaged).unwrap();
        match load(dir.path()) {
            Ok(stored) => assert_eq!(stored.state, state, "byte {}", n / 8 % whole.len()),
            Err(error) => {
                found += 1;
                assert!(!error.to_string().contains('\n'), "{error}");
            }
        }
    }
    assert!(found > 150, "{found}");
}

#[test]
fn a_missing_object_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = stored(dir.path());
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(
        "PRAGMA foreign_keys = OFF;
         DELETE FROM objects WHERE length(body) = (SELECT max(length(body)) FROM objects)",
    )
    .unwrap();
    drop(conn);
    let error = load(dir.path()).unwrap_err().to_string();
    assert!(
        error.contains("chunk ") && error.ends_with("it is missing"),
        "{error}"
    );
}
