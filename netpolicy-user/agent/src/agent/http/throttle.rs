//! Log lines that a caller can provoke: a few, then only the number of further ones.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Between two lines.
const EVERY: Duration = Duration::from_secs(10);

/// Lets one line through in a while.
#[derive(Debug, Default)]
pub struct Throttle(Mutex<Option<(Instant, u64)>>);

impl Throttle {
    /// Nothing was said yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Whether to log now: how many lines were left out since the last one.
    pub fn ask(&self) -> Option<u64> {
        self.ask_at(Instant::now())
    }

    fn ask_at(&self, now: Instant) -> Option<u64> {
        let mut said = self.0.lock().ok()?;
        match &mut *said {
            Some((at, left_out)) if now.saturating_duration_since(*at) < EVERY => {
                *left_out += 1;
                None
            }
            said => {
                let left_out = said.map_or(0, |(_, left_out)| left_out);
                *said = Some((now, 0));
                Some(left_out)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_in_ten_seconds_says_how_many_were_left_out() {
        let throttle = Throttle::new();
        let start = Instant::now();
        assert_eq!(throttle.ask_at(start), Some(0));
        for second in 1..10 {
            let now = start + Duration::from_secs(second);
            assert_eq!(throttle.ask_at(now), None, "{second}");
        }
        assert_eq!(throttle.ask_at(start + EVERY), Some(9));
        assert_eq!(throttle.ask_at(start + 2 * EVERY), Some(0));
    }
}
