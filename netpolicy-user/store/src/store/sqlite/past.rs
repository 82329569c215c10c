//! States of revisions, read by any connection.
//!
//! Lists, and chunks of lists, that the newest state has as well are shared with it, and
//! not read.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};

use super::db::Db;
use super::fault::fault;
use super::revision::{id, number};
use super::window::{self, ListedTable};
use super::{audit, feeds, history, open};
use crate::model::State;
use crate::store::list::Known;
use crate::store::{
    AuditEntry, HistoryWindow, Listed, Past, PastChange, Revision, RevisionMeta, StoreError,
    Window, state,
};

/// A connection that only reads.
pub(super) struct SqlitePast {
    conn: Connection,
    path: PathBuf,
    known: Vec<Known>,
}

impl SqlitePast {
    /// Opens the database of a store that knows these lists.
    pub(super) fn open(path: &Path, known: Vec<Known>) -> Result<Self, StoreError> {
        Ok(Self {
            conn: open::another(path)?,
            path: path.to_owned(),
            known,
        })
    }
}

impl SqlitePast {
    fn db(&self) -> Db<'_> {
        Db {
            conn: &self.conn,
            path: &self.path,
        }
    }
}

impl Past for SqlitePast {
    fn state_at(&self, revision: u64) -> Result<State, StoreError> {
        // Of one moment, or a revision could be pruned while it is read.
        let reading = self.conn.unchecked_transaction();
        let _reading = reading.map_err(fault("begin to read", &self.path))?;
        state_at(self.db(), &self.known, revision)
    }

    fn revisions(&self, window: &Window) -> Result<Listed<Revision>, StoreError> {
        revisions(self.db(), window)
    }

    fn history(&self, of: &HistoryWindow) -> Result<Listed<PastChange>, StoreError> {
        history::read(self.db(), of)
    }

    fn audit_log(&self, window: &Window) -> Result<Listed<(u64, AuditEntry)>, StoreError> {
        audit::list(self.db(), window)
    }
}

const REVISIONS: ListedTable = ListedTable {
    name: "revisions",
    key: "revision",
    columns: "revision, created, actor, action",
    text: "actor || char(10) || action",
};

fn revisions(db: Db<'_>, window: &Window) -> Result<Listed<Revision>, StoreError> {
    let what = "list the revisions";
    let Listed { items, total } = window::read(db, &REVISIONS, window, what, |row| {
        let (revision, created): (i64, String) = (row.get(0)?, row.get(1)?);
        Ok((revision, created, row.get(2)?, row.get(3)?))
    })?;
    let items = items.into_iter().map(|(revision, created, actor, action)| {
        let created: Timestamp = created.parse().map_err(|error: jiff::Error| {
            db.corrupt(format!("the time of revision {revision}: {error}"))
        })?;
        Ok(Revision {
            revision: number(revision),
            meta: RevisionMeta {
                created,
                actor,
                action,
            },
        })
    });
    Ok(Listed {
        items: items.collect::<Result<_, StoreError>>()?,
        total,
    })
}

/// The state of a revision.
pub(super) fn state_at(db: Db<'_>, known: &[Known], revision: u64) -> Result<State, StoreError> {
    if revision == 0 {
        return Ok(State::empty());
    }
    let fault = fault("look a revision up", db.path);
    let found = i64::try_from(revision).ok().map(|key| {
        db.conn
            .prepare_cached("SELECT state FROM revisions WHERE revision = ?1")
            .and_then(|mut select| {
                select
                    .query_row([key], |row| row.get::<_, Vec<u8>>(0))
                    .optional()
            })
    });
    if let Some(state) = found.transpose().map_err(&fault)?.flatten() {
        let (mut state, mut lists) = state::get(&db, known, &id(db, &state)?)?;
        feeds::fill(db, known, &mut state, &mut lists)?;
        return Ok(state);
    }
    let (oldest, newest) = db
        .conn
        .query_row(
            "SELECT ifnull(min(revision), 0), ifnull(max(revision), 0) FROM revisions",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .map_err(&fault)?;
    Err(StoreError::NoSuchRevision {
        revision,
        oldest: number(oldest),
        newest: number(newest),
    })
}
