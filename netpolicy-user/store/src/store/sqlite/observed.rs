//! The memory of sources in an SQLite database of its own: one table of records.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

use super::open::connect;
use super::witness::sibling;
use crate::store::{EachRecord, ObservationStore, Records, StoreError};

/// The database's name within the state directory.
const FILE_NAME: &str = "observations.db";

/// The version of the table.
const VERSION: i64 = 1;

/// The write-ahead log is cut back to this size, bytes.
const WAL_BYTES_KEPT: i64 = 4 << 20;

/// Bytes of a page.
const PAGE: u64 = 4096;

/// A database in the state directory.
pub(crate) struct SqliteObservations {
    conn: Connection,
    path: PathBuf,
    /// Device and inode of the file.
    file: Option<(u64, u64)>,
}

impl SqliteObservations {
    /// See [`crate::store::open_observations`].
    pub(crate) fn open(dir: &Path, most_bytes: u64) -> Result<Self, StoreError> {
        let path = dir.join(FILE_NAME);
        let made = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        drop(made.map_err(|source| StoreError::io("open", &path, source))?);
        let conn = connect(&path)?;
        let fault = |source| StoreError::sqlite("open the memory of sources", &path, source);
        conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))
            .map_err(fault)?;
        // What was written last may be lost with the machine, not with the agent.
        conn.pragma_update(None, "synchronous", "NORMAL")
            .map_err(fault)?;
        conn.pragma_update(None, "cell_size_check", true)
            .map_err(fault)?;
        conn.pragma_update_and_check(None, "journal_size_limit", WAL_BYTES_KEPT, |_| Ok(()))
            .map_err(fault)?;
        let pages = i64::try_from(most_bytes / PAGE).unwrap_or(i64::MAX);
        conn.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
            .map_err(fault)?;
        let version: i64 = conn
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .map_err(fault)?;
        match version {
            VERSION => {}
            0 => conn
                .execute_batch(
                    "BEGIN;
                     CREATE TABLE records (
                         kind INTEGER NOT NULL,
                         key BLOB NOT NULL,
                         value BLOB NOT NULL,
                         PRIMARY KEY (kind, key)
                     ) WITHOUT ROWID;
                     PRAGMA user_version = 1;
                     COMMIT;",
                )
                .map_err(fault)?,
            other => {
                let detail = format!("its format is {other}; this netpolicy's is {VERSION}");
                return Err(StoreError::Corrupt { path, detail });
            }
        }
        let file = identity(&path);
        Ok(Self { conn, path, file })
    }

    /// See [`crate::store::discard_observations`].
    pub(crate) fn discard(dir: &Path) -> Result<(), StoreError> {
        let path = dir.join(FILE_NAME);
        for file in [sibling(&path, "-wal"), sibling(&path, "-shm"), path] {
            match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::io("remove", &file, error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// See [`crate::store::observations_bytes`].
    pub(crate) fn bytes(dir: &Path) -> Option<u64> {
        let found = fs::metadata(dir.join(FILE_NAME)).ok()?;
        Some(found.len())
    }
}

impl SqliteObservations {
    /// Writes records in a transaction; `is_whole`: in place of all others.
    fn put(&mut self, records: Records<'_>, is_whole: bool) -> Result<(), StoreError> {
        let fault = |source| StoreError::sqlite("write the memory of sources", &self.path, source);
        let write = self.conn.transaction().map_err(fault)?;
        if is_whole {
            write.execute("DELETE FROM records", []).map_err(fault)?;
        }
        {
            let mut put = write
                .prepare_cached(
                    "INSERT INTO records (kind, key, value) VALUES (?1, ?2, ?3)
                     ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value",
                )
                .map_err(fault)?;
            let mut remove = write
                .prepare_cached("DELETE FROM records WHERE kind = ?1 AND key = ?2")
                .map_err(fault)?;
            for record in records {
                match &record.value {
                    Some(value) => put.execute(params![record.kind, record.key, value]),
                    None => remove.execute(params![record.kind, record.key]),
                }
                .map_err(fault)?;
            }
        }
        write.commit().map_err(fault)
    }
}

/// Device and inode.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let found = fs::metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

impl ObservationStore for SqliteObservations {
    fn load(&mut self, each: EachRecord<'_>) -> Result<(), StoreError> {
        let fault = |source| StoreError::sqlite("read the memory of sources", &self.path, source);
        let mut select = self
            .conn
            .prepare("SELECT kind, key, value FROM records ORDER BY kind, key")
            .map_err(fault)?;
        let mut rows = select.query([]).map_err(fault)?;
        while let Some(row) = rows.next().map_err(fault)? {
            let kind: u8 = row.get(0).map_err(fault)?;
            let blob = |at| {
                let value = row.get_ref(at)?;
                value.as_blob().map_err(rusqlite::Error::from)
            };
            each(kind, blob(1).map_err(fault)?, blob(2).map_err(fault)?);
        }
        Ok(())
    }

    fn write(&mut self, records: Records<'_>) -> Result<(), StoreError> {
        self.put(records, false)
    }

    fn replace(&mut self, records: Records<'_>) -> Result<(), StoreError> {
        self.put(records, true)
    }

    fn is_in_place(&self) -> bool {
        self.file.is_some() && identity(&self.path) == self.file
    }
}
