//! What the agent counts of its own work, since it started.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::api::ErrorCode;

/// A count that only rises.
#[derive(Debug, Default)]
pub struct RisingCount(AtomicU64);

impl RisingCount {
    /// Counts more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How many there are.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct WorkTally {
    /// Changes of the desired state.
    pub changes: RisingCount,
    /// Repairs of the kernel's state.
    pub drift_repaired: RisingCount,
    /// Bans that were made.
    pub bans_made: RisingCount,
    /// Requests to the writer that were refused or failed, by code.
    refused: Mutex<Vec<(ErrorCode, u64)>>,
}

impl WorkTally {
    /// A request was refused, or failed.
    pub fn refused(&self, code: ErrorCode) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        match refused.iter_mut().find(|(known, _)| *known == code) {
            Some((_, count)) => *count += 1,
            None => refused.push((code, 1)),
        }
    }

    /// How many were, by code.
    #[must_use]
    pub fn refusals(&self) -> Vec<(ErrorCode, u64)> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_by_code() {
        let tally = WorkTally::default();
        tally.refused(ErrorCode::Lockout);
        tally.refused(ErrorCode::Conflict);
        tally.refused(ErrorCode::Lockout);
        assert_eq!(
            tally.refusals(),
            [(ErrorCode::Lockout, 2), (ErrorCode::Conflict, 1)]
        );
        tally.changes.add(2);
        assert_eq!(tally.changes.get(), 2);
    }
}
