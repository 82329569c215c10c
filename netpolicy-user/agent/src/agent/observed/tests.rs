use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use netpolicy_common::{Event, HOST_SCOPE, Reason};

use super::ledger::Ledger;
use super::models::Models;
use super::pending::{PendingAttempts, PendingKey, SeenAttempts, take};
use super::period::Period;
use super::records::{Restoration, UnwrittenChanges};
use super::settle::settle;
use super::shared::Observations;
use crate::agent::rehearsal::SeenSources as _;
use crate::agent::snapshot::Snapshot;
use crate::agent::testing;
use crate::api::{
    HitOrder, HitView, HitsQuery, RatesQuery, SourceOrder, SourceVerdict, SourcesQuery,
};
use crate::model::State;

fn now() -> Timestamp {
    "2026-11-30T12:00:30Z".parse().unwrap()
}

fn snapshot(generation: u64, revision: u64, state: State) -> Arc<Snapshot> {
    Arc::new(Snapshot {
        generation,
        ..Snapshot::of(&Arc::new(state), revision)
    })
}

fn models() -> Models {
    let mut models = Models::default();
    let first = testing::state_with_policy("office", &["192.168.1.0/24"], &["10.0.0.0/8"]);
    let second = testing::state_with_policy("branch", &[], &["10.0.0.1"]);
    models.see(&snapshot(3, 1, first));
    models.see(&snapshot(4, 2, second));
    models
}

fn attempts(
    pending: &mut PendingAttempts,
    generation: u64,
    reason: Reason,
    source: &str,
    count: u32,
    before: i64,
) {
    let at = now().as_millisecond() - before;
    let key = PendingKey {
        generation,
        scope: HOST_SCOPE,
        reason,
        source: source.parse().unwrap(),
    };
    let span = Period {
        first: at,
        last: at,
    };
    pending.insert(key, SeenAttempts { count, span });
}

fn remembered(unreported: HashMap<(u16, Reason), u64>) -> Observations {
    let observations = Observations::new(now());
    let mut pending = PendingAttempts::default();
    attempts(&mut pending, 3, Reason::Blocked, "10.0.0.1", 3, 900);
    attempts(&mut pending, 4, Reason::Blocked, "10.0.0.1", 2, 100);
    attempts(&mut pending, 3, Reason::Blocked, "10.2.0.1", 1, 5000);
    attempts(&mut pending, 3, Reason::Allowed, "192.168.1.7", 4, 700);
    attempts(&mut pending, 3, Reason::NotAllowed, "203.0.113.9", 9, 600);
    attempts(&mut pending, 4, Reason::NotBlocked, "203.0.113.9", 1, 50);
    settle(&observations, pending, unreported, &models(), 1000, now());
    observations
}

fn hits(observations: &Observations, policy: Option<&str>) -> Vec<(String, u64)> {
    let query = HitsQuery {
        policy: policy.map(str::to_owned),
        ..HitsQuery::default()
    };
    let words = |hit: HitView| {
        let list = hit.list.map(|list| format!(" {list}")).unwrap_or_default();
        let rule = hit.rule.map(|rule| format!(" {rule}")).unwrap_or_default();
        let none = if hit.unmatched { " none" } else { "" };
        (format!("{}{list}{rule}{none}", hit.policy), hit.hits)
    };
    let found = observations.hits(&query, now()).unwrap().hits;
    found.into_iter().map(words).collect()
}

fn counted(text: &str, hits: u64) -> (String, u64) {
    (text.to_owned(), hits)
}

#[test]
fn rules_are_hit_by_the_model_of_the_generation_that_decided() {
    let observations = remembered(HashMap::new());
    assert_eq!(
        hits(&observations, None),
        [
            counted("branch", 3),
            counted("branch block", 2),
            counted("branch block 10.0.0.1/32", 2),
            counted("office", 17),
            counted("office allow", 4),
            counted("office allow none", 9),
            counted("office allow 192.168.1.0/24", 4),
            counted("office block", 4),
            counted("office block 10.0.0.0/8", 4),
        ]
    );
    assert_eq!(hits(&observations, Some("branch")).len(), 3);
}

