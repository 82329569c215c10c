//! What is remembered of a source, as the store keeps it.

use ipnet::IpNet;
use netpolicy_common::{Action, Reason};
use serde::{Deserialize, Serialize};

use super::deciders::DeciderId;
use super::names::NameId;

/// What became of attempts. Its numbers are what the store keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) enum Judgement {
    /// They passed.
    Allowed,
    /// They were dropped.
    Denied,
    /// They passed, since what denies them is only observed.
    Observed,
}

impl Judgement {
    /// What becomes of attempts for a reason.
    pub(super) fn of(reason: Reason) -> Self {
        match (reason.action(), reason.is_denial()) {
            (Action::Drop, _) => Self::Denied,
            (Action::Pass, true) => Self::Observed,
            (Action::Pass, false) => Self::Allowed,
        }
    }

    /// Whether rules denied them, whatever became of them.
    pub(super) fn is_denial(self) -> bool {
        self != Self::Allowed
    }
}

/// What is remembered apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct SourceKey {
    /// An address, or an IPv6 /64.
    pub(super) net: IpNet,
    /// The scope's name.
    pub(super) scope: NameId,
    /// What became of its attempts.
    pub(super) judgement: Judgement,
}

/// What is remembered of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SourceRecord {
    /// When the first attempt came, milliseconds since 1970.
    pub(super) first: i64,
    /// When the last one came.
    pub(super) last: i64,
    /// How many came.
    pub(super) attempts: u64,
    /// How many of them were reported one by one.
    pub(super) reported: u32,
    /// Whether others are estimated.
    pub(super) is_sampled: bool,
    /// The number of the last one's reason.
    pub(super) reason: u8,
    /// What decided it.
    pub(super) decider: DeciderId,
    /// The generation that did.
    pub(super) generation: u64,
}
