//! Revisions by what they changed, by user and by time, with what the audit log says of each.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::named_params;
use rusqlite::types::ToSql;

use super::db::Db;
use super::fault::fault;
use super::revision::number;
use crate::store::{
    AuditDetail, HistoryWindow, Listed, PastChange, Revision, RevisionMeta, StoreError,
};

/// A time by the second: times are stored with as many digits as they have.
const SECOND: usize = "2026-11-30T12:00:00".len();

/// What of the table is listed. The revisions that changed a policy are those of whose audit entry
/// a line says so; its details are JSON, which this SQLite does not read.
const MATCHING: &str = "
    (:text IS NULL OR instr(lower(actor || char(10) || action), lower(:text)) > 0)
    AND (:actor IS NULL OR actor = :actor)
    AND (:since IS NULL OR substr(created, 1, 19) >= :since)
    AND (:added IS NULL OR revision IN (
        SELECT after FROM audit
        WHERE before < after AND outcome = 'done'
        AND (instr(lower(detail), :added) > 0 OR instr(lower(detail), :changed) > 0
            OR instr(lower(detail), :removed) > 0)))";

/// The line of a plan that names a policy, as JSON in lower case.
fn line(sign: char, policy: Option<&String>) -> Option<String> {
    let line = format!("{sign} policy {}", policy?).to_ascii_lowercase();
    serde_json::to_string(&line).ok()
}

/// Revisions, the newest first. Takes time in proportion to all rows of the audit log where a
/// policy or the changes are requested.
pub(super) fn read(db: Db<'_>, of: &HistoryWindow) -> Result<Listed<PastChange>, StoreError> {
    let fault = fault("list the revisions", db.path);
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let since = of.since.map(|since| {
        let mut text = since.to_string();
        text.truncate(SECOND);
        text
    });
    let (after, limit) = (of.window.after.map(signed), signed(of.window.limit as u64));
    let policy = of.policy.as_ref();
    let [added, changed, removed] = ['+', '~', '-'].map(|sign| line(sign, policy));
    let given: [(&str, &dyn ToSql); 6] = [
        (":text", &of.window.text),
        (":actor", &of.actor),
        (":since", &since),
        (":added", &added),
        (":changed", &changed),
        (":removed", &removed),
    ];
    let rows: Vec<(i64, String, String, String)> = db
        .conn
        .prepare_cached(&format!(
            "SELECT revision, created, actor, action FROM revisions
             WHERE (:after IS NULL OR revision < :after) AND {MATCHING}
             ORDER BY revision DESC LIMIT :limit"
        ))
        .and_then(|mut select| {
            let mut all = given.to_vec();
            all.extend([(":after", &after as &dyn ToSql), (":limit", &limit)]);
            let read =
                |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
            select.query_map(all.as_slice(), read)?.collect()
        })
        .map_err(&fault)?;
    let total: i64 = db
        .conn
        .prepare_cached(&format!("SELECT count(*) FROM revisions WHERE {MATCHING}"))
        .and_then(|mut select| select.query_row(given.as_slice(), |row| row.get(0)))
        .map_err(&fault)?;
    let mut changes = match (of.changes, rows.first(), rows.last()) {
        (true, Some(newest), Some(oldest)) => changes(db, oldest.0, newest.0)?,
        _ => HashMap::new(),
    };
    let items = rows.into_iter().map(|(revision, created, actor, action)| {
        let created: Timestamp = created.parse().map_err(|error: jiff::Error| {
            db.corrupt(format!("the time of revision {revision}: {error}"))
        })?;
        let changes = changes.remove(&revision).unwrap_or_default();
        let meta = RevisionMeta {
            created,
            actor,
            action,
        };
        let revision = number(revision);
        Ok(PastChange {
            revision: Revision { revision, meta },
            changes,
        })
    });
    Ok(Listed {
        items: items.collect::<Result<_, StoreError>>()?,
        total: u64::try_from(total).unwrap_or(0),
    })
}

/// What changed by each of some revisions, as the audit log has it.
fn changes(db: Db<'_>, oldest: i64, newest: i64) -> Result<HashMap<i64, Vec<String>>, StoreError> {
    let rows: Vec<(i64, String)> = db
        .conn
        .prepare_cached(
            "SELECT after, detail FROM audit
             WHERE after BETWEEN :oldest AND :newest AND before < after AND outcome = 'done'",
        )
        .and_then(|mut select| {
            let given = named_params! {":oldest": oldest, ":newest": newest};
            let rows = select.query_map(given, |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })
        .map_err(fault("read the audit log", db.path))?;
    let mut changes = HashMap::new();
    for (revision, detail) in rows {
        let detail: AuditDetail = serde_json::from_str(&detail).map_err(|error| {
            db.corrupt(format!("the audit entry of revision {revision}: {error}"))
        })?;
        changes.insert(revision, detail.changes);
    }
    Ok(changes)
}
