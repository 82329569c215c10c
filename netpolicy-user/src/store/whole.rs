//! Whether a database can be read back, all of it: every page, every object by its hash, every
//! revision with its lists.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::Connection;

use super::document::Document;
use super::error::{fault, one_line};
use super::objects::{Db, Kind, ObjectId};
use super::window::Window;
use super::{StoreError, audit, bypasses, grants, list, pending};
use crate::clock::Clock;

/// What a database holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The newest revision; 0: none.
    pub revision: u64,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// By whom: an OS user's name.
    pub actor: String,
    /// Revisions that are kept.
    pub revisions: usize,
    /// Policies of the newest one.
    pub policies: usize,
}

/// Reads everything. Takes a second for some hundred megabytes.
///
/// # Errors
/// [`StoreError::Corrupt`] with what is wrong; failures to read.
pub(super) fn check(conn: &Connection, path: &Path) -> Result<Summary, StoreError> {
    let db = Db { conn, path };
    let found: String = conn
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .map_err(fault("check the pages", path))?;
    if found != "ok" {
        return Err(db.corrupt(one_line(&found)));
    }
    let fault = fault("list the revisions", path);
    let mut select = conn
        .prepare("SELECT revision, created, actor, state FROM revisions ORDER BY revision")
        .map_err(&fault)?;
    let rows = select
        .query_map([], |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, Vec<u8>>(3)?,
            ))
        })
        .map_err(&fault)?;
    let mut summary = Summary {
        revision: 0,
        created: None,
        actor: String::new(),
        revisions: 0,
        policies: 0,
    };
    let mut seen = std::collections::HashSet::new();
    for row in rows {
        let (revision, created, actor, state) = row.map_err(&fault)?;
        let id = ObjectId::from_slice(&state)
            .ok_or_else(|| db.corrupt(format!("revision {revision}: its state is no hash")))?;
        let document = db.get(Kind::State, &id, Document::decode)?;
        for id in document.lists() {
            if seen.insert(id) {
                list::get(db, &id, &[])?;
            }
        }
        let state = document
            .into_state(|_| Some(crate::model::RuleList::default()))
            .map_err(|detail| db.corrupt(format!("revision {revision}: {detail}")))?;
        summary.revision = u64::try_from(revision).unwrap_or(0);
        summary.created = created.parse().ok();
        summary.actor = actor;
        summary.revisions += 1;
        summary.policies = state.policies.len();
    }
    bypasses::all(db, &Clock::system())?;
    pending::get(db, &Clock::system())?;
    grants::all(db)?;
    audit::list(db, &Window::newest(usize::MAX))?;
    Ok(summary)
}
