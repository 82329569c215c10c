//! All that is remembered.

use jiff::Timestamp;

use super::deciders::Deciders;
use super::names::NameTable;
use super::policy_attempts::PolicyAttempts;
use super::rates::{BucketKey, Rates};
use super::sources::SourceTable;

/// All that is remembered.
#[derive(Debug)]
pub(super) struct SourceMemory {
    pub(super) names: NameTable,
    pub(super) deciders: Deciders,
    pub(super) sources: SourceTable,
    pub(super) rates: Rates,
    pub(super) by_policy: PolicyAttempts,
    /// Since when.
    pub(super) since: Timestamp,
    /// What is missing from it.
    pub(super) lost: Option<Lost>,
    /// Buckets that the store is no longer to keep.
    pub(super) expired: Vec<BucketKey>,
}

/// Attempts that are missing: the agent did not run, or was killed before it wrote them down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    /// What was written down last is from this time.
    pub(super) from: Timestamp,
    /// From here on attempts were seen again.
    pub(super) before: Timestamp,
}

impl SourceMemory {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            names: NameTable::default(),
            deciders: Deciders::default(),
            sources: SourceTable::default(),
            rates: Rates::default(),
            by_policy: PolicyAttempts::default(),
            since: now,
            lost: None,
            expired: Vec::new(),
        }
    }

    /// Removes what is too old, and sources beyond `most` of each verdict.
    pub(super) fn tidy(&mut self, now: Timestamp, days: u32, most: usize) {
        let expired = self.rates.expire(now);
        self.expired.extend(expired);
        let oldest = now.as_millisecond() - i64::from(days) * 24 * 3600 * 1000;
        self.sources.expire(oldest);
        // After them: they refer to what decided last.
        self.deciders.expire(oldest);
        for is_denied in [false, true] {
            self.sources.make_room(is_denied, most);
        }
    }

    /// The store keeps nothing: all is to be written.
    pub(super) fn all_dirty(&mut self) {
        self.names.written = 1;
        self.deciders.all_dirty();
        self.sources.all_dirty();
        self.rates.all_dirty();
        self.expired.clear();
    }
}
