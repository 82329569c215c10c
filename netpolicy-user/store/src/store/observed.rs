//! What keeps the memory of sources: records by kind and key, whose content is the agent's.
//!
//! A store of its own: nothing of the state depends on it, and losing it loses no policy.

use std::path::Path;

use super::StoreError;
use super::sqlite::SqliteObservations;

/// A record that is written, or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservationRecord {
    /// What it is.
    pub kind: u8,
    /// Which one of its kind.
    pub key: Vec<u8>,
    /// Its content; `None`: it is removed.
    pub value: Option<Vec<u8>>,
}

/// Records one by one: all at once may take much memory.
pub type Records<'a> = &'a mut dyn Iterator<Item = ObservationRecord>;

/// Takes the kind, the key and the content of a record.
pub type EachRecord<'a> = &'a mut dyn FnMut(u8, &[u8], &[u8]);

/// Keeps the memory of sources.
pub trait ObservationStore: Send {
    /// Gives all records: kind, key and content.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    fn load(&mut self, each: EachRecord<'_>) -> Result<(), StoreError>;

    /// Writes these records, all or none.
    ///
    /// # Errors
    /// It is full, damaged, or cannot be written.
    fn write(&mut self, records: Records<'_>) -> Result<(), StoreError>;

    /// Writes these records in place of all others, all or none.
    ///
    /// # Errors
    /// See [`Self::write`].
    fn replace(&mut self, records: Records<'_>) -> Result<(), StoreError>;

    /// Whether it is still what its directory holds.
    fn is_in_place(&self) -> bool;
}

/// Opens the memory in the state directory, of at most so many bytes; makes it if it is missing.
///
/// # Errors
/// It is damaged ([`StoreError::Corrupt`]), or the file system refuses.
pub fn open_observations(
    dir: &Path,
    most_bytes: u64,
) -> Result<Box<dyn ObservationStore>, StoreError> {
    Ok(Box::new(SqliteObservations::open(dir, most_bytes)?))
}

/// Removes the memory in the state directory, which is damaged.
///
/// # Errors
/// The file system refuses.
pub fn discard_observations(dir: &Path) -> Result<(), StoreError> {
    SqliteObservations::discard(dir)
}

/// How large the memory in the state directory is, bytes; `None`: there is none.
#[must_use]
pub fn observations_bytes(dir: &Path) -> Option<u64> {
    SqliteObservations::bytes(dir)
}
