//! The table of feeds: their content, outside the revisions.
//!
//! A revision says that a list is a feed, and never what is on it: what is read of one gets the
//! content that is there now. So a refresh makes no revision, and a rollback brings no old
//! content back. The content of a feed that was dropped is kept as long as a revision has the
//! feed.

use std::collections::HashSet;

use rusqlite::{OptionalExtension as _, params};

use super::db::Db;
use super::fault::fault;
use crate::model::{Name, State};
use crate::store::feed::{FeedRecord, FeedUpdate, NamedFeedRecord};
use crate::store::list::{self, Known, KnownChunks};
use crate::store::objects::ObjectId;
use crate::store::{AuditEntry, StoreError};

/// Makes the content of a state's feeds what the state has, and adds their lists to `lists`.
///
/// # Errors
/// Failures to write.
pub(super) fn put_contents(
    db: Db<'_>,
    known: &[Known],
    state: &State,
    lists: &mut Vec<Known>,
) -> Result<(), StoreError> {
    for (feed, _) in state.feeds() {
        let same = |other: &&Known| other.list.ptr_eq(&feed.entries);
        let content = match known.iter().find(same) {
            Some(known) => known.clone(),
            None => list::put(&db, &feed.entries, &KnownChunks::of(known))?,
        };
        if content_of(db, &feed.name)? != Some(content.id) {
            put(db, &feed.name, content.id)?;
        }
        lists.push(content);
    }
    Ok(())
}

/// Gives the feeds of a state the content that there is, and adds their lists to `lists`.
///
/// # Errors
/// [`StoreError::Corrupt`] and failures to read.
pub(super) fn fill(
    db: Db<'_>,
    known: &[Known],
    state: &mut State,
    lists: &mut Vec<Known>,
) -> Result<(), StoreError> {
    for feed in state.lists.iter_mut().filter(|list| list.feed.is_some()) {
        let Some(id) = content_of(db, &feed.name)? else {
            continue;
        };
        let found = known.iter().find(|other| other.id == id).cloned();
        let content = found.map_or_else(|| list::get(&db, &id, known), Ok)?;
        feed.entries = content.list.clone();
        lists.push(content);
    }
    Ok(())
}

/// A feed's new list, and the one before.
pub(super) type Replaced = (Known, Option<ObjectId>);

/// Stores an update of a feed; the list that it has then, if that is new, and the one before.
///
/// # Errors
/// Failures to write.
pub(super) fn update(
    db: Db<'_>,
    known: &[Known],
    update: FeedUpdate<'_>,
    audit: Option<&AuditEntry>,
) -> Result<Option<Replaced>, StoreError> {
    let replaced = match update.content {
        None => None,
        Some(content) => {
            let before = content_of(db, update.name)?;
            let content = list::put(&db, content, &KnownChunks::of(known))?;
            put(db, update.name, content.id)?;
            Some((content, before))
        }
    };
    let record = serde_json::to_string(update.record).map_err(|error| StoreError::Unstorable {
        detail: error.to_string(),
    })?;
    db.conn
        .prepare_cached("UPDATE feeds SET record = ?2 WHERE name = ?1")
        .and_then(|mut set| set.execute(params![update.name.as_str(), record]))
        .map_err(fault("store a feed", db.path))?;
    if let Some(entry) = audit {
        super::audit::append(db, entry, None)?;
    }
    Ok(replaced)
}

/// What is known of all feeds that got anything.
///
/// # Errors
/// [`StoreError::Corrupt`] and failures to read.
pub(super) fn records(db: Db<'_>) -> Result<Vec<NamedFeedRecord>, StoreError> {
    let fault = fault("read the feeds", db.path);
    let mut select = db
        .conn
        .prepare_cached("SELECT name, record FROM feeds WHERE record IS NOT NULL ORDER BY name")
        .map_err(&fault)?;
    let rows = select
        .query_map([], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        })
        .map_err(&fault)?;
    rows.map(|row| {
        let (name, record) = row.map_err(&fault)?;
        let wrong = |detail: String| db.corrupt(format!("feed {name:?}: {detail}"));
        let known = Name::exact(&name).map_err(|error| wrong(error.to_string()))?;
        let record: FeedRecord =
            serde_json::from_str(&record).map_err(|error| wrong(error.to_string()))?;
        Ok((known, record))
    })
    .collect()
}

/// Stores what is known of feeds whose content is there.
///
/// # Errors
/// Failures to write.
pub(super) fn put_records(db: Db<'_>, records: &[NamedFeedRecord]) -> Result<(), StoreError> {
    for (name, record) in records {
        let record = FeedUpdate {
            name,
            content: None,
            record,
        };
        update(db, &[], record, None)?;
    }
    Ok(())
}

/// The lists of all feeds.
///
/// # Errors
/// [`StoreError::Corrupt`] and failures to read.
pub(super) fn contents(db: Db<'_>) -> Result<Vec<(String, ObjectId)>, StoreError> {
    let fault = fault("list the feeds", db.path);
    let mut select = db
        .conn
        .prepare("SELECT name, content FROM feeds")
        .map_err(&fault)?;
    let rows = select
        .query_map([], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?))
        })
        .map_err(&fault)?;
    rows.map(|row| {
        let (name, hash) = row.map_err(&fault)?;
        let id = id(db, &name, &hash)?;
        Ok((name, id))
    })
    .collect()
}

/// Removes the feeds that are not `kept`, with their content's reference.
///
/// # Errors
/// Failures to write.
pub(super) fn remove_others(db: Db<'_>, kept: &HashSet<String>) -> Result<usize, StoreError> {
    let mut removed = 0;
    for (name, _) in contents(db)? {
        if !kept.contains(&name) {
            removed += db
                .conn
                .execute("DELETE FROM feeds WHERE name = ?1", [&name])
                .map_err(fault("remove a feed", db.path))?;
        }
    }
    Ok(removed)
}

fn content_of(db: Db<'_>, name: &Name) -> Result<Option<ObjectId>, StoreError> {
    let found = db
        .conn
        .prepare_cached("SELECT content FROM feeds WHERE name = ?1")
        .and_then(|mut select| {
            select
                .query_row([name.as_str()], |row| row.get::<_, Vec<u8>>(0))
                .optional()
        })
        .map_err(fault("look a feed up", db.path))?;
    found.map(|hash| id(db, name.as_str(), &hash)).transpose()
}

/// Sets a feed's content. The record says how the content before was got: it goes.
fn put(db: Db<'_>, name: &Name, content: ObjectId) -> Result<(), StoreError> {
    db.conn
        .prepare_cached(
            "INSERT INTO feeds (name, content) VALUES (?1, ?2)
             ON CONFLICT (name)
             DO UPDATE SET content = excluded.content, record = NULL",
        )
        .and_then(|mut insert| insert.execute(params![name.as_str(), content.as_bytes()]))
        .map(drop)
        .map_err(fault("store a feed's content", db.path))
}

fn id(db: Db<'_>, name: &str, hash: &[u8]) -> Result<ObjectId, StoreError> {
    ObjectId::from_slice(hash)
        .ok_or_else(|| db.corrupt(format!("the content of feed {name:?} is no hash")))
}
