//! Audit log entries of actions that the command line took without an agent.

use std::path::Path;

use crate::agent::error::chain;
use crate::detach_marker;
use crate::store::{AuditDetail, AuditEntry, Outcome, Store};

/// Records what was done without an agent. What cannot be recorded now is tried
/// again at the next call.
pub(in crate::agent) fn record(marker: &Path, store: &mut dyn Store, revision: u64) {
    let actions = match detach_marker::unrecorded(marker) {
        Ok(actions) if actions.is_empty() => return,
        Ok(actions) => actions,
        Err(error) => {
            tracing::error!(%error, "what was done without an agent cannot be read, so it is not in the audit log");
            return;
        }
    };
    for action in actions {
        tracing::warn!(
            actor = action.actor,
            action = action.action,
            time = %action.time,
            "done without an agent"
        );
        let entry = AuditEntry {
            time: action.time,
            uid: action.uid,
            actor: action.actor,
            from: None,
            action: action.action,
            outcome: Outcome::Done,
            before: revision,
            after: revision,
            detail: AuditDetail {
                changes: vec!["done without an agent".to_owned()],
                ..AuditDetail::default()
            },
        };
        if let Err(error) = store.audit(&entry) {
            tracing::error!(error = chain(&error), "not in the audit log; trying again");
            return;
        }
    }
    if let Err(error) = detach_marker::forget_unrecorded(marker) {
        tracing::error!(%error, "what was done without an agent will be in the audit log twice");
    }
}
