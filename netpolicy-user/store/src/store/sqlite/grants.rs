//! The table of privileges that were granted.

use jiff::Timestamp;
use rusqlite::params;

use super::db::Db;
use super::fault::fault;
use crate::model::{Grant, Name};
use crate::store::StoreError;

/// All grants, ordered by principal.
pub(super) fn all(db: Db<'_>) -> Result<Vec<Grant>, StoreError> {
    let fault = fault("read grants", db.path);
    let mut select = db
        .conn
        .prepare_cached(
            "SELECT privilege, principal, policy, granted_by, granted FROM grants
             ORDER BY principal, privilege, ifnull(policy, '')",
        )
        .map_err(&fault)?;
    let rows = select
        .query_map([], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, Option<String>>(2)?,
                row.get::<_, String>(3)?,
                row.get::<_, String>(4)?,
            ))
        })
        .map_err(&fault)?;
    rows.map(|row| {
        let (privilege, principal, policy, granted_by, granted) = row.map_err(&fault)?;
        let corrupt = |detail: String| db.corrupt(format!("grant to {principal:?}: {detail}"));
        Ok(Grant {
            privilege: privilege.parse().map_err(|e| corrupt(text(&e)))?,
            to: principal.parse().map_err(|e| corrupt(text(&e)))?,
            policy: policy
                .map(|name| Name::exact(&name))
                .transpose()
                .map_err(|e| corrupt(text(&e)))?,
            granted_by,
            granted: granted
                .parse::<Timestamp>()
                .map_err(|e| corrupt(text(&e)))?,
        })
    })
    .collect()
}

fn text(error: &dyn std::error::Error) -> String {
    error.to_string()
}

/// Stores a grant in place of the same one.
pub(super) fn put(db: Db<'_>, grant: &Grant) -> Result<(), StoreError> {
    remove(db, grant)?;
    db.conn
        .prepare_cached(
            "INSERT INTO grants (privilege, principal, policy, granted_by, granted)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .and_then(|mut insert| {
            insert.execute(params![
                grant.privilege.to_string(),
                grant.to.to_string(),
                grant.policy.as_ref().map(Name::as_str),
                grant.granted_by,
                grant.granted.to_string(),
            ])
        })
        .map(drop)
        .map_err(fault("store a grant", db.path))
}

/// Removes the grant of the same privilege, principal and policy; whether there was one.
pub(super) fn remove(db: Db<'_>, grant: &Grant) -> Result<bool, StoreError> {
    db.conn
        .prepare_cached(
            "DELETE FROM grants WHERE privilege = ?1 AND principal = ?2 AND policy IS ?3",
        )
        .and_then(|mut delete| {
            delete.execute(params![
                grant.privilege.to_string(),
                grant.to.to_string(),
                grant.policy.as_ref().map(Name::as_str),
            ])
        })
        .map(|removed| removed > 0)
        .map_err(fault("remove a grant", db.path))
}
