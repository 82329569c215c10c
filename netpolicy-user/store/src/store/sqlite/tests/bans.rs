//! Bans: a log in batches, durable when a write returns, checked when it is read.

use super::*;
use crate::store::{BanEdit, BanLog, BanRow};

fn row(address: u32) -> BanRow<'static> {
    BanRow {
        source: IpNet::from(std::net::IpAddr::from(std::net::Ipv4Addr::from(address))),
        service: None,
        since: 5_000,
        until: Some(1_900_000_000_000 + i64::from(address)),
        by: Some("fail2ban"),
        reason: None,
    }
}

fn put(store: &mut SqliteStore, addresses: impl Iterator<Item = u32>) {
    let mut edits = addresses.map(|address| BanEdit::Put(row(address)));
    store.record_bans(&mut edits, &[], &[]).unwrap();
}

fn read(store: &mut SqliteStore) -> (Vec<String>, BanLog) {
    let mut found = Vec::new();
    let log = store.bans(&mut |edit| {
        found.push(match edit {
            BanEdit::Put(row) | BanEdit::Also(row) => format!("+{}", row.source.addr()),
            BanEdit::Remove { source, .. } => format!("-{}", source.addr()),
        });
    });
    (found, log.unwrap())
}

#[test]
fn changes_are_read_back_in_their_order_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    put(&mut store, 1..3);
    let mut removal = std::iter::once(BanEdit::Remove {
        source: row(1).source,
        service: None,
    });
    store.record_bans(&mut removal, &[], &[]).unwrap();
    drop(store);
    let mut store = SqliteStore::open(dir.path()).unwrap();
    let (found, log) = read(&mut store);
    assert_eq!(found, ["+0.0.0.1", "+0.0.0.2", "-0.0.0.1"]);
    assert_eq!(log.batches.len(), 2);
    let oldest = log.batches[0].number;
    store
        .record_bans(&mut std::iter::empty(), &[oldest], &[])
        .unwrap();
    assert_eq!(read(&mut store).0, ["-0.0.0.1"]);
}

#[test]
fn many_bans_are_many_batches_that_are_read_one_by_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    put(&mut store, 0..50_000);
    let (found, log) = read(&mut store);
    assert_eq!(found.len(), 50_000);
    assert!(log.batches.len() > 2, "{}", log.batches.len());
    let mut count = 0;
    for batch in &log.batches {
        store.bans_in(batch.number, &mut |_| count += 1).unwrap();
    }
    assert_eq!(count, 50_000);
    store.bans_in(u64::MAX, &mut |_| panic!("none")).unwrap();
}

#[test]
fn flipped_bit_never_makes_other_bans() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    put(&mut store, 7..8);
    let bytes: Vec<u8> = store
        .conn
        .query_row("SELECT changes FROM bans", [], |row| row.get(0))
        .unwrap();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        store
            .conn
            .execute("UPDATE bans SET changes = ?1", [&damaged])
            .unwrap();
        let error = store.bans(&mut |_| panic!("nothing is read")).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{at}: {error}");
        // So neither is a backup of it made nor restored.
        let error = whole::check(&store.conn, &store.path).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{at}: {error}");
    }
}
