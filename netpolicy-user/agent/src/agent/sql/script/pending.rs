//! Changes of several statements that are to be made as one.

use std::sync::Arc;

use jiff::Timestamp;

use crate::model::State;
use crate::sql::Statement;
use crate::sql::meaning::{cuts, makes_revisions};

/// Which statements are made as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Batching {
    /// None.
    Off,
    /// Those that can be.
    Bulk,
    /// All, or none is made.
    Atomic,
}

/// Changes that are to be made as one.
pub(super) struct PendingChanges<'t> {
    /// What they lead to.
    pub(super) state: Arc<State>,
    /// When they are made: all at once.
    pub(super) now: Timestamp,
    /// Whether there are any.
    pub(super) changes: bool,
    /// Whether a statement says FORCE: one revision is forced as a whole.
    pub(super) force: bool,
    /// Whether a statement cuts connections.
    pub(super) cut: bool,
    /// The number of its first statement.
    pub(super) start: usize,
    /// Its statements; of an atomic script the last one that changes something.
    pub(super) statements: Vec<Statement<'t>>,
    /// The number of the last statement that changes something.
    pub(super) last: Option<usize>,
}

impl PendingChanges<'_> {
    /// Whether a statement that changes something closes connections by itself and what is
    /// pending does not, or the reverse.
    pub(super) fn differs(&self, statement: &Statement<'_>) -> bool {
        let mut changing = self.statements.iter().filter(|s| makes_revisions(&s.verb));
        let closes = |statement: &Statement<'_>| cuts(statement.dialect);
        makes_revisions(&statement.verb)
            && changing
                .next()
                .is_some_and(|pending| closes(pending) != closes(statement))
    }
}
