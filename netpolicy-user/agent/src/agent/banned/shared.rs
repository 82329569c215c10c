//! The table of bans as its readers and the writer share it, and what is said of a ban.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use ipnet::IpNet;
use jiff::Timestamp;

use super::scale::ClockScale;
use super::table::BanTable;
use crate::api::{BanView, OtherBanView};
use crate::clock::Clock;
use crate::model::Name;
use crate::store::BanRow;

/// Bans that are read while a request of them is answered: the writer waits as long.
pub type SharedBans = Arc<RwLock<BanTable>>;

/// The ban that an attempt of a source in a scope meets; `service`: its name, `None`: the host.
#[must_use]
pub fn ban_of(
    bans: &SharedBans,
    source: IpAddr,
    service: Option<&Name>,
    clock: &Clock,
) -> Option<BanView> {
    let table = read(bans);
    let row = table.ban_of(IpNet::from(source), service)?;
    Some(view(&table, &row, ClockScale::of(clock)))
}

/// Whether a ban of the host or of this service is in force for a source.
#[must_use]
pub fn is_banned(bans: &SharedBans, source: IpAddr, service: Option<&Name>) -> bool {
    read(bans).ban_of(IpNet::from(source), service).is_some()
}

pub(super) fn view(table: &BanTable, row: &BanRow<'_>, scale: ClockScale) -> BanView {
    let until = |row: &BanRow<'_>| row.until.map(|until| scale.shown(until));
    let others = table.others_of(row.service, row.source);
    let unexpired = others.filter(|other| other.until.is_none_or(|until| until > scale.now));
    BanView {
        source: row.source.to_string(),
        scope: row.service.unwrap_or("host").to_owned(),
        since: scale.shown(row.since),
        until: until(row),
        by: row.by.map(str::to_owned),
        reason: row.reason.map(str::to_owned),
        also: unexpired
            .map(|other| OtherBanView {
                since: scale.shown(other.since),
                until: until(&other),
                by: other.by.map(str::to_owned),
                reason: other.reason.map(str::to_owned),
            })
            .collect(),
    }
}

/// When the next ban ends, as the wall clock shows it; `None`: none ends, or that is not known.
#[must_use]
pub fn next_end(bans: &SharedBans, clock: &Clock) -> Option<Timestamp> {
    let next = read(bans).earliest_end()?;
    Some(ClockScale::of(clock).shown(next))
}

/// The bans, to be read. What is held is short: the writer waits.
pub fn read(bans: &SharedBans) -> RwLockReadGuard<'_, BanTable> {
    bans.read().unwrap_or_else(PoisonError::into_inner)
}

/// The bans, to be changed: by the writer alone.
pub(in crate::agent) fn write(bans: &SharedBans) -> RwLockWriteGuard<'_, BanTable> {
    bans.write().unwrap_or_else(PoisonError::into_inner)
}
