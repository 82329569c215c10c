//! Proposals: requested changes of the desired state.

use std::net::SocketAddr;

use super::action;
use crate::model::{Applied, Change, EndedRules, State};
use crate::store::{FleetRecord, ObjectId, Pending};

/// What is to become of the desired state.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one at a time, and most are changes"
)]
pub enum Proposal {
    /// A change.
    Change(Change),
    /// Changes that are applied already to the state that is there.
    Applied {
        /// What they lead to.
        applied: Applied,
        /// What they are called in log and history.
        action: String,
    },
    /// What it was at a revision.
    Rollback {
        /// The revision.
        revision: u64,
    },
    /// The state before the unconfirmed change.
    Unconfirmed(Pending),
    /// What a signed revision of the host's fleet says.
    Fleet {
        /// What it leads to on this host.
        applied: Applied,
        /// How it came, and what is known of the fleet with it.
        revision: Box<ProposedFleetRevision>,
    },
    /// The state without the rules whose end is over.
    Ended {
        /// What it is then.
        state: State,
        /// The rules.
        rules: EndedRules,
    },
}

/// A signed revision of the host's fleet.
#[derive(Clone, Debug)]
pub struct ProposedFleetRevision {
    /// What it is called in log and history.
    pub action: String,
    /// Who signed it, and why: a line for the audit log.
    pub note: String,
    /// Sources and local ports that have to pass with it.
    pub must_admit: Vec<SocketAddr>,
    /// What is known of the fleet once it is in force.
    pub record: FleetRecord,
    /// Its state.
    pub root: ObjectId,
}

impl From<Change> for Proposal {
    fn from(change: Change) -> Self {
        Self::Change(change)
    }
}

impl Proposal {
    /// What it is called in log and history.
    pub(in crate::agent) fn action(&self) -> String {
        match self {
            Self::Change(change) => action::describe(change),
            Self::Applied { action, .. } => action.clone(),
            Self::Rollback { revision } => format!("rollback {revision}"),
            Self::Unconfirmed(pending) => {
                format!("rollback {}: not confirmed", pending.base)
            }
            Self::Ended { rules, .. } => format!("expire {}", rules.in_words()),
            Self::Fleet { revision, .. } => revision.action.clone(),
        }
    }

    /// Whether it replaces lists by whole files.
    pub(in crate::agent) fn replaces_by_files(&self) -> bool {
        match self {
            Self::Change(change) => change.replaces_by_files(),
            Self::Applied { .. }
            | Self::Rollback { .. }
            | Self::Unconfirmed(_)
            | Self::Fleet { .. }
            | Self::Ended { .. } => false,
        }
    }

    /// Whether the agent itself requests it, whatever the state is at.
    pub(in crate::agent) fn is_of_agent(&self) -> bool {
        matches!(self, Self::Unconfirmed(_) | Self::Ended { .. })
    }

    /// Bytes of text in it.
    pub(in crate::agent) fn text_len(&self) -> usize {
        match self {
            Self::Change(change) => change.text_len(),
            Self::Applied { .. }
            | Self::Rollback { .. }
            | Self::Unconfirmed(_)
            | Self::Fleet { .. }
            | Self::Ended { .. } => 0,
        }
    }
}