#[test]
fn attempts_are_counted_by_scope_policy_and_reason() {
    let observations = remembered(HashMap::from([((HOST_SCOPE, Reason::NoPolicy), 5)]));
    let counted = observations.by_policy().into_iter();
    let counted: Vec<_> = counted
        .map(|row| (row.policy, row.reason, row.attempts))
        .collect();
    let office = |reason, attempts| ("office".to_owned(), reason, attempts);
    assert!(counted.contains(&office(Reason::Blocked, 4)));
    assert!(counted.contains(&office(Reason::NotAllowed, 9)));
    assert!(counted.contains(&(String::new(), Reason::NoPolicy, 5)));
    assert_eq!(counted.len(), 6, "{counted:?}");
}

#[test]
fn sources_are_listed_with_their_last_verdict_and_selected() {
    let observations = remembered(HashMap::new());
    let list = |query: SourcesQuery| {
        let page = observations.sources(&query, now()).unwrap();
        let found = page.sources.into_iter();
        let words = found.map(|one| format!("{} {} {}", one.source, one.reason, one.attempts));
        (words.collect::<Vec<_>>(), page.total)
    };
    let (all, total) = list(SourcesQuery::default());
    assert_eq!(
        all,
        [
            "203.0.113.9 not-blocked 1",
            "10.0.0.1 blocked 5",
            "203.0.113.9 not-allowed 9",
            "192.168.1.7 allowed 4",
            "10.2.0.1 blocked 1",
        ]
    );
    assert_eq!(total, 5);
    let query = SourcesQuery {
        verdict: Some(SourceVerdict::Denied),
        since: Some("2s".to_owned()),
        sort: Some(SourceOrder::Attempts),
        ..SourcesQuery::default()
    };
    let denied = ["203.0.113.9 not-allowed 9", "10.0.0.1 blocked 5"];
    assert_eq!(list(query).0, denied);
    let query = SourcesQuery {
        covers: Some("10.0.0.0/8".to_owned()),
        net: Some(8),
        ..SourcesQuery::default()
    };
    assert_eq!(list(query).0, ["10.0.0.0/8 blocked 6"]);
    let query = SourcesQuery {
        service: Some("postgres".to_owned()),
        ..SourcesQuery::default()
    };
    assert_eq!(list(query).1, 0);
    let query = SourcesQuery {
        limit: Some(2),
        after: Some(2),
        ..SourcesQuery::default()
    };
    let page = observations.sources(&query, now()).unwrap();
    assert_eq!((page.sources.len(), page.next), (2, Some(4)));
    let branch = observations.sources(&SourcesQuery::default(), now());
    let branch = &branch.unwrap().sources[1];
    assert_eq!(branch.policy.as_deref(), Some("branch"));
    assert_eq!(branch.rule.as_deref(), Some("10.0.0.1/32"));
    assert_eq!(branch.generation, 4);
}

