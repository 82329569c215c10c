//! Faults: present ones until they are repaired, past ones for a while.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long a repaired fault stays in the status.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// How many of them.
const MOST_REMEMBERED: usize = 5;

/// What is wrong, by what it is about; empty when all is well.
#[derive(Debug, Default)]
pub struct Faults {
    /// The kernel cannot be read or repaired.
    pub kernel: Option<String>,
    /// The kernel does not say where the program is attached, or links cannot be pinned.
    pub links: Option<String>,
    /// An unconfirmed change could not be rolled back.
    pub pending: Option<String>,
    /// Rules whose end is over could not be taken away.
    pub rules: Option<String>,
    /// What is stored is not kept.
    pub store: Option<String>,
    /// Drift that was found and repaired, lately; the oldest first.
    drift: VecDeque<(Instant, String)>,
}

impl Faults {
    /// Remembers that the kernel was found to differ and was put right.
    pub fn repaired(&mut self, what: String) {
        if self.drift.len() == MOST_REMEMBERED {
            self.drift.pop_front();
        }
        self.drift.push_back((Instant::now(), what));
    }

    /// In words, with what is wrong with the kernel's bypasses; forgets old drift.
    pub fn lines(&mut self, bypasses: Option<&String>) -> Vec<String> {
        self.drift.retain(|(at, _)| at.elapsed() < REMEMBERED);
        self.kernel
            .iter()
            .chain(&self.links)
            .chain(bypasses)
            .chain(&self.pending)
            .chain(&self.rules)
            .chain(&self.store)
            .chain(self.drift.iter().map(|(_, what)| what))
            .cloned()
            .collect()
    }
}
