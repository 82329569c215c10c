//! One look at it: counters, sources and rules, as the agent has them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;

use crate::api::{
    Cause, Counters, HitOrder, HitView, HitsQuery, RecentAttempts, RecentScope, SourceOrder,
    SourceVerdict, SourceView, SourcesQuery,
};
use crate::client::{Client, ClientError};
use crate::model::Mode;
use crate::output::{TopRule, TopScope, TopSource, TopView};

/// Lines of each list that are asked for.
const LINES: usize = 100;
/// Time between two looks where the agent started only now.
const SHORT: Duration = Duration::from_secs(1);
/// What stands in a rule's place where none of the allow list matched.
const UNMATCHED: &str = "(not allowed)";
/// The length of IPv4 networks that are shown.
const NETWORK: u8 = 24;

/// Asks the agent, and knows what it said last.
pub(super) struct TopCollector {
    client: Client,
    since: Duration,
    service: Option<String>,
    /// The last counters, and when they were read.
    before: Option<(Instant, Totals)>,
    /// Whether the last look had rates.
    has_rates: bool,
}

/// Attempts that passed and were denied, by scope.
type Totals = BTreeMap<String, (u64, u64)>;

impl TopCollector {
    pub(super) fn new(client: Client, since: Duration, service: Option<String>) -> Self {
        Self {
            client,
            since,
            service,
            before: None,
            has_rates: false,
        }
    }

    async fn look(&mut self) -> Result<TopView, ClientError> {
        let now = Timestamp::now();
        let ago = SignedDuration::try_from(self.since).unwrap_or(SignedDuration::MAX);
        let since = now.checked_sub(ago).unwrap_or(Timestamp::UNIX_EPOCH);
        let client = &self.client;
        let counters = client.counters().await?;
        let read = Instant::now();
        let gap = client.status().await?.enforcement.gap();
        let query = |verdict, net, sort| SourcesQuery {
            verdict: Some(verdict),
            since: Some(since.to_string()),
            service: self.service.clone(),
            net,
            sort: Some(sort),
            limit: Some(LINES),
            ..SourcesQuery::default()
        };
        let (denied, most) = (SourceVerdict::Denied, SourceOrder::Attempts);
        let (denied, networks) = (
            query(denied, None, most),
            query(denied, Some(NETWORK), most),
        );
        let allowed = query(SourceVerdict::Allowed, None, SourceOrder::Last);
        let hits = HitsQuery {
            since: Some(since.to_string()),
            sort: Some(HitOrder::Hits),
            ..HitsQuery::default()
        };
        let denied = client.sources(&denied).await?.sources;
        let networks = client.sources(&networks).await?.sources;
        let allowed = client.sources(&allowed).await?.sources;
        let hits = client.hits(&hits).await?.hits;
        let policies = client.policies().await?.into_iter();
        let observed = policies.filter(|policy| policy.mode == Mode::Observe);
        let observed: Vec<_> = observed.map(|policy| policy.name).collect();
        let totals = totals(&counters, self.service.as_deref());
        let scopes = match (&self.before, &counters.recent) {
            (None, Some(recent)) => scopes_of(&totals, recent),
            (before, _) => scopes(&totals, before.as_ref(), read),
        };
        self.has_rates = self.before.is_some() || counters.recent.is_some();
        self.before = Some((read, totals));
        Ok(TopView {
            time: now,
            since,
            gap,
            service: self.service.clone(),
            scopes,
            denied: denied.into_iter().map(source).collect(),
            networks: networks.into_iter().map(source).collect(),
            rules: rules(hits, since, &observed),
            allowed: allowed.into_iter().map(source).collect(),
        })
    }
}

/// Two looks, with the rates between them; without an interval one, if the agent has counted for
/// long enough to tell rates.
///
/// # Errors
/// The agent does not answer.
pub(super) async fn once(
    mut collector: TopCollector,
    interval: Option<Duration>,
) -> Result<TopView, ClientError> {
    let view = collector.look().await?;
    if interval.is_none() && collector.has_rates {
        return Ok(view);
    }
    tokio::time::sleep(interval.unwrap_or(SHORT)).await;
    collector.look().await
}

