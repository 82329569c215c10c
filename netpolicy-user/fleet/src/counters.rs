//! The newest records that a host has seen: who owns etcd can show it none that is older.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::signed::{Opened, Record};

/// A record that was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Seen {
    /// Its counter.
    pub counter: u64,
    /// The hash of what was signed.
    pub digest: String,
}

/// The newest record of each name: "head", "group db", "rollout db", "host h1".
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = FleetCounters))]
#[serde(transparent)]
pub struct Counters(pub BTreeMap<String, Seen>);

/// Why a record is not the newest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Backward {
    #[error("{name} goes back: its counter is {found}, {seen} was seen")]
    Older { name: String, found: u64, seen: u64 },
    #[error("there are two of {name} with counter {counter}")]
    Forked { name: String, counter: u64 },
}

impl Counters {
    /// The highest of them; 0: none was seen.
    #[must_use]
    pub fn highest(&self) -> u64 {
        let counters = self.0.values().map(|seen| seen.counter);
        counters.max().unwrap_or(0)
    }

    /// The counter of the record of this name; 0: none was seen.
    #[must_use]
    pub fn of(&self, name: &str) -> u64 {
        self.0.get(name).map_or(0, |seen| seen.counter)
    }

    /// Takes a record that is as new as the one that was seen, or newer.
    pub(crate) fn take<R: Record>(
        &mut self,
        name: String,
        opened: &Opened<R>,
    ) -> Result<(), Backward> {
        let found = opened.record.counter().unwrap_or(0);
        if let Some(seen) = self.0.get(&name) {
            if found < seen.counter {
                let seen = seen.counter;
                return Err(Backward::Older { name, found, seen });
            }
            if found == seen.counter && seen.digest != opened.digest {
                let counter = found;
                return Err(Backward::Forked { name, counter });
            }
        }
        let digest = opened.digest.clone();
        let counter = found;
        self.0.insert(name, Seen { counter, digest });
        Ok(())
    }
}
