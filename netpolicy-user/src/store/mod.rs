//! The desired state on disk: revisions of the [`State`], and bypasses.
//!
//! The only importer of SQLite. [`Store`] stands in front of it, because fleets
//! will keep their state elsewhere. The store keeps and returns what it is given;
//! whether a state makes sense is the model's affair, and what the kernel does
//! with it the agent's.
//!
//! A state may hold millions of rules and most changes touch one of them, so
//! content is kept as in git: rule lists are cut into chunks (`chunk.rs`), and
//! chunks, lists and states are immutable objects named by their hash
//! (`objects.rs`). A commit writes only the objects that are new.

mod bypasses;
mod chunk;
mod document;
mod error;
mod list;
mod objects;
mod open;
mod prune;
mod schema;
mod sqlite;
#[cfg(test)]
mod tests;

use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;

pub use self::error::StoreError;
pub use self::open::directory;
pub use self::sqlite::SqliteStore;
use crate::model::{Bypass, Name, State};

/// Revisions that [`Store::prune`] keeps.
pub const KEEP_REVISIONS: usize = 1_000;

/// How long to wait for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// What the agent finds when it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The newest state; [`State::empty`] if none was ever committed.
    pub state: State,
    /// Its number; 0: none was ever committed.
    pub revision: u64,
    /// All bypasses, lapsed or not.
    pub bypasses: Vec<Bypass>,
}

/// Who makes a revision, when and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevisionMeta {
    /// When it is made.
    pub created: Timestamp,
    /// By whom: an OS user's name.
    pub actor: String,
    /// By what: "policy create office".
    pub action: String,
}

/// One revision, without its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// Its number, from 1 and ascending.
    pub revision: u64,
    /// Who made it, when and by what.
    pub meta: RevisionMeta,
}

/// What [`Store::prune`] removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Old revisions.
    pub revisions: usize,
    /// Objects that only these needed.
    pub objects: usize,
}

/// Where the desired state is kept. There is one writer: the agent.
///
/// Every method does all that it says or nothing. After an error the store can
/// be used on and holds what it held before.
pub trait Store: Send {
    /// The newest state and all bypasses.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if what was written cannot be read back whole;
    /// failures to read.
    fn load(&mut self) -> Result<Stored, StoreError>;

    /// Makes `state` the newest revision and returns its number. It is durable when
    /// this returns. Lists that the last committed or loaded state shares cost nothing.
    ///
    /// # Errors
    /// Failures to write, such as [`StoreError::Full`].
    fn commit(&mut self, state: &State, by: &RevisionMeta) -> Result<u64, StoreError>;

    /// The newest revisions, newest first, at most `limit`.
    ///
    /// # Errors
    /// Failures to read.
    fn revisions(&mut self, limit: usize) -> Result<Vec<Revision>, StoreError>;

    /// The state of a revision; 0 is [`State::empty`], from which all began. It
    /// shares the lists that it has in common with the newest one.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRevision`]; otherwise as [`Self::load`].
    fn state_at(&mut self, revision: u64) -> Result<State, StoreError>;

    /// Stores a bypass, in place of the one of the same source and service.
    ///
    /// # Errors
    /// Failures to write.
    fn put_bypass(&mut self, bypass: &Bypass) -> Result<(), StoreError>;

    /// Removes a bypass; `false` if there is none.
    ///
    /// # Errors
    /// Failures to write.
    fn remove_bypass(&mut self, source: IpNet, service: Option<&Name>) -> Result<bool, StoreError>;

    /// Removes the bypasses that have lapsed at `now`, and returns them.
    ///
    /// # Errors
    /// Failures to read and write.
    fn expire_bypasses(&mut self, now: Timestamp) -> Result<Vec<Bypass>, StoreError>;

    /// Puts in place what a large commit wrote ahead, so that no later one has to. At
    /// best: what does not succeed now is done by one of these.
    fn settle(&mut self);

    /// Removes all but the newest [`KEEP_REVISIONS`] (fewer where old ones hold much
    /// that newer ones do not), with what only they needed. Cheap when there is
    /// nothing to remove; meant for quiet moments, not for the way of a change.
    ///
    /// # Errors
    /// Failures to read and write.
    fn prune(&mut self) -> Result<Pruned, StoreError>;
}
