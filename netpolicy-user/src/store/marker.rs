//! The file that says that the store was filled: without it a database that is missing or empty
//! is a first start, with it the state was lost.
//!
//! It is written before the first revision, and names the database by its id, so that a first
//! commit that was cut short is not taken for a loss.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _};

use super::StoreError;
use super::error::fault;

/// Its name within the state directory.
pub(super) const FILE_NAME: &str = "filled";

/// Its path.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join(FILE_NAME)
}

/// The id of the database that was filled; empty if it is not known; `None`: none was.
///
/// # Errors
/// It cannot be read.
pub(super) fn read(dir: &Path) -> Result<Option<String>, StoreError> {
    let path = path(dir);
    match fs::read_to_string(&path) {
        // Damaged: it is there all the same.
        Ok(text) => Ok(Some(text.lines().next().unwrap_or_default().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Some(String::new())),
        Err(error) => Err(StoreError::io("read", &path, error)),
    }
}

/// Says that the database with this id is filled. Durable when it returns.
///
/// # Errors
/// It cannot be written.
pub(super) fn write(dir: &Path, id: &str) -> Result<(), StoreError> {
    let path = path(dir);
    let new = dir.join(format!("{FILE_NAME}.new"));
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(
            format!(
                "{id}\n\
                 netpolicy's state is in state.db beside this file. While this file is here, the \
                 agent does not start if state.db is missing or empty: an empty state would let \
                 every source in. `netpolicy store reset` removes both.\n"
            )
            .as_bytes(),
        )?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(dir)?.sync_all()
    })();
    written.map_err(|source| StoreError::io("write", &path, source))
}

/// The id that the database was given when it was made; `None`: it never was given one.
///
/// # Errors
/// It cannot be read.
pub(super) fn id(conn: &Connection, path: &Path) -> Result<Option<String>, StoreError> {
    conn.query_row(
        "SELECT value FROM settings WHERE key = 'store_id'",
        [],
        |row| row.get(0),
    )
    .optional()
    .map_err(fault("read the store's id", path))
}

/// Refuses an empty database where another one was filled.
///
/// # Errors
/// [`StoreError::Emptied`]; failures to read.
pub(super) fn check(dir: &Path, conn: &Connection, path: &Path) -> Result<bool, StoreError> {
    let marked = read(dir)?;
    let is_empty: bool = conn
        .query_row("SELECT NOT EXISTS (SELECT 1 FROM revisions)", [], |row| {
            row.get(0)
        })
        .map_err(fault("look for revisions", path))?;
    let id = id(conn, path)?.unwrap_or_default();
    match marked {
        Some(marked) if is_empty && marked != id => Err(StoreError::Emptied {
            path: path.to_path_buf(),
            marker: self::path(dir),
            what: "empty",
        }),
        Some(marked) if marked == id => Ok(true),
        // Filled before there were markers, or put here from elsewhere.
        _ if !is_empty => write(dir, &id).map(|()| true),
        _ => Ok(false),
    }
}

/// Whether the database comes out of a backup, and no agent has run with it.
///
/// # Errors
/// It cannot be read.
pub(super) fn is_restored(conn: &Connection, path: &Path) -> Result<bool, StoreError> {
    conn.query_row(
        "SELECT EXISTS (SELECT 1 FROM settings WHERE key = 'restored')",
        [],
        |row| row.get(0),
    )
    .map_err(fault("look whether it was restored", path))
}
