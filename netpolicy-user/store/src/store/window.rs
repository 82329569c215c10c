//! Parts of long lists: history and audit log, the newest first.

use jiff::Timestamp;

use super::Revision;

/// Which part of a list to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// At most so many entries.
    pub limit: usize,
    /// Only entries with a lower number than this: those that follow it in the list.
    pub after: Option<u64>,
    /// Only entries that contain this text; ASCII letters match in either case.
    pub text: Option<String>,
}

impl Window {
    /// The newest entries.
    #[must_use]
    pub fn newest(limit: usize) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }
}

/// Which revisions to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryWindow {
    /// Which part; [`Window::text`] is looked for in who made them and by what.
    pub window: Window,
    /// Only those that changed the policy of this name, whatever its case, as far as the audit
    /// log says so.
    pub policy: Option<String>,
    /// Only those that this OS user made.
    pub actor: Option<String>,
    /// Only those made in this second or later.
    pub since: Option<Timestamp>,
    /// With what changed.
    pub changes: bool,
}

/// A revision, and what changed by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastChange {
    /// The revision.
    pub revision: Revision,
    /// What changed, from what to what, as the audit log has it.
    pub changes: Vec<String>,
}

/// A part of a list, the newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Entries that match the text, in this part or not.
    pub total: u64,
}