#[test]
fn bad_queries_say_what_was_expected() {
    let observations = Observations::new(now());
    for (query, expected) in [
        (
            SourcesQuery {
                since: Some("yesterday".to_owned()),
                ..SourcesQuery::default()
            },
            "as in 1h or 7d",
        ),
        (
            SourcesQuery {
                net: Some(33),
                ..SourcesQuery::default()
            },
            "from 8 to 32",
        ),
        (
            SourcesQuery {
                limit: Some(0),
                ..SourcesQuery::default()
            },
            "expected 1 to 10000",
        ),
        (
            SourcesQuery {
                covers: Some("10.0.0.256".to_owned()),
                ..SourcesQuery::default()
            },
            "10.0.0.256",
        ),
    ] {
        let error = observations.sources(&query, now()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// However the parts are rounded.
#[test]
fn what_was_not_reported_is_spread_and_the_sums_are_the_kernel_s() {
    let unreported = HashMap::from([
        ((HOST_SCOPE, Reason::Blocked), 994),
        ((HOST_SCOPE, Reason::Banned), 7),
    ]);
    let observations = remembered(unreported);
    let page = observations
        .sources(&SourcesQuery::default(), now())
        .unwrap();
    let blocked = page
        .sources
        .iter()
        .filter(|one| one.reason.as_str() == "blocked");
    assert_eq!(blocked.clone().map(|one| one.attempts).sum::<u64>(), 1000);
    assert!(blocked.clone().all(|one| one.sampled));
    let exact = page.sources.iter().find(|one| one.source == "192.168.1.7");
    assert!(exact.is_some_and(|one| !one.sampled && one.attempts == 4));

    let rates = observations.rates(&RatesQuery::default(), now()).unwrap();
    let sum = |reason: &str| {
        let found = rates.buckets.iter().filter(|b| b.reason.as_str() == reason);
        found.map(|bucket| bucket.attempts).sum::<u64>()
    };
    assert_eq!(
        (sum("blocked"), sum("allowed"), sum("banned")),
        (1000, 4, 7)
    );
    let query = RatesQuery {
        policy: Some("office".to_owned()),
        rule: Some("192.168.1.0/24".to_owned()),
        ..RatesQuery::default()
    };
    let of_rule = observations.rates(&query, now()).unwrap().buckets;
    assert_eq!(of_rule.len(), 1);
    assert_eq!((of_rule[0].attempts, of_rule[0].sampled), (4, false));
}

#[test]
fn a_rule_that_would_not_have_decided_so_is_not_hit() {
    let observations = Observations::new(now());
    let mut pending = PendingAttempts::default();
    // A ban, or rules that were changed twice at once.
    attempts(&mut pending, 4, Reason::Blocked, "192.0.2.1", 3, 0);
    attempts(&mut pending, 4, Reason::Banned, "10.0.0.1", 3, 0);
    settle(&observations, pending, HashMap::new(), &models(), 10, now());
    assert!(hits(&observations, None).is_empty());
    let page = observations
        .sources(&SourcesQuery::default(), now())
        .unwrap();
    assert!(page.sources.iter().all(|one| one.policy.is_none()));
    assert_eq!(page.total, 2);
}

#[test]
fn what_is_written_down_reads_back_as_the_same() {
    let observations = remembered(HashMap::from([((HOST_SCOPE, Reason::Blocked), 44)]));
    let counted_by_kernel = vec![(HOST_SCOPE, Reason::Blocked as u8, 1234)];
    let mut memory = observations.lock();
    let changes = UnwrittenChanges::take(&mut memory, now(), counted_by_kernel.clone());
    assert_eq!(
        UnwrittenChanges::take(&mut memory, now(), Vec::new()).len(),
        0
    );
    let mut sorted: Vec<_> = changes.records().collect();
    assert_eq!(sorted.len(), changes.len() + 1, "and the head");
    sorted.sort_by_key(|record| (record.kind, record.key.clone()));
    let mut restored = Restoration::new(now());
    for record in &sorted {
        restored.take(record.kind, &record.key, record.value.as_ref().unwrap());
    }
    assert_eq!(restored.wrong, None);
    assert_eq!(restored.head.as_ref().unwrap().counted, counted_by_kernel);
    drop(memory);
    let other = Observations::new(now());
    *other.lock() = restored.memory;
    let page = |from: &Observations| from.sources(&SourcesQuery::default(), now()).unwrap();
    assert_eq!(page(&other), page(&observations));
    assert_eq!(hits(&other, None), hits(&observations, None));
    let rates = |from: &Observations| from.rates(&RatesQuery::default(), now()).unwrap();
    assert_eq!(rates(&other), rates(&observations));
    // And counts go on where they were.
    let mut pending = PendingAttempts::default();
    attempts(&mut pending, 4, Reason::Blocked, "10.0.0.1", 1, 0);
    settle(&other, pending, HashMap::new(), &models(), 10, now());
    assert!(hits(&other, Some("branch"))[2].1 > hits(&observations, Some("branch"))[2].1);

    let mut damaged = Restoration::new(now());
    damaged.take(3, &[1, 2], &[]);
    assert!(damaged.wrong.is_some());
}

#[test]
fn source_that_is_only_observed_got_in_and_is_remembered_apart() {
    let observations = Observations::new(now());
    let mut pending = PendingAttempts::default();
    attempts(&mut pending, 3, Reason::ObservedBlocked, "10.0.0.1", 3, 900);
    attempts(&mut pending, 4, Reason::Blocked, "10.0.0.1", 2, 100);
    settle(&observations, pending, HashMap::new(), &models(), 10, now());
    let seen = observations.seen_since(Timestamp::UNIX_EPOCH);
    let mut got_in: Vec<_> = seen
        .sources
        .iter()
        .map(|s| (s.got_in, s.attempts))
        .collect();
    got_in.sort_unstable();
    assert_eq!(got_in, [(false, 2), (true, 3)]);
    let page = observations.sources(&SourcesQuery::default(), now());
    let page = page.unwrap().sources;
    assert!(page.iter().all(|s| s.verdict == SourceVerdict::Denied));
}

/// After a reboot generations and revisions begin again.
#[test]
fn hits_go_to_the_rules_in_force_and_not_to_those_of_the_same_number() {
    let observations = remembered(HashMap::new());
    let mut models = Models::default();
    let other = testing::state_with_policy("other", &[], &["10.0.0.0/8"]);
    models.see(&snapshot(4, 2, other));
    let mut pending = PendingAttempts::default();
    attempts(&mut pending, 4, Reason::Blocked, "10.0.0.1", 5, 0);
    // What was restored has no number of rules at all.
    let kept: Vec<_> = {
        let memory = &*observations.lock();
        let found = memory.sources.iter();
        found
            .map(|row| (row.key.unpacked(), row.record()))
            .collect()
    };
    let mut table = super::sources::SourceTable::default();
    for (key, record) in kept {
        table.restore(key, &record).unwrap();
    }
    observations.lock().sources = table;
    settle(&observations, pending, HashMap::new(), &models, 10, now());
    assert_eq!(hits(&observations, Some("other"))[0].1, 5);
    assert_eq!(hits(&observations, Some("branch"))[0].1, 3);
}

#[test]
fn hits_are_listed_by_their_number_and_since_a_time() {
    let observations = remembered(HashMap::new());
    let query = HitsQuery {
        since: Some("1s".to_owned()),
        sort: Some(HitOrder::Hits),
        ..HitsQuery::default()
    };
    let page = observations.hits(&query, now()).unwrap();
    let listed: Vec<_> = page.hits.iter().map(|hit| hit.hits).collect();
    assert_eq!(listed[0], 17);
    assert!(listed.is_sorted_by(|a, b| a >= b) && page.total == listed.len() as u64);
}

#[test]
fn rule_that_decided_nothing_for_long_makes_room_and_its_number_is_not_given_again() {
    let observations = remembered(HashMap::new());
    let memory = &mut *observations.lock();
    drop(UnwrittenChanges::take(memory, now(), Vec::new()));
    memory.deciders.expire(i64::MAX);
    assert_eq!(memory.deciders.take_removed().len(), 3);
    assert!(
        memory
            .deciders
            .hit()
            .all(|decider| decider.key.net.is_none())
    );
    let highest = (1..100).rfind(|id| memory.deciders.get(*id).is_some());
    let decided = super::deciders::Decided {
        policy: Some("new".to_owned()),
        ..Default::default()
    };
    assert!(Some(memory.decider(&decided).0) > highest);
}

#[test]
fn events_are_taken_by_source_and_reason() {
    let (mut pending, mut ledger) = (PendingAttempts::default(), Ledger::default());
    let event = crate::agent::events::denied::tests::event();
    let failsafe = Event {
        reason: Reason::Failsafe as u8,
        ..event
    };
    let garbage = Event { family: 9, ..event };
    let taken = take(
        &mut pending,
        &mut ledger,
        &[event, event, failsafe, garbage],
    );
    assert_eq!((taken, pending.len()), (2, 1));
    let (key, seen) = pending.iter().next().unwrap();
    assert_eq!(key.source, "10.0.0.1".parse::<IpAddr>().unwrap());
    assert_eq!(seen.count, 2);
}

/// So many sources in one second as are reported one by one at most, by as many rules.
#[test]
fn thirty_thousand_sources_are_attributed_in_little_time() {
    let block: Vec<_> = (0..30_000_u32)
        .map(|n| format!("10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255))
        .collect();
    let block: Vec<_> = block.iter().map(String::as_str).collect();
    let mut models = Models::default();
    let state = testing::state_with_policy("abuse", &[], &block);
    models.see(&snapshot(1, 1, state));
    let mut pending = PendingAttempts::default();
    for source in &block {
        attempts(&mut pending, 1, Reason::Blocked, source, 1, 0);
    }
    let observations = Observations::new(now());
    let begun = Instant::now();
    settle(
        &observations,
        pending,
        HashMap::new(),
        &models,
        100_000,
        now(),
    );
    let took = begun.elapsed();
    assert_eq!(hits(&observations, Some("abuse"))[0].1, 30_000);
    // Without optimization, on a machine that does other things too; a scan of all rules for
    // each source takes a minute.
    assert!(took.as_secs() < 10, "{took:?}");
}
