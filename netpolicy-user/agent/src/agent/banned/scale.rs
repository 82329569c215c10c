//! Times of bans: milliseconds on the scale of the clock, and as the wall clock shows them.

use jiff::Timestamp;

use crate::clock::Clock;

/// Both clocks at one moment, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(in crate::agent) struct ClockScale {
    pub(in crate::agent) now: i64,
    /// The wall clock minus the scale.
    step: i64,
}

impl ClockScale {
    pub(in crate::agent) fn of(clock: &Clock) -> Self {
        let now = clock.now();
        let shown = clock.shown(now);
        Self {
            now: now.as_millisecond(),
            step: shown.as_millisecond() - now.as_millisecond(),
        }
    }

    pub(in crate::agent) fn of_wall(self, wall: i64) -> i64 {
        wall.saturating_sub(self.step)
    }

    /// By the wall clock, in milliseconds.
    pub(in crate::agent) fn wall(self, time: i64) -> i64 {
        time.saturating_add(self.step)
    }

    /// As the wall clock shows it.
    pub(in crate::agent) fn shown(self, time: i64) -> Timestamp {
        let shown = Timestamp::from_millisecond(self.wall(time));
        shown.unwrap_or(Timestamp::MAX)
    }
}
