//! The store in an SQLite database. The only importer of SQLite.

mod audit;
mod backup;
mod bans;
mod bypasses;
mod checkpoint;
mod db;
mod departure;
mod fault;
mod feeds;
mod fleets;
mod grants;
mod history;
mod marker;
mod observed;
mod open;
mod past;
mod pending;
mod prune;
mod replace;
mod rescue;
mod revision;
mod schema;
#[cfg(test)]
mod tests;
mod whole;
mod window;
mod witness;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior};

pub use self::backup::{discard_restore, is_filled, prepare_restore, reset, restore};
use self::checkpoint::Checkpointer;
use self::db::Db;
use self::fault::fault;
use self::marker::Marker;
pub(crate) use self::observed::SqliteObservations;
pub use self::open::directory;
use self::past::SqlitePast;
use self::prune::Keep;
use self::revision::{commit, newest};
use self::witness::Witness;
use super::list::Known;
use super::objects::ObjectId;
use super::{
    Archivist, AuditEntry, BanBatch, BanEdit, BanLog, EncodedBans, Extras, FeedUpdate, FleetRecord,
    HandedOver, KEEP_REVISIONS, Past, Pending, Pruned, Rescued, RevisionMeta, Store, StoreError,
    Stored, Whole, state,
};
use crate::clock::Clock;
use crate::model::{Bypass, Grant, Name, State};

/// How long to wait for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// What [`Store::prune`] keeps. 4,000,000 rules take 40 to 80 MB.
const KEEP: Keep = Keep {
    revisions: KEEP_REVISIONS,
    bytes: 1 << 30,
    at_least: 10,
};

/// Entries of feeds that are replaced before their content is removed: some 50 MB.
const REPLACED: usize = 3_000_000;

/// A database in the state directory.
pub struct SqliteStore {
    /// Before the connection, which is to be closed last.
    _checkpointer: Checkpointer,
    conn: Connection,
    path: PathBuf,
    clock: Clock,
    /// What SQLite says of other connections' commits, of which there are none; `None` after a
    /// transaction that failed, which changes it too.
    data_version: Option<i64>,
    /// Says which store was in use last.
    marker: Marker,
    /// The lists of the newest state, as it was loaded or committed here.
    known: Vec<Known>,
    /// Lists of a state that was handed over, as they were read last: a commit that follows need
    /// not write them. They go with the first sweep, which may remove their objects.
    offered: Vec<Known>,
    /// Entries of feeds that were replaced since the last pruning.
    replaced: usize,
    /// Closed last; see there.
    witness: Arc<Witness>,
}

impl SqliteStore {
    /// Opens the database in the state directory `dir`, with deadlines by `clock`. Directory
    /// (0700) and database (0600) are made if they are missing; an older database is brought up
    /// to date.
    ///
    /// The caller holds the directory's lock.
    ///
    /// # Errors
    /// Every case of [`StoreError`] but those of single operations; the database
    /// is left as it was.
    pub fn open_with(dir: &Path, clock: Clock) -> Result<Self, StoreError> {
        let open::OpenDatabase {
            mut conn,
            path,
            witness,
            marker,
        } = open::open(dir)?;
        let witness = Arc::new(witness);
        let own = open::another(&path)?;
        let checkpointer = Checkpointer::start(&mut conn, own, witness.clone());
        let data_version = Some(data_version(&conn, &path)?);
        Ok(Self {
            conn,
            path,
            clock,
            data_version,
            marker,
            witness,
            known: Vec::new(),
            offered: Vec::new(),
            replaced: 0,
            _checkpointer: checkpointer,
        })
    }

