//! Sources, as the API asks for them.

use std::cmp::Ordering;
use std::collections::HashMap;

use ipnet::IpNet;
use jiff::Timestamp;
use netpolicy_common::Reason;

use super::deciders::{Decider, DeciderId};
use super::memory::SourceMemory;
use super::shared::Observations;
use super::sources::{SourceKey, SourceRecord};
use crate::agent::error::AgentError;
use crate::api::{Cause, SourceOrder, SourceVerdict, SourceView, SourcesPage, SourcesQuery};
use crate::model::parse_source;

/// What scopes are called whose name is not kept any more.
const UNKNOWN: &str = "(unknown)";

/// A source, or some of a network, as they are listed.
struct ListedSource {
    sources: u64,
    key: SourceKey,
    record: SourceRecord,
}

impl ListedSource {
    fn row(&self) -> (&SourceKey, &SourceRecord) {
        (&self.key, &self.record)
    }
}

/// The order in which sources are listed.
fn compare(
    order: SourceOrder,
    (key, record): (&SourceKey, &SourceRecord),
    (other_key, other): (&SourceKey, &SourceRecord),
) -> Ordering {
    let by_value = match order {
        SourceOrder::Last => other.last.cmp(&record.last),
        SourceOrder::Attempts => other.attempts.cmp(&record.attempts),
        SourceOrder::Source => Ordering::Equal,
    };
    by_value.then_with(|| key.cmp(other_key))
}

/// Leaves the first ones up to `end`, in order.
fn first<T>(listed: &mut Vec<T>, end: usize, compare: impl Fn(&T, &T) -> Ordering) {
    if end < listed.len() {
        listed.select_nth_unstable_by(end, &compare);
        listed.truncate(end);
    }
    listed.sort_unstable_by(compare);
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
        let is_wanted = |key: &SourceKey, record: &SourceRecord| {
            record.last >= oldest
                && query
                    .verdict
                    .is_none_or(|wanted| wanted == verdict(key.judgement.is_denial()))
                && scope.is_none_or(|scope| scope == Some(key.scope))
                && covers.is_none_or(|net| net.contains(&key.net) || key.net.contains(&net))
        };
        let found = memory.sources.iter();
        let found = found.filter(|(key, record)| is_wanted(key, record));
        let from = usize::try_from(query.after.unwrap_or(0)).unwrap_or(usize::MAX);
        let end = from.saturating_add(limit);
        let order = query.sort.unwrap_or_default();
        let (total, shown) = match query.net {
            Some(length) => {
                let mut listed = together(found, length);
                let total = listed.len();
                first(&mut listed, end, |a, b| compare(order, a.row(), b.row()));
                (total, listed)
            }
            // Without a copy of each: there may be hundreds of thousands.
            None => {
                let mut listed: Vec<_> = found.collect();
                let total = listed.len();
                first(&mut listed, end, |a, b| compare(order, *a, *b));
                let listed = listed.into_iter();
                let listed = listed.map(|(key, record)| ListedSource {
                    sources: 1,
                    key: *key,
                    record: *record,
                });
                (total, listed.collect())
            }
        };
        let (_, next) = page(query.after, limit, total);
        let shown = shown.iter().skip(from);
        Ok(SourcesPage {
            sources: shown.map(|one| memory.source_view(one)).collect(),
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
        let record = &one.record;
        let decided = self.decided(record.decider);
        let key = decided.map(|(decider, _)| decider.key);
        let reason = Reason::from_u8(record.reason);
        SourceView {
            source: in_words(&one.key.net),
            sources: one.sources,
            scope: self.scope(one.key.scope),
            verdict: verdict(one.key.judgement.is_denial()),
            reason: reason.map_or(Cause::Unknown, Cause::from),
            policy: decided.map(|(_, policy)| policy.to_owned()),
            list: key.and_then(|key| key.list),
            named_list: key
                .and_then(|key| self.names.text(key.named))
                .map(str::to_owned),
            rule: key.and_then(|key| key.net).map(|net| net.to_string()),
            generation: record.generation,
            first_seen: time(record.first),
            last_seen: time(record.last),
            attempts: record.attempts,
            sampled: record.is_sampled,
        }
    }
}

/// Puts sources together by networks.
fn together<'a>(
    found: impl Iterator<Item = (&'a SourceKey, &'a SourceRecord)>,
    length: u8,
) -> Vec<ListedSource> {
    let mut nets: HashMap<SourceKey, ListedSource> = HashMap::new();
    for (key, record) in found {
        let length = match key.net {
            IpNet::V4(_) => length,
            IpNet::V6(_) => 64,
        };
        let net = IpNet::new(key.net.addr(), length).map_or(key.net, |net| net.trunc());
        let together = SourceKey { net, ..*key };
        match nets.entry(together) {
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(ListedSource {
                    sources: 1,
                    key: together,
                    record: *record,
                });
            }
            std::collections::hash_map::Entry::Occupied(mut entry) => {
                let one = entry.get_mut();
                one.sources += 1;
                let sum = &mut one.record;
                if record.last > sum.last {
                    sum.last = record.last;
                    sum.reason = record.reason;
                    sum.decider = record.decider;
                    sum.generation = record.generation;
                }
                sum.first = sum.first.min(record.first);
                sum.attempts += record.attempts;
                sum.is_sampled |= record.is_sampled;
            }
        }
    }
    nets.into_values().collect()
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
