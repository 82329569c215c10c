//! What holds in each scope, and which ports are open to every source.

use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use crate::model::Mode;

/// What a scope lets through, of sources that no ban or bypass concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ScopeRule {
    /// Every source: no policy governs it.
    Open,
    /// Every source that is not blocked.
    BlockOnly,
    /// Only sources that are allowed, and not blocked.
    AllowOnly,
    /// No source.
    Closed,
}

/// A scope in `GET /v1/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ScopeStatus {
    /// "host" or the service's name.
    pub scope: String,
    /// The service's ports, as in "5432,7000-7010"; `None`: the host's are all others.
    pub ports: Option<String>,
    /// What it lets through.
    pub rule: ScopeRule,
    /// Whether what it denies is dropped.
    pub mode: Mode,
    /// The same in words.
    pub sentence: String,
    /// The active policies that govern it: its own, and the host's where they count.
    pub policies: Vec<String>,
    /// Prefixes that the kernel compares sources with: of its own lists, and of the host's where
    /// they count.
    pub entries: u64,
    /// Packets that were dropped in the last minute: SYNs, which clients repeat. `None`: the
    /// agent has not counted for a minute yet.
    pub dropped_last_minute: Option<u64>,
}

/// A TCP port that a process listens on, and that no policy governs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct OpenPort {
    /// The port.
    pub port: u16,
    /// The addresses that are listened on, as in "0.0.0.0" and "::" for all.
    pub addresses: Vec<String>,
    /// The service that it belongs to, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Whether it is a failsafe port, on which nothing is ever judged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failsafe: bool,
}
