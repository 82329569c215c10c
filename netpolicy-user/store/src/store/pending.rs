//! The change that waits for its confirmation: at most one.

use std::time::Duration;

use jiff::Timestamp;

/// A change that is rolled back unless it is confirmed in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The revision that the change made.
    pub revision: u64,
    /// The revision to go back to.
    pub base: u64,
    /// When the change was made, on the scale of the store's clock.
    pub made: Timestamp,
    /// How long it waits.
    pub within: Duration,
    /// Who made it: an OS user's name.
    pub actor: String,
}

impl Pending {
    /// When it is rolled back.
    #[must_use]
    pub fn deadline(&self) -> Timestamp {
        self.made
            .checked_add(jiff::SignedDuration::try_from(self.within).unwrap_or_default())
            .unwrap_or(Timestamp::MAX)
    }

    /// How long it still waits at `now`; never longer than the whole.
    #[must_use]
    pub fn remaining(&self, now: Timestamp) -> Duration {
        let left = self.deadline().duration_since(now);
        Duration::try_from(left)
            .unwrap_or(Duration::ZERO)
            .min(self.within)
    }
}

/// What a commit does to the change that waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PendingEdit {
    /// Nothing waits, or goes on to.
    #[default]
    Keep,
    /// The revision being made waits; [`Pending::revision`] is filled in.
    Set(Pending),
    /// It waits no more.
    Clear,
}
