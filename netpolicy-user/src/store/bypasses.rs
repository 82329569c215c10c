//! The table of bypasses.

use ipnet::IpNet;
use jiff::Timestamp;
use rusqlite::{Row, params};

use super::StoreError;
use super::error::fault;
use super::objects::Db;
use crate::model::{Bypass, Name};

/// All bypasses, lapsed or not, by source, the host's first.
pub(super) fn all(db: Db<'_>) -> Result<Vec<Bypass>, StoreError> {
    let fault = fault("read bypasses", db.path);
    let mut select = db
        .conn
        .prepare_cached(
            "SELECT source, service, granted, expires, granted_by FROM bypasses
             ORDER BY source, ifnull(service, '')",
        )
        .map_err(&fault)?;
    let rows = select.query_map([], columns).map_err(&fault)?;
    rows.map(|row| {
        let row = row.map_err(&fault)?;
        let source = row.0.clone();
        bypass(row).map_err(|detail| db.corrupt(format!("bypass of {source:?}: {detail}")))
    })
    .collect()
}

/// Stores a bypass in place of the one of the same source and service.
pub(super) fn put(db: Db<'_>, bypass: &Bypass) -> Result<(), StoreError> {
    db.conn
        .prepare_cached(
            "INSERT INTO bypasses (source, service, granted, expires, granted_by)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (source, ifnull(service, '')) DO UPDATE SET
                granted = excluded.granted,
                expires = excluded.expires,
                granted_by = excluded.granted_by",
        )
        .and_then(|mut insert| {
            insert.execute(params![
                bypass.source.to_string(),
                bypass.service.as_ref().map(Name::as_str),
                bypass.granted.to_string(),
                bypass.expires.to_string(),
                bypass.granted_by,
            ])
        })
        .map(drop)
        .map_err(fault("store a bypass", db.path))
}

/// Removes a bypass; whether there was one.
pub(super) fn remove(
    db: Db<'_>,
    source: IpNet,
    service: Option<&Name>,
) -> Result<bool, StoreError> {
    db.conn
        .prepare_cached("DELETE FROM bypasses WHERE source = ?1 AND service IS ?2")
        .and_then(|mut delete| {
            delete.execute(params![source.to_string(), service.map(Name::as_str)])
        })
        .map(|removed| removed > 0)
        .map_err(fault("remove a bypass", db.path))
}

/// The row's columns, as they are.
type Columns = (String, Option<String>, String, String, String);

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok((
        row.get(0)?,
        row.get(1)?,
        row.get(2)?,
        row.get(3)?,
        row.get(4)?,
    ))
}

fn bypass((source, service, granted, expires, granted_by): Columns) -> Result<Bypass, String> {
    let time = |text: &str| text.parse::<Timestamp>().map_err(|error| error.to_string());
    Ok(Bypass {
        source: source
            .parse()
            .map_err(|_| "its source is not a CIDR".to_owned())?,
        service: service
            .map(|name| Name::exact(&name))
            .transpose()
            .map_err(|error| error.to_string())?,
        granted: time(&granted)?,
        expires: time(&expires)?,
        granted_by,
    })
}
