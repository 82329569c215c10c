//! Services and the host's settings.

use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use crate::model::{Combine, Mode, OnDeny};

/// A service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ServiceView {
    /// Its name.
    pub name: String,
    /// Its ports, as in "5432,7000-7010".
    pub ports: String,
    /// How its policies stand to the host's.
    pub combine: Combine,
    /// Whether its denials drop.
    pub mode: Mode,
    /// What the sender of an attempt gets that is denied on its ports.
    #[serde(default)]
    pub on_deny: OnDeny,
    /// Names of the policies bound to it.
    pub policies: Vec<String>,
    /// Its comment.
    pub comment: Option<String>,
}

/// The host's settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct HostView {
    /// Whether the host's denials drop.
    pub mode: Mode,
    /// What the sender of an attempt gets that is denied on a port of no service.
    #[serde(default)]
    pub on_deny: OnDeny,
    /// Failsafe ports, as in "22".
    pub failsafe_ports: String,
    /// Names of the policies bound to the host.
    pub policies: Vec<String>,
}
