//! A bound on how often something is done: an allowance that refills.

use std::collections::HashMap;
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

/// The most people that have an allowance of their own.
const PEOPLE: usize = 4096;

/// An allowance for each person.
#[derive(Debug)]
pub(crate) struct Rates {
    most: u32,
    each_second: u32,
    of: Mutex<HashMap<String, Rate>>,
}

impl Rates {
    pub(crate) fn new(most: u32, each_second: u32) -> Self {
        Self {
            most,
            each_second,
            of: Mutex::default(),
        }
    }

    /// Takes one of this person's; `false`: there is none left.
    pub(crate) fn take(&self, person: &str) -> bool {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if of.len() >= PEOPLE && !of.contains_key(person) {
            of.clear();
        }
        let rate = of.entry(person.to_owned());
        let rate = rate.or_insert_with(|| Rate::new(self.most, self.each_second));
        rate.take()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_person_does_not_use_up_the_allowance_of_another() {
        let rates = Rates::new(2, 1);
        assert!(rates.take("alice") && rates.take("alice"));
        assert!(!rates.take("alice"));
        assert!(rates.take("bob"));
    }

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
