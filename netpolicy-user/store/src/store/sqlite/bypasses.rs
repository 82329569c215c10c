//! The table of bypasses.

use ipnet::IpNet;
use rusqlite::{Row, params};

use super::db::Db;
use super::fault::fault;
use crate::clock::Clock;
use crate::model::{Bypass, Name};
use crate::store::StoreError;
use crate::store::deadline::Span;

/// All bypasses, expired or not, by source, the host's first; each with whether it was stored
/// in this boot.
pub(super) fn all(db: Db<'_>, clock: &Clock) -> Result<Vec<(Bypass, bool)>, StoreError> {
    let fault = fault("read bypasses", db.path);
    let mut select = db
        .conn
        .prepare_cached(
            "SELECT source, service, granted, expires, granted_by, boot, ends_ns FROM bypasses
             ORDER BY source, ifnull(service, '')",
        )
        .map_err(&fault)?;
    let rows = select.query_map([], columns).map_err(&fault)?;
    rows.map(|row| {
        let row = row.map_err(&fault)?;
        let source = row.0.clone();
        bypass(row, clock).map_err(|detail| db.corrupt(format!("bypass of {source:?}: {detail}")))
    })
    .collect()
}

/// Stores a bypass in place of the one of the same source and service.
pub(super) fn put(db: Db<'_>, clock: &Clock, bypass: &Bypass) -> Result<(), StoreError> {
    let span = Span::of(clock, bypass.granted, bypass.expires);
    db.conn
        .prepare_cached(
            "INSERT INTO bypasses (source, service, granted, expires, granted_by, boot, ends_ns)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (source, ifnull(service, '')) DO UPDATE SET
                granted = excluded.granted,
                expires = excluded.expires,
                granted_by = excluded.granted_by,
                boot = excluded.boot,
                ends_ns = excluded.ends_ns",
        )
        .and_then(|mut insert| {
            insert.execute(params![
                bypass.source.to_string(),
                bypass.service.as_ref().map(Name::as_str),
                span.began,
                span.ends,
                bypass.granted_by,
                span.boot,
                span.ends_ns,
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
type BypassRow = (String, Option<String>, Span, String);

fn columns(row: &Row<'_>) -> rusqlite::Result<BypassRow> {
    Ok((
        row.get(0)?,
        row.get(1)?,
        Span {
            began: row.get(2)?,
            ends: row.get(3)?,
            boot: row.get(5)?,
            ends_ns: row.get(6)?,
        },
        row.get(4)?,
    ))
}

fn bypass(
    (source, service, span, granted_by): BypassRow,
    clock: &Clock,
) -> Result<(Bypass, bool), String> {
    let span = span.read(clock)?;
    let bypass = Bypass {
        source: source
            .parse()
            .map_err(|_| "its source is not a CIDR".to_owned())?,
        service: service
            .map(|name| Name::exact(&name))
            .transpose()
            .map_err(|error| error.to_string())?,
        granted: span.began,
        expires: span.ends,
        granted_by,
    };
    Ok((bypass, span.is_current))
}
