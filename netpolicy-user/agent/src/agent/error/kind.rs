//! Kinds of errors.

use crate::model::ErrorKind;

/// What kind of error it is: what HTTP, the audit log and SQL say follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The request is wrong in itself.
    Invalid,
    /// It names what is not there.
    Unknown,
    /// It does not go with what is there.
    Conflict,
    /// The caller may not.
    Forbidden,
    /// Memory or disk do not suffice.
    Exhausted,
    /// It was tried and failed.
    Failed,
    /// The agent is about to end.
    Stopping,
}

impl From<ErrorKind> for FailureKind {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Invalid => Self::Invalid,
            ErrorKind::Unknown => Self::Unknown,
            ErrorKind::Conflict => Self::Conflict,
        }
    }
}
