//! The store in an SQLite database.

use std::path::{Path, PathBuf};

use ipnet::IpNet;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};

use super::checkpoint::Checkpointer;
use super::document::Document;
use super::error::fault;
use super::list::{Known, KnownChunks};
use super::objects::{Db, Kind, ObjectId};
use super::past::{self, SqlitePast};
use super::prune::Keep;
use super::{
    AuditEntry, Extras, KEEP_REVISIONS, Past, Pruned, Revision, RevisionMeta, Store, StoreError,
    Stored, audit, bypasses, grants, list, open, pending,
};
use crate::model::{Bypass, Grant, Name, State};

/// What [`Store::prune`] keeps. 4,000,000 rules take 40 to 80 MB.
const KEEP: Keep = Keep {
    revisions: KEEP_REVISIONS,
    bytes: 1 << 30,
    at_least: 10,
};

/// A database in the state directory.
pub struct SqliteStore {
    /// Before the connection, which is to be closed last.
    _checkpointer: Checkpointer,
    pub(super) conn: Connection,
    path: PathBuf,
    /// The lists of the newest state, as it was loaded or committed here.
    known: Vec<Known>,
}

impl SqliteStore {
    /// Opens the database in the state directory `dir`. Directory (0700) and
    /// database (0600) are made if they are missing; an older database is brought
    /// up to date.
    ///
    /// The caller holds the directory's lock.
    ///
    /// # Errors
    /// Every case of [`StoreError`] but those of single operations; the database
    /// is left as it was.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let (mut conn, path) = open::open(dir)?;
        let checkpointer = Checkpointer::start(&mut conn, open::another(&path)?);
        Ok(Self {
            conn,
            path,
            known: Vec::new(),
            _checkpointer: checkpointer,
        })
    }

    /// The database file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn db(&self) -> Db<'_> {
        Db {
            conn: &self.conn,
            path: &self.path,
        }
    }

    /// Begins a transaction that can write. What was written is taken back unless
    /// the transaction is committed.
    fn begin(&mut self) -> Result<(Transaction<'_>, &Path), StoreError> {
        let path = &self.path;
        self.conn
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map(|tx| (tx, &**path))
            .map_err(|source| StoreError::sqlite("begin a change", path, source))
    }

    /// Gives the log's space back, which a large change has grown, or one that found
    /// no room to all that there was.
    fn release_log(&self) {
        // Best effort: the next commit or closing does the same.
        let _ = self
            .conn
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }

    /// Does something small and appends to the audit log, both or neither: neither, too,
    /// where `work` says that there was nothing to do.
    fn audited(
        &mut self,
        entry: Option<&AuditEntry>,
        work: impl FnOnce(Db<'_>) -> Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        let (tx, path) = self.begin()?;
        let db = Db { conn: &tx, path };
        let done = work(db)?;
        if done && let Some(entry) = entry {
            audit::append(db, entry, None)?;
        }
        tx.commit().map_err(fault("commit", path))?;
        Ok(done)
    }

    /// Prunes to less than the trait's method does.
    pub(super) fn prune_to(&mut self, keep: Keep) -> Result<Pruned, StoreError> {
        super::prune::prune(&mut self.conn, &self.path, keep)
    }
}

impl Store for SqliteStore {
    fn load(&mut self) -> Result<Stored, StoreError> {
        let bypasses = bypasses::all(self.db())?;
        let grants = grants::all(self.db())?;
        let pending = pending::get(self.db())?;
        let Some((revision, state)) = newest(self.db())? else {
            return Ok(Stored {
                state: State::empty(),
                revision: 0,
                bypasses,
                grants,
                pending,
            });
        };
        let (state, lists) = past::read(self.db(), &self.known, &state)?;
        self.known = lists;
        Ok(Stored {
            state,
            revision,
            bypasses,
            grants,
            pending,
        })
    }

    fn commit_with(
        &mut self,
        state: &State,
        by: &RevisionMeta,
        extras: &Extras,
    ) -> Result<u64, StoreError> {
        let known = std::mem::take(&mut self.known);
        let result = self
            .begin()
            .and_then(|(tx, path)| commit(tx, path, &known, state, by, extras));
        match result {
            Ok((revision, lists)) => {
                self.known = lists;
                Ok(revision)
            }
            Err(error) => {
                self.known = known;
                if matches!(error, StoreError::Full { .. }) {
                    self.release_log();
                }
                Err(error)
            }
        }
    }

