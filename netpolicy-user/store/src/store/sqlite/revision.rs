//! The table of revisions: written, looked up.

use std::path::Path;

use rusqlite::{OptionalExtension as _, Transaction, params};

use super::db::Db;
use super::fault::fault;
use super::marker::Recorded;
use super::{audit, feeds, fleets, pending};
use crate::clock::Clock;
use crate::model::State;
use crate::store::list::Known;
use crate::store::objects::ObjectId;
use crate::store::{Extras, RevisionMeta, StoreError, state};

/// Writes a revision in a transaction; its number, state and lists. Lists that are the
/// very ones of `known` are in the database already.
pub(super) fn commit(
    tx: Transaction<'_>,
    path: &Path,
    clock: &Clock,
    known: &[Known],
    state: &State,
    by: &RevisionMeta,
    extras: &Extras,
) -> Result<(Recorded, Vec<Known>), StoreError> {
    let db = Db { conn: &tx, path };
    let fault = fault("store a revision", path);
    let (id, mut lists) = state::put(&db, known, state)?;
    feeds::put_contents(db, known, state, &mut lists)?;
    tx.prepare_cached(
        "INSERT INTO revisions (revision, created, actor, action, state)
         VALUES ((SELECT ifnull(max(revision), 0) + 1 FROM revisions), ?1, ?2, ?3, ?4)",
    )
    .and_then(|mut insert| {
        insert.execute(params![
            by.created.to_string(),
            by.actor,
            by.action,
            id.as_bytes()
        ])
    })
    .map_err(&fault)?;
    let revision = number(tx.last_insert_rowid());
    pending::edit(db, clock, &extras.pending, revision)?;
    if let Some(fleet) = &extras.fleet {
        fleets::put(db, fleet)?;
    }
    if let Some(root) = extras.used {
        fleets::used(db, root)?;
    }
    if let Some(entry) = &extras.audit {
        audit::append(db, entry, Some(revision))?;
    }
    tx.commit().map_err(&fault)?;
    let recorded = Recorded {
        revision,
        state: id,
    };
    Ok((recorded, lists))
}

/// The newest revision and its state.
pub(super) fn newest(db: Db<'_>) -> Result<Option<(u64, ObjectId)>, StoreError> {
    db.conn
        .prepare_cached("SELECT revision, state FROM revisions ORDER BY revision DESC LIMIT 1")
        .and_then(|mut select| {
            select
                .query_row([], |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
                })
                .optional()
        })
        .map_err(fault("look the newest revision up", db.path))?
        .map(|(revision, state)| Ok((number(revision), id(db, &state)?)))
        .transpose()
}

pub(super) fn id(db: Db<'_>, hash: &[u8]) -> Result<ObjectId, StoreError> {
    ObjectId::from_slice(hash).ok_or_else(|| db.corrupt("a revision's state is no hash".into()))
}

/// A row's number, which is never negative.
pub(super) fn number(row: i64) -> u64 {
    u64::try_from(row).unwrap_or(0)
}