    /// As [`Self::open_with`], by the system's clock.
    #[doc(hidden)]
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Self::open_with(dir, Clock::system())
    }

    /// Writes bans and what the audit log says of them, all or nothing.
    fn write_bans<T>(
        &mut self,
        audit: &[AuditEntry],
        write: impl FnOnce(Db<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let (tx, path) = self.begin()?;
        let db = Db { conn: &tx, path };
        let written = write(db)?;
        for entry in audit {
            audit::append(db, entry, None)?;
        }
        let done = tx.commit().map_err(fault("store bans", path));
        if matches!(done, Err(StoreError::Full { .. })) {
            self.release_log();
        }
        done?;
        self.committed()?;
        Ok(written)
    }

    /// The database file.
    fn path(&self) -> &Path {
        &self.path
    }

    fn db(&self) -> Db<'_> {
        Db {
            conn: &self.conn,
            path: &self.path,
        }
    }

    /// Begins a transaction that can write. It is rolled back unless
    /// it is committed.
    fn begin(&mut self) -> Result<(Transaction<'_>, &Path), StoreError> {
        self.witness.check()?;
        let path = &self.path;
        let tx = self
            .conn
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|source| StoreError::sqlite("begin a change", path, source))?;
        let expected = self.data_version.take();
        let found = data_version(&tx, path)?;
        if expected.is_some_and(|expected| expected != found) {
            return Err(self.witness.condemn("another program changed it"));
        }
        Ok((tx, path))
    }

    /// Gives the log's space back, which a large change has grown, or one that found
    /// no room to all that there was.
    fn release_log(&self) {
        // Best effort: the next commit or closing does the same.
        let _ = self.witness.writing(|| {
            let _ = self
                .conn
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        });
    }

    /// Gives back the memory of pages of lists, few of which are read again.
    fn forget_pages(&self) {
        // Best effort: it is memory, and little.
        let _ = self.conn.execute_batch("PRAGMA shrink_memory");
    }

    /// Makes sure that what was committed is kept.
    fn committed(&mut self) -> Result<(), StoreError> {
        // Unknown, it is not compared before the next change.
        self.data_version = data_version(&self.conn, &self.path).ok();
        self.witness.check_committed()
    }

    /// Marks the database as filled, in a file next to it, before it is filled for the first time.
    fn mark(&mut self) -> Result<(), StoreError> {
        if self.marker.is_missing() {
            self.witness.check()?;
            self.marker.fill()?;
        }
        Ok(())
    }

    /// What has a deadline. What was stored in another boot is stored again by this one's
    /// clock, which no setting of the wall clock moves.
    fn read_deadlines(&mut self) -> Result<(Vec<Bypass>, Option<Pending>), StoreError> {
        let clock = self.clock.clone();
        let bypasses = bypasses::all(self.db(), &clock)?;
        let pending = pending::get(self.db(), &clock)?;
        let is_old = |(_, is_current): &&(Bypass, bool)| !is_current;
        let old: Vec<_> = bypasses.iter().filter(is_old).collect();
        let old_pending = pending.as_ref().filter(|(_, is_current)| !is_current);
        if !old.is_empty() || old_pending.is_some() {
            let (tx, path) = self.begin()?;
            let db = Db { conn: &tx, path };
            for (bypass, _) in old {
                bypasses::put(db, &clock, bypass)?;
            }
            if let Some((pending, _)) = old_pending {
                pending::set(db, &clock, pending, pending.revision)?;
            }
            tx.commit()
                .map_err(fault("store deadlines by this boot's clock", path))?;
        }
        let bypasses = bypasses.into_iter().map(|(bypass, _)| bypass).collect();
        Ok((bypasses, pending.map(|(pending, _)| pending)))
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
        if !work(db)? {
            // What it wrote before it said so is rolled back.
            return Ok(false);
        }
        if let Some(entry) = entry {
            audit::append(db, entry, None)?;
        }
        tx.commit().map_err(fault("commit", path))?;
        self.committed()?;
        Ok(true)
    }

    /// Prunes to less than the trait's method does.
    fn prune_to(&mut self, keep: Keep) -> Result<Pruned, StoreError> {
        self.offered.clear();
        let replaced = std::mem::take(&mut self.replaced) > REPLACED;
        let now = self.clock.wall();
        prune::prune(&mut self.conn, &self.path, keep, replaced, now)
    }
}

