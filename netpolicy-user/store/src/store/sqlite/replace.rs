//! Putting another database in the place of the state directory's: the old one or the new one
//! is found afterwards, whenever it is cut short.
//!
//! The new one is made and synced under a name of its own. Renaming it to `state.db.restored`
//! decides; what is left to be done then (`finish`) is done again by the process that opens the store
//! next: the old log, which SQLite would replay over the new database, goes before the old
//! database does. In the same way the file `state.db.reset` decides that nothing takes its
//! place.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::marker;
use super::open::{FILE_NAME, sync};
use super::witness::sibling;
use crate::store::{ReplacedDatabase, StoreError};

/// Suffixes of the files next to a database that was not closed.
const LOGS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// A database that is to take the place of the present one.
const DECIDED: &str = "state.db.restored";

/// Says that the present database is to go, and nothing takes its place.
const RESET: &str = "state.db.reset";

/// The name under which a new database is made.
pub(super) fn draft(dir: &Path) -> PathBuf {
    dir.join("state.db.draft")
}

/// Removes a draft with its journals; one that was cut short is of no use.
///
/// # Errors
/// Failures to remove.
pub(super) fn remove_draft(dir: &Path) -> Result<(), StoreError> {
    let draft = draft(dir);
    for suffix in ["", "-journal", "-wal", "-shm"] {
        remove(&sibling(&draft, suffix))?;
    }
    Ok(())
}

/// Puts the draft, which is closed, in place; where the old database is kept, if there was one.
///
/// # Errors
/// Failures to link, rename and remove. Before the decision nothing has changed.
pub(super) fn put_in_place(
    dir: &Path,
    now: Timestamp,
) -> Result<Option<ReplacedDatabase>, StoreError> {
    let draft = draft(dir);
    File::open(&draft)
        .and_then(|file| file.sync_all())
        .map_err(|source| StoreError::io("sync", &draft, source))?;
    let kept = keep(dir, now)?;
    let decided = dir.join(DECIDED);
    fs::rename(&draft, &decided).map_err(|source| StoreError::io("rename", &draft, source))?;
    sync(dir)?;
    finish(dir)?;
    Ok(kept)
}

/// Finishes a replacement that was decided. To be called before the store is opened.
///
/// # Errors
/// Failures to remove and rename.
pub(super) fn finish(dir: &Path) -> Result<(), StoreError> {
    let path = dir.join(FILE_NAME);
    let reset = dir.join(RESET);
    if is_there(&reset)? {
        for suffix in LOGS {
            remove(&sibling(&path, suffix))?;
        }
        remove(&path)?;
        remove(&dir.join(DECIDED))?;
        remove(&marker::path(dir))?;
        sync(dir)?;
        remove(&reset)?;
        return sync(dir);
    }
    let decided = dir.join(DECIDED);
    if !is_there(&decided)? {
        return Ok(());
    }
    for suffix in LOGS {
        remove(&sibling(&path, suffix))?;
    }
    sync(dir)?;
    fs::rename(&decided, &path).map_err(|source| StoreError::io("rename", &decided, source))?;
    sync(dir)
}

/// Keeps the present database and its log under another name, next to the present one.
fn keep(dir: &Path, now: Timestamp) -> Result<Option<ReplacedDatabase>, StoreError> {
    let path = dir.join(FILE_NAME);
    let stamp = now.strftime("%Y%m%dT%H%M%SZ");
    let kept = dir.join(format!("{FILE_NAME}.before-{stamp}"));
    let mut log = None;
    for suffix in ["-wal", ""] {
        let (from, to) = (sibling(&path, suffix), sibling(&kept, suffix));
        // Of the same second: the later one is kept.
        remove(&to)?;
        let linked = match fs::hard_link(&from, &to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
            // Not every file system has links.
            Err(_) => fs::copy(&from, &to).map(drop),
            linked => linked,
        };
        match linked {
            Ok(()) if suffix.is_empty() => {}
            Ok(()) => log = Some(to),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if suffix.is_empty() {
                    return Ok(None);
                }
            }
            Err(error) => return Err(StoreError::io("keep", &from, error)),
        }
    }
    sync(dir)?;
    Ok(Some(ReplacedDatabase { path: kept, log }))
}

/// Takes the present database with its log and the marker away; where it is kept, if there was
/// one.
///
/// # Errors
/// Failures to link, create and remove. Before the decision nothing has changed.
pub(super) fn set_aside(
    dir: &Path,
    now: Timestamp,
) -> Result<Option<ReplacedDatabase>, StoreError> {
    let kept = keep(dir, now)?;
    let reset = dir.join(RESET);
    File::create(&reset).map_err(|source| StoreError::io("create", &reset, source))?;
    sync(dir)?;
    finish(dir)?;
    Ok(kept)
}

fn is_there(file: &Path) -> Result<bool, StoreError> {
    match fs::symlink_metadata(file) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::io("open", file, error)),
    }
}

fn remove(file: &Path) -> Result<(), StoreError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io("remove", file, error))
        }
        _ => Ok(()),
    }
}
