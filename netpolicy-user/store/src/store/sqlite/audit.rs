//! The audit log: appended to, never changed.

use jiff::Timestamp;
use rusqlite::{Row, params};

use super::db::Db;
use super::fault::fault;
use super::window::{self, ListedTable};
use crate::model::Outcome;
use crate::store::{AuditDetail, AuditEntry, Listed, StoreError, Window};

/// Appends an entry; `revision` stands for [`AuditEntry::after`] where it is known only now.
pub(super) fn append(
    db: Db<'_>,
    entry: &AuditEntry,
    revision: Option<u64>,
) -> Result<(), StoreError> {
    let detail =
        serde_json::to_string(&entry.detail.bounded()).map_err(|error| StoreError::Unstorable {
            detail: error.to_string(),
        })?;
    let outcome = match entry.outcome {
        Outcome::Done => "done",
        Outcome::Refused => "refused",
        Outcome::Failed => "failed",
    };
    let number = |revision: u64| i64::try_from(revision).unwrap_or(i64::MAX);
    db.conn
        .prepare_cached(
            "INSERT INTO audit (time, uid, actor, origin, action, outcome, before, after, detail)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )
        .and_then(|mut insert| {
            insert.execute(params![
                entry.time.to_string(),
                entry.uid,
                entry.actor,
                entry.from,
                entry.action,
                outcome,
                number(entry.before),
                number(revision.unwrap_or(entry.after)),
                detail,
            ])
        })
        .map(drop)
        .map_err(fault("append to the audit log", db.path))
}

const TABLE: ListedTable = ListedTable {
    name: "audit",
    key: "id",
    columns: "id, time, uid, actor, origin, action, outcome, before, after, detail",
    text: "actor || char(10) || ifnull(origin, '') || char(10) || action || char(10) || outcome \
           || char(10) || detail",
};

/// Entries, the newest first, each with its number.
pub(super) fn list(db: Db<'_>, window: &Window) -> Result<Listed<(u64, AuditEntry)>, StoreError> {
    let Listed { items, total } = window::read(db, &TABLE, window, "read the audit log", columns)?;
    let items = items.into_iter().map(|(id, entry)| {
        let entry = entry.map_err(|detail| db.corrupt(format!("audit entry {id}: {detail}")))?;
        Ok((u64::try_from(id).unwrap_or(0), entry))
    });
    Ok(Listed {
        items: items.collect::<Result<_, StoreError>>()?,
        total,
    })
}

/// A row: its number, and the entry or what is wrong with it.
type AuditRow = (i64, Result<AuditEntry, String>);

fn columns(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    let (time, outcome): (String, String) = (row.get(1)?, row.get(6)?);
    let detail: String = row.get(9)?;
    let entry = AuditEntry {
        time: Timestamp::UNIX_EPOCH,
        uid: row.get(2)?,
        actor: row.get(3)?,
        from: row.get(4)?,
        action: row.get(5)?,
        outcome: Outcome::Done,
        before: u64::try_from(row.get::<_, i64>(7)?).unwrap_or(0),
        after: u64::try_from(row.get::<_, i64>(8)?).unwrap_or(0),
        detail: AuditDetail::default(),
    };
    Ok((row.get(0)?, whole(entry, &time, &outcome, &detail)))
}

fn whole(entry: AuditEntry, time: &str, outcome: &str, detail: &str) -> Result<AuditEntry, String> {
    Ok(AuditEntry {
        time: time
            .parse()
            .map_err(|error: jiff::Error| error.to_string())?,
        outcome: match outcome {
            "done" => Outcome::Done,
            "refused" => Outcome::Refused,
            "failed" => Outcome::Failed,
            other => return Err(format!("its outcome is '{other}'")),
        },
        detail: serde_json::from_str(detail).map_err(|error| error.to_string())?,
        ..entry
    })
}
