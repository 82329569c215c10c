//! The desired state on disk: revisions of the [`State`], and bypasses.
//!
//! [`Store`] stands in front of what keeps it: an SQLite database today (`sqlite/`, the only
//! importer of it), which [`open`] opens. The store keeps and returns what it is given; whether
//! a state makes sense is the model's affair, and what the kernel does with it the agent's.
//!
//! Times with a deadline are on the scale of the [`Clock`] that the store
//! is opened with.
//!
//! A state may hold millions of rules and most changes touch one of them, so
//! content is kept as in git: rule lists are cut into chunks (`chunk.rs`), and
//! chunks, lists and states are immutable objects named by their hash
//! (`objects.rs`). A commit writes only the objects that are new. How objects are made and
//! read is apart from where they are kept.

mod audit;
mod backup;
mod bans;
mod chunk;
mod deadline;
mod departure;
mod document;
mod error;
mod exchange;
mod feed;
mod fleet;
mod list;
mod objects;
#[cfg(feature = "sqlite")]
mod observed;
mod pending;
mod rescue;
#[cfg(feature = "sqlite")]
mod sqlite;
mod state;
#[cfg(test)]
mod tests;
mod window;

#[cfg(feature = "sqlite")]
use std::path::Path;

use ipnet::IpNet;
use jiff::Timestamp;

pub use self::audit::{AuditDetail, AuditEntry};
pub use self::backup::{Archivist, Backup, ReplacedDatabase, Restorable, Summary};
pub use self::bans::{BanBatch, BanEdit, BanLog, BanRow, EncodedBans};
pub use self::departure::{Departure, DepartureKind};
pub use self::error::StoreError;
pub use self::exchange::{read_state, references, write_state};
pub use self::feed::{FeedRecord, FeedUpdate, NamedFeedRecord};
pub use self::fleet::{
    AppliedFleetRevision, FleetRecord, HandedOver, LocalOverride, RolledBackRevision, SeenRecord,
};
pub use self::objects::{ObjectId, ObjectKind, Objects};
#[cfg(feature = "sqlite")]
pub use self::observed::{
    EachRecord, ObservationRecord, ObservationStore, Records, discard_observations,
    observations_bytes, open_observations,
};
pub use self::pending::{Pending, PendingEdit};
pub use self::rescue::{Rescued, Whole, by_rescue};
/// For tests.
#[cfg(feature = "sqlite")]
#[doc(hidden)]
pub use self::sqlite::SqliteStore;
#[cfg(feature = "sqlite")]
pub use self::sqlite::{directory, discard_restore, is_filled, prepare_restore, reset, restore};
pub use self::window::{HistoryWindow, Listed, PastChange, Window};
pub use crate::begin_without_policy;
#[cfg(feature = "sqlite")]
use crate::clock::Clock;
pub use crate::model::Outcome;
use crate::model::{Bypass, Grant, Name, State};

/// Revisions that [`Store::prune`] keeps.
pub const KEEP_REVISIONS: usize = 1_000;

/// Opens the store in the state directory `dir`, with deadlines by `clock`. What is missing is
/// made, the directory too; an older store is brought up to date.
///
/// The caller holds the directory's lock.
///
/// # Errors
/// Every case of [`StoreError`] but those of single operations; the store is left as it was.
#[cfg(feature = "sqlite")]
pub fn open(dir: &Path, clock: Clock) -> Result<Box<dyn Store>, StoreError> {
    Ok(Box::new(SqliteStore::open_with(dir, clock)?))
}

/// What the agent finds when it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The newest state; [`State::empty`] if none was ever committed.
    pub state: State,
    /// Its number; 0: none was ever committed.
    pub revision: u64,
    /// All bypasses, expired or not.
    pub bypasses: Vec<Bypass>,
    /// All privileges that were granted.
    pub grants: Vec<Grant>,
    /// How the content of feeds was got.
    pub feeds: Vec<NamedFeedRecord>,
    /// Fleets, the one that the host is in first.
    pub fleets: Vec<FleetRecord>,
    /// The change that waits for its confirmation.
    pub pending: Option<Pending>,
    /// Whether it comes out of a backup that was restored, and was not adopted since.
    pub restored: bool,
    /// How it departs from the store that was in use last.
    pub departure: Option<Departure>,
}

