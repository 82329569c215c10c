//! A store that requires acknowledgement: older than what was put in force last, or with
//! another history.
//!
//! Found at the start, by what is in force in the kernel and by what the store's marker
//! recorded, which outlives a reboot. It stands as a fault, and no change is made, until an
//! admin acknowledges it.

use crate::compiler::compile;
use crate::datapath::Enforced;
use crate::store::{DepartureKind, Store, StoreError, Stored};

/// Why the store waits for an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreHold {
    /// How the store differs from the one that was in use last.
    pub kind: DepartureKind,
    /// The newest revision of that one.
    pub last: u64,
    /// Whether the kernel enforces that one's rules, and not the store's.
    pub keeps: bool,
}

impl StoreHold {
    /// What is wrong with a store that holds revision `stored`.
    #[must_use]
    pub fn in_words(&self, stored: u64) -> String {
        let Self { kind, last, keeps } = self;
        let than = match keeps {
            true => "what is in force",
            false => "the one that was in use last",
        };
        let history = match kind {
            DepartureKind::Older => format!(
                "the store is older than {than}: it holds revision {stored}, and revision {last} \
                 was put in force"
            ),
            DepartureKind::Diverged => format!(
                "the store has another history than {than}: it holds revision {stored}, and \
                 revision {last} with other content was put in force"
            ),
        };
        match keeps {
            true => format!("{history}; what is in force stays so"),
            false => format!("{history}; revision {stored} is enforced for want of the other"),
        }
    }
}

/// Finds out whether a store is to be held; `digest`: of its ruleset; `enforced`: what is in
/// force, if anything is. A backup that `netpolicy restore` put there is meant to be older.
///
/// # Errors
/// The store cannot be read.
pub(in crate::agent) fn at_start(
    store: &mut dyn Store,
    stored: &Stored,
    digest: &[u8; 32],
    enforced: Option<&Enforced>,
) -> Result<Option<StoreHold>, StoreError> {
    if stored.restored || stored.revision == 0 {
        return Ok(None);
    }
    let recorded = stored.departure.map(|departure| StoreHold {
        kind: departure.kind,
        last: departure.last,
        keeps: false,
    });
    let mut held = match enforced {
        None => None,
        Some(enforced) if enforced.revision > stored.revision => Some(DepartureKind::Older),
        Some(enforced) => is_diverged(store, stored, digest, enforced)?,
    }
    .zip(enforced)
    .map(|(kind, enforced)| StoreHold {
        kind,
        last: enforced.revision,
        keeps: false,
    });
    // The later one of both: names and comments make revisions that the kernel is not told of.
    if held.is_none_or(|held| recorded.is_some_and(|recorded| recorded.last >= held.last)) {
        held = recorded.or(held);
    }
    Ok(held.map(|held| StoreHold {
        keeps: enforced.is_some_and(|enforced| enforced.digest != *digest),
        ..held
    }))
}

/// Whether what is in force is of another history than the store, which is as new.
fn is_diverged(
    store: &mut dyn Store,
    stored: &Stored,
    digest: &[u8; 32],
    enforced: &Enforced,
) -> Result<Option<DepartureKind>, StoreError> {
    let is_the_same = if enforced.digest == *digest || !enforced.is_own_program {
        // Another version may compile the same state to other rules.
        true
    } else if is_before_content_of_a_feed(stored, enforced) {
        // An agent that was killed before it put a feed's content in force, which is no revision.
        true
    } else if enforced.revision == stored.revision {
        false
    } else {
        // An agent that was killed before it put its last revision in force.
        match store.state_at(enforced.revision) {
            Ok(state) => compile(&state).digest() == enforced.digest,
            // It was pruned: nothing to compare with.
            Err(StoreError::NoSuchRevision { .. }) => true,
            Err(error) => return Err(error),
        }
    };
    Ok((!is_the_same).then_some(DepartureKind::Diverged))
}

/// Whether stored content of a feed came when this was in force.
fn is_before_content_of_a_feed(stored: &Stored, enforced: &Enforced) -> bool {
    let mut records = stored.feeds.iter();
    records.any(|(_, record)| record.replaced == Some(enforced.digest))
}

#[cfg(test)]
mod tests;
