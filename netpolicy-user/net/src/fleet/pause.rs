//! Pauses between two tries: longer each time, and of other length on each host, so that a
//! thousand hosts do not come back at once.

use std::time::Duration;

/// Pauses of growing length.
pub(crate) struct Pause {
    shortest: Duration,
    longest: Duration,
    tries: u32,
    /// Moves on at each draw.
    random: u64,
}

impl Pause {
    /// Pauses for a host, from the shortest to the longest.
    pub(crate) fn new(of: &str, (shortest, longest): (Duration, Duration)) -> Self {
        let mut random = 0xcbf2_9ce4_8422_2325_u64;
        let now = jiff::Timestamp::now().as_nanosecond().to_le_bytes();
        for byte in of.bytes().chain(now) {
            random = (random ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Self {
            shortest,
            longest,
            tries: 0,
            random: random | 1,
        }
    }

    /// The next pause: at random between half and all of twice the one before.
    pub(crate) fn next(&mut self) -> Duration {
        let factor = 1_u32 << self.tries.min(16);
        self.tries += 1;
        let all = self.shortest.saturating_mul(factor).min(self.longest);
        // xorshift: good enough to spread hosts.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let share = u32::try_from(self.random >> 33).unwrap_or(0) % 1_000;
        all / 2 + all / 2 * share / 1_000
    }

    /// Begins with the shortest again.
    pub(crate) fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_differ_between_hosts() {
        let (shortest, longest) = (Duration::from_millis(500), Duration::from_secs(60));
        let mut drawn = std::collections::BTreeSet::new();
        for host in 0..100 {
            let mut pause = Pause::new(&format!("h{host}"), (shortest, longest));
            let first = pause.next();
            assert!((shortest / 2..=shortest).contains(&first), "{first:?}");
            let last = (0..40).map(|_| pause.next()).last().unwrap();
            assert!((longest / 2..=longest).contains(&last), "{last:?}");
            drawn.insert(last);
            pause.reset();
            assert!(pause.next() <= shortest);
        }
        assert!(drawn.len() > 50, "{}", drawn.len());
    }
}
