//! Immutable content, named by its hash: what is there already is not written again.
//!
//! A name is the BLAKE3 hash of the body under a key of its kind, so that an
//! object of one kind is never taken for one of another. A changed format of
//! chunks or lists is a new kind; states say their format themselves.

use std::fmt;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::error::fault;

/// What an object holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Some rules of a list; see `chunk.rs`.
    Chunk,
    /// A list: its chunks in order; see `list.rs`.
    List,
    /// A state, which refers to lists; see `document.rs`.
    State,
}

impl Kind {
    /// BLAKE3's key derivation context.
    const fn context(self) -> &'static str {
        match self {
            Self::Chunk => "netpolicy store: chunk of rules, format 1",
            Self::List => "netpolicy store: list of rules, format 1",
            Self::State => "netpolicy store: state",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Chunk => "chunk",
            Self::List => "list",
            Self::State => "state",
        }
    }

    fn id(self, body: &[u8]) -> ObjectId {
        let mut hasher = blake3::Hasher::new_derive_key(self.context());
        hasher.update(body);
        ObjectId(*hasher.finalize().as_bytes())
    }
}

/// An object's name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct ObjectId([u8; 32]);

impl ObjectId {
    /// The id in 64 hexadecimal digits, if it is that.
    pub(super) fn from_hex(text: &str) -> Option<Self> {
        blake3::Hash::from_hex(text)
            .ok()
            .map(|hash| Self(hash.into()))
    }

    /// The id in these bytes, if they are as many.
    pub(super) fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Its bytes.
    pub(super) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

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

    /// Stores an object unless it is there.
    ///
    /// # Errors
    /// Failures to write.
    pub(super) fn put(&self, kind: Kind, body: &[u8]) -> Result<ObjectId, StoreError> {
        let fault = fault("store an object", self.path);
        let id = kind.id(body);
        self.conn
            .prepare_cached(
                "INSERT INTO objects (hash, body) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            )
            .and_then(|mut insert| insert.execute(params![id.as_bytes(), body]))
            .map_err(fault)?;
        Ok(id)
    }

    /// Reads an object, after checking that it is what its name says.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it is missing, altered, or `decode` finds a
    /// fault in it (which it puts in words); failures to read.
    pub(super) fn get<T>(
        &self,
        kind: Kind,
        id: &ObjectId,
        decode: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Result<T, StoreError> {
        let fault = fault("read an object", self.path);
        let mut select = self
            .conn
            .prepare_cached("SELECT body FROM objects WHERE hash = ?1")
            .map_err(&fault)?;
        let found = select
            .query_row([id.as_bytes()], |row| {
                // Borrowed from SQLite: copying every chunk would cost a pass more.
                let body = row.get_ref(0)?.as_blob()?;
                Ok(if kind.id(body) == *id {
                    decode(body)
                } else {
                    Err("its content does not match its hash".into())
                })
            })
            .optional()
            .map_err(&fault)?;
        found
            .unwrap_or_else(|| Err("it is missing".into()))
            .map_err(|detail| self.corrupt(format!("{} {id}: {detail}", kind.name())))
    }
}
