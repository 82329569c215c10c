//! The content of a rescued store: all that the agent holds in memory after its files were lost.

use jiff::Timestamp;

use super::{AuditEntry, FleetRecord, NamedFeedRecord, Pending, ReplacedDatabase, RevisionMeta};
use crate::model::{Bypass, Grant, State};

/// All that is to be stored.
#[derive(Debug)]
pub struct Whole<'a> {
    /// The newest state.
    pub state: &'a State,
    /// Its number; 0: none was ever made.
    pub revision: u64,
    /// Who makes it, where the store does not know it.
    pub by: RevisionMeta,
    /// All bypasses.
    pub bypasses: &'a [Bypass],
    /// All privileges.
    pub grants: &'a [Grant],
    /// How the content of feeds was got; the content is the state's.
    pub feeds: &'a [NamedFeedRecord],
    /// Fleets.
    pub fleets: &'a [FleetRecord],
    /// The change that waits, and the state to go back to.
    pub pending: Option<(&'a Pending, &'a State)>,
    /// Appended to the audit log.
    pub audit: AuditEntry,
}

/// What became of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rescued {
    /// Whether older revisions and the audit log were kept too.
    pub history: bool,
    /// Where what stood in its place is kept.
    pub kept: Option<ReplacedDatabase>,
}

/// When nothing is known of who made it.
#[must_use]
pub fn by_rescue(created: Timestamp, actor: &str) -> RevisionMeta {
    RevisionMeta {
        created,
        actor: actor.to_owned(),
        action: "store rescue".to_owned(),
    }
}
