//! Attempts by minute, hour and day.

use std::collections::{BTreeMap, BTreeSet};

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
    times: BTreeMap<BucketTime, Vec<CountedBucket>>,
    /// Of these the store does not keep all as it is.
    dirty: BTreeSet<BucketTime>,
}

/// The step and the minute of a key.
type BucketTime = (u8, u32);

/// What was counted at one time, in the order of [`CountedBucket::counted`]: 16 bytes, as there may
/// be 140,000.
#[derive(Clone, Copy, Debug)]
struct CountedBucket {
    attempts: u64,
    decider: DeciderId,
    scope: NameId,
    reason: u8,
    flags: u8,
}

/// Bits of [`CountedBucket::flags`].
const SAMPLED: u8 = 1;
const DIRTY: u8 = 2;

impl CountedBucket {
    /// What is counted in it.
    fn counted(&self) -> (NameId, u8, DeciderId) {
        (self.scope, self.reason, self.decider)
    }

    fn key(&self, (step, minute): BucketTime) -> BucketKey {
        BucketKey {
            step,
            minute,
            scope: self.scope,
            reason: self.reason,
            decider: self.decider,
        }
    }

    fn count(&self) -> AttemptCount {
        AttemptCount {
            attempts: self.attempts,
            is_sampled: self.flags & SAMPLED != 0,
        }
    }
}

/// Adds to the bucket of a scope, reason and decider, or makes it. Times have few buckets: there is
/// no room but for some more.
fn add(
    buckets: &mut Vec<CountedBucket>,
    (scope, reason, decider): (NameId, u8, DeciderId),
    tally: AttemptCount,
    flags: u8,
) {
    let flags = flags | if tally.is_sampled { SAMPLED } else { 0 };
    match buckets.binary_search_by_key(&(scope, reason, decider), CountedBucket::counted) {
        Ok(at) => {
            if let Some(bucket) = buckets.get_mut(at) {
                bucket.attempts += tally.attempts;
                bucket.flags |= flags;
            }
        }
        Err(at) => {
            if buckets.len() == buckets.capacity() {
                buckets.reserve_exact((buckets.len() / 4).max(2));
            }
            let bucket = CountedBucket {
                attempts: tally.attempts,
                decider,
                scope,
                reason,
                flags,
            };
            buckets.insert(at, bucket);
        }
    }
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
            let time = (step, now - now % minutes(which));
            let buckets = self.times.entry(time).or_default();
            let counted = (scope, reason, decider);
            let is_known = buckets
                .binary_search_by_key(&counted, CountedBucket::counted)
                .is_ok();
            let decider = match is_known || buckets.len() < most(which) {
                true => decider,
                false => whole,
            };
            add(buckets, (scope, reason, decider), tally, DIRTY);
            self.dirty.insert(time);
        }
    }

    /// The buckets of a step from a time on, in the order of their times.
    pub(super) fn since(
        &self,
        step: RateStep,
        since: Timestamp,
    ) -> impl Iterator<Item = (BucketKey, AttemptCount)> {
        let (number, first) = (number(step), minute(since));
        let from = (number, first - first % minutes(step));
        let rest = self.times.range(from..=(number, u32::MAX));
        rest.flat_map(|(time, buckets)| {
            let buckets = buckets.iter();
            buckets.map(|bucket| (bucket.key(*time), bucket.count()))
        })
    }

    /// Removes what is too old; which.
    pub(super) fn expire(&mut self, now: Timestamp) -> Vec<BucketKey> {
        let mut gone = Vec::new();
        for step in RateStep::ALL {
            let number = number(step);
            let oldest = minute(now).saturating_sub(kept(step));
            let old = self.times.range((number, 0)..(number, oldest));
            let old: Vec<BucketTime> = old.map(|(time, _)| *time).collect();
            for time in old {
                let buckets = self.times.remove(&time).unwrap_or_default();
                gone.extend(buckets.iter().map(|bucket| bucket.key(time)));
                self.dirty.remove(&time);
            }
        }
        gone
    }

    /// What the store does not keep as it is.
    pub(super) fn take_dirty(&mut self) -> Vec<(BucketKey, AttemptCount)> {
        let mut changed = Vec::new();
        for time in std::mem::take(&mut self.dirty) {
            let buckets = self.times.get_mut(&time).into_iter().flatten();
            for bucket in buckets.filter(|bucket| bucket.flags & DIRTY != 0) {
                bucket.flags &= !DIRTY;
                changed.push((bucket.key(time), bucket.count()));
            }
        }
        changed
    }

    /// The store keeps nothing: all is to be written.
    pub(super) fn all_dirty(&mut self) {
        self.dirty = self.times.keys().copied().collect();
        for bucket in self.times.values_mut().flatten() {
            bucket.flags |= DIRTY;
        }
    }

    /// Puts in what the store kept.
    pub(super) fn restore(&mut self, key: &BucketKey, tally: AttemptCount) {
        let buckets = self.times.entry((key.step, key.minute)).or_default();
        add(buckets, (key.scope, key.reason, key.decider), tally, 0);
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
