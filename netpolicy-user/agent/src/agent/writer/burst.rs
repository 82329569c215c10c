//! Tells a burst of bans from single ones.

use std::time::{Duration, Instant};

/// What bans are counted in.
const BURST: Duration = Duration::from_secs(60);

/// Counts bans within a minute, from the first of them.
#[derive(Debug, Default)]
pub(super) struct BanBurst {
    since: Option<Instant>,
    made: u64,
    told: bool,
}

impl BanBurst {
    /// Counts bans that were made `now`; how many there are in this minute, if they have become
    /// a burst: `most` or more, once a minute.
    pub(super) fn add(&mut self, made: u64, most: u64, now: Instant) -> Option<u64> {
        if made == 0 || most == 0 {
            return None;
        }
        if self.since.is_none_or(|since| now - since >= BURST) {
            *self = Self {
                since: Some(now),
                ..Self::default()
            };
        }
        self.made += made;
        if self.made < most || self.told {
            return None;
        }
        self.told = true;
        Some(self.made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_is_told_once_a_minute() {
        let mut burst = BanBurst::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(burst.add(60, 100, at(0)), None);
        assert_eq!(burst.add(50, 100, at(59)), Some(110));
        assert_eq!(burst.add(500, 100, at(59)), None, "told already");
        assert_eq!(burst.add(99, 100, at(60)), None, "another minute");
        assert_eq!(burst.add(1, 100, at(119)), Some(100));
        assert_eq!(burst.add(1_000, 0, at(300)), None, "switched off");
    }
}
