//! Whether a database can be read back, all of it: every page, every object by its hash, every
//! revision with its lists.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::Connection;

use super::db::Db;
use super::fault::{fault, one_line};
use super::{audit, bans, bypasses, feeds, grants, pending};
use crate::clock::Clock;
use crate::store::objects::ObjectId;
use crate::store::{StoreError, Summary, Window, state};

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
    let mut checked = HashSet::new();
    for row in rows {
        let (revision, created, actor, state) = row.map_err(&fault)?;
        let id = ObjectId::from_slice(&state)
            .ok_or_else(|| db.corrupt(format!("revision {revision}: its state is no hash")))?;
        let policies = state::check(&db, &id, &mut checked)?;
        summary.revision = u64::try_from(revision).unwrap_or(0);
        summary.created = created.parse().ok();
        summary.actor = actor;
        summary.revisions += 1;
        summary.policies = policies;
    }
    bypasses::all(db, &Clock::system())?;
    bans::read(db, &Clock::system(), &mut |_| ())?;
    pending::get(db, &Clock::system())?;
    for (_, content) in feeds::contents(db)? {
        state::check_list(&db, content, &mut checked)?;
    }
    feeds::records(db)?;
    grants::all(db)?;
    audit::list(db, &Window::newest(usize::MAX))?;
    Ok(summary)
}
