//! Sources, as the API asks for them.

use std::cmp::Ordering;
use std::ops::Range;

use ipnet::IpNet;
use jiff::Timestamp;
use netpolicy_common::Reason;

use super::deciders::{Decider, DeciderId};
use super::memory::SourceMemory;
use super::names::NameId;
use super::rows::Row;
use super::shared::Observations;
use super::source_record::Judgement;
use crate::agent::error::AgentError;
use crate::api::{Cause, SourceOrder, SourceVerdict, SourceView, SourcesPage, SourcesQuery};
use crate::model::parse_source;

/// What scopes are called whose name is not kept any more.
const UNKNOWN: &str = "(unknown)";

/// The networks that IPv6 sources are put together in.
const V6_LENGTH: u8 = 64;

/// A source, or some of a network, as they are listed.
struct ListedSource {
    sources: u64,
    net: IpNet,
    /// The last one's; attempts and the first one's time are of all.
    row: Row,
}

impl From<&Row> for ListedSource {
    fn from(row: &Row) -> Self {
        Self {
            sources: 1,
            net: row.key.net(),
            row: *row,
        }
    }
}

/// Of a page this many are sorted at once at least.
const SORTED_AT_ONCE: usize = 1024;

/// What is listed together: a network, the scope and the outcome.
type Together = (IpNet, NameId, Judgement);

/// Sources that are listed together.
#[derive(Clone, Copy)]
struct SourceGroup<'a> {
    sources: &'a [(Together, &'a Row)],
    last: i64,
    attempts: u64,
}

/// Compares last attempts and numbers of attempts, the first in the list first.
fn compare(order: SourceOrder, one: (i64, u64), other: (i64, u64)) -> Ordering {
    match order {
        SourceOrder::Last => other.0.cmp(&one.0),
        SourceOrder::Attempts => other.1.cmp(&one.1),
        SourceOrder::Source => Ordering::Equal,
    }
}

/// How many there are, and the first ones up to `end`, in order. Of hundreds of thousands only some
/// are ever put together.
fn first<T: Copy>(
    all: impl Iterator<Item = T>,
    end: usize,
    compare: impl Fn(&T, &T) -> Ordering,
) -> (usize, Vec<T>) {
    let most = end.saturating_mul(2).max(SORTED_AT_ONCE);
    let mut listed: Vec<T> = Vec::new();
    // The last one that may be among them.
    let mut last: Option<T> = None;
    let mut total = 0;
    for one in all {
        total += 1;
        if last.is_some_and(|last| compare(&one, &last).is_gt()) {
            continue;
        }
        listed.push(one);
        if listed.len() >= most {
            let (_, farthest, _) = listed.select_nth_unstable_by(end - 1, &compare);
            last = Some(*farthest);
            listed.truncate(end);
        }
    }
    listed.sort_unstable_by(compare);
    listed.truncate(end);
    (total, listed)
}

impl Observations {
    /// Sources that came, page by page.
    ///
    /// # Errors
    /// The query cannot be read.
    pub fn sources(&self, query: &SourcesQuery, now: Timestamp) -> Result<SourcesPage, AgentError> {
        let limit = limit(query.limit, SourcesQuery::USUAL, SourcesQuery::MOST)?;
        let oldest = query.since.as_deref().map(|text| since(text, now));
        let oldest = oldest
            .transpose()?
            .map_or(i64::MIN, Timestamp::as_millisecond);
        let covers = query.covers.as_deref().map(covered).transpose()?;
        if let Some(length) = query.net.filter(|length| !(8..=32).contains(length)) {
            return Err(AgentError::BadRequest(format!(
                "net is {length}; expected a prefix length from 8 to 32, as in 24"
            )));
        }
        let memory = &*self.lock();
        let scope = query
            .service
            .as_deref()
            .map(|name| memory.names.known(name));
        let is_wanted = |row: &&Row| {
            row.last >= oldest
                && query
                    .verdict
                    .is_none_or(|wanted| wanted == verdict(row.key.judgement.is_denial()))
                && scope.is_none_or(|scope| scope == Some(row.key.scope))
                && covers.is_none_or(|net| {
                    let of_row = row.key.net();
                    net.contains(&of_row) || of_row.contains(&net)
                })
        };
        let found = memory.sources.iter().filter(is_wanted);
        let from = usize::try_from(query.after.unwrap_or(0)).unwrap_or(usize::MAX);
        let end = from.saturating_add(limit);
        let order = query.sort.unwrap_or_default();
        // Without a copy of each: there may be hundreds of thousands.
        let (total, shown) = match query.net {
            Some(length) => together(found, length, order, from..end),
            None => {
                let (total, listed) = first(found, end, |a, b| {
                    let by_value = compare(order, (a.last, a.attempts), (b.last, b.attempts));
                    by_value.then_with(|| a.key.cmp(&b.key))
                });
                let shown = listed.into_iter().skip(from);
                (total, shown.map(ListedSource::from).collect())
            }
        };
        let (_, next) = page(query.after, limit, total);
        Ok(SourcesPage {
            sources: shown.iter().map(|one| memory.source_view(one)).collect(),
            total: total as u64,
            next,
            since: memory.since,
            lost_before: memory.lost.map(|lost| lost.before),
            lost_from: memory.lost.map(|lost| lost.from),
            displaced: memory.sources.displaced,
        })
    }
}

impl SourceMemory {
    pub(super) fn scope(&self, id: u16) -> String {
        self.names.text(id).unwrap_or(UNKNOWN).to_owned()
    }

    fn decided(&self, id: DeciderId) -> Option<(&Decider, &str)> {
        let decider = self.deciders.get(id)?;
        Some((decider, self.names.text(decider.key.policy)?))
    }

