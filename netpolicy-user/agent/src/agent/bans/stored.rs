//! Bans as the store has them when the agent starts.

use std::sync::Arc;

use super::kernel_lists::lists;
use crate::agent::banned::BanTable;
use crate::clock::Clock;
use crate::datapath::BanLists;
use crate::model::State;
use crate::store::{BanLog, Store, StoreError, Stored};

/// What is found in the store at start.
#[derive(Debug)]
pub struct StoredBans {
    pub(super) table: BanTable,
    pub(super) log: BanLog,
    /// Whether the store has bans that lost their service.
    pub(super) has_orphans: bool,
}

impl StoredBans {
    /// Reads the store's bans. Those that have ended are left out, and those that lost their
    /// service, unless an unconfirmed change removed it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn read(store: &mut dyn Store, stored: &Stored, clock: &Clock) -> Result<Self, StoreError> {
        let mut table = BanTable::default();
        let log = store.bans(&mut |edit| table.load(edit))?;
        let ended = table.expire(clock.now().as_millisecond());
        table.keep(ended);
        let state = &stored.state;
        let orphans = match stored.pending {
            Some(_) => Vec::new(),
            None => table.forget_services(|name| state.service(name.as_str()).is_some()),
        };
        let has_orphans = !orphans.is_empty();
        table.keep(orphans);
        Ok(Self {
            table,
            log,
            has_orphans,
        })
    }

    /// What the kernel is to hold.
    pub fn lists(&mut self, state: &State) -> Arc<BanLists> {
        Arc::new(lists(&mut self.table, state))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// None at all.
    #[must_use]
    pub fn none() -> Self {
        Self {
            table: BanTable::default(),
            log: BanLog::default(),
            has_orphans: false,
        }
    }
}
