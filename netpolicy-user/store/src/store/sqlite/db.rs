//! A connection to the database, and the table of objects behind it.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::fault::fault;
use crate::store::StoreError;
use crate::store::objects::{ObjectId, Objects};

/// A connection or transaction, and the file it is on for messages.
#[derive(Clone, Copy)]
pub(super) struct Db<'a> {
    /// Where statements run.
    pub(super) conn: &'a Connection,
    /// The database file.
    pub(super) path: &'a Path,
}

impl Db<'_> {
    /// The error for content that cannot be what was written.
    pub(super) fn corrupt(&self, detail: String) -> StoreError {
        StoreError::Corrupt {
            path: self.path.to_path_buf(),
            detail,
        }
    }
}

impl Objects for Db<'_> {
    fn read(&self, id: &ObjectId, read: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        let fault = fault("read an object", self.path);
        let mut select = self
            .conn
            .prepare_cached("SELECT body FROM objects WHERE hash = ?1")
            .map_err(&fault)?;
        let found = select
            .query_row([id.as_bytes()], |row| {
                read(row.get_ref(0)?.as_blob()?);
                Ok(())
            })
            .optional()
            .map_err(&fault)?;
        Ok(found.is_some())
    }

    fn write(&self, id: &ObjectId, body: &[u8]) -> Result<(), StoreError> {
        self.conn
            .prepare_cached(
                "INSERT INTO objects (hash, body) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            )
            .and_then(|mut insert| insert.execute(params![id.as_bytes(), body]))
            .map(drop)
            .map_err(fault("store an object", self.path))
    }

    fn corrupt(&self, detail: String) -> StoreError {
        Db::corrupt(self, detail)
    }
}
