//! Faults: present ones until they are repaired, past ones for a while.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::api::FaultKind;

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
    /// How often drift was repaired.
    repairs: u64,
}

impl Faults {
    /// Remembers that the kernel was found to differ and was put right.
    pub fn repaired(&mut self, what: String) {
        self.repairs += 1;
        if self.drift.len() == MOST_REMEMBERED {
            self.drift.pop_front();
        }
        self.drift.push_back((Instant::now(), what));
    }

    /// How often drift was repaired since the last call.
    pub fn take_repairs(&mut self) -> u64 {
        std::mem::take(&mut self.repairs)
    }

    /// In words by kind, with what is wrong with the kernel's bypasses; forgets old drift.
    pub fn lines(&mut self, bypasses: Option<&String>) -> Vec<(FaultKind, String)> {
        self.drift.retain(|(at, _)| at.elapsed() < REMEMBERED);
        let of = |kind: FaultKind| move |what: &String| (kind, what.clone());
        let present = [
            (FaultKind::Kernel, self.kernel.as_ref()),
            (FaultKind::Interfaces, self.links.as_ref()),
            (FaultKind::Bypasses, bypasses),
            (FaultKind::Unconfirmed, self.pending.as_ref()),
            (FaultKind::Rules, self.rules.as_ref()),
            (FaultKind::Store, self.store.as_ref()),
        ];
        let present = present.into_iter();
        let present = present.filter_map(|(kind, what)| what.map(of(kind)));
        let drift = self.drift.iter().map(|(_, what)| what);
        present.chain(drift.map(of(FaultKind::Drift))).collect()
    }
}
