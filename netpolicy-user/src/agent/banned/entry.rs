//! What is known of one ban, and what is to become of it.

use std::collections::BTreeMap;

use super::texts::TextId;

/// What is known of a ban. Times are milliseconds on the scale of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::agent) struct BanEntry {
    /// When it ends; [`NEVER`](super::ends::NEVER).
    pub(in crate::agent) until: i64,
    pub(in crate::agent) since: i64,
    pub(in crate::agent) by: TextId,
    pub(in crate::agent) reason: TextId,
}

/// What there is of a network, and what there is to be; `None`: nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StagedBan {
    pub(super) before: Option<BanEntry>,
    pub(super) now: Option<BanEntry>,
}

/// The changes of one scope and family.
pub(super) type StagedFamily<P> = BTreeMap<P, StagedBan>;
