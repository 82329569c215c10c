//! A change followed by its raw texts, which needs less memory than texts within JSON.

use serde::{Deserialize, Serialize};

use crate::model::change::Change;

/// The content type of such a request: a [`ChangeHead`] as JSON on one line, then the texts,
/// one immediately after the other.
pub const CHANGE_WITH_TEXTS: &str = "application/vnd.netpolicy.change-with-texts";

/// What stands before the texts.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeHead {
    /// The change; the texts of its files are empty.
    pub change: Change,
    /// Bytes of each text, in the order of the change's fields.
    pub texts: Vec<usize>,
}
