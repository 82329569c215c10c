//! How long the steps of a batch of requests take, for the agent's log at level debug.

use std::time::Instant;

/// See the module. Times are microseconds.
#[derive(Debug)]
pub(super) struct BatchTiming {
    last: Instant,
    requests: usize,
    changes: usize,
    judged: u64,
    ready: u64,
    stored: u64,
}

impl BatchTiming {
    pub(super) fn begin(requests: usize) -> Self {
        Self {
            last: Instant::now(),
            requests,
            changes: 0,
            judged: 0,
            ready: 0,
            stored: 0,
        }
    }

    /// What each line comes to is known.
    pub(super) fn judged(&mut self, changes: usize) {
        self.changes = changes;
        self.judged = self.lap();
    }

    /// The kernel holds them next to what is in force.
    pub(super) fn ready(&mut self) {
        self.ready = self.lap();
    }

    /// They are on the disk.
    pub(super) fn stored(&mut self) {
        self.stored = self.lap();
    }

    /// They are in force, and readers see them.
    pub(super) fn end(&mut self) {
        let in_force = self.lap();
        tracing::debug!(
            requests = self.requests,
            changes = self.changes,
            judged_us = self.judged,
            ready_us = self.ready,
            stored_us = self.stored,
            in_force_us = in_force,
            "bans changed"
        );
    }

    fn lap(&mut self) -> u64 {
        let now = Instant::now();
        let passed = now - std::mem::replace(&mut self.last, now);
        u64::try_from(passed.as_micros()).unwrap_or(u64::MAX)
    }
}
