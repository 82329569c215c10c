//! Lists of bans, page by page.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use ipnet::IpNet;

use super::ends::NEVER;
use super::entry::BanEntry;
use super::nets::{net_v4, net_v6, prefix_v4, prefix_v6};
use super::scale::ClockScale;
use super::shared::{SharedBans, read, view};
use super::table::{BanTable, ScopeBans};
use super::texts::{OriginFilter, TextId};
use crate::agent::error::AgentError;
use crate::api::{BanOrder, BanView, BansPage, BansQuery};
use crate::clock::Clock;
use crate::model::{Containment, Name, parse_source};
use crate::store::BanRow;

/// What stands before the source in the place of a page's end.
const SEPARATOR: char = '~';

/// Bans that are looked at before the writer has its turn.
const AT_ONCE: usize = 4096;

/// Which bans are wanted.
struct BanFilter {
    covers: Option<IpNet>,
    by: Option<String>,
    service: Option<String>,
}

/// Where a ban is in an order: by this number, then by address, then by service.
pub(in crate::agent) type BanPlace = (i64, IpNet, Option<Name>);

impl BanFilter {
    fn of(query: &BansQuery) -> Result<Self, AgentError> {
        let covers = query.covers.as_deref().map(parse_source).transpose();
        Ok(Self {
            covers: covers.map_err(|error| AgentError::BadRequest(error.to_string()))?,
            by: query.by.clone(),
            service: query.service.clone(),
        })
    }

    fn is_everything(&self) -> bool {
        self.covers.is_none() && self.by.is_none() && self.service.is_none()
    }

    fn has_scope(&self, scope: &ScopeBans) -> bool {
        is_scope(self.service.as_deref(), scope.service.as_ref())
    }
}

/// Whether bans of a service (`None`: of the whole host) are wanted: those of a service, those
/// for the "host", or all.
pub(in crate::agent) fn is_scope(wanted: Option<&str>, service: Option<&Name>) -> bool {
    let Some(wanted) = wanted else { return true };
    match service {
        None => wanted == "host",
        Some(name) => name.matches(wanted),
    }
}

/// How many bans the query is about.
///
/// # Errors
/// The query is wrong.
pub fn count(bans: &SharedBans, query: &BansQuery) -> Result<u64, AgentError> {
    let filter = BanFilter::of(query)?;
    let table = read(bans);
    if filter.is_everything() {
        return Ok(table.len() as u64);
    }
    let mut count = 0;
    each(&table, &filter, |_, _, _| count += 1);
    Ok(count)
}

/// A page of bans.
///
/// # Errors
/// The query is wrong.
pub fn page(bans: &SharedBans, query: &BansQuery, clock: &Clock) -> Result<BansPage, AgentError> {
    let limit = match query.limit.unwrap_or(BansQuery::USUAL) {
        limit @ 1..=BansQuery::MOST => limit,
        limit => {
            return Err(AgentError::BadRequest(format!(
                "limit is {limit}; expected 1 to {}",
                BansQuery::MOST
            )));
        }
    };
    let filter = BanFilter::of(query)?;
    let order = query.sort.unwrap_or_default();
    let after = query.after.as_deref().map(place_of).transpose()?;
    let table = read(bans);
    let scale = ClockScale::of(clock);
    let mut count = table.len() as u64;
    let places = if order == BanOrder::Source && filter.is_everything() {
        in_order(&table, after.as_ref(), limit + 1)
    } else {
        let (places, found) = sorted(&table, &filter, order, after.as_ref(), limit + 1);
        count = found;
        places
    };
    let mut items = Vec::with_capacity(limit.min(places.len()));
    for (_, net, service) in places.iter().take(limit) {
        let row: Option<BanRow<'_>> = table.row_of(service.as_ref(), *net);
        items.extend(row.map(|row| view(&table, &row, scale)));
    }
    let more = places.len() > limit;
    let last = places.get(limit - 1).filter(|_| more);
    Ok(BansPage {
        items,
        count,
        next: last.map(in_words),
    })
}

