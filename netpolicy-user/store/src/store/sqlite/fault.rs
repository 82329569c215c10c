//! Failures of the operating system and of SQLite as the store's errors.
//!
//! SQLite's result codes are turned into cases here and nowhere else. Codes:
//! <https://sqlite.org/rescode.html>.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use rusqlite::ffi;

use super::BUSY_TIMEOUT;
use crate::store::StoreError;

impl StoreError {
    /// The case that an I/O error on `path` means.
    pub(in crate::store) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::NoPermission { path },
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            io::ErrorKind::NotADirectory => Self::NotADirectory { path },
            _ => Self::Io {
                action,
                path,
                source,
            },
        }
    }

    /// The case that a failure of SQLite on the database at `path` means.
    pub(in crate::store) fn sqlite(
        action: &'static str,
        path: &Path,
        source: rusqlite::Error,
    ) -> Self {
        let path = path.to_path_buf();
        let Some(error) = source.sqlite_error() else {
            return match source {
                // A column of a type that no version of netpolicy writes.
                rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::Utf8Error(..) => Self::Corrupt {
                    path,
                    detail: source.to_string(),
                },
                // The statements are constant: what one does not find there is damaged.
                rusqlite::Error::SqlInputError { msg, .. } => Self::Corrupt {
                    path,
                    detail: one_line(&format!("its tables are not as they were made: {msg}")),
                },
                _ => Self::failed(action, path, source),
            };
        };
        match error.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy {
                path,
                seconds: BUSY_TIMEOUT.as_secs(),
            },
            ErrorCode::NotADatabase => Self::Corrupt {
                path,
                detail: "it does not begin like an SQLite database".into(),
            },
            ErrorCode::DatabaseCorrupt => Self::Corrupt {
                path,
                detail: one_line(&source.to_string()),
            },
            ErrorCode::ReadOnly => Self::ReadOnly { path },
            ErrorCode::DiskFull => Self::Full { path },
            ErrorCode::SystemIoFailure => match error.extended_code {
                ffi::SQLITE_IOERR_SHORT_READ | ffi::SQLITE_IOERR_CORRUPTFS => Self::Corrupt {
                    path,
                    detail: "it is cut short".into(),
                },
                // Not every write that finds no space is reported as such: the
                // shared-memory file's and a late one at fsync are not.
                _ if is_full(&path) => Self::Full { path },
                _ => Self::failed(action, path, source),
            },
            ErrorCode::CannotOpen if is_full(&path) => Self::Full { path },
            ErrorCode::PermissionDenied => Self::NoPermission { path },
            _ => Self::failed(action, path, source),
        }
    }
    fn failed(action: &'static str, path: PathBuf, source: rusqlite::Error) -> Self {
        Self::Failed {
            action,
            path,
            source: source.into(),
        }
    }
}

/// Turns failures of SQLite while doing `action` on the database at `path` into
/// store errors.
pub(super) fn fault<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl Fn(rusqlite::Error) -> StoreError + use<'a> {
    move |source| StoreError::sqlite(action, path, source)
}

/// Whether the file system of `path` has no block left.
fn is_full(path: &Path) -> bool {
    let directory = path.parent().unwrap_or(path);
    rustix::fs::statvfs(directory).is_ok_and(|stat| stat.f_blocks > 0 && stat.f_bavail == 0)
}

/// SQLite quotes what it found as it is.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
