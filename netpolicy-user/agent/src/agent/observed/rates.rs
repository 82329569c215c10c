//! Attempts by minute, hour and day.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::deciders::DeciderId;
use super::names::NameId;
use crate::api::RateStep;

/// What of a step is counted apart from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct BucketKey {
    /// Index into [`RateStep::ALL`].
    pub(super) step: u8,
    /// When it begins, in minutes since 1970.
    pub(super) minute: u32,
    /// The scope's name.
    pub(super) scope: NameId,
    /// The number of the reason.
    pub(super) reason: u8,
    /// What decided.
    pub(super) decider: DeciderId,
}

/// How many attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AttemptCount {
    /// Attempts.
    pub(super) attempts: u64,
    /// Whether they are an estimate.
    pub(super) is_sampled: bool,
}

/// Buckets of all steps.
#[derive(Debug, Default)]
pub(super) struct Rates {
    buckets: BTreeMap<BucketKey, AttemptCount>,
    /// How many are kept of each step and time.
    apart: HashMap<(u8, u32), usize>,
    /// Those that the store does not keep as they are.
    dirty: BTreeSet<BucketKey>,
}

/// Minutes of a step.
fn minutes(step: RateStep) -> u32 {
    match step {
        RateStep::Minute => 1,
        RateStep::Hour => 60,
        RateStep::Day => 24 * 60,
    }
}

/// How long buckets are kept, in minutes.
fn kept(step: RateStep) -> u32 {
    match step {
        RateStep::Minute => 24 * 60,
        RateStep::Hour => 30 * 24 * 60,
        RateStep::Day => 400 * 24 * 60,
    }
}

/// How many rules, scopes and reasons a time has apart; of more, rules are counted together.
fn most(step: RateStep) -> usize {
    match step {
        RateStep::Minute => 32,
        RateStep::Hour => 64,
        RateStep::Day => 128,
    }
}

/// Minutes since 1970.
fn minute(time: Timestamp) -> u32 {
    u32::try_from(time.as_second() / 60).unwrap_or(0)
}

/// The time of a minute since 1970.
pub(super) fn time(minute: u32) -> Timestamp {
    Timestamp::from_second(i64::from(minute) * 60).unwrap_or(Timestamp::UNIX_EPOCH)
}

impl Rates {
    /// Counts attempts in all steps. `whole`: the decider without its rule, for times with many.
    pub(super) fn add(
        &mut self,
        at: Timestamp,
        (scope, reason): (NameId, u8),
        (decider, whole): (DeciderId, DeciderId),
        tally: AttemptCount,
    ) {
        for (step, which) in (0..).zip(RateStep::ALL) {
            let now = minute(at);
            let key = |decider| BucketKey {
                step,
                minute: now - now % minutes(which),
                scope,
                reason,
                decider,
            };
            let mut key_of = key(decider);
            if !self.buckets.contains_key(&key_of) {
                let apart = self.apart.entry((step, key_of.minute)).or_default();
                if *apart >= most(which) {
                    key_of = key(whole);
                }
                if !self.buckets.contains_key(&key_of) {
                    *apart += 1;
                }
            }
            let bucket = self.buckets.entry(key_of).or_default();
            bucket.attempts += tally.attempts;
            bucket.is_sampled |= tally.is_sampled;
            self.dirty.insert(key_of);
        }
    }

    /// The buckets of a step from a time on, in the order of their times.
    pub(super) fn since(
        &self,
        step: RateStep,
        since: Timestamp,
    ) -> impl Iterator<Item = (&BucketKey, &AttemptCount)> {
        let number = number(step);
        let first = minute(since);
        let from = BucketKey {
            step: number,
            minute: first - first % minutes(step),
            scope: 0,
            reason: 0,
            decider: 0,
        };
        let rest = self.buckets.range(from..);
        rest.take_while(move |(key, _)| key.step == number)
    }

    /// Removes what is too old; which.
    pub(super) fn expire(&mut self, now: Timestamp) -> Vec<BucketKey> {
        let mut gone = Vec::new();
        for step in RateStep::ALL {
            let oldest = minute(now).saturating_sub(kept(step));
            let old = self.since(step, Timestamp::UNIX_EPOCH);
            gone.extend(
                old.map(|(key, _)| *key)
                    .take_while(|key| key.minute < oldest),
            );
        }
        for key in &gone {
            self.buckets.remove(key);
            self.apart.remove(&(key.step, key.minute));
            self.dirty.remove(key);
        }
        gone
    }

    /// What the store does not keep as it is.
    pub(super) fn take_dirty(&mut self) -> Vec<(BucketKey, AttemptCount)> {
        let dirty = std::mem::take(&mut self.dirty);
        let found = dirty.into_iter();
        found
            .filter_map(|key| Some((key, *self.buckets.get(&key)?)))
            .collect()
    }

    /// The store keeps nothing: all is to be written.
    pub(super) fn all_dirty(&mut self) {
        self.dirty = self.buckets.keys().copied().collect();
    }

    /// Puts in what the store kept.
    pub(super) fn restore(&mut self, key: BucketKey, tally: AttemptCount) {
        *self.apart.entry((key.step, key.minute)).or_default() += 1;
        self.buckets.insert(key, tally);
    }
}

/// Its place in [`RateStep::ALL`].
const fn number(step: RateStep) -> u8 {
    step as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn one(attempts: u64) -> AttemptCount {
        AttemptCount {
            attempts,
            is_sampled: false,
        }
    }

    #[test]
    fn attempts_are_counted_by_minute_hour_and_day() {
        let mut rates = Rates::default();
        rates.add(at("2026-11-30T10:59:59Z"), (1, 10), (1, 1), one(2));
        rates.add(at("2026-11-30T11:00:00Z"), (1, 10), (1, 1), one(3));
        let counts = |step| -> Vec<_> {
            let found = rates.since(step, at("2026-11-30T10:00:00Z"));
            found
                .map(|(key, tally)| (time(key.minute).to_string(), tally.attempts))
                .collect()
        };
        let of = |text: &str, n| (text.to_owned(), n);
        let (ten, eleven) = ("2026-11-30T10:59:00Z", "2026-11-30T11:00:00Z");
        assert_eq!(counts(RateStep::Minute), [of(ten, 2), of(eleven, 3)]);
        let hours = [of("2026-11-30T10:00:00Z", 2), of(eleven, 3)];
        assert_eq!(counts(RateStep::Hour), hours);
        assert_eq!(counts(RateStep::Day), [of("2026-11-30T00:00:00Z", 5)]);
    }

    #[test]
    fn what_is_too_old_goes_and_the_sum_over_many_rules_stays() {
        let mut rates = Rates::default();
        let start = at("2026-11-30T10:00:00Z");
        for decider in 2..1000 {
            rates.add(start, (1, 10), (decider, 1), one(1));
        }
        for step in RateStep::ALL {
            let found: Vec<_> = rates.since(step, start).map(|(_, t)| t.attempts).collect();
            assert_eq!(found.iter().sum::<u64>(), 998, "{step:?}");
            assert_eq!(found.len(), most(step) + 1);
        }
        let tomorrow = at("2026-12-01T10:01:00Z");
        assert_eq!(rates.expire(tomorrow).len(), most(RateStep::Minute) + 1);
        assert_eq!(rates.since(RateStep::Minute, start).count(), 0);
        assert!(rates.since(RateStep::Hour, start).count() > 0);
        let later = at("2028-11-30T10:00:00Z");
        rates.expire(later);
        assert_eq!(rates.since(RateStep::Day, start).count(), 0);
        assert!(rates.take_dirty().is_empty());
    }
}