/// Looks again and again, as long as what it sees is taken; what went wrong is said in words.
pub(super) fn watch(
    mut collector: TopCollector,
    interval: Duration,
) -> mpsc::Receiver<Result<TopView, String>> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let look = collector.look().await.map_err(|error| error.to_string());
            if sender.send(look).await.is_err() {
                return;
            }
            tokio::time::sleep(interval).await;
        }
    });
    receiver
}

/// Attempts by scope: packets that are none are counted as well, and left out.
fn totals(counters: &Counters, service: Option<&str>) -> Totals {
    let mut totals = Totals::new();
    let wanted = |scope: &str| service.is_none_or(|service| service == scope);
    for row in counters.rows.iter().filter(|row| wanted(&row.scope)) {
        let Cause::Judged(reason) = row.reason else {
            continue;
        };
        let (passed, denied) = totals.entry(row.scope.clone()).or_default();
        if reason.is_denial() {
            *denied += row.packets;
        } else if reason.is_sampled() {
            *passed += row.packets;
        }
    }
    totals
}

fn scopes(totals: &Totals, before: Option<&(Instant, Totals)>, read: Instant) -> Vec<TopScope> {
    let rate = |scope: &str, pick: fn(&(u64, u64)) -> u64, now: u64| {
        let Some((earlier, before)) = before else {
            return 0.0;
        };
        let before = before.get(scope).map_or(0, pick);
        let seconds = read.duration_since(*earlier).as_secs_f64();
        // Counters of another program begin at zero.
        match seconds > 0.0 && now >= before {
            true => (now - before) as f64 / seconds,
            false => 0.0,
        }
    };
    let scopes = totals.iter().map(|(scope, &(passed, denied))| TopScope {
        scope: scope.clone(),
        passed_per_second: rate(scope, |both| both.0, passed),
        denied_per_second: rate(scope, |both| both.1, denied),
        passed,
        denied,
    });
    scopes.collect()
}

/// The same by what the agent counted in the last seconds.
fn scopes_of(totals: &Totals, recent: &RecentAttempts) -> Vec<TopScope> {
    let seconds = (recent.milliseconds.max(1) as f64) / 1000.0;
    let scopes = totals.iter().map(|(scope, &(passed, denied))| {
        let recent = recent.scopes.iter().find(|recent| recent.scope == *scope);
        let rate = |of: fn(&RecentScope) -> u64| recent.map_or(0, of) as f64 / seconds;
        TopScope {
            scope: scope.clone(),
            passed_per_second: rate(|recent| recent.passed),
            denied_per_second: rate(|recent| recent.denied),
            passed,
            denied,
        }
    });
    scopes.collect()
}

fn source(view: SourceView) -> TopSource {
    TopSource {
        source: view.source,
        scope: view.scope,
        reason: view.reason.to_string(),
        policy: view.policy,
        rule: view.rule,
        attempts: view.attempts,
        sampled: view.sampled,
        last_seen: view.last_seen,
    }
}

/// Rules that decided since then, most often first, and what was on no allow list.
fn rules(hits: Vec<HitView>, since: Timestamp, observed: &[String]) -> Vec<TopRule> {
    let hits = hits.into_iter();
    let hits = hits.filter(|hit| (hit.rule.is_some() || hit.unmatched) && hit.last_hit >= since);
    let mut rules: Vec<_> = hits
        .map(|hit| TopRule {
            policy: match observed.contains(&hit.policy) {
                true => format!("{} (observed)", hit.policy),
                false => hit.policy,
            },
            list: hit.list.map(|list| match &hit.named_list {
                Some(named) => format!("{list} @{named}"),
                None => list.to_string(),
            }),
            rule: match hit.unmatched {
                true => Some(UNMATCHED.to_owned()),
                false => hit.rule,
            },
            hits: hit.hits,
            sampled: hit.sampled,
            last_hit: Some(hit.last_hit),
        })
        .collect();
    rules.sort_by(|a, b| b.hits.cmp(&a.hits).then(a.rule.cmp(&b.rule)));
    rules.truncate(LINES);
    rules
}
