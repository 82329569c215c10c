//! Finding, making and opening the database file.
//!
//! The caller holds the state directory's lock (`agent::upkeep::lock`), so that no two
//! agents make the file at the same time.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use rustix::fs::Access;

use super::marker::Marker;
use super::schema::{self, MIGRATIONS};
use super::witness::{Witness, sibling};
use super::{BUSY_TIMEOUT, backup, marker, replace};
use crate::model::counted;
use crate::store::StoreError;

/// The database's name within the state directory.
pub(super) const FILE_NAME: &str = "state.db";

/// The size of SQLite's smallest page, and so of the smallest database, bytes.
const SMALLEST: u64 = 512;

/// The write-ahead log is cut back to this size after large commits, bytes.
const WAL_BYTES_KEPT: i64 = 16 << 20;

/// An open database.
pub(super) struct OpenDatabase {
    /// The connection that writes.
    pub(super) conn: Connection,
    /// The file.
    pub(super) path: PathBuf,
    /// Whether it is kept.
    pub(super) witness: Witness,
    /// The file that says which store was in use last.
    pub(super) marker: Marker,
}

/// Opens the database in `dir`; makes both if they are missing (0700 and 0600).
///
/// # Errors
/// See [`super::SqliteStore::open_with`].
pub(super) fn open(dir: &Path) -> Result<OpenDatabase, StoreError> {
    directory(dir)?;
    replace::finish(dir)?;
    backup::tidy(dir)?;
    let path = dir.join(FILE_NAME);
    match fs::metadata(&path) {
        Ok(found) if !found.is_file() => return Err(StoreError::NotAFile { path }),
        Ok(found) if found.len() < SMALLEST => {
            // SQLite takes it for a new database, but `create` never leaves one so
            // small: a lost policy would become an open host.
            let detail = format!("it has only {}", counted(found.len(), "byte", "bytes"));
            return Err(StoreError::Corrupt { path, detail });
        }
        Ok(_) => must_own_log(&path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if marker::read(dir)?.is_some() {
                let marker = marker::path(dir);
                let what = "missing";
                return Err(StoreError::Emptied { path, marker, what });
            }
            must_have_no_log(&path)?;
            create(dir, &path)?;
        }
        Err(error) => return Err(StoreError::io("open", &path, error)),
    }
    // SQLite would open without a word what it may only read.
    accessible(&path, Access::READ_OK | Access::WRITE_OK)?;
    let mut witness = Witness::open(&path)?;
    let mut conn = connect(&path)?;
    schema::check(&conn, &path, MIGRATIONS)?;
    configure(&conn, &path)?;
    schema::migrate(&mut conn, &path, MIGRATIONS)?;
    schema::verify(&conn, &path)?;
    let marker = Marker::open(dir, &conn, &path)?;
    witness.settle()?;
    Ok(OpenDatabase {
        conn,
        path,
        witness,
        marker,
    })
}

/// Another connection to a database that is open.
///
/// # Errors
/// It cannot be opened.
pub(super) fn another(path: &Path) -> Result<Connection, StoreError> {
    let conn = connect(path)?;
    configure(&conn, path)?;
    Ok(conn)
}

/// Makes sure that the state directory is there (0700 if it has to be made) and
/// that files can be made in it.
///
/// # Errors
/// [`StoreError::NotADirectory`], [`StoreError::NoPermission`],
/// [`StoreError::ReadOnly`], and failures to make it.
pub fn directory(dir: &Path) -> Result<(), StoreError> {
    match fs::metadata(dir) {
        Ok(found) if !found.is_dir() => {
            return Err(StoreError::NotADirectory {
                path: dir.to_path_buf(),
            });
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)
                .map_err(|source| StoreError::io("create", dir, source))?;
            if let Some(parent) = dir.parent() {
                sync(parent)?;
            }
        }
        Err(error) => return Err(StoreError::io("open", dir, error)),
    }
    accessible(dir, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)
}

/// A log's header; a log that is no longer holds nothing (<https://sqlite.org/walformat.html>).
const LOG_HEADER: u64 = 32;

/// The log next to a database, if it holds anything.
fn log_of(path: &Path) -> Option<PathBuf> {
    let log = sibling(path, "-wal");
    let found = fs::metadata(&log).ok()?;
    (found.len() > LOG_HEADER).then_some(log)
}