    fn source_view(&self, one: &ListedSource) -> SourceView {
        let row = &one.row;
        let decided = self.decided(row.decider);
        let key = decided.map(|(decider, _)| decider.key);
        let reason = Reason::from_u8(row.reason);
        SourceView {
            source: in_words(&one.net),
            sources: one.sources,
            scope: self.scope(row.key.scope),
            verdict: verdict(row.key.judgement.is_denial()),
            reason: reason.map_or(Cause::Unknown, Cause::from),
            policy: decided.map(|(_, policy)| policy.to_owned()),
            list: key.and_then(|key| key.list),
            named_list: key
                .and_then(|key| self.names.text(key.named))
                .map(str::to_owned),
            rule: key.and_then(|key| key.net).map(|net| net.to_string()),
            generation: row.generation,
            first_seen: time(row.first),
            last_seen: time(row.last),
            attempts: row.attempts,
            sampled: row.is_sampled(),
        }
    }
}

/// Puts sources together by networks; how many these are, and a part of them.
fn together<'a>(
    found: impl Iterator<Item = &'a Row>,
    length: u8,
    order: SourceOrder,
    part: Range<usize>,
) -> (usize, Vec<ListedSource>) {
    let key_of = |row: &Row| -> Together {
        let net = row.key.net();
        let length = match net {
            IpNet::V4(_) => length,
            IpNet::V6(_) => V6_LENGTH,
        };
        let net = IpNet::new(net.addr(), length).map_or(net, |net| net.trunc());
        (net, row.key.scope, row.key.judgement)
    };
    let mut sorted: Vec<(Together, &Row)> = found.map(|row| (key_of(row), row)).collect();
    sorted.sort_unstable_by_key(|(key, _)| *key);
    let groups = sorted.chunk_by(|(key, _), (other, _)| key == other);
    let groups = groups.map(|sources| SourceGroup {
        sources,
        last: sources.iter().map(|(_, row)| row.last).max().unwrap_or(0),
        attempts: sources.iter().map(|(_, row)| row.attempts).sum(),
    });
    let (total, listed) = first(groups, part.end, |a, b| {
        let by_value = compare(order, (a.last, a.attempts), (b.last, b.attempts));
        let key = |group: &SourceGroup<'_>| group.sources.first().map(|(key, _)| *key);
        by_value.then_with(|| key(a).cmp(&key(b)))
    });
    let shown = listed.into_iter().skip(part.start);
    (total, shown.filter_map(SourceGroup::listed).collect())
}

impl SourceGroup<'_> {
    fn listed(self) -> Option<ListedSource> {
        let rows = || self.sources.iter().map(|(_, row)| *row);
        let ((net, ..), _) = self.sources.first()?;
        // The same one each time where several came last.
        let mut row = *rows().max_by_key(|row| (row.last, row.key))?;
        row.attempts = self.attempts;
        row.first = rows().map(|row| row.first).min()?;
        if rows().any(Row::is_sampled) {
            row.mark_sampled();
        }
        Some(ListedSource {
            sources: self.sources.len() as u64,
            net: *net,
            row,
        })
    }
}

/// The address of a network of one, else the network.
fn in_words(net: &IpNet) -> String {
    match net.prefix_len() == net.max_prefix_len() {
        true => net.addr().to_string(),
        false => net.to_string(),
    }
}

pub(super) fn verdict(is_denied: bool) -> SourceVerdict {
    match is_denied {
        true => SourceVerdict::Denied,
        false => SourceVerdict::Allowed,
    }
}

pub(super) fn time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

pub(super) fn covered(text: &str) -> Result<IpNet, AgentError> {
    parse_source(text).map_err(|error| AgentError::BadRequest(error.to_string()))
}

/// Reads a time, or how long ago it is.
///
/// # Errors
/// It is neither.
pub(crate) fn since(text: &str, now: Timestamp) -> Result<Timestamp, AgentError> {
    if let Ok(ago) = humantime::parse_duration(text) {
        return Ok(now.checked_sub(ago).unwrap_or(Timestamp::UNIX_EPOCH));
    }
    text.parse().map_err(|_| {
        AgentError::BadRequest(format!(
            "since is '{}'; expected how long ago, as in 1h or 7d, or a time, as in \
             2026-11-30T03:00:00Z",
            text.escape_debug()
        ))
    })
}

pub(super) fn limit(limit: Option<usize>, usual: usize, most: usize) -> Result<usize, AgentError> {
    match limit.unwrap_or(usual) {
        limit if (1..=most).contains(&limit) => Ok(limit),
        limit => Err(AgentError::BadRequest(format!(
            "limit is {limit}; expected 1 to {most}"
        ))),
    }
}

/// Where a page begins, and what to send for the one that follows.
pub(super) fn page(after: Option<u64>, limit: usize, total: usize) -> (usize, Option<u64>) {
    let from = usize::try_from(after.unwrap_or(0)).unwrap_or(usize::MAX);
    let next = from.saturating_add(limit);
    (from, (next < total).then_some(next as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_ones_are_those_of_a_sorted_list_however_long_it_is() {
        // Not sorted, and with equal ones: an odd factor.
        let numbers = |count: u32| (0..count).map(|n| n.wrapping_mul(0x9e37_79b1) % 3000);
        for (count, end) in [
            (0, 5),
            (10, 5),
            (10, 50),
            (9000, 1),
            (9000, 700),
            (9000, 8999),
        ] {
            let mut sorted: Vec<u32> = numbers(count).collect();
            let total = sorted.len();
            sorted.sort_unstable();
            sorted.truncate(end);
            assert_eq!(first(numbers(count), end, Ord::cmp), (total, sorted));
        }
        let all = first(numbers(5000), usize::MAX, Ord::cmp);
        assert!(all.1.len() == 5000 && all.1.is_sorted());
    }
}
