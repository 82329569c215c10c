//! Backups: a whole, checked copy of the database in one file, made while it is in use.
//!
//! A copy of `state.db` alone lacks what is in its write-ahead log still, which may be
//! everything.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;

use super::db::Db;
use super::fault::{fault, one_line};
use super::open::{self, FILE_NAME};
use super::schema::{self, MIGRATIONS};
use super::witness::Witness;
use super::{audit, bypasses, marker, past, replace, whole, witness};
use crate::clock::Clock;
use crate::model::{Bypass, State};
use crate::store::{AuditEntry, Backup, ReplacedDatabase, Restorable, StoreError, Summary};

/// How the name of a backup begins while it is made.
const PREFIX: &str = "state.db.backup-";

/// A connection of its own, from which one backup is made.
pub(super) struct Source {
    conn: Connection,
    path: PathBuf,
    /// Closed after the connection; see there.
    _witness: Arc<Witness>,
}

impl Source {
    pub(super) fn open(path: &Path, witness: Arc<Witness>) -> Result<Self, StoreError> {
        Ok(Self {
            conn: open::another(path)?,
            path: path.to_path_buf(),
            _witness: witness,
        })
    }

    /// Copies what is committed now, and reads all of the copy back.
    ///
    /// # Errors
    /// Failures to read and write; [`StoreError::Corrupt`] if the store is damaged.
    pub(super) fn write(self) -> Result<Backup, StoreError> {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        let copy = dir.join(format!(
            "{PREFIX}{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        let backup = copy_into(&self.conn, &self.path, &copy).and_then(|()| {
            let fault = |source| StoreError::io("read", &copy, source);
            let conn = open::connect(&copy)?;
            let summary = whole::check(&conn, &copy)?;
            drop(conn);
            let mut file = File::open(&copy).map_err(fault)?;
            let mut hasher = blake3::Hasher::new();
            let mut buffer = vec![0; 1 << 18];
            let mut bytes = 0;
            loop {
                let read = file.read(&mut buffer).map_err(fault)?;
                let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else {
                    break;
                };
                hasher.update(part);
                bytes += part.len() as u64;
            }
            file.rewind().map_err(fault)?;
            Ok(Backup {
                file,
                bytes,
                digest: *hasher.finalize().as_bytes(),
                summary,
            })
        });
        // The descriptor is enough; where it fails, opening the store removes it.
        let _ = fs::remove_file(&copy);
        backup
    }
}

/// Copies the database behind `conn` into a new file (0600).
///
/// # Errors
/// Failures to read and write.
pub(super) fn copy_into(conn: &Connection, path: &Path, to: &Path) -> Result<(), StoreError> {
    // SQLite would make it readable for all; it takes an empty file.
    create(to)?;
    let name = to.to_str().ok_or_else(|| StoreError::Unstorable {
        detail: format!("the path {} is not UTF-8", to.display()),
    })?;
    conn.execute("VACUUM INTO ?1", [name])
        .map(drop)
        .map_err(fault("copy the database", path))
}

fn create(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| StoreError::io("create", path, source))
}

/// Removes copies and drafts that were cut short.
///
/// # Errors
/// Failures to list and remove.
pub(super) fn tidy(dir: &Path) -> Result<(), StoreError> {
    replace::remove_draft(dir)?;
    let fault = |source| StoreError::io("list", dir, source);
    for entry in fs::read_dir(dir).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            fs::remove_file(entry.path())
                .map_err(|source| StoreError::io("remove", &entry.path(), source))?;
        }
    }
    Ok(())
}

