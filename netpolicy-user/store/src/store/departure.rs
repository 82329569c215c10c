//! How a store departs from the one that was in use last.

/// A store that does not go on from the one that was in use last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Departure {
    /// How it differs.
    pub kind: DepartureKind,
    /// The newest revision of the one in use last.
    pub last: u64,
}

/// How a store differs from the one that was in use last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DepartureKind {
    /// It lacks the later revisions.
    Older,
    /// It has another state in the place of that revision.
    Diverged,
}
