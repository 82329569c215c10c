//! When attempts came.

/// From when until when, milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) first: i64,
    pub(super) last: i64,
}