/// Makes a database out of `file` that can take the place of the one in `dir`, whose lock the
/// caller holds; what it holds. Nothing is replaced.
///
/// # Errors
/// It is no whole backup, of another program, newer, empty; failures to read and write.
pub fn prepare_restore(
    dir: &Path,
    file: &Path,
    entry: impl FnOnce(&Summary) -> AuditEntry,
) -> Result<Restorable, StoreError> {
    open::directory(dir)?;
    replace::finish(dir)?;
    replace::remove_draft(dir)?;
    let draft = replace::draft(dir);
    let drafted = (|| {
        let log = witness::sibling(file, "-wal");
        if fs::metadata(&log).is_ok_and(|found| found.len() > 0) {
            return Err(StoreError::NotABackup {
                path: file.to_path_buf(),
                why: format!("{} next to it holds a part of it", log.display()),
            });
        }
        let unread = |source| StoreError::io("read", file, source);
        let mut from = File::open(file).map_err(unread)?;
        if !from.metadata().map_err(unread)?.is_file() {
            return Err(StoreError::NotABackup {
                path: file.to_path_buf(),
                why: "it is not a regular file".to_owned(),
            });
        }
        let mut to = create(&draft)?;
        std::io::copy(&mut from, &mut to)
            .map_err(|source| StoreError::io("copy to", &draft, source))?;
        drop(to);
        let mut conn = open::connect(&draft)?;
        let (summary, state, bypasses) =
            read_backup(&mut conn, file).map_err(|error| of_backup(error, file))?;
        if summary.revision == 0 {
            return Err(StoreError::NotABackup {
                path: file.to_path_buf(),
                why: "it holds no revision".to_owned(),
            });
        }
        let tx = conn
            .transaction()
            .map_err(fault("begin a change", &draft))?;
        tx.execute(
            "INSERT OR REPLACE INTO settings VALUES ('restored', 'yes')",
            [],
        )
        .map_err(fault("note that it is restored", &draft))?;
        let db = Db {
            conn: &tx,
            path: &draft,
        };
        audit::append(db, &entry(&summary), None)?;
        tx.commit().map_err(fault("commit", &draft))?;
        // One file: a copy of a database in use says that it has a log.
        conn.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))
            .map_err(fault("close the log of", &draft))?;
        conn.close()
            .map_err(|(_, source)| StoreError::sqlite("close", &draft, source))?;
        Ok(Restorable {
            summary,
            state,
            bypasses,
        })
    })();
    if drafted.is_err() {
        // The first error counts.
        let _ = replace::remove_draft(dir);
    }
    drafted
}

/// Reads all of the copy of `file`, which is named where something is wrong with it.
fn read_backup(
    conn: &mut Connection,
    file: &Path,
) -> Result<(Summary, State, Vec<Bypass>), StoreError> {
    schema::check(conn, file, MIGRATIONS)?;
    schema::migrate(conn, file, MIGRATIONS)?;
    let summary = whole::check(conn, file)?;
    let db = Db { conn, path: file };
    let state = past::state_at(db, &[], summary.revision)?;
    let bypasses = bypasses::all(db, &Clock::system())?.into_iter();
    let bypasses = bypasses.map(|(bypass, _)| bypass).collect();
    Ok((summary, state, bypasses))
}

/// What is wrong with a file that is to be restored is not wrong with the store.
fn of_backup(error: StoreError, file: &Path) -> StoreError {
    let why = match error {
        StoreError::Corrupt { detail, .. } => detail,
        StoreError::Foreign { found, .. } => {
            format!("it is another program's SQLite database (application id {found:#x})")
        }
        StoreError::Failed { source, .. } => one_line(&source.to_string()),
        other => return other,
    };
    StoreError::NotABackup {
        path: file.to_path_buf(),
        why,
    }
}

/// Removes what [`prepare_restore`] made.
///
/// # Errors
/// Failures to remove.
pub fn discard_restore(dir: &Path) -> Result<(), StoreError> {
    replace::remove_draft(dir)
}

/// Puts what [`prepare_restore`] made in place; where the old database is kept, if there was one.
///
/// # Errors
/// Failures to link, rename and remove; the old or the new one is in place then.
pub fn restore(dir: &Path, now: jiff::Timestamp) -> Result<Option<ReplacedDatabase>, StoreError> {
    replace::put_in_place(dir, now)
}

/// Leaves nothing in `dir`, whose lock the caller holds, so that the next agent begins with no
/// policy; where the old database is kept, if there was one.
///
/// # Errors
/// Failures to link, create and remove; it has happened or has not then.
pub fn reset(dir: &Path, now: jiff::Timestamp) -> Result<Option<ReplacedDatabase>, StoreError> {
    replace::finish(dir)?;
    replace::set_aside(dir, now)
}

/// Whether there is anything in `dir` that [`reset`] would take away.
#[must_use]
pub fn is_filled(dir: &Path) -> bool {
    dir.join(FILE_NAME).exists() || marker::path(dir).exists()
}