/// What is stored along with a revision, all or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// Appended to the audit log; its [`AuditEntry::after`] is filled in.
    pub audit: Option<AuditEntry>,
    /// What becomes of the change that waits for its confirmation.
    pub pending: PendingEdit,
    /// What is known of the fleet from then on.
    pub fleet: Option<FleetRecord>,
    /// The state that was handed over in objects, which wait no more.
    pub used: Option<ObjectId>,
}

/// Who makes a revision, when and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevisionMeta {
    /// When it is made.
    pub created: Timestamp,
    /// Who made it: an OS user's name.
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

/// Reads past states while the [`Store`] that it is from is at work.
pub trait Past: Send {
    /// As [`Store::state_at`].
    ///
    /// # Errors
    /// As [`Store::state_at`].
    fn state_at(&self, revision: u64) -> Result<State, StoreError>;

    /// Revisions, the newest first; [`Window::text`] is looked for in who made them and by
    /// what.
    ///
    /// # Errors
    /// Failures to read.
    fn revisions(&self, window: &Window) -> Result<Listed<Revision>, StoreError>;

    /// Revisions by what they changed, who made them and since when, the newest first.
    ///
    /// # Errors
    /// Failures to read.
    fn history(&self, of: &HistoryWindow) -> Result<Listed<PastChange>, StoreError>;

    /// Entries of the audit log with their numbers, the newest first; [`Window::text`] is
    /// looked for in all of an entry but its time.
    ///
    /// # Errors
    /// Failures to read.
    fn audit_log(&self, window: &Window) -> Result<Listed<(u64, AuditEntry)>, StoreError>;
}

/// Where the desired state is kept. There is one writer: the agent.
///
/// Every method does all that it says or nothing. After an error the store can
/// be used on and holds what it held before.
pub trait Store: Send {
    /// The newest state and all bypasses. Deadlines that were stored in another boot are put
    /// on this boot's clock, durably.
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
    fn commit(&mut self, state: &State, by: &RevisionMeta) -> Result<u64, StoreError> {
        self.commit_with(state, by, &Extras::default())
    }

    /// As [`Self::commit`], with more in the same transaction.
    ///
    /// # Errors
    /// Failures to write, such as [`StoreError::Full`].
    fn commit_with(
        &mut self,
        state: &State,
        by: &RevisionMeta,
        extras: &Extras,
    ) -> Result<u64, StoreError>;

    /// Stores that no change waits for its confirmation any more, and what is known of the
    /// fleet from then on.
    ///
    /// # Errors
    /// Failures to write.
    fn clear_pending(
        &mut self,
        audit: &AuditEntry,
        fleet: Option<&FleetRecord>,
    ) -> Result<(), StoreError>;

    /// Appends to the audit log.
    ///
    /// # Errors
    /// Failures to write.
    fn audit(&mut self, entry: &AuditEntry) -> Result<(), StoreError>;

    /// Stores grants, each in place of the same one: all or none.
    ///
    /// # Errors
    /// Failures to write.
    fn put_grants(&mut self, grants: &[(Grant, AuditEntry)]) -> Result<(), StoreError>;

    /// Removes the grants of the same privilege, principal and policy; `false` if one of them is
    /// not there, and then nothing is written.
    ///
    /// # Errors
    /// Failures to write.
    fn remove_grants(&mut self, grants: &[(Grant, AuditEntry)]) -> Result<bool, StoreError>;

    /// A second way to past states, for another thread.
    ///
    /// # Errors
    /// The store cannot be opened once more.
    fn past(&self) -> Result<Box<dyn Past>, StoreError>;

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
    fn put_bypass(&mut self, bypass: &Bypass, audit: Option<&AuditEntry>)
    -> Result<(), StoreError>;

    /// Removes a bypass; `false` if there is none.
    ///
    /// # Errors
    /// Failures to write.
    fn remove_bypass(
        &mut self,
        source: IpNet,
        service: Option<&Name>,
        audit: Option<&AuditEntry>,
    ) -> Result<bool, StoreError>;

