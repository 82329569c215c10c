//! Backups: their metadata and content.

use std::fs::File;
use std::path::PathBuf;

use jiff::Timestamp;

use super::StoreError;
use crate::model::{Bypass, State};

/// Makes one backup, on any thread, while the store goes on.
pub struct Archivist(Box<dyn FnOnce() -> Result<Backup, StoreError> + Send>);

impl Archivist {
    /// One that makes the backup in this way.
    pub(super) fn new(write: impl FnOnce() -> Result<Backup, StoreError> + Send + 'static) -> Self {
        Self(Box::new(write))
    }

    /// Copies what is committed now, and reads all of the copy back.
    ///
    /// # Errors
    /// Failures to read and write; [`StoreError::Corrupt`] if the store is damaged.
    pub fn write(self) -> Result<Backup, StoreError> {
        (self.0)()
    }
}

/// A backup without a name.
#[derive(Debug)]
pub struct Backup {
    /// To be read from its begin.
    pub file: File,
    /// Its size.
    pub bytes: u64,
    /// BLAKE3 of its content.
    pub digest: [u8; 32],
    /// What it holds.
    pub summary: Summary,
}

/// What a store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The newest revision; 0: none.
    pub revision: u64,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Who made it: an OS user's name.
    pub actor: String,
    /// Revisions that are kept.
    pub revisions: usize,
    /// Policies of the newest one.
    pub policies: usize,
}

/// What a backup holds.
#[derive(Debug)]
pub struct Restorable {
    /// In short.
    pub summary: Summary,
    /// Its newest state.
    pub state: State,
    /// Its bypasses, by the system's clock; expired ones among them.
    pub bypasses: Vec<Bypass>,
}

/// Where a database is kept that another took the place of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplacedDatabase {
    /// The database.
    pub path: PathBuf,
    /// Its log, without which it may lack its newest revisions.
    pub log: Option<PathBuf>,
}
