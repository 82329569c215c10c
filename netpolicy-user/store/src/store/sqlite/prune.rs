//! Pruning of old revisions: mark the objects that the remaining ones need, sweep the rest.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior};

use super::db::Db;
use super::fault::fault;
use super::{feeds, fleets};
use crate::store::objects::ObjectId;
use crate::store::{Pruned, StoreError, state};

/// How much history is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keep {
    /// Revisions at most.
    pub(super) revisions: usize,
    /// Older revisions go while all content together is larger, bytes: lists of
    /// millions of rules replaced every hour would fill the disk long before the
    /// number of revisions is reached.
    pub(super) bytes: u64,
    /// Revisions that stay however large they are.
    pub(super) at_least: usize,
}

/// Removes what `keep` does not cover. `replaced`: much content of feeds was replaced, and is to
/// go too.
///
/// # Errors
/// Failures to read and write; nothing is removed then.
pub(super) fn prune(
    conn: &mut Connection,
    path: &Path,
    keep: Keep,
    replaced: bool,
    now: Timestamp,
) -> Result<Pruned, StoreError> {
    let fault = fault("prune old revisions", path);
    let count: i64 = conn
        .query_row("SELECT count(*) FROM revisions", [], |row| row.get(0))
        .map_err(&fault)?;
    // Pages hold the objects and more, so this never overlooks a surplus.
    let pages: i64 = conn
        .pragma_query_value(None, "page_count", |row| row.get(0))
        .map_err(&fault)?;
    let page: i64 = conn
        .pragma_query_value(None, "page_size", |row| row.get(0))
        .map_err(&fault)?;
    let bytes = u64::try_from(pages.saturating_mul(page)).unwrap_or(0);
    let is_short = usize::try_from(count).is_ok_and(|count| count <= keep.revisions);
    let is_due = fleets::is_sweep_due(Db { conn, path }, now)?;
    if is_short && bytes <= keep.bytes && !replaced && !is_due {
        return Ok(Pruned::default());
    }

    let tx = conn
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(&fault)?;
    let db = Db { conn: &tx, path };
    let sizes = sizes(db)?;
    let mut marked = Marked {
        sizes: &sizes,
        live: HashSet::new(),
        bytes: 0,
    };
    let mut pruned = Pruned::default();
    let mut states = HashSet::new();
    let mut kept_feeds = HashSet::new();
    for (kept, (revision, state)) in newest_first(db)?.into_iter().enumerate() {
        let surplus = kept >= keep.revisions || marked.bytes > keep.bytes;
        if surplus && kept >= keep.at_least {
            pruned.revisions = tx
                .execute("DELETE FROM revisions WHERE revision <= ?1", [revision])
                .map_err(&fault)?;
            break;
        }
        state::mark(&db, state, |id| marked.mark(id))?;
        if states.insert(state) {
            kept_feeds.extend(state::feeds(&db, &state)?);
        }
    }
    feeds::remove_others(db, &kept_feeds)?;
    for (_, content) in feeds::contents(db)? {
        state::mark_list(&db, content, &mut |id| marked.mark(id))?;
    }
    for id in fleets::sweep(db, now)? {
        marked.mark(id);
    }
    if marked.live.len() < sizes.len() {
        let mut delete = tx
            .prepare("DELETE FROM objects WHERE hash = ?1")
            .map_err(&fault)?;
        for id in sizes.keys().filter(|id| !marked.live.contains(id)) {
            pruned.objects += delete.execute([id.as_bytes()]).map_err(&fault)?;
        }
    }
    tx.commit().map_err(&fault)?;
    if pruned.objects > 0 {
        // Gives the pages back to the file system.
        conn.pragma_query(None, "incremental_vacuum", |_| Ok(()))
            .map_err(&fault)?;
    }
    Ok(pruned)
}

/// What kept revisions need.
struct Marked<'a> {
    sizes: &'a HashMap<ObjectId, u64>,
    live: HashSet<ObjectId>,
    /// Bodies of all `live` objects.
    bytes: u64,
}

impl Marked<'_> {
    /// Marks one object; whether it was not marked before.
    fn mark(&mut self, id: ObjectId) -> bool {
        let new = self.live.insert(id);
        if new {
            self.bytes += self.sizes.get(&id).copied().unwrap_or(0);
        }
        new
    }
}

/// All objects and their bodies' sizes.
fn sizes(db: Db<'_>) -> Result<HashMap<ObjectId, u64>, StoreError> {
    let fault = fault("list the objects", db.path);
    let mut select = db
        .conn
        .prepare("SELECT hash, length(body) FROM objects")
        .map_err(&fault)?;
    let rows = select
        .query_map([], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?))
        })
        .map_err(&fault)?;
    rows.map(|row| {
        let (hash, size) = row.map_err(&fault)?;
        Ok((id(db, &hash)?, u64::try_from(size).unwrap_or(0)))
    })
    .collect()
}

/// Revisions' numbers and states, newest first.
fn newest_first(db: Db<'_>) -> Result<Vec<(i64, ObjectId)>, StoreError> {
    let fault = fault("list the revisions", db.path);
    let mut select = db
        .conn
        .prepare("SELECT revision, state FROM revisions ORDER BY revision DESC")
        .map_err(&fault)?;
    let rows = select
        .query_map([], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?)))
        .map_err(&fault)?;
    rows.map(|row| {
        let (revision, hash) = row.map_err(&fault)?;
        Ok((revision, id(db, &hash)?))
    })
    .collect()
}

fn id(db: Db<'_>, hash: &[u8]) -> Result<ObjectId, StoreError> {
    ObjectId::from_slice(hash).ok_or_else(|| {
        db.corrupt(format!(
            "an object's hash has {} bytes, expected 32",
            hash.len()
        ))
    })
}
