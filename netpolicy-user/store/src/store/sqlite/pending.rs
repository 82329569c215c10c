//! The table of the change that waits for its confirmation: one row at most.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, params};

use super::db::Db;
use super::fault::fault;
use crate::clock::Clock;
use crate::store::deadline::Span;
use crate::store::{Pending, PendingEdit, StoreError};

/// The change that waits, and whether it was stored in this boot.
pub(super) fn get(db: Db<'_>, clock: &Clock) -> Result<Option<(Pending, bool)>, StoreError> {
    let found = db
        .conn
        .prepare_cached("SELECT revision, base, made, within_ms, actor, boot, ends_ns FROM pending")
        .and_then(|mut select| {
            select
                .query_row([], |row| {
                    Ok((
                        row.get::<_, i64>(0)?,
                        row.get::<_, i64>(1)?,
                        row.get::<_, String>(2)?,
                        row.get::<_, i64>(3)?,
                        row.get::<_, String>(4)?,
                        row.get(5)?,
                        row.get(6)?,
                    ))
                })
                .optional()
        })
        .map_err(fault("look for an unconfirmed change", db.path))?;
    let Some((revision, base, made, within_ms, actor, boot, ends_ns)) = found else {
        return Ok(None);
    };
    let number = |row: i64| u64::try_from(row).unwrap_or(0);
    let corrupt = |why: String| db.corrupt(format!("the unconfirmed change: {why}"));
    let within = Duration::from_millis(number(within_ms));
    let began: Timestamp = made
        .parse()
        .map_err(|error: jiff::Error| corrupt(error.to_string()))?;
    let span = Span {
        began: made,
        ends: began
            .checked_add(within)
            .unwrap_or(Timestamp::MAX)
            .to_string(),
        boot,
        ends_ns,
    };
    let span = span.read(clock).map_err(corrupt)?;
    let pending = Pending {
        revision: number(revision),
        base: number(base),
        made: span.began,
        within,
        actor,
    };
    Ok(Some((pending, span.is_current)))
}

/// Does what `edit` says, in the transaction that makes `revision`.
pub(super) fn edit(
    db: Db<'_>,
    clock: &Clock,
    edit: &PendingEdit,
    revision: u64,
) -> Result<(), StoreError> {
    match edit {
        PendingEdit::Keep => Ok(()),
        PendingEdit::Clear => clear(db),
        PendingEdit::Set(pending) => set(db, clock, pending, revision),
    }
}

/// Stores that `revision` waits as `pending` says.
pub(super) fn set(
    db: Db<'_>,
    clock: &Clock,
    pending: &Pending,
    revision: u64,
) -> Result<(), StoreError> {
    let span = Span::of(clock, pending.made, pending.deadline());
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let within = u64::try_from(pending.within.as_millis()).unwrap_or(u64::MAX);
    clear(db)?;
    db.conn
        .prepare_cached(
            "INSERT INTO pending (id, revision, base, made, within_ms, actor, boot, ends_ns)
             VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .and_then(|mut insert| {
            insert.execute(params![
                number(revision),
                number(pending.base),
                span.began,
                number(within),
                pending.actor,
                span.boot,
                span.ends_ns,
            ])
        })
        .map(drop)
        .map_err(fault("store that a change is to be confirmed", db.path))
}

pub(super) fn clear(db: Db<'_>) -> Result<(), StoreError> {
    db.conn
        .execute("DELETE FROM pending", [])
        .map(drop)
        .map_err(fault("store that nothing is to be confirmed", db.path))
}
