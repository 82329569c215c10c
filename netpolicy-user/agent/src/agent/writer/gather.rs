//! Waiting for more requests of bans, so that they share a write to the disk and a change of the
//! kernel's lists.
//!
//! Where a write takes a fifth of a millisecond, the writer is back before those who were answered
//! have sent their next request, and would do them one by one. So it waits a moment, but only if
//! several were done together the last time, and only while more come: who is alone is not slowed
//! down.

use std::time::{Duration, Instant};

/// Time between two looks at whether more came.
const LOOK: Duration = Duration::from_micros(150);

/// The longest time that is waited.
const MOST: Duration = Duration::from_millis(2);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct BanGathering {
    /// Requests that were done together the last time.
    last: usize,
}

impl BanGathering {
    /// Waits for more requests, if that is worth it; `waiting`: how many there are.
    pub(super) fn wait(&self, waiting: impl Fn() -> usize) {
        let mut there = waiting();
        if there == 0 || self.last < 2 {
            return;
        }
        let begun = Instant::now();
        while begun.elapsed() < MOST {
            std::thread::sleep(LOOK);
            let now = waiting();
            if now == there {
                return;
            }
            there = now;
        }
    }

    /// So many were done together.
    pub(super) fn done(&mut self, requests: usize) {
        self.last = requests;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// So many looks at a queue that grows by `more` up to `end`.
    fn looks(gathering: &BanGathering, more: usize, end: usize) -> usize {
        let (looks, there) = (Cell::new(0), Cell::new(1));
        gathering.wait(|| {
            looks.set(looks.get() + 1);
            let now = there.get();
            there.set((now + more).min(end));
            now
        });
        looks.get()
    }

    #[test]
    fn more_are_waited_for_only_while_they_come() {
        let mut gathering = BanGathering::default();
        assert_eq!(looks(&gathering, 1, 100), 1, "nothing is known of others");
        gathering.done(1);
        assert_eq!(looks(&gathering, 1, 100), 1, "it was alone");
        gathering.done(4);
        // Fewer where a look takes long.
        let until_no_more = looks(&gathering, 1, 3);
        assert!((2..=4).contains(&until_no_more), "{until_no_more}");
        assert_eq!(looks(&gathering, 0, 1), 2);
        let begun = Instant::now();
        looks(&gathering, 1, usize::MAX);
        assert!(begun.elapsed() < 100 * MOST, "{:?}", begun.elapsed());
    }
}
