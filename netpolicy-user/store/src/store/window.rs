//! Parts of long lists: history and audit log, the newest first.

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

/// A part of a list, the newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Entries that match the text, in this part or not.
    pub total: u64,
}
