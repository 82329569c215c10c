//! How two states differ.

use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use super::Changed;

/// `GET` and `POST /v1/diff`: how two states differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct DiffAnswer {
    /// Whether they differ.
    pub differs: bool,
    /// A unified diff of both as policy files, without the lines that name them.
    pub diff: String,
    /// How many more lines differ: a longer diff is cut off.
    pub left_out: u64,
    /// What the change would do; only when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Changed>,
}
