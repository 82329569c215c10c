//! Entries of the audit log.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::Outcome;

/// Bytes of details that one entry keeps. What is beyond is in the revisions.
const MOST_DETAIL: usize = 64 * 1024;

/// An action that was done, or refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub time: Timestamp,
    /// The actor's user id.
    pub uid: u32,
    /// The actor's OS user name, or "agent".
    pub actor: String,
    /// The address that the actor works from, if it is known.
    pub from: Option<String>,
    /// What was asked for: "policy create office".
    pub action: String,
    /// What became of it.
    pub outcome: Outcome,
    /// The revision before it.
    pub before: u64,
    /// The revision after it; the same if it made none.
    pub after: u64,
    /// More of it.
    pub detail: AuditDetail,
}

/// What an entry says in addition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditDetail {
    /// What changed, from what to what: the plan's lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    /// Why it was refused or failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
}

impl AuditDetail {
    /// The detail as it is stored: without what goes beyond [`MOST_DETAIL`].
    pub(super) fn bounded(&self) -> Self {
        let mut bounded = self.clone();
        cut(&mut bounded.changes);
        cut(&mut bounded.errors);
        bounded
    }
}

/// Leaves out what goes beyond [`MOST_DETAIL`], and says so.
fn cut(lines: &mut Vec<String>) {
    let mut bytes = 0;
    let fits = lines.iter().position(|line| {
        bytes += line.len();
        bytes > MOST_DETAIL
    });
    if let Some(fits) = fits {
        let more = lines.len() - fits;
        lines.truncate(fits);
        lines.push(format!("… and {more} more"));
    }
}
