//! Deadlines on disk: by the boot clock within a boot, by the wall clock after the next one.
//!
//! In memory all times are on the scale of a [`Clock`]. On disk stand what the wall clock shows
//! and, with the boot's id, what the boot clock will say.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;

/// Processes read wall and boot clock some microseconds apart; so much is no difference.
const READ_APART: SignedDuration = SignedDuration::from_millis(1);

/// A time span as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// When it began, by the wall clock.
    pub(super) began: String,
    /// When it ends, by the wall clock.
    pub(super) ends: String,
    /// The boot in which it was stored.
    pub(super) boot: Option<String>,
    /// When it ends by that boot's clock, nanoseconds.
    pub(super) ends_ns: Option<i64>,
}

/// A time span on the scale of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StoredSpan {
    /// When it began.
    pub(super) began: Timestamp,
    /// When it ends.
    pub(super) ends: Timestamp,
    /// Whether it was stored in this boot: if not, it is to be stored again, or a wall clock
    /// that is set back would prolong it at each start.
    pub(super) is_current: bool,
}

impl Span {
    /// As it is to be stored.
    pub(super) fn of(clock: &Clock, began: Timestamp, ends: Timestamp) -> Self {
        let since_boot = clock.since_boot(ends).as_nanos();
        Self {
            began: clock.shown(began).to_string(),
            ends: clock.shown(ends).to_string(),
            boot: Some(clock.boot().to_owned()),
            ends_ns: i64::try_from(since_boot).ok(),
        }
    }

    /// Within the boot that stored it, it ends when the boot clock says so. After a reboot it
    /// gets what the wall clock leaves of it, and never more than the whole.
    ///
    /// # Errors
    /// What is not a time.
    pub(super) fn read(&self, clock: &Clock) -> Result<StoredSpan, String> {
        let time = |text: &str| text.parse::<Timestamp>().map_err(|error| error.to_string());
        let (began, ends) = (time(&self.began)?, time(&self.ends)?);
        let whole = Duration::try_from(ends.duration_since(began)).unwrap_or_default();
        let same_boot = |boot: &String| !boot.is_empty() && boot == clock.boot();
        let current = match (
            self.boot.as_ref().filter(|boot| same_boot(boot)),
            self.ends_ns,
        ) {
            (Some(_), Some(ns)) => Some(SignedDuration::from_nanos(ns)),
            _ => None,
        };
        let ends = match current {
            Some(since_boot) => {
                let at = clock.at(since_boot);
                // The same end, told by each process alike.
                let is_same = at.duration_since(ends).abs() < READ_APART;
                if is_same { ends } else { at }
            }
            None => {
                let left = ends.duration_since(clock.wall());
                let left = Duration::try_from(left).unwrap_or_default().min(whole);
                clock.now().checked_add(left).unwrap_or(Timestamp::MAX)
            }
        };
        Ok(StoredSpan {
            began: ends.checked_sub(whole).unwrap_or(Timestamp::MIN),
            ends,
            is_current: current.is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::testing::Hands;

    const HOUR: Duration = Duration::from_secs(3600);

    /// Seconds that are left of an hour, ten minutes of which had passed before `then`.
    fn left(then: impl FnOnce(&Hands)) -> i64 {
        let hands = Hands::new();
        let clock = hands.clock();
        let stored = Span::of(&clock, clock.now(), clock.now() + HOUR);
        hands.pass(HOUR / 6);
        then(&hands);
        let clock = hands.clock();
        let read = stored.read(&clock).unwrap();
        assert_eq!(read.ends.duration_since(read.began).as_secs(), 3600);
        read.ends.duration_since(clock.now()).as_secs()
    }

    #[test]
    fn within_a_boot_the_wall_clock_does_not_count() {
        assert_eq!(left(|_| ()), 3000);
        assert_eq!(left(|hands| hands.set_wall(86_400)), 3000);
        assert_eq!(left(|hands| hands.set_wall(-86_400)), 3000);
    }

    #[test]
    fn restart_shows_the_same_times_though_clocks_are_read_at_another_instant() {
        let hands = Hands::new();
        let clock = hands.clock();
        let (began, ends) = (clock.now(), clock.now() + HOUR);
        let stored = Span::of(&clock, began, ends);
        hands.slew(Duration::from_micros(10));
        let clock = hands.clock();
        let read = stored.read(&clock).unwrap();
        let shown = (clock.shown(read.began), clock.shown(read.ends));
        assert_eq!(shown, (began, ends));
    }

    #[test]
    fn after_a_reboot_the_smaller_of_wall_clock_and_whole_is_left() {
        assert_eq!(left(|hands| hands.reboot(HOUR / 6)), 2390);
        assert_eq!(left(|hands| hands.reboot(HOUR)), 0);
        let back = |hands: &Hands| {
            hands.reboot(HOUR / 6);
            hands.set_wall(-86_400);
        };
        assert_eq!(left(back), 3600);
    }
}
