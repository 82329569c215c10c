//! What became of a change, in a word.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Made.
    Done,
    /// Not allowed, or wrong in itself.
    Refused,
    /// Kernel or store did not take it.
    Failed,
}
