//! The database of the memory of sources.

use std::fs;

use super::*;
use crate::store::{
    ObservationRecord, ObservationStore, discard_observations, observations_bytes,
    open_observations,
};

const MOST: u64 = 1 << 20;

fn put(kind: u8, key: &[u8], value: &[u8]) -> ObservationRecord {
    ObservationRecord {
        kind,
        key: key.to_vec(),
        value: Some(value.to_vec()),
    }
}

type Loaded = Vec<(u8, Vec<u8>, Vec<u8>)>;

fn loaded(store: &mut dyn ObservationStore) -> Result<Loaded, StoreError> {
    let mut all = Vec::new();
    store.load(&mut |kind, key, value| all.push((kind, key.to_vec(), value.to_vec())))?;
    Ok(all)
}

#[test]
fn records_are_kept_by_kind_and_key() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(observations_bytes(dir.path()), None);
    let mut store = open_observations(dir.path(), MOST).unwrap();
    let records = [put(2, b"b", b"2"), put(1, b"a", b"1"), put(2, b"a", b"3")];
    store.write(&mut records.into_iter()).unwrap();
    let gone = ObservationRecord {
        value: None,
        ..put(2, b"b", b"")
    };
    let changes = [gone, put(1, b"a", b"4")];
    store.write(&mut changes.into_iter()).unwrap();
    drop(store);
    assert!(observations_bytes(dir.path()).is_some());
    let mut store = open_observations(dir.path(), MOST).unwrap();
    let kept = |kind, key: &[u8], value: &[u8]| (kind, key.to_vec(), value.to_vec());
    let expected = [kept(1, b"a", b"4"), kept(2, b"a", b"3")];
    assert_eq!(loaded(&mut *store).unwrap(), expected);
    assert!(store.is_in_place());
    let whole = [put(1, b"b", b"5")];
    store.replace(&mut whole.into_iter()).unwrap();
    assert_eq!(loaded(&mut *store).unwrap(), [kept(1, b"b", b"5")]);
    discard_observations(dir.path()).unwrap();
    assert!(!store.is_in_place());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn full_memory_says_so_and_keeps_what_it_had() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open_observations(dir.path(), 64 << 10).unwrap();
    let first = [put(1, b"first", b"kept")];
    store.write(&mut first.into_iter()).unwrap();
    let mut large = (0..200_u8).map(|n| put(2, &[n], &[n; 1000]));
    let error = store.write(&mut large).unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    assert_eq!(loaded(&mut *store).unwrap().len(), 1);
}

#[test]
fn damage_and_other_formats_are_found() {
    let is_corrupt = |dir: &Path| {
        let read = open_observations(dir, MOST).and_then(|mut store| loaded(&mut *store));
        assert!(matches!(read, Err(StoreError::Corrupt { .. })), "{read:?}");
        discard_observations(dir).unwrap();
    };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("observations.db");
    fs::write(&file, [7; 9000]).unwrap();
    is_corrupt(dir.path());
    let mut store = open_observations(dir.path(), MOST).unwrap();
    let mut records = (0..250_u8).map(|n| put(3, &[n], &[n; 60]));
    store.write(&mut records).unwrap();
    drop(store);
    let mut bytes = fs::read(&file).unwrap();
    bytes.iter_mut().skip(4096).for_each(|byte| *byte ^= 0x5a);
    fs::write(&file, bytes).unwrap();
    is_corrupt(dir.path());
    drop(open_observations(dir.path(), MOST).unwrap());
    let other = Connection::open(&file).unwrap();
    other.pragma_update(None, "user_version", 99).unwrap();
    drop(other);
    is_corrupt(dir.path());
    // And is made again.
    assert!(open_observations(dir.path(), MOST).is_ok());
}