impl Store for SqliteStore {
    fn load(&mut self) -> Result<Stored, StoreError> {
        let (bypasses, pending) = self.read_deadlines()?;
        let grants = grants::all(self.db())?;
        let feeds = feeds::records(self.db())?;
        let fleets = fleets::all(self.db())?;
        let restored = marker::is_restored(&self.conn, &self.path)?;
        let Some((revision, state)) = newest(self.db())? else {
            return Ok(Stored {
                state: State::empty(),
                revision: 0,
                bypasses,
                grants,
                feeds,
                fleets,
                pending,
                restored,
                departure: None,
            });
        };
        let departure = departure::of(&self.marker, &self.conn, &self.path, revision)?;
        let (mut state, mut lists) = state::get(&self.db(), &self.known, &state)?;
        feeds::fill(self.db(), &self.known, &mut state, &mut lists)?;
        self.known = lists;
        self.forget_pages();
        Ok(Stored {
            state,
            revision,
            bypasses,
            grants,
            feeds,
            fleets,
            pending,
            restored,
            departure,
        })
    }

    fn commit_with(
        &mut self,
        state: &State,
        by: &RevisionMeta,
        extras: &Extras,
    ) -> Result<u64, StoreError> {
        self.mark()?;
        let known = std::mem::take(&mut self.known);
        let offered = std::mem::take(&mut self.offered);
        let there: Vec<Known> = known.iter().chain(&offered).cloned().collect();
        let clock = self.clock.clone();
        let result = self
            .begin()
            .and_then(|(tx, path)| commit(tx, path, &clock, &there, state, by, extras));
        // What went into files that are gone is not stored.
        let result = result.and_then(|done| self.committed().map(|()| done));
        match result {
            Ok((recorded, lists)) => {
                self.known = lists;
                self.marker.record(recorded);
                Ok(recorded.revision)
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

    fn past(&self) -> Result<Box<dyn Past>, StoreError> {
        let past = SqlitePast::open(&self.path, self.known.clone())?;
        Ok(Box::new(past))
    }

    fn state_at(&mut self, revision: u64) -> Result<State, StoreError> {
        past::state_at(self.db(), &self.known, revision)
    }

    fn clear_pending(
        &mut self,
        entry: &AuditEntry,
        fleet: Option<&FleetRecord>,
    ) -> Result<(), StoreError> {
        self.audited(Some(entry), |db| {
            pending::clear(db)?;
            fleet.map_or(Ok(()), |fleet| fleets::put(db, fleet))?;
            Ok(true)
        })
        .map(drop)
    }

    fn audit(&mut self, entry: &AuditEntry) -> Result<(), StoreError> {
        self.witness.check()?;
        audit::append(self.db(), entry, None)
    }

    fn put_grants(&mut self, all: &[(Grant, AuditEntry)]) -> Result<(), StoreError> {
        let put = self.audited(None, |db| {
            for (grant, entry) in all {
                grants::put(db, grant)?;
                audit::append(db, entry, None)?;
            }
            Ok(true)
        });
        put.map(drop)
    }

    fn remove_grants(&mut self, all: &[(Grant, AuditEntry)]) -> Result<bool, StoreError> {
        self.audited(None, |db| {
            for (grant, entry) in all {
                if !grants::remove(db, grant)? {
                    return Ok(false);
                }
                audit::append(db, entry, None)?;
            }
            Ok(true)
        })
    }

    fn put_bypass(
        &mut self,
        bypass: &Bypass,
        entry: Option<&AuditEntry>,
    ) -> Result<(), StoreError> {
        let clock = self.clock.clone();
        self.audited(entry, |db| bypasses::put(db, &clock, bypass).map(|()| true))
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
        let clock = self.clock.clone();
        let (tx, path) = self.begin()?;
        let db = Db { conn: &tx, path };
        let all = bypasses::all(db, &clock)?.into_iter();
        let mut expired: Vec<_> = all.map(|(bypass, _)| bypass).collect();
        expired.retain(|bypass| bypass.expires <= now);
        for bypass in &expired {
            bypasses::remove(db, bypass.source, bypass.service.as_ref())?;
        }
        let fault = fault("remove expired bypasses", path);
        tx.commit().map_err(fault)?;
        Ok(expired)
    }

    fn bans(&mut self, visit: &mut dyn FnMut(BanEdit<'_>)) -> Result<BanLog, StoreError> {
        bans::read(self.db(), &self.clock, visit)
    }

    fn bans_in(
        &mut self,
        batch: u64,
        visit: &mut dyn FnMut(BanEdit<'_>),
    ) -> Result<(), StoreError> {
        bans::read_batch(self.db(), &self.clock, batch, visit)
    }

    fn record_bans(
        &mut self,
        edits: &mut dyn Iterator<Item = BanEdit<'_>>,
        forget: &[u64],
        audit: &[AuditEntry],
    ) -> Result<Vec<BanBatch>, StoreError> {
        let clock = self.clock.clone();
        self.write_bans(audit, |db| {
            let batches = bans::append(db, &clock, edits)?;
            bans::forget(db, forget)?;
            Ok(batches)
        })
    }

    fn record_encoded_bans(
        &mut self,
        encoded: &EncodedBans,
        audit: &[AuditEntry],
    ) -> Result<Vec<BanBatch>, StoreError> {
        self.write_bans(audit, |db| bans::append_encoded(db, encoded))
    }

    fn note_time_of_bans(&mut self, before: Option<u64>) -> Result<BanBatch, StoreError> {
        let clock = self.clock.clone();
        self.write_bans(&[], |db| {
            bans::forget(db, before.as_slice())?;
            bans::append_note(db, &clock)
        })
    }

    fn put_feed(
        &mut self,
        update: FeedUpdate<'_>,
        audit: Option<&AuditEntry>,
    ) -> Result<(), StoreError> {
        let known = std::mem::take(&mut self.known);
        let result = self.begin().and_then(|(tx, path)| {
            let db = Db { conn: &tx, path };
            let content = feeds::update(db, &known, update, audit)?;
            tx.commit().map_err(fault("commit", path))?;
            Ok(content)
        });
        self.known = known;
        let result = result.and_then(|content| self.committed().map(|()| content));
        match result {
            Ok(None) => Ok(()),
            Ok(Some((content, before))) => {
                self.replaced += content.list.len();
                self.known.retain(|known| Some(known.id) != before);
                self.known.push(content);
                Ok(())
            }
            Err(error) => {
                if matches!(error, StoreError::Full { .. }) {
                    self.release_log();
                }
                Err(error)
            }
        }
    }

    fn put_fleet(
        &mut self,
        fleet: &FleetRecord,
        audit: Option<&AuditEntry>,
    ) -> Result<(), StoreError> {
        self.audited(audit, |db| fleets::put(db, fleet).map(|()| true))
            .map(drop)
    }

    fn missing(&mut self, ids: &[ObjectId]) -> Result<Vec<ObjectId>, StoreError> {
        fleets::missing(self.db(), ids)
    }

    fn hand_over(&mut self, objects: &[HandedOver]) -> Result<bool, StoreError> {
        let now = self.clock.wall();
        if !fleets::waiting(self.db())?.fit(objects) {
            self.prune_to(KEEP)?;
            if !fleets::waiting(self.db())?.fit(objects) {
                return Ok(false);
            }
        }
        self.audited(None, |db| {
            fleets::hand_over(db, objects, now).map(|()| true)
        })
    }

    fn state_of(&mut self, root: &ObjectId) -> Result<State, StoreError> {
        let (mut state, mut lists) = state::get(&self.db(), &self.known, root)?;
        feeds::fill(self.db(), &self.known, &mut state, &mut lists)?;
        self.offered = lists;
        Ok(state)
    }

    fn check(&mut self) -> Result<(), StoreError> {
        self.witness.check()
    }

    fn rescue(&mut self, whole: &Whole<'_>) -> Result<Rescued, StoreError> {
        self.rebuild(whole)
    }

    fn archivist(&mut self) -> Result<Archivist, StoreError> {
        self.witness.check()?;
        let source = backup::Source::open(&self.path, self.witness.clone())?;
        Ok(Archivist::new(|| source.write()))
    }

    fn adopt(&mut self) -> Result<(), StoreError> {
        self.adopt_as_last()
    }

    fn settle(&mut self) {
        self.offered.clear();
        self.release_log();
        self.forget_pages();
    }

    fn prune(&mut self) -> Result<Pruned, StoreError> {
        self.witness.check()?;
        let pruned = self.prune_to(KEEP);
        self.marker.settle()?;
        pruned
    }
}

fn data_version(conn: &Connection, path: &Path) -> Result<i64, StoreError> {
    conn.pragma_query_value(None, "data_version", |row| row.get(0))
        .map_err(fault("look for other programs", path))
}