/// Visits the bans that a filter lets through.
fn each(table: &BanTable, filter: &BanFilter, mut visit: impl FnMut(&ScopeBans, IpNet, BanEntry)) {
    let by = filter.by.as_deref().map(|name| OriginFilter {
        name,
        with_parts: true,
    });
    let by = by.map(|by| table.texts().of_origin(by));
    if by.as_ref().is_some_and(Vec::is_empty) {
        return;
    }
    let is_wanted = |(_, scope): &(usize, &ScopeBans)| filter.has_scope(scope);
    for (at, scope) in table.scopes().iter().enumerate().filter(is_wanted) {
        let mut see = |(net, entry): (IpNet, BanEntry)| {
            let is_by = |by: &Vec<TextId>| by.contains(&entry.by) || table.is_also_by(at, net, by);
            if by.as_ref().is_none_or(is_by) {
                visit(scope, net, entry);
            }
        };
        match filter.covers {
            Some(net) => scope.covering(net).for_each(&mut see),
            None => scope.entries().for_each(&mut see),
        }
    }
}

/// The first bans behind a place, by a look at all; and how many there are.
fn sorted(
    table: &BanTable,
    filter: &BanFilter,
    order: BanOrder,
    after: Option<&BanPlace>,
    limit: usize,
) -> (Vec<BanPlace>, u64) {
    let mut count = 0;
    // The largest on top, so that it can be replaced by a smaller one.
    let mut first: BinaryHeap<BanPlace> = BinaryHeap::with_capacity(limit + 1);
    each(table, filter, |scope, net, entry| {
        count += 1;
        let number = match order {
            BanOrder::Source => 0,
            BanOrder::Until => entry.until,
            BanOrder::Since => NEVER - entry.since,
        };
        // Most are behind the page.
        if first.len() >= limit
            && first
                .peek()
                .is_some_and(|last| (number, net) > (last.0, last.1))
        {
            return;
        }
        let place = (number, net, scope.service.clone());
        if after.is_some_and(|after| place <= *after) {
            return;
        }
        first.push(place);
        if first.len() > limit {
            first.pop();
        }
    });
    (first.into_sorted_vec(), count)
}

/// The first bans by address behind a place, without a look at the others.
fn in_order(table: &BanTable, after: Option<&BanPlace>, limit: usize) -> Vec<BanPlace> {
    let mut found: BinaryHeap<Reverse<BanPlace>> = BinaryHeap::new();
    let from = after.map(|(_, net, _)| *net);
    for scope in table.scopes() {
        let v4 = match from {
            None => Some(None),
            Some(IpNet::V4(net)) => Some(Some(prefix_v4(net))),
            Some(IpNet::V6(_)) => None,
        };
        let v6 = match from {
            Some(IpNet::V6(net)) => Some(prefix_v6(net)),
            _ => None,
        };
        let v4 = v4.into_iter().flat_map(|from| scope.v4.from(from));
        let nets = v4
            .map(|(net, _)| net_v4(net))
            .chain(scope.v6.from(v6).map(|(net, _)| net_v6(net)));
        let places = nets.map(|net| (0, net, scope.service.clone()));
        let behind = places.filter(|place| after.is_none_or(|after| place > after));
        found.extend(behind.take(limit).map(Reverse));
    }
    let mut places = Vec::with_capacity(limit);
    while places.len() < limit
        && let Some(Reverse(place)) = found.pop()
    {
        places.push(place);
    }
    places
}

