//! The denied attempts of late, kept in memory as the kernel reported them.

use std::collections::VecDeque;

use netpolicy_common::{Event, Reason};

use crate::clock::since_boot;

/// Attempts that are kept: some 1 MiB.
pub const KEPT: usize = 16_384;

/// See the module.
#[derive(Debug)]
pub struct Recent {
    events: VecDeque<Event>,
    /// From when on all that was reported is kept: nanoseconds of the boot clock.
    since_ns: u64,
}

impl Default for Recent {
    fn default() -> Self {
        let now = since_boot().as_nanos();
        Self {
            events: VecDeque::new(),
            since_ns: u64::try_from(now).unwrap_or(u64::MAX),
        }
    }
}

impl Recent {
    /// Takes a denied attempt in place of the oldest.
    pub(super) fn keep(&mut self, event: Event) {
        if !Reason::from_u8(event.reason).is_some_and(Reason::is_denial) {
            return;
        }
        if self.events.len() >= KEPT
            && let Some(oldest) = self.events.pop_front()
        {
            self.since_ns = self.since_ns.max(oldest.time_ns);
        }
        self.events.push_back(event);
    }

    /// From when on all that was reported is kept: nanoseconds of the boot clock.
    #[must_use]
    pub fn since_ns(&self) -> u64 {
        self.since_ns
    }

    /// What happened at this time of the boot clock or later, by time.
    #[must_use]
    pub fn from(&self, time_ns: u64) -> Vec<Event> {
        let later = self.events.iter().filter(|event| event.time_ns >= time_ns);
        let mut later: Vec<Event> = later.copied().collect();
        // Each CPU's are in order.
        later.sort_by_key(|event| event.time_ns);
        later
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_attempts_make_room_and_it_is_known_from_when_on_all_are_kept() {
        let mut recent = Recent::default();
        let start = recent.since_ns();
        let at = |time_ns| Event {
            time_ns,
            ..crate::agent::events::denied::tests::event()
        };
        for n in 0..KEPT as u64 {
            recent.keep(at(start + n));
        }
        assert_eq!(recent.since_ns(), start);
        assert_eq!(recent.from(start).len(), KEPT);
        recent.keep(at(start + 7 + KEPT as u64));
        recent.keep(at(start + 3 + KEPT as u64));
        assert_eq!(recent.since_ns(), start + 1);
        let last = recent.from(start + KEPT as u64);
        let times: Vec<_> = last.iter().map(|event| event.time_ns - start).collect();
        assert_eq!(times, [3 + KEPT as u64, 7 + KEPT as u64]);
        assert_eq!(recent.from(0).len(), KEPT);
    }
}
