//! A bound on how often something is done: an allowance that refills.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// An allowance: so many at once, and so many more each second.
#[derive(Debug)]
pub(crate) struct Rate {
    most: f64,
    each_second: f64,
    left: Mutex<(f64, Instant)>,
}

impl Rate {
    pub(crate) fn new(most: u32, each_second: u32) -> Self {
        Self {
            most: most.into(),
            each_second: each_second.into(),
            left: Mutex::new((most.into(), Instant::now())),
        }
    }

    /// Takes one; `false`: there is none left.
    pub(crate) fn take(&self) -> bool {
        self.take_at(Instant::now())
    }

    fn take_at(&self, now: Instant) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let (amount, then) = *left;
        let passed = now.saturating_duration_since(then).as_secs_f64();
        let amount = (amount + passed * self.each_second).min(self.most);
        let is_left = amount >= 1.0;
        *left = (if is_left { amount - 1.0 } else { amount }, now);
        is_left
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn allowance_is_used_up_and_refills() {
        let (rate, start) = (Rate::new(3, 2), Instant::now());
        let taken = (0..5).filter(|_| rate.take_at(start)).count();
        assert_eq!(taken, 3);
        assert!(rate.take_at(start + Duration::from_millis(600)));
        assert!(!rate.take_at(start + Duration::from_millis(700)));
        let taken = (0..9)
            .filter(|_| rate.take_at(start + Duration::from_secs(60)))
            .count();
        assert_eq!(taken, 3);
    }
}
