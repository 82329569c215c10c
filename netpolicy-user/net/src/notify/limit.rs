//! How often a hook is run.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3600);

/// So many an hour, and no more in any hour.
#[derive(Debug)]
pub(super) struct Limit {
    per_hour: usize,
    at: VecDeque<Instant>,
}

impl Limit {
    pub(super) fn new(per_hour: u32) -> Self {
        Self {
            per_hour: usize::try_from(per_hour).unwrap_or(usize::MAX),
            at: VecDeque::new(),
        }
    }

    /// Whether there may be another one now; it is counted then.
    pub(super) fn permits(&mut self, now: Instant) -> bool {
        while self.at.front().is_some_and(|at| now - *at >= HOUR) {
            self.at.pop_front();
        }
        if self.at.len() >= self.per_hour {
            return false;
        }
        self.at.push_back(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hour_has_no_more_than_its_number() {
        let start = Instant::now();
        let mut limit = Limit::new(2);
        let mut at = |minutes: u64| limit.permits(start + Duration::from_secs(60 * minutes));
        assert!(at(0) && at(30) && !at(59));
        assert!(at(60) && !at(89) && at(90));
        assert!(!Limit::new(0).permits(start));
    }
}
