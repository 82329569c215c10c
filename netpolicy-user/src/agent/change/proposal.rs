//! What is to become of the desired state.

use super::action;
use crate::model::Change;
use crate::store::Pending;

/// What is to become of the desired state.
#[derive(Debug)]
pub enum Proposal {
    /// Some changes, one after the other, as one.
    Changes {
        /// The changes.
        changes: Vec<Change>,
        /// What they are called in log and history; `None`: as the change is called.
        action: Option<String>,
    },
    /// What it was at a revision.
    Rollback {
        /// The revision.
        revision: u64,
    },
    /// What it was before the change that nobody confirmed.
    Unconfirmed(Pending),
}

impl From<Change> for Proposal {
    fn from(change: Change) -> Self {
        Self::Changes {
            changes: vec![change],
            action: None,
        }
    }
}

impl Proposal {
    /// What it is called in log and history.
    pub(in crate::agent) fn action(&self) -> String {
        match self {
            Self::Changes {
                action: Some(action),
                ..
            } => action.clone(),
            Self::Changes { changes, .. } => {
                let each: Vec<_> = changes.iter().map(action::describe).collect();
                each.join("; ")
            }
            Self::Rollback { revision } => format!("rollback {revision}"),
            Self::Unconfirmed(pending) => {
                format!("rollback {}: not confirmed", pending.base)
            }
        }
    }

    /// Bytes of text in it.
    pub(in crate::agent) fn text_len(&self) -> usize {
        match self {
            Self::Changes { changes, .. } => changes.iter().map(Change::text_len).sum(),
            Self::Rollback { .. } | Self::Unconfirmed(_) => 0,
        }
    }
}