    fn revisions(&mut self, limit: usize) -> Result<Vec<Revision>, StoreError> {
        let db = self.db();
        let fault = fault("list the revisions", db.path);
        let mut select = self
            .conn
            .prepare_cached(
                "SELECT revision, created, actor, action FROM revisions
                 ORDER BY revision DESC LIMIT ?1",
            )
            .map_err(&fault)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = select
            .query_map([limit], |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get::<_, String>(1)?,
                    row.get(2)?,
                    row.get(3)?,
                ))
            })
            .map_err(&fault)?;
        rows.map(|row| {
            let (revision, created, actor, action) = row.map_err(&fault)?;
            let created: Timestamp = created.parse().map_err(|error: jiff::Error| {
                db.corrupt(format!("the time of revision {revision}: {error}"))
            })?;
            let meta = RevisionMeta {
                created,
                actor,
                action,
            };
            Ok(Revision {
                revision: number(revision),
                meta,
            })
        })
        .collect()
    }

    fn past(&self) -> Result<Box<dyn Past>, StoreError> {
        let past = SqlitePast::open(&self.path, self.known.clone())?;
        Ok(Box::new(past))
    }

    fn state_at(&mut self, revision: u64) -> Result<State, StoreError> {
        past::state_at(self.db(), &self.known, revision)
    }

    fn clear_pending(&mut self, entry: &AuditEntry) -> Result<(), StoreError> {
        self.audited(Some(entry), |db| pending::clear(db).map(|()| true))
            .map(drop)
    }

    fn audit(&mut self, entry: &AuditEntry) -> Result<(), StoreError> {
        audit::append(self.db(), entry, None)
    }

    fn audit_log(&mut self, limit: usize) -> Result<Vec<(u64, AuditEntry)>, StoreError> {
        audit::newest(self.db(), limit)
    }

    fn put_grant(&mut self, grant: &Grant, entry: &AuditEntry) -> Result<(), StoreError> {
        self.audited(Some(entry), |db| grants::put(db, grant).map(|()| true))
            .map(drop)
    }

    fn remove_grant(&mut self, grant: &Grant, entry: &AuditEntry) -> Result<bool, StoreError> {
        self.audited(Some(entry), |db| grants::remove(db, grant))
    }

    fn put_bypass(
        &mut self,
        bypass: &Bypass,
        entry: Option<&AuditEntry>,
    ) -> Result<(), StoreError> {
        self.audited(entry, |db| bypasses::put(db, bypass).map(|()| true))
            .map(drop)
    }

    fn remove_bypass(
        &mut self,
        source: IpNet,
        service: Option<&Name>,
        entry: Option<&AuditEntry>,
    ) -> Result<bool, StoreError> {
        self.audited(entry, |db| bypasses::remove(db, source, service))
    }

    fn expire_bypasses(&mut self, now: Timestamp) -> Result<Vec<Bypass>, StoreError> {
        let (tx, path) = self.begin()?;
        let db = Db { conn: &tx, path };
        let mut lapsed = bypasses::all(db)?;
        lapsed.retain(|bypass| bypass.expires <= now);
        for bypass in &lapsed {
            bypasses::remove(db, bypass.source, bypass.service.as_ref())?;
        }
        let fault = fault("remove lapsed bypasses", path);
        tx.commit().map_err(fault)?;
        Ok(lapsed)
    }

    fn settle(&mut self) {
        self.release_log();
    }

    fn prune(&mut self) -> Result<Pruned, StoreError> {
        self.prune_to(KEEP)
    }
}

/// Writes a revision in a transaction; its number and lists. Lists that are the
/// very ones of `known` are in the database already.
fn commit(
    tx: Transaction<'_>,
    path: &Path,
    known: &[Known],
    state: &State,
    by: &RevisionMeta,
    extras: &Extras,
) -> Result<(u64, Vec<Known>), StoreError> {
    let db = Db { conn: &tx, path };
    let fault = fault("store a revision", path);
    let chunks = KnownChunks::of(known);
    let mut lists: Vec<Known> = Vec::new();
    let document = Document::of(state, |list| {
        let same = |other: &&Known| other.list.ptr_eq(list);
        if let Some(same) = lists.iter().find(same) {
            return Ok(same.id);
        }
        let list = match known.iter().find(same) {
            Some(same) => same.clone(),
            None => list::put(db, list, &chunks)?,
        };
        let id = list.id;
        lists.push(list);
        Ok(id)
    })?;
    let id = db.put(Kind::State, &document.encode()?)?;
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
    pending::edit(db, &extras.pending, revision)?;
    if let Some(entry) = &extras.audit {
        audit::append(db, entry, Some(revision))?;
    }
    tx.commit().map_err(&fault)?;
    Ok((revision, lists))
}

/// The newest revision and its state.
fn newest(db: Db<'_>) -> Result<Option<(u64, ObjectId)>, StoreError> {
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
