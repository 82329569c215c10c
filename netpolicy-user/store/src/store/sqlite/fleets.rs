//! The tables of fleets and of objects that were handed over for a state to come.

use std::collections::HashSet;

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, params};

use super::db::Db;
use super::fault::fault;
use crate::store::fleet::{FleetRecord, HandedOver};
use crate::store::objects::{ObjectId, Objects as _};
use crate::store::{StoreError, state};

/// How long an object waits for its state, seconds.
const WAITS: i64 = 3_600;

/// Bytes of objects that wait for a state: twice what the largest state takes.
const MOST_WAITING_BYTES: u64 = 256 << 20;

/// The most objects that wait for a state.
const MOST_WAITING: u64 = 200_000;

/// Bytes that an object takes without its body: rows and entries of indexes.
const PER_OBJECT: u64 = 256;

/// How many objects wait for a state, and their bodies' bytes.
#[derive(Clone, Copy)]
pub(super) struct Waiting {
    count: u64,
    bytes: u64,
}

impl Waiting {
    /// Whether these may wait as well.
    pub(super) fn fit(self, objects: &[HandedOver]) -> bool {
        let bodies: u64 = objects.iter().map(|object| object.body.len() as u64).sum();
        let count = self.count.saturating_add(objects.len() as u64);
        let bytes = self.bytes.saturating_add(bodies);
        count <= MOST_WAITING
            && bytes.saturating_add(count.saturating_mul(PER_OBJECT)) <= MOST_WAITING_BYTES
    }
}

/// All fleets, the one that the host is in first.
///
/// # Errors
/// [`StoreError::Corrupt`] and failures to read.
pub(super) fn all(db: Db<'_>) -> Result<Vec<FleetRecord>, StoreError> {
    let fault = fault("read the fleets", db.path);
    let mut select = db
        .conn
        .prepare_cached("SELECT record FROM fleets ORDER BY name")
        .map_err(&fault)?;
    let rows = select
        .query_map([], |row| row.get::<_, String>(0))
        .map_err(&fault)?;
    let records = rows.map(|row| {
        serde_json::from_str::<FleetRecord>(&row.map_err(&fault)?)
            .map_err(|error| db.corrupt(format!("a fleet: {error}")))
    });
    let mut records = records.collect::<Result<Vec<_>, StoreError>>()?;
    records.sort_by_key(|record| !record.is_member);
    Ok(records)
}

/// Stores what is known of a fleet, in place of what was.
///
/// # Errors
/// Failures to write.
pub(super) fn put(db: Db<'_>, record: &FleetRecord) -> Result<(), StoreError> {
    let text = serde_json::to_string(record).map_err(|error| StoreError::Unstorable {
        detail: error.to_string(),
    })?;
    db.conn
        .prepare_cached("INSERT OR REPLACE INTO fleets (name, record) VALUES (?1, ?2)")
        .and_then(|mut insert| insert.execute(params![record.fleet, text]))
        .map(drop)
        .map_err(fault("store what is known of the fleet", db.path))
}

/// Those of these objects that are not there.
///
/// # Errors
/// Failures to read.
pub(super) fn missing(db: Db<'_>, ids: &[ObjectId]) -> Result<Vec<ObjectId>, StoreError> {
    let fault = fault("look for objects", db.path);
    let mut select = db
        .conn
        .prepare_cached("SELECT 1 FROM objects WHERE hash = ?1")
        .map_err(&fault)?;
    let mut missing = Vec::new();
    for id in ids {
        let found = select
            .query_row([id.as_bytes()], |_| Ok(()))
            .optional()
            .map_err(&fault)?;
        if found.is_none() {
            missing.push(*id);
        }
    }
    Ok(missing)
}

/// The objects that wait for a state.
///
/// # Errors
/// Failures to read.
pub(super) fn waiting(db: Db<'_>) -> Result<Waiting, StoreError> {
    let select = "SELECT count(*), ifnull(sum(bytes), 0) FROM handed";
    let number = |found: i64| u64::try_from(found).unwrap_or(0);
    db.conn
        .query_row(select, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .map(|(count, bytes)| Waiting {
            count: number(count),
            bytes: number(bytes),
        })
        .map_err(fault("count the objects that wait", db.path))
}

/// Keeps objects for a state to come.
///
/// # Errors
/// Failures to write.
pub(super) fn hand_over(
    db: Db<'_>,
    objects: &[HandedOver],
    now: Timestamp,
) -> Result<(), StoreError> {
    let fault = fault("keep objects for a state to come", db.path);
    let mut insert = db
        .conn
        .prepare_cached(
            "INSERT INTO handed (hash, bytes, time) VALUES (?1, ?2, ?3)
             ON CONFLICT (hash) DO UPDATE SET time = excluded.time",
        )
        .map_err(&fault)?;
    for object in objects {
        db.write(&object.id, &object.body)?;
        let bytes = i64::try_from(object.body.len()).unwrap_or(i64::MAX);
        insert
            .execute(params![object.id.as_bytes(), bytes, now.as_second()])
            .map_err(&fault)?;
    }
    Ok(())
}

/// The objects of a state wait no more: a revision has them.
///
/// # Errors
/// Failures to read and write.
pub(super) fn used(db: Db<'_>, root: ObjectId) -> Result<(), StoreError> {
    let mut used = HashSet::new();
    state::mark(&db, root, |id| used.insert(id))?;
    // The state's own object is not what the revision has: that one has the host's own as well.
    used.remove(&root);
    for id in handed(db)?.into_iter().filter(|id| used.contains(id)) {
        forget(db, &id)?;
    }
    Ok(())
}

/// The objects that wait still; those that did for too long do no more.
///
/// # Errors
/// Failures to read and write.
pub(super) fn sweep(db: Db<'_>, now: Timestamp) -> Result<Vec<ObjectId>, StoreError> {
    db.conn
        .execute(
            "DELETE FROM handed WHERE abs(?1 - time) > ?2",
            params![now.as_second(), WAITS],
        )
        .map_err(fault("sweep objects that waited", db.path))?;
    handed(db)
}

/// Whether an object waited for too long. A clock that was set counts as a long time: what is
/// swept is handed over again.
///
/// # Errors
/// Failures to read.
pub(super) fn is_sweep_due(db: Db<'_>, now: Timestamp) -> Result<bool, StoreError> {
    db.conn
        .query_row(
            "SELECT EXISTS (SELECT 1 FROM handed WHERE abs(?1 - time) > ?2)",
            params![now.as_second(), WAITS],
            |row| row.get(0),
        )
        .map_err(fault("look for objects that waited", db.path))
}

fn handed(db: Db<'_>) -> Result<Vec<ObjectId>, StoreError> {
    let fault = fault("list the objects that wait", db.path);
    let mut select = db
        .conn
        .prepare_cached("SELECT hash FROM handed")
        .map_err(&fault)?;
    let rows = select
        .query_map([], |row| row.get::<_, Vec<u8>>(0))
        .map_err(&fault)?;
    rows.map(|row| {
        let hash = row.map_err(&fault)?;
        ObjectId::from_slice(&hash)
            .ok_or_else(|| db.corrupt("an object that waits has no hash".into()))
    })
    .collect()
}

fn forget(db: Db<'_>, id: &ObjectId) -> Result<(), StoreError> {
    db.conn
        .prepare_cached("DELETE FROM handed WHERE hash = ?1")
        .and_then(|mut delete| delete.execute([id.as_bytes()]))
        .map(drop)
        .map_err(fault("note an object as used", db.path))
}