/// Refuses a database that was copied next to the log of another, which SQLite would
/// replay over it.
///
/// The file says that it uses a log before its log holds anything, and as long as it is in use
/// (<https://sqlite.org/fileformat2.html#file_format_version_numbers>). A backup does not.
fn must_own_log(path: &Path) -> Result<(), StoreError> {
    const VERSIONS: u64 = 18;
    const WITHOUT_LOG: [u8; 2] = [1, 1];
    let Some(log) = log_of(path) else {
        return Ok(());
    };
    let mut versions = [0; 2];
    let read = File::open(path).and_then(|file| file.read_exact_at(&mut versions, VERSIONS));
    read.map_err(|source| StoreError::io("read", path, source))?;
    if versions != WITHOUT_LOG {
        return Ok(());
    }
    Err(StoreError::OtherLog {
        path: path.to_path_buf(),
        log,
        why: "the database is a copy that was made without a log",
    })
}

/// Refuses to make a database next to the log of one that is gone.
fn must_have_no_log(path: &Path) -> Result<(), StoreError> {
    match log_of(path) {
        None => Ok(()),
        Some(log) => Err(StoreError::OtherLog {
            path: path.to_path_buf(),
            log,
            why: "the database is missing",
        }),
    }
}

/// Makes a database with today's tables. It appears under its name when it is
/// whole and on disk, so that a crash leaves none rather than half of one.
fn create(dir: &Path, path: &Path) -> Result<(), StoreError> {
    let new = dir.join(format!("{FILE_NAME}.new"));
    let result = (|| {
        remove(&new)?;
        make(&new)?;
        fs::rename(&new, path).map_err(|source| StoreError::io("create", path, source))?;
        sync(dir)
    })();
    if result.is_err() {
        // What is left of it would only be in the way; the first error counts.
        let _ = remove(&new);
    }
    result
}

/// Makes a database with today's tables in a new file, and closes it.
///
/// # Errors
/// The file is there; failures to write.
pub(super) fn make(new: &Path) -> Result<(), StoreError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(new)
        .map_err(|source| StoreError::io("create", new, source))?;
    let mut conn = connect(new)?;
    // Lets `prune` give space back; only possible before there are tables.
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")
        .map_err(|source| StoreError::sqlite("make the tables", new, source))?;
    schema::migrate(&mut conn, new, MIGRATIONS)?;
    conn.close()
        .map_err(|(_, source)| StoreError::sqlite("make the tables", new, source))
}

/// Removes an unfinished database with its journal.
fn remove(new: &Path) -> Result<(), StoreError> {
    let mut journal = new.as_os_str().to_owned();
    journal.push("-journal");
    for file in [new, Path::new(&journal)] {
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::io("remove", file, error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A connection, without settings.
///
/// # Errors
/// The file cannot be opened.
pub(super) fn connect(path: &Path) -> Result<Connection, StoreError> {
    let fault = |source| StoreError::sqlite("open a connection", path, source);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(fault)?;
    conn.busy_timeout(BUSY_TIMEOUT).map_err(fault)?;
    Ok(conn)
}

/// Settings of a connection; of these, only WAL is remembered in the file.
fn configure(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    let fault = |source| StoreError::sqlite("configure the connection", path, source);
    let mode: String = conn
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .map_err(fault)?;
    if mode != "wal" {
        return Err(StoreError::FileSystem {
            path: path.to_path_buf(),
            why: format!("does not support SQLite's write-ahead log (journal mode stays {mode:?})"),
        });
    }
    // FULL syncs the log at every commit: what was committed survives a power cut.
    conn.pragma_update(None, "synchronous", "FULL")
        .map_err(fault)?;
    conn.pragma_update(None, "foreign_keys", true)
        .map_err(fault)?;
    // Finds damaged pages when they are read instead of trusting them.
    conn.pragma_update(None, "cell_size_check", true)
        .map_err(fault)?;
    conn.pragma_update_and_check(None, "journal_size_limit", WAL_BYTES_KEPT, |_| Ok(()))
        .map_err(fault)
}

/// Refuses what this user cannot access in these ways.
fn accessible(path: &Path, access: Access) -> Result<(), StoreError> {
    rustix::fs::access(path, access).map_err(|errno| StoreError::io("access", path, errno.into()))
}

/// Makes the directory's entries durable.
pub(super) fn sync(dir: &Path) -> Result<(), StoreError> {
    let dir = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|source| StoreError::io("sync", dir, source))
}
