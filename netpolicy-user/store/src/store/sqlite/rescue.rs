//! Rebuilds a store from what the agent holds in memory, after its files were lost.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::db::Db;
use super::fault::fault;
use super::schema::{self, MIGRATIONS};
use super::{
    SqliteStore, audit, backup, bypasses, feeds, fleets, grants, open, pending, replace, whole,
};
use crate::clock::Clock;
use crate::model::State;
use crate::store::{Rescued, RevisionMeta, StoreError, Whole, state};

/// Closing is not to write into files that are others' by now, nor to leave a log that SQLite
/// would replay over whatever stands in the database's place then.
impl Drop for SqliteStore {
    fn drop(&mut self) {
        if self.witness.check().is_ok() {
            return;
        }
        // Best effort, all of it: there is no caller to report to.
        let no_checkpoint = rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        let _ = self.conn.set_db_config(no_checkpoint, true);
        if let Some(log) = self.witness.own_log() {
            let _ = std::fs::rename(log, log.with_extension("lost-wal"));
        }
    }
}

impl SqliteStore {
    /// Makes a new database with `whole` in the place of the one that was lost: with all of the
    /// old one, where that can still be read through the descriptors that are open.
    pub(super) fn rebuild(&mut self, whole: &Whole<'_>) -> Result<Rescued, StoreError> {
        let path = self.path().to_path_buf();
        let dir = path.parent().unwrap_or(Path::new("."));
        open::directory(dir)?;
        let draft = replace::draft(dir);
        replace::remove_draft(dir)?;
        let clock = self.clock.clone();
        // Where another program wrote, the file may hold pages of two databases.
        let copied = match self.witness.condemned() {
            true => None,
            false => backup::copy_into(&self.conn, &path, &draft)
                .and_then(|()| fill(&draft, &clock, whole))
                .ok(),
        };
        let history = copied.is_some();
        if !history {
            replace::remove_draft(dir)?;
            open::make(&draft)?;
            fill(&draft, &clock, whole)?;
        }
        let kept = replace::put_in_place(dir, clock.wall())?;
        let new = Self::open_with(dir, clock)?;
        *self = new;
        Ok(Rescued { history, kept })
    }
}

/// Makes the draft hold what is in memory, and reads it back.
fn fill(draft: &Path, clock: &Clock, whole: &Whole<'_>) -> Result<(), StoreError> {
    let mut conn = open::connect(draft)?;
    schema::check(&conn, draft, MIGRATIONS)?;
    let fault = fault("write the draft", draft);
    let tx = conn.transaction().map_err(&fault)?;
    let db = Db {
        conn: &tx,
        path: draft,
    };
    if let Some((pending, base)) = whole.pending.filter(|(pending, _)| pending.base > 0) {
        put_revision(db, pending.base, base, &whole.by)?;
    }
    if whole.revision > 0 {
        put_revision(db, whole.revision, whole.state, &whole.by)?;
    }
    let newest: i64 = tx
        .query_row(
            "SELECT ifnull(max(revision), 0) FROM revisions",
            [],
            |row| row.get(0),
        )
        .map_err(&fault)?;
    if u64::try_from(newest) != Ok(whole.revision) {
        return Err(db.corrupt(format!("revision {newest} is not the agent's")));
    }
    tx.execute_batch("DELETE FROM bypasses; DELETE FROM grants; DELETE FROM pending;")
        .map_err(&fault)?;
    for bypass in whole.bypasses {
        bypasses::put(db, clock, bypass)?;
    }
    for grant in whole.grants {
        grants::put(db, grant)?;
    }
    if let Some((pending, _)) = whole.pending {
        pending::set(db, clock, pending, pending.revision)?;
    }
    feeds::put_records(db, whole.feeds)?;
    for fleet in whole.fleets {
        fleets::put(db, fleet)?;
    }
    audit::append(db, &whole.audit, None)?;
    tx.commit().map_err(&fault)?;
    whole::check(&conn, draft)?;
    conn.close().map_err(|(_, source)| fault(source))
}

/// Stores a revision under its own number, unless it is there; another one of that number is an
/// error.
fn put_revision(
    db: Db<'_>,
    revision: u64,
    state: &State,
    by: &RevisionMeta,
) -> Result<(), StoreError> {
    let fault = fault("store a revision", db.path);
    let (id, mut lists) = state::put(&db, &[], state)?;
    feeds::put_contents(db, &[], state, &mut lists)?;
    let number = i64::try_from(revision).unwrap_or(i64::MAX);
    let found = stored(db.conn, number).map_err(&fault)?;
    match found {
        Some(found) if found == id.as_bytes() => Ok(()),
        Some(_) => Err(db.corrupt(format!("revision {revision} is another"))),
        None => db
            .conn
            .execute(
                "INSERT INTO revisions (revision, created, actor, action, state)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    number,
                    by.created.to_string(),
                    by.actor,
                    by.action,
                    id.as_bytes()
                ],
            )
            .map(drop)
            .map_err(&fault),
    }
}

fn stored(conn: &Connection, revision: i64) -> rusqlite::Result<Option<Vec<u8>>> {
    conn.query_row(
        "SELECT state FROM revisions WHERE revision = ?1",
        [revision],
        |row| row.get(0),
    )
    .optional()
}
