//! Interfaces in `GET /v1/status`.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

/// An interface that is to be filtered, or is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its index; 0 while it does not exist.
    pub index: u32,
    /// How the program is attached.
    pub attachment: Attachment,
    /// Why the program is attached there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Programs that run before netpolicy's at tc ingress: packets that they accept are not
    /// judged. A fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ahead: Vec<String>,
    /// Offloads that were switched off or on by attaching, as `ethtool` names them, where this
    /// agent attached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offloads: Vec<String>,
    /// Why denied attempts get no reset here, whatever a scope's `on_deny` says; left out where
    /// they can get one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unanswered: Option<String>,
    /// Whether it moved to another network namespace, where it is still filtered.
    #[serde(default, skip_serializing_if = "is_false")]
    pub elsewhere: bool,
}

impl Interface {
    /// One of which nothing else is known.
    #[must_use]
    pub fn new(name: &str, index: u32, attachment: Attachment) -> Self {
        Self {
            name: name.to_owned(),
            index,
            attachment,
            reason: None,
            ahead: Vec::new(),
            offloads: Vec::new(),
            unanswered: None,
            elsewhere: false,
        }
    }
}

/// How the program is attached to an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Attachment {
    /// Native XDP: in the driver.
    Native,
    /// XDP in the kernel's generic hook: slower.
    Generic,
    /// In the tcx chain, behind the driver.
    Tcx,
    /// As a filter of the qdisc `clsact`, which runs the same program as tcx.
    Clsact,
    /// Not attached: the interface does not exist, or attaching failed.
    None,
    /// Not known; a fault says why.
    Unknown,
}

/// An interface that is up or carries an address, and does not run the program itself.
/// Loopback and interfaces that hand all packets to a bridge, bond or team are left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct OtherInterface {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// Its kind, as `ip -details link` names it; a NIC has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its addresses.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub addresses: Vec<IpAddr>,
    /// Filtered interfaces of which every packet passes one first; empty: it is not
    /// filtered.
    pub covered_by: Vec<String>,
    /// Whether `unfiltered_interfaces` of the configuration names it.
    pub accepted: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
fn is_false(value: &bool) -> bool {
    !value
}
