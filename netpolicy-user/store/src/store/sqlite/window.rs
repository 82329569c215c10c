//! Reads a part of a table, the newest rows first.

use rusqlite::types::ToSql;
use rusqlite::{Row, named_params};

use super::db::Db;
use super::fault::fault;
use crate::store::{Listed, StoreError, Window};

/// A table that is listed: its name, its key, what is read of it and where text is looked for.
pub(super) struct ListedTable {
    pub(super) name: &'static str,
    pub(super) key: &'static str,
    pub(super) columns: &'static str,
    /// An expression of SQL.
    pub(super) text: &'static str,
}

/// Reads a part of a table. Takes time in proportion to `limit`, with a text to all rows.
pub(super) fn read<T>(
    db: Db<'_>,
    table: &ListedTable,
    window: &Window,
    what: &'static str,
    row: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Listed<T>, StoreError> {
    let fault = fault(what, db.path);
    let ListedTable {
        name,
        key,
        columns,
        text,
    } = table;
    let matches = format!("(:text IS NULL OR instr(lower({text}), lower(:text)) > 0)");
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let after = window.after.map(number);
    let limit = number(window.limit as u64);
    let sought: &dyn ToSql = &window.text;
    let items = db
        .conn
        .prepare_cached(&format!(
            "SELECT {columns} FROM {name}
             WHERE (:after IS NULL OR {key} < :after) AND {matches}
             ORDER BY {key} DESC LIMIT :limit"
        ))
        .and_then(|mut select| {
            let given = named_params! {":after": after, ":text": sought, ":limit": limit};
            select.query_map(given, &row)?.collect()
        })
        .map_err(&fault)?;
    let total: i64 = db
        .conn
        .prepare_cached(&format!("SELECT count(*) FROM {name} WHERE {matches}"))
        .and_then(|mut select| select.query_row(named_params! {":text": sought}, |row| row.get(0)))
        .map_err(&fault)?;
    Ok(Listed {
        items,
        total: u64::try_from(total).unwrap_or(0),
    })
}
