//! The input and the result of checking a change.

use std::sync::Arc;

use jiff::Timestamp;

use super::clients::{Side, Sockets};
use crate::agent::in_force::InForce;
use crate::agent::progress::ProgressReporter;
use crate::agent::rehearsal::SeenSources;
use crate::agent::snapshot::Snapshot;
use crate::api::Changed;
use crate::compiler::Compilation;
use crate::model::{Bypass, Grant, Limits, State};

/// What there is before a change.
pub struct Situation<'a> {
    /// What is in force, or would be after the changes that were only tried before.
    pub in_force: &'a InForce,
    /// Its state without the rules whose end is over: they go with any change, and
    /// the requester needs no privilege for that.
    pub unended: Arc<State>,
    /// The bypasses that there are.
    pub bypasses: &'a [Bypass],
    /// The privileges that are granted.
    pub grants: &'a [Grant],
    /// The host's sockets.
    pub sockets: &'a dyn Sockets,
    /// The sources that came.
    pub seen: &'a dyn SeenSources,
    /// Interfaces to filter.
    pub interfaces: &'a [String],
    /// How much a host takes.
    pub limits: Limits,
    /// The time now, on the scale of deadlines.
    pub now: Timestamp,
    /// Where the program is attached.
    pub published: Arc<Snapshot>,
    /// What the writer is doing.
    pub progress: &'a ProgressReporter,
}

/// A change that is checked and compiled, and not made yet.
pub struct Candidate {
    /// The state that it leads to.
    pub state: State,
    /// What that is compiled to.
    pub compiled: Compilation,
    /// Of the compiled rules.
    pub digest: [u8; 32],
    /// Whether any source may become denied by the lists.
    pub may_deny: bool,
    /// Whether any source may become allowed by the lists.
    pub may_allow: bool,
    /// What is said of it.
    pub changed: Changed,
}

impl<'a> Situation<'a> {
    /// What decides now.
    #[must_use]
    pub(in crate::agent) fn side(&self) -> Side<'a> {
        Side::of(self.in_force, self.bypasses)
    }
}
