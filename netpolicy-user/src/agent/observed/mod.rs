//! The memory of sources: who came, what became of it, and which rules decided.
//!
//! Fed by what the kernel reports ([`crate::agent::events`]) and counts, attributed by the rules
//! that were in force, held in memory, and written down every few seconds by a thread of its own.
//! Nothing waits for it: a memory that cannot be kept is a fault in the status and no more.

mod deciders;
mod keeper;
mod ledger;
mod memory;
mod models;
mod names;
mod pending;
mod query;
mod rates;
mod records;
mod seen;
mod settle;
mod sources;
mod tallies;
#[cfg(test)]
mod tests;
mod trials;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

pub use self::keeper::{Keeper, start};
use self::memory::SourceMemory;
pub use self::query::RememberedSource;

/// How long a fault that is over stays in the status.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// What the API asks; cheap to clone.
#[derive(Clone, Debug)]
pub struct Observations(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    memory: Mutex<SourceMemory>,
    faults: Mutex<MemoryFaults>,
}

#[derive(Debug, Default)]
struct MemoryFaults {
    /// Why it is not written down at present.
    present: Option<String>,
    /// What happened to it.
    past: Option<(Instant, String)>,
}

impl Observations {
    /// Remembers nothing yet.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self(Arc::new(Shared {
            memory: Mutex::new(SourceMemory::new(now)),
            faults: Mutex::default(),
        }))
    }

    /// What is wrong with it, in words.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let faults = self.lock_faults();
        let past = faults.past.as_ref();
        let past = past.filter(|(at, _)| at.elapsed() < REMEMBERED);
        let past = past.map(|(_, what)| what.clone());
        faults.present.iter().cloned().chain(past).collect()
    }

    fn lock(&self) -> MutexGuard<'_, SourceMemory> {
        // Whatever a thread left that panicked: counts, at worst wrong ones.
        self.0.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_faults(&self) -> MutexGuard<'_, MemoryFaults> {
        self.0.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
