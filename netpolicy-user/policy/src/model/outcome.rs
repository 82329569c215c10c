//! What became of a change, in a word.

use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Made.
    Done,
    /// Not allowed, or wrong in itself.
    Refused,
    /// Kernel or store did not take it.
    Failed,
}
