//! How many packets each scope dropped in the last minute, and the attempts of the last seconds:
//! the kernel's counters, read now and then.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use netpolicy_common::{Action, ScopeId};
use tokio::time::{MissedTickBehavior, interval};

use super::kernel::Inspector;
use crate::datapath::CounterSnapshot;

/// What is told.
const MINUTE: Duration = Duration::from_secs(60);

/// Time between two looks; a look takes some hundred microseconds.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The least time over which the last attempts are told.
const RECENT: Duration = Duration::from_secs(5);

/// Packets that each scope has dropped so far.
type Dropped = BTreeMap<ScopeId, u64>;

/// Attempts in a scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScopeAttempts {
    /// Those that policies or bypasses let pass.
    pub passed: u64,
    /// Those that were denied, dropped or not.
    pub denied: u64,
}

/// What was counted at one look.
#[derive(Debug)]
struct CounterLook {
    time: Instant,
    dropped: Dropped,
    attempts: BTreeMap<ScopeId, ScopeAttempts>,
}

/// The looks of the last minute and the one before, the oldest first.
#[derive(Debug, Default)]
pub struct DropRates(Mutex<VecDeque<CounterLook>>);

impl DropRates {
    /// Takes what was counted at a moment.
    fn take(&self, now: Instant, counted: &CounterSnapshot) {
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        looks.push_back(CounterLook {
            time: now,
            dropped: dropped(counted),
            attempts: attempts(counted),
        });
        // One that is a minute old or older stays.
        while looks
            .get(1)
            .is_some_and(|look| now.duration_since(look.time) >= MINUTE)
        {
            looks.pop_front();
        }
    }

    /// The packets that each scope has dropped in the last minute, by what is counted `now`;
    /// scopes that dropped none are left out. `None`: it was not counted for a minute yet.
    #[must_use]
    pub fn last_minute(&self, now: Instant, counted: &CounterSnapshot) -> Option<Dropped> {
        let looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let old = |look: &&CounterLook| now.duration_since(look.time) >= MINUTE;
        let CounterLook {
            time,
            dropped: before,
            ..
        } = looks.iter().rev().find(old)?;
        let over = now.duration_since(*time);
        let mut since = dropped(counted);
        for (scope, packets) in &mut since {
            // Counters of a service begin at zero when another one takes its number.
            let earlier = before.get(scope).copied().unwrap_or(0);
            let new = packets.checked_sub(earlier).unwrap_or(*packets);
            *packets = a_minute(new, over);
        }
        since.retain(|_, packets| *packets > 0);
        Some(since)
    }

    /// The attempts of the last seconds by what is counted `now`, and over how long; scopes without
    /// any are left out. `None`: it was not counted for so long yet.
    #[must_use]
    pub fn recent(
        &self,
        now: Instant,
        counted: &CounterSnapshot,
    ) -> Option<(Duration, BTreeMap<ScopeId, ScopeAttempts>)> {
        let looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let old = |look: &&CounterLook| now.duration_since(look.time) >= RECENT;
        let before = looks.iter().rev().find(old)?;
        let mut recent = attempts(counted);
        for (scope, now) in &mut recent {
            let before = before.attempts.get(scope).copied().unwrap_or_default();
            // As above: counters may have begun again.
            now.passed = now.passed.checked_sub(before.passed).unwrap_or(now.passed);
            now.denied = now.denied.checked_sub(before.denied).unwrap_or(now.denied);
        }
        recent.retain(|_, attempts| *attempts != ScopeAttempts::default());
        Some((now.duration_since(before.time), recent))
    }
}

/// Of what was counted in a minute or somewhat more.
fn a_minute(packets: u64, over: Duration) -> u64 {
    let minute = u128::from(packets) * MINUTE.as_millis() / over.as_millis().max(1);
    u64::try_from(minute).unwrap_or(u64::MAX)
}

fn dropped(counted: &CounterSnapshot) -> Dropped {
    let mut dropped = Dropped::new();
    for (scope, reason, packets) in &counted.rows {
        if reason.action() == Action::Drop {
            *dropped.entry(*scope).or_default() += packets;
        }
    }
    dropped
}

fn attempts(counted: &CounterSnapshot) -> BTreeMap<ScopeId, ScopeAttempts> {
    let mut attempts = BTreeMap::<ScopeId, ScopeAttempts>::new();
    for (scope, reason, packets) in &counted.rows {
        if reason.is_denial() {
            attempts.entry(*scope).or_default().denied += packets;
        } else if reason.is_sampled() {
            attempts.entry(*scope).or_default().passed += packets;
        }
    }
    attempts
}

/// Looks now and then, until the agent ends.
pub async fn keep_counting(rates: Arc<DropRates>, inspector: Arc<dyn Inspector>) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let inspector = inspector.clone();
        let counted = tokio::task::spawn_blocking(move || inspector.counters()).await;
        if let Ok(Ok(counted)) = counted {
            rates.take(Instant::now(), &counted);
        }
    }
}

#[cfg(test)]
mod tests {
    use netpolicy_common::{EventStats, HOST_SCOPE, Reason, ResetStats};

    use super::*;

    fn counted(blocked: u64, allowed: u64) -> CounterSnapshot {
        CounterSnapshot {
            rows: vec![
                (HOST_SCOPE, Reason::Blocked, blocked),
                (HOST_SCOPE, Reason::Allowed, allowed),
            ],
            events: EventStats::default(),
            resets: ResetStats::default(),
            since: None,
        }
    }

    #[test]
    fn packets_of_the_last_minute_are_told_once_a_minute_was_counted() {
        let rates = DropRates::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        rates.take(at(0), &counted(100, 5));
        rates.take(at(10), &counted(150, 50));
        assert_eq!(rates.last_minute(at(59), &counted(200, 90)), None);
        let told = rates.last_minute(at(60), &counted(220, 90)).unwrap();
        assert_eq!(told, Dropped::from([(HOST_SCOPE, 120)]));
        // By the look that is a minute old.
        let told = rates.last_minute(at(70), &counted(220, 90)).unwrap();
        assert_eq!(told, Dropped::from([(HOST_SCOPE, 70)]));
        rates.take(at(200), &counted(220, 90));
        let told = rates.last_minute(at(260), &counted(220, 90)).unwrap();
        assert!(told.is_empty());
    }

    #[test]
    fn attempts_of_the_last_seconds_are_told_after_a_few() {
        let rates = DropRates::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        rates.take(at(0), &counted(100, 5));
        assert_eq!(rates.recent(at(4), &counted(150, 50)), None);
        rates.take(at(10), &counted(150, 50));
        let attempts =
            |passed, denied| BTreeMap::from([(HOST_SCOPE, ScopeAttempts { passed, denied })]);
        let (over, told) = rates.recent(at(12), &counted(150, 52)).unwrap();
        assert_eq!((over.as_secs(), told), (12, attempts(47, 50)));
        let (over, told) = rates.recent(at(16), &counted(151, 50)).unwrap();
        assert_eq!((over.as_secs(), told), (6, attempts(0, 1)));
        assert!(
            rates
                .recent(at(16), &counted(150, 50))
                .unwrap()
                .1
                .is_empty()
        );
    }

    #[test]
    fn counters_that_began_again_are_told_as_they_are() {
        let rates = DropRates::default();
        let start = Instant::now();
        rates.take(start, &counted(500, 0));
        let told = rates.last_minute(start + MINUTE, &counted(7, 0)).unwrap();
        assert_eq!(told, Dropped::from([(HOST_SCOPE, 7)]));
    }
}
