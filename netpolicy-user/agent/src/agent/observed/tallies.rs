//! Hits and rates, as the API asks for them.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use netpolicy_common::Reason;

use super::deciders::Decider;
use super::names::{NO_NAME, NameId};
use super::policy_attempts::CountedPolicy;
use super::query::{covered, limit, page, since, time, verdict};
use super::rates;
use super::shared::Observations;
use crate::agent::error::AgentError;
use crate::api::{
    Cause, HitOrder, HitView, HitsPage, HitsQuery, RateBucket, RateStep, RatesQuery, RatesView,
};
use crate::model::ListKind;

impl Observations {
    /// Hits of policies, lists and rules, page by page.
    ///
    /// # Errors
    /// The query cannot be read.
    pub fn hits(&self, query: &HitsQuery, now: Timestamp) -> Result<HitsPage, AgentError> {
        let limit = limit(query.limit, HitsQuery::USUAL, HitsQuery::MOST)?;
        let oldest = query.since.as_deref().map(|text| since(text, now));
        let oldest = oldest.transpose()?.map(Timestamp::as_millisecond);
        let memory = &*self.lock();
        let mut sums: BTreeMap<HitKey<'_>, Hits> = BTreeMap::new();
        for decider in memory.deciders.hit() {
            let Some(policy) = memory.names.text(decider.key.policy) else {
                continue;
            };
            if query
                .policy
                .as_deref()
                .is_some_and(|wanted| wanted != policy)
            {
                continue;
            }
            let named = memory.names.text(decider.key.named);
            let whole = HitKey {
                policy,
                list: None,
                named: None,
                net: None,
                is_unmatched: false,
            };
            let list = decider.key.list.map(|list| HitKey {
                list: Some(list),
                named,
                is_unmatched: decider.key.is_unmatched,
                ..whole
            });
            let rule = list.zip(decider.key.net).map(|(list, net)| HitKey {
                net: Some(net),
                ..list
            });
            for key in [Some(whole), list, rule].into_iter().flatten() {
                sums.entry(key).or_default().add(decider);
            }
        }
        let is_wanted = |hits: &Hits| {
            oldest.is_none_or(|oldest| hits.span.is_some_and(|(_, last)| last >= oldest))
        };
        let mut listed: Vec<_> = sums.into_iter().filter(|(_, h)| is_wanted(h)).collect();
        if query.sort == Some(HitOrder::Hits) {
            // Those with as many stay in the order of their names.
            listed.sort_by_key(|(_, hits)| Reverse(hits.hits));
        }
        let (from, next) = page(query.after, limit, listed.len());
        let total = listed.len() as u64;
        let shown = listed.into_iter().skip(from).take(limit);
        Ok(HitsPage {
            hits: shown
                .map(|(key, hits)| key.view(&hits, memory.since))
                .collect(),
            total,
            next,
            counted_since: memory.since,
            incomplete: memory.deciders.is_full,
        })
    }

