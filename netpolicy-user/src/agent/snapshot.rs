//! What the supervisor publishes after everything it does, for all who only read.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::model::{Bypass, Grant, State};
use crate::store::Pending;

/// How long a repaired fault stays in the status.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// How many of them.
const MOST_REMEMBERED: usize = 5;

/// The agent's view at one moment. Cheap to clone; old ones live as long as a reader
/// holds them.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The desired state.
    pub state: Arc<State>,
    /// Its revision.
    pub revision: u64,
    /// Rules in all its lists.
    pub rules: u64,
    /// The generation in force.
    pub generation: u64,
    /// Prefixes in the kernel's lists.
    pub entries: u64,
    /// Bypasses, lapsed ones perhaps among them.
    pub bypasses: Vec<Bypass>,
    /// Privileges that were granted.
    pub grants: Vec<Grant>,
    /// The change that waits for its confirmation.
    pub pending: Option<Pending>,
    /// Interfaces that are to be filtered.
    pub interfaces: Vec<String>,
    /// Whether the detached marker was there.
    pub detached: bool,
    /// By interface: why it is not filtered.
    pub unfiltered: BTreeMap<String, String>,
    /// What else is wrong.
    pub faults: Vec<String>,
}

impl Snapshot {
    /// Nothing but a state.
    #[must_use]
    pub fn of(state: &Arc<State>, revision: u64) -> Self {
        Self {
            rules: state.rule_count(),
            state: state.clone(),
            revision,
            generation: 0,
            entries: 0,
            bypasses: Vec::new(),
            grants: Vec::new(),
            pending: None,
            interfaces: Vec::new(),
            detached: false,
            unfiltered: BTreeMap::new(),
            faults: Vec::new(),
        }
    }

    /// The bypasses that have not lapsed.
    pub fn live_bypasses(&self, now: Timestamp) -> impl Iterator<Item = &Bypass> {
        self.bypasses.iter().filter(move |b| b.expires > now)
    }
}

/// What is wrong, by what it is about; empty when all is well.
#[derive(Debug, Default)]
pub struct Faults {
    /// The kernel cannot be read or repaired.
    pub kernel: Option<String>,
    /// The kernel does not say where the program is attached, or links cannot be pinned.
    pub links: Option<String>,
    /// The kernel's bypasses are not what they should be.
    pub bypasses: Option<String>,
    /// An unconfirmed change could not be taken back.
    pub pending: Option<String>,
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

    /// In words; forgets old drift.
    pub fn lines(&mut self) -> Vec<String> {
        self.drift.retain(|(at, _)| at.elapsed() < REMEMBERED);
        self.kernel
            .iter()
            .chain(&self.links)
            .chain(&self.bypasses)
            .chain(&self.pending)
            .chain(self.drift.iter().map(|(_, what)| what))
            .cloned()
            .collect()
    }
}
