//! What the agent wants of a database, and what it is told.

use serde::{Deserialize, Serialize};

/// An order, as `GET /v1/databases/{name}/order` has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Order {
    pub(super) sequence: u64,
    pub(super) port: u16,
    #[serde(default)]
    pub(super) socket: Option<String>,
    #[serde(default)]
    pub(super) hba_dir: Option<String>,
    #[serde(default)]
    pub(super) hba_conf: Option<String>,
    pub(super) lines: Vec<String>,
    pub(super) users: Vec<String>,
    pub(super) roles: Vec<String>,
    /// Those of both without which the order is refused.
    #[serde(default)]
    pub(super) must_exist: Vec<String>,
    #[serde(default)]
    pub(super) widened_by: Option<String>,
    #[serde(default)]
    pub(super) cut: bool,
}

/// A report, as `POST /v1/databases/{name}/report` takes it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    pub(super) sequence: u64,
    pub(super) condition: Condition,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) repaired: bool,
    pub(super) ended: u64,
}

/// What the database does with the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Condition {
    InForce,
    Refused,
    Unreachable,
}
