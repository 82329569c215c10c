//! Policy tests, and whether they hold.

use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use crate::model::Expectation;

/// A policy test, judged by the policies in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct PolicyTestView {
    /// The source of the attempt.
    #[cfg_attr(feature = "openapi", schema(example = "203.0.113.9"))]
    pub source: String,
    /// The service that it tries to reach; left out, with the port: the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The destination port; left out: any of the service, or of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// What is expected of the attempt.
    pub expect: Expectation,
    /// Description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Where it was written: "policy.toml:48:1"; left out: not in a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Whether that is what the policies do.
    pub holds: bool,
    /// What they do instead, and by which rule; left out: it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}
