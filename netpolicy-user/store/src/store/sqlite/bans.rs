//! The table of bans: batches of changes, as [`crate::store::bans`] writes them.

use rusqlite::{OptionalExtension as _, params};

use super::db::Db;
use super::fault::fault;
use crate::clock::Clock;
use crate::store::StoreError;
use crate::store::bans::{
    BATCH_BYTES, BanBatch, BanEdit, BanLog, EncodedBans, Encoder, LastWrite, decode, last_write,
};

/// Reads all changes in their order.
pub(super) fn read(
    db: Db<'_>,
    clock: &Clock,
    visit: &mut dyn FnMut(BanEdit<'_>),
) -> Result<BanLog, StoreError> {
    let fault = fault("read bans", db.path);
    let last = newest(db)?;
    let mut select = db
        .conn
        .prepare_cached("SELECT batch, changes, digest FROM bans ORDER BY batch")
        .map_err(&fault)?;
    let mut rows = select.query([]).map_err(&fault)?;
    let mut log = BanLog::default();
    while let Some(row) = rows.next().map_err(&fault)? {
        let number: i64 = row.get(0).map_err(&fault)?;
        let bytes = row.get_ref(1).map_err(&fault)?;
        let digest = row.get_ref(2).map_err(&fault)?;
        let (Ok(bytes), Ok(digest)) = (bytes.as_blob(), digest.as_blob()) else {
            return Err(db.corrupt(format!("bans, batch {number}: not bytes")));
        };
        let is_current = checked(clock, last.as_ref(), bytes, digest, visit)
            .map_err(|detail| db.corrupt(format!("bans, batch {number}: {detail}")))?;
        log.is_of_another_boot |= !is_current;
        log.batches.push(BanBatch {
            number: number.unsigned_abs(),
            bytes: bytes.len() as u64,
        });
    }
    Ok(log)
}

/// When the newest batch was written.
fn newest(db: Db<'_>) -> Result<Option<LastWrite>, StoreError> {
    let mut select = db
        .conn
        .prepare_cached("SELECT changes FROM bans ORDER BY batch DESC LIMIT 1")
        .map_err(fault("read bans", db.path))?;
    let found = select.query_row([], |row| {
        // A value that is no blob is damage, which reading it says.
        Ok(row.get_ref(0)?.as_blob().ok().and_then(last_write))
    });
    let found = found.optional().map_err(fault("read bans", db.path))?;
    Ok(found.flatten())
}

/// Reads the changes of one batch; none if it is not there.
pub(super) fn read_batch(
    db: Db<'_>,
    clock: &Clock,
    number: u64,
    visit: &mut dyn FnMut(BanEdit<'_>),
) -> Result<(), StoreError> {
    let fault = fault("read bans", db.path);
    let mut select = db
        .conn
        .prepare_cached("SELECT changes, digest FROM bans WHERE batch = ?1")
        .map_err(&fault)?;
    let mut rows = select
        .query([i64::try_from(number).unwrap_or(i64::MAX)])
        .map_err(&fault)?;
    let Some(row) = rows.next().map_err(&fault)? else {
        return Ok(());
    };
    let bytes: Vec<u8> = row.get(0).map_err(&fault)?;
    let digest: Vec<u8> = row.get(1).map_err(&fault)?;
    checked(clock, None, &bytes, &digest, visit)
        .map(drop)
        .map_err(|detail| db.corrupt(format!("bans, batch {number}: {detail}")))
}

fn checked(
    clock: &Clock,
    last: Option<&LastWrite>,
    bytes: &[u8],
    digest: &[u8],
    visit: &mut dyn FnMut(BanEdit<'_>),
) -> Result<bool, String> {
    if digest != blake3::hash(bytes).as_bytes() {
        return Err("its digest is another".to_owned());
    }
    decode(clock, last, bytes, visit)
}

/// Appends a batch without changes: a note that it is this late.
pub(super) fn append_note(db: Db<'_>, clock: &Clock) -> Result<BanBatch, StoreError> {
    insert(db, &Encoder::new(clock).with_digest())
}

/// Appends changes in as many batches as they need.
pub(super) fn append(
    db: Db<'_>,
    clock: &Clock,
    edits: &mut dyn Iterator<Item = BanEdit<'_>>,
) -> Result<Vec<BanBatch>, StoreError> {
    let mut batches = Vec::new();
    let mut encoder = Encoder::new(clock);
    for edit in edits {
        encoder.push(&edit);
        if encoder.len() >= BATCH_BYTES {
            let full = std::mem::replace(&mut encoder, Encoder::new(clock));
            batches.push(insert(db, &full.with_digest())?);
        }
    }
    if !encoder.is_empty() {
        batches.push(insert(db, &encoder.with_digest())?);
    }
    Ok(batches)
}

/// Appends changes that are batches already.
pub(super) fn append_encoded(
    db: Db<'_>,
    encoded: &EncodedBans,
) -> Result<Vec<BanBatch>, StoreError> {
    encoded.0.iter().map(|batch| insert(db, batch)).collect()
}

fn insert(db: Db<'_>, (bytes, digest): &(Vec<u8>, blake3::Hash)) -> Result<BanBatch, StoreError> {
    db.conn
        .prepare_cached("INSERT INTO bans (changes, digest) VALUES (?1, ?2)")
        .and_then(|mut insert| insert.insert(params![bytes, digest.as_bytes()]))
        .map(|number| BanBatch {
            number: number.unsigned_abs(),
            bytes: bytes.len() as u64,
        })
        .map_err(fault("store bans", db.path))
}

/// Removes batches.
pub(super) fn forget(db: Db<'_>, numbers: &[u64]) -> Result<(), StoreError> {
    let fault = fault("remove old bans", db.path);
    let mut delete = db
        .conn
        .prepare_cached("DELETE FROM bans WHERE batch = ?1")
        .map_err(&fault)?;
    for number in numbers {
        delete
            .execute([i64::try_from(*number).unwrap_or(i64::MAX)])
            .map_err(&fault)?;
    }
    Ok(())
}
