//! Lines that databases are told ahead of changes which wait for that outside of the writer's turn.

use std::time::{Duration, Instant};

use crate::agent::databases::{LinesOrder, PATIENCE};

/// How long they are kept up for a change that does not come again: as long as one may wait, and
/// for its turn after that.
const KEPT: Duration = PATIENCE.saturating_mul(2);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct LinesAhead(Vec<AheadChange>);

#[derive(Debug)]
struct AheadChange {
    ticket: u64,
    until: Instant,
    orders: Vec<LinesOrder>,
}

impl LinesAhead {
    /// Keeps orders up for the change with this ticket.
    pub(super) fn put(&mut self, ticket: u64, orders: Vec<LinesOrder>) {
        self.take(ticket);
        self.0.push(AheadChange {
            ticket,
            until: Instant::now() + KEPT,
            orders,
        });
    }

    /// Keeps nothing up for this change any more. Whether there was anything.
    pub(super) fn take(&mut self, ticket: u64) -> bool {
        let before = self.0.len();
        self.0.retain(|change| change.ticket != ticket);
        self.0.len() < before
    }

    /// Forgets changes that did not come again. Whether there were any.
    pub(super) fn expire(&mut self) -> bool {
        let (before, now) = (self.0.len(), Instant::now());
        self.0.retain(|change| change.until > now);
        self.0.len() < before
    }

    /// What is kept up.
    pub(super) fn orders(&self) -> impl Iterator<Item = &[LinesOrder]> {
        self.0.iter().map(|change| &*change.orders)
    }
}
