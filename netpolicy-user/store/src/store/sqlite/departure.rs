//! Whether a store goes on from the one that was in use last, by what the marker says.

use std::path::Path;

use rusqlite::Connection;

use super::SqliteStore;
use super::fault::fault;
use super::marker::{self, Marker};
use crate::store::{Departure, DepartureKind, StoreError};

/// How an open database departs from the one that was in use last; `None`: it does not, or
/// nothing is known of that one.
///
/// # Errors
/// Failures to read.
pub(super) fn of(
    marker: &Marker,
    conn: &Connection,
    path: &Path,
    newest: u64,
) -> Result<Option<Departure>, StoreError> {
    let Some(found) = marker.found() else {
        return Ok(None);
    };
    let Some(last) = found.newest else {
        return Ok(None);
    };
    let departure = |kind| {
        Some(Departure {
            kind,
            last: last.revision,
        })
    };
    if last.revision > newest {
        return Ok(departure(DepartureKind::Older));
    }
    Ok(match marker::state_of(conn, path, last.revision)? {
        Some(state) if state == last.state => None,
        Some(_) => departure(DepartureKind::Diverged),
        // It was pruned: nothing but the id tells whose history it is.
        None if found.id == marker.id() => None,
        None => departure(DepartureKind::Diverged),
    })
}

impl SqliteStore {
    /// See [`Store::adopt`](crate::store::Store::adopt).
    pub(super) fn adopt_as_last(&mut self) -> Result<(), StoreError> {
        self.witness.check()?;
        let newest = marker::newest(&self.conn, self.path())?;
        self.marker.adopt(newest)?;
        if marker::is_restored(&self.conn, self.path())? {
            // Last: until then the next start puts it in force, whatever else is.
            self.conn
                .execute("DELETE FROM settings WHERE key = 'restored'", [])
                .map_err(fault("note that an agent runs", self.path()))?;
        }
        Ok(())
    }
}