    /// Attempts by minute, hour or day.
    ///
    /// # Errors
    /// The query cannot be read.
    pub fn rates(&self, query: &RatesQuery, now: Timestamp) -> Result<RatesView, AgentError> {
        const HOUR: Duration = Duration::from_secs(3600);
        /// By time, scope, policy and reason: attempts, and whether they are estimated.
        type Sums = BTreeMap<(u32, NameId, NameId, u8), (u64, bool)>;
        let step = query.step.unwrap_or_default();
        let usual = match step {
            RateStep::Minute => HOUR,
            RateStep::Hour => HOUR * 24,
            RateStep::Day => HOUR * 24 * 30,
        };
        let from = match query.since.as_deref() {
            Some(text) => since(text, now)?,
            None => now.checked_sub(usual).unwrap_or(now),
        };
        let rule = query.rule.as_deref().map(covered).transpose()?;
        let memory = &*self.lock();
        let scope = query.scope.as_deref().map(|name| memory.names.known(name));
        let mut sums = Sums::new();
        for (key, tally) in memory.rates.since(step, from) {
            let reason = Reason::from_u8(key.reason);
            let decider = memory.deciders.get(key.decider);
            let policy = decider.and_then(|decider| memory.names.text(decider.key.policy));
            let is_wanted = scope.is_none_or(|scope| scope == Some(key.scope))
                && query.policy.is_none_or_matches(policy)
                && rule.is_none_or(|rule| decider.is_some_and(|d| d.key.net == Some(rule)))
                && query
                    .reason
                    .is_none_or(|wanted| Some(wanted) == reason.map(Cause::from));
            if is_wanted {
                let policy = decider.map_or(NO_NAME, |decider| decider.key.policy);
                let sum = sums
                    .entry((key.minute, key.scope, policy, key.reason))
                    .or_default();
                sum.0 += tally.attempts;
                sum.1 |= tally.is_sampled;
            }
        }
        // Names only for sums: of a day there may be a hundred buckets.
        let buckets = sums.into_iter();
        let mut buckets: Vec<_> = buckets
            .map(|((minute, scope, policy, reason), (attempts, sampled))| {
                let reason = Reason::from_u8(reason);
                RateBucket {
                    time: rates::time(minute),
                    scope: memory.scope(scope),
                    policy: memory.names.text(policy).map(str::to_owned),
                    reason: reason.map_or(Cause::Unknown, Cause::from),
                    verdict: verdict(reason.is_some_and(Reason::is_denial)),
                    attempts,
                    sampled,
                }
            })
            .collect();
        let order =
            |bucket: &RateBucket| (bucket.time, bucket.scope.clone(), bucket.policy.clone());
        buckets.sort_by_cached_key(order);
        Ok(RatesView {
            step,
            since: from,
            remembered_since: memory.since,
            buckets,
        })
    }
}

/// What stands for policies beyond the most that are counted apart.
const OTHERS: &str = "(others)";

/// Attempts by policy, as metrics show them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedByPolicy {
    /// "host" or the service's name.
    pub scope: String,
    /// The policy; nothing: no policy decided, or several together.
    pub policy: String,
    /// Why.
    pub reason: Reason,
    /// How many since the agent started.
    pub attempts: u64,
}

impl Observations {
    /// Attempts by scope, policy and reason since the agent started, each once.
    #[must_use]
    pub fn by_policy(&self) -> Vec<CountedByPolicy> {
        let memory = &*self.lock();
        let sums = memory.by_policy.sums();
        let counted = sums.filter_map(|(scope, policy, reason, attempts)| {
            let policy = match policy {
                CountedPolicy::Others => OTHERS,
                CountedPolicy::Name(name) => memory.names.text(name).unwrap_or_default(),
            };
            Some(CountedByPolicy {
                scope: memory.scope(scope),
                policy: policy.to_owned(),
                reason: Reason::from_u8(reason)?,
                attempts,
            })
        });
        counted.collect()
    }
}

/// Whether what a query names, if anything, is this.
trait PolicyFilter {
    fn is_none_or_matches(&self, found: Option<&str>) -> bool;
}

impl PolicyFilter for Option<String> {
    fn is_none_or_matches(&self, found: Option<&str>) -> bool {
        self.as_deref().is_none_or(|wanted| found == Some(wanted))
    }
}

/// What hits are listed for, in the order in which they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct HitKey<'a> {
    policy: &'a str,
    list: Option<ListKind>,
    named: Option<&'a str>,
    net: Option<IpNet>,
    is_unmatched: bool,
}

/// Sums of hits.
#[derive(Clone, Copy, Debug, Default)]
struct Hits {
    hits: u64,
    is_sampled: bool,
    span: Option<(i64, i64)>,
}

impl Hits {
    fn add(&mut self, decider: &Decider) {
        self.hits += decider.hits;
        self.is_sampled |= decider.is_sampled;
        let (first, last) = self.span.unwrap_or((decider.first, decider.last));
        self.span = Some((first.min(decider.first), last.max(decider.last)));
    }
}

impl HitKey<'_> {
    fn view(self, hits: &Hits, counted_since: Timestamp) -> HitView {
        let (first, last) = hits.span.unwrap_or_default();
        HitView {
            policy: self.policy.to_owned(),
            list: self.list,
            named_list: self.named.map(str::to_owned),
            rule: self.net.map(|net| net.to_string()),
            unmatched: self.is_unmatched,
            hits: hits.hits,
            sampled: hits.is_sampled,
            first_hit: time(first),
            last_hit: time(last),
            counted_since,
        }
    }
}
