//! How many attempts are to be reported: each of them up to a rate, and of a flood a sample.

use std::time::Duration;

use tokio::time::Instant;

/// Time between two allowances.
pub(super) const GRANT_EVERY: Duration = Duration::from_millis(100);

/// How long a flood is sampled before it is looked at whether it still is one: at first, and at
/// most. Looking costs as many events as a CPU may write at once.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What a CPU may write at once, in allowances: as many as are due when the reader comes late.
const LATE: u64 = 3;

/// The rate of one kind of attempts, as far as they are reported.
#[derive(Debug)]
pub(super) struct Meter {
    seen: u64,
    since: Instant,
    /// Until when only a sample is reported.
    sampled_until: Option<Instant>,
    pause: Duration,
}

impl Meter {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            seen: 0,
            since: now,
            sampled_until: None,
            pause: FIRST_PAUSE,
        }
    }

    /// An attempt was reported.
    pub(super) fn see(&mut self) {
        self.seen += 1;
    }

    /// What each CPU may report until the next time. Each attempt, as long as there are no more
    /// than `most` in a second; else `few`.
    pub(super) fn next(&mut self, most: u32, few: u64, now: Instant) -> u64 {
        let passed = now.duration_since(self.since).max(GRANT_EVERY / 2);
        let is_flood = self.seen * 1000 > u64::from(most) * millis(passed);
        match self.sampled_until {
            None if is_flood => {
                self.sampled_until = Some(now + self.pause);
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            }
            None => self.pause = FIRST_PAUSE,
            // Fewer than a single CPU was allowed: the flood is over.
            Some(_) if self.seen < few => self.sampled_until = None,
            Some(until) if now >= until => self.sampled_until = None,
            Some(_) => {}
        }
        (self.seen, self.since) = (0, now);
        match self.sampled_until {
            None => (u64::from(most) * LATE * millis(GRANT_EVERY) / 1000).max(1),
            Some(_) => few,
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u32 = 30_000;
    const FEW: u64 = 100;
    const EXACT: u64 = 9_000;

    /// What is allowed for each tenth of a second, on one CPU with so many attempts in each.
    fn allowed(attempts: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut now = Instant::now();
        let mut meter = Meter::new(now);
        let mut allowed = meter.next(MOST, FEW, now);
        let mut all = Vec::new();
        for attempts in attempts {
            now += GRANT_EVERY;
            (0..attempts.min(allowed)).for_each(|_| meter.see());
            allowed = meter.next(MOST, FEW, now);
            all.push(allowed);
        }
        all
    }

    #[test]
    fn each_attempt_is_reported_up_to_the_rate() {
        assert!(allowed([2_000; 50]).iter().all(|n| *n == EXACT));
        assert!(allowed([2_999; 50]).iter().all(|n| *n == EXACT));
    }

    #[test]
    fn of_a_flood_a_sample_is_reported_and_it_is_looked_at_again_more_and_more_rarely() {
        let allowed = allowed([500_000; 1200]);
        let looks = allowed.iter().filter(|n| **n == EXACT).count();
        assert!((4..=8).contains(&looks), "{looks}");
        let written: u64 = allowed.iter().sum();
        assert!(written < 1200 * FEW + 9 * EXACT, "{written}");
    }

    #[test]
    fn after_a_flood_each_attempt_is_reported_at_once() {
        let attempts = std::iter::repeat_n(500_000, 20).chain([50; 3]);
        let allowed = allowed(attempts);
        assert_eq!(allowed[19..21], [FEW, EXACT]);
    }

    #[test]
    fn a_reader_that_comes_late_misses_none_and_takes_no_burst_for_a_flood() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        assert_eq!(meter.next(MOST, FEW, start), EXACT);
        // 20,000 a second for 300 ms.
        (0..6_000).for_each(|_| meter.see());
        let late = start + GRANT_EVERY * 3;
        assert_eq!(meter.next(MOST, FEW, late), EXACT);
    }
}