/// The bans that have an address of a network, the first `most` of them in the order of
/// [`Containment::order`], and how many there are.
#[must_use]
pub fn overlapping(
    bans: &SharedBans,
    sought: IpNet,
    most: usize,
    clock: &Clock,
) -> (Vec<(IpNet, BanView)>, u64) {
    let scale = ClockScale::of(clock);
    let mut total = 0;
    // The last one on top, so that an earlier one can take its place.
    let mut first: BinaryHeap<((Containment, u8, IpNet), Option<Name>)> = BinaryHeap::new();
    let mut take = |net: IpNet, service: &Option<Name>| {
        let Some(relation) = Containment::of(&net, &sought) else {
            return;
        };
        total += 1;
        let order = relation.order(&net);
        // Most are behind those that are kept.
        let is_behind = |(last, of): &(_, _)| (&order, service) >= (last, of);
        if first.len() == most && first.peek().is_none_or(is_behind) {
            return;
        }
        first.push((order, service.clone()));
        if first.len() > most {
            first.pop();
        }
    };
    let (mut at, mut after) = (0, None);
    // The writer has its turn between two looks.
    loop {
        let table = read(bans);
        let Some(scope) = table.scopes().get(at) else {
            break;
        };
        if after.is_none() {
            let wider = scope.covering(sought).map(|(net, _)| net);
            let wider = wider.filter(|net| *net != sought);
            wider.for_each(|net| take(net, &scope.service));
        }
        let mut last = None;
        for net in scope.within(sought, after).take(AT_ONCE) {
            take(net, &scope.service);
            last = Some(net);
        }
        after = last;
        if after.is_none() {
            at += 1;
        }
    }
    let table = read(bans);
    let found = first.into_sorted_vec().into_iter();
    let views = found.filter_map(|((_, _, net), service)| {
        let row = table.row_of(service.as_ref(), net)?;
        Some((net, view(&table, &row, scale)))
    });
    (views.collect(), total)
}

/// How far a reader of all bans has come.
#[derive(Debug, Default)]
pub(in crate::agent) struct BanCursor {
    scope: usize,
    is_v6: bool,
    after: Option<IpNet>,
}

/// Bans of one scope: sources, and when they end by the wall clock, in milliseconds.
pub(in crate::agent) struct BanPart {
    /// `None`: the whole host.
    pub(in crate::agent) service: Option<Name>,
    pub(in crate::agent) bans: Vec<(IpNet, Option<i64>)>,
}

/// The next bans, for who goes through all of them without keeping the writer from its work;
/// `None`: there are no more.
#[must_use]
pub(in crate::agent) fn part(
    bans: &SharedBans,
    cursor: &mut BanCursor,
    limit: usize,
    clock: &Clock,
) -> Option<BanPart> {
    let scale = ClockScale::of(clock);
    let table = read(bans);
    loop {
        let scope = table.scopes().get(cursor.scope)?;
        let after = cursor.after;
        let is_next = |(net, _): &(IpNet, BanEntry)| Some(*net) != after;
        let until = |(net, entry): (IpNet, BanEntry)| {
            (net, (entry.until != NEVER).then(|| scale.wall(entry.until)))
        };
        let found: Vec<_> = if cursor.is_v6 {
            let first = after.and_then(|net| match net {
                IpNet::V6(net) => Some(prefix_v6(net)),
                IpNet::V4(_) => None,
            });
            let v6 = scope.v6.from(first).map(|(net, e)| (net_v6(net), e));
            v6.filter(is_next).take(limit).map(until).collect()
        } else {
            let first = after.and_then(|net| match net {
                IpNet::V4(net) => Some(prefix_v4(net)),
                IpNet::V6(_) => None,
            });
            let v4 = scope.v4.from(first).map(|(net, e)| (net_v4(net), e));
            v4.filter(is_next).take(limit).map(until).collect()
        };
        if let Some((last, _)) = found.last() {
            cursor.after = Some(*last);
            return Some(BanPart {
                service: scope.service.clone(),
                bans: found,
            });
        }
        cursor.after = None;
        if cursor.is_v6 {
            cursor.scope += 1;
        }
        cursor.is_v6 = !cursor.is_v6;
    }
}

fn in_words((number, net, service): &BanPlace) -> String {
    let service = service.as_ref().map_or("", Name::as_str);
    format!("{number}{SEPARATOR}{net}{SEPARATOR}{service}")
}

fn place_of(text: &str) -> Result<BanPlace, AgentError> {
    let parts = || {
        let (number, rest) = text.split_once(SEPARATOR)?;
        let (net, service) = rest.split_once(SEPARATOR)?;
        let service = match service {
            "" => None,
            name => Some(Name::exact(name).ok()?),
        };
        Some((number.parse().ok()?, net.parse().ok()?, service))
    };
    parts().ok_or_else(|| {
        AgentError::BadRequest(format!(
            "after is \"{}\"; expected the `next` of the page before",
            text.escape_debug()
        ))
    })
}