    /// Removes the bypasses that have expired at `now`, and returns them.
    ///
    /// # Errors
    /// Failures to read and write.
    fn expire_bypasses(&mut self, now: Timestamp) -> Result<Vec<Bypass>, StoreError>;

    /// Reads all changes of bans in their order: what is left of them is what is banned. Bans
    /// that have ended may be among them. Deadlines of another boot are put on this boot's
    /// clock.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`]; failures to read.
    fn bans(&mut self, visit: &mut dyn FnMut(BanEdit<'_>)) -> Result<BanLog, StoreError>;

    /// Reads the changes of one batch of bans; none if it is not there.
    ///
    /// # Errors
    /// As [`Self::bans`].
    fn bans_in(&mut self, batch: u64, visit: &mut dyn FnMut(BanEdit<'_>))
    -> Result<(), StoreError>;

    /// Appends changes of bans, removes these batches, and appends to the audit log, all or
    /// nothing. Durable when this returns. The batches that were written.
    ///
    /// # Errors
    /// Failures to write, such as [`StoreError::Full`].
    fn record_bans(
        &mut self,
        edits: &mut dyn Iterator<Item = BanEdit<'_>>,
        forget: &[u64],
        audit: &[AuditEntry],
    ) -> Result<Vec<BanBatch>, StoreError>;

    /// Appends changes of bans, and to the audit log, all or nothing. Durable when this returns.
    /// The batches that were written.
    ///
    /// # Errors
    /// Failures to write, such as [`StoreError::Full`].
    fn record_encoded_bans(
        &mut self,
        encoded: &EncodedBans,
        audit: &[AuditEntry],
    ) -> Result<Vec<BanBatch>, StoreError>;

    /// Stores that bans which have ended by now are over, whatever the wall clock says after the
    /// next boot; in place of the note `before`. The batch that says so.
    ///
    /// # Errors
    /// Failures to write, such as [`StoreError::Full`].
    fn note_time_of_bans(&mut self, before: Option<u64>) -> Result<BanBatch, StoreError>;

    /// Stores a feed's new content, or that the present one is current, in no revision. The
    /// newest state must have the feed.
    ///
    /// # Errors
    /// Failures to write, such as [`StoreError::Full`].
    fn put_feed(
        &mut self,
        update: FeedUpdate<'_>,
        audit: Option<&AuditEntry>,
    ) -> Result<(), StoreError>;

    /// Stores what is known of a fleet, in no revision.
    ///
    /// # Errors
    /// Failures to write.
    fn put_fleet(
        &mut self,
        fleet: &FleetRecord,
        audit: Option<&AuditEntry>,
    ) -> Result<(), StoreError>;

    /// Those of these objects that are not there.
    ///
    /// # Errors
    /// Failures to read.
    fn missing(&mut self, ids: &[ObjectId]) -> Result<Vec<ObjectId>, StoreError>;

    /// Keeps objects for a state to come, for an hour at least; `false`: too many wait for theirs
    /// already, and these are not kept.
    ///
    /// # Errors
    /// Failures to write, such as [`StoreError::Full`].
    fn hand_over(&mut self, objects: &[HandedOver]) -> Result<bool, StoreError>;

    /// A state by its name, whose objects are there. Its feeds have the content that there is.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if an object is missing or cannot be read; failures to read.
    fn state_of(&mut self, root: &ObjectId) -> Result<State, StoreError>;

    /// Makes sure that what is committed is kept: that the files are there, and are those that
    /// are open. So does every method that writes, before and after.
    ///
    /// # Errors
    /// [`StoreError::Lost`].
    fn check(&mut self) -> Result<(), StoreError>;

    /// Makes this the store in use, by which the next ones are judged, and forgets that it was
    /// restored. Durable when this returns.
    ///
    /// # Errors
    /// Failures to write.
    fn adopt(&mut self) -> Result<(), StoreError>;

    /// Makes the store whole again, after its files were lost.
    ///
    /// # Errors
    /// Failures to write; the old or the new one is in place then.
    fn rescue(&mut self, whole: &Whole<'_>) -> Result<Rescued, StoreError>;

    /// What makes a backup, concurrently with the one writer.
    ///
    /// # Errors
    /// [`StoreError::Lost`]; failures to open another connection.
    fn archivist(&mut self) -> Result<Archivist, StoreError>;

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
