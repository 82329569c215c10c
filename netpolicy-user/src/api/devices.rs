//! Interfaces in `GET /v1/status`.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An interface that is to be filtered, or is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its index; 0 while it does not exist.
    pub index: u32,
    /// How the program is attached.
    pub attachment: Attachment,
    /// Whether it moved to another network namespace, where it is still filtered.
    #[serde(default, skip_serializing_if = "is_false")]
    pub elsewhere: bool,
}

/// How the program is attached to an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Attachment {
    /// In the driver.
    Native,
    /// In the kernel's generic hook: slower.
    Generic,
    /// Not attached: the interface does not exist, or attaching failed.
    None,
    /// Not known; a fault says why.
    Unknown,
}

/// An interface that is up or carries an address, and does not run the program itself.
/// Loopback and interfaces that hand all packets to a bridge, bond or team are left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OtherInterface {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// Its kind, as `ip -details link` names it; a NIC has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its addresses.
    #[schema(value_type = Vec<String>)]
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
