//! What was refused without the writer, and how much of that the audit log takes.
//!
//! Anybody can have himself refused as often as he likes, and nothing of that log is ever
//! removed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::supervisor::{Command, Supervisor};
use crate::agent::access::Asker;
use crate::agent::error::AgentError;

/// What it takes in a minute.
const MOST: u64 = 60;

/// See the module.
#[derive(Debug)]
pub(in crate::agent) struct Refusals {
    started: Instant,
    /// The minute since the start in the upper half, its refusals in the lower.
    noted: AtomicU64,
}

impl Default for Refusals {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            noted: AtomicU64::new(0),
        }
    }
}

impl Refusals {
    /// Whether there is room for another one; it counts then.
    pub(in crate::agent) fn take(&self) -> bool {
        self.take_in(self.started.elapsed().as_secs() / 60)
    }

    fn take_in(&self, minute: u64) -> bool {
        let count = |noted: u64| match noted >> 32 == minute {
            true if noted & u64::from(u32::MAX) >= MOST => None,
            true => Some(noted + 1),
            false => Some((minute << 32) | 1),
        };
        let (store, load) = (Ordering::Relaxed, Ordering::Relaxed);
        self.noted.fetch_update(store, load, count).is_ok()
    }
}

impl Supervisor {
    /// Puts into the audit log what was refused without the writer.
    ///
    /// Of more than a few in a minute the others are in the agent's log alone.
    pub fn refused(&self, asker: Asker, action: &str, error: &AgentError) {
        if !self.refusals.take() {
            tracing::warn!(
                action,
                "refused; not in the audit log: too many in a minute"
            );
            return;
        }
        let command = Command::Refused {
            asker,
            action: action.to_owned(),
            errors: error.body().errors,
        };
        if self.commands.try_send(command).is_err() {
            tracing::error!("a refusal is not in the audit log: too much is waiting");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_room_for_so_many_and_the_next_for_as_many_again() {
        let refusals = Refusals::default();
        for minute in [0, 1, 7] {
            let taken = (0..1_000).filter(|_| refusals.take_in(minute)).count();
            assert_eq!(taken, 60, "minute {minute}");
        }
    }
}
