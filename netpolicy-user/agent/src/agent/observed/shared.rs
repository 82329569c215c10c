//! The memory as the thread that keeps it and the API share it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::memory::SourceMemory;

/// How long a fault that is over stays in the status.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// What the API asks; cheap to clone.
#[derive(Clone, Debug)]
pub struct Observations(Arc<SharedMemory>);

#[derive(Debug)]
struct SharedMemory {
    memory: Mutex<SourceMemory>,
    faults: Mutex<MemoryFaults>,
}

#[derive(Debug, Default)]
pub(super) struct MemoryFaults {
    /// Why it is not written down at present.
    pub(super) present: Option<String>,
    /// What happened to it.
    pub(super) past: Option<(Instant, String)>,
}

impl Observations {
    /// Remembers nothing yet.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self(Arc::new(SharedMemory {
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

    /// Whether a scope, a policy or a list of this name was met.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.lock().names.known(name).is_some()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, SourceMemory> {
        // Whatever a thread left that panicked: counts, at worst wrong ones.
        self.0.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock_faults(&self) -> MutexGuard<'_, MemoryFaults> {
        self.0.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
