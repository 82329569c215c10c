//! What holds or overlaps a network.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::{IntoParams, ToSchema};

use super::RuleView;
use crate::model::{Containment, ListKind};

/// The query of `GET /v1/find`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(IntoParams))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct FindQuery {
    /// An address or CIDR.
    pub network: String,
    /// At most so many items: 1 to 1,000; 100 unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 1000))]
    pub limit: Option<usize>,
}

/// `GET /v1/find`: what holds or overlaps a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct FindView {
    /// The network, with its length and without host bits.
    pub network: String,
    /// What was found: the same network, then what holds it with the longest prefix first, then
    /// what lies in it by address.
    pub items: Vec<FoundItem>,
    /// How many there are, in `items` or not.
    pub total: u64,
}

/// A rule, list entry, ban or bypass that has an address of the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct FoundItem {
    /// What it is.
    pub kind: FoundKind,
    /// How it lies to the network.
    pub relation: Containment,
    /// The policy or list that it is on; `None`: it is a ban or bypass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What a policy's rule does: allow, block, or except from what the policy blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<ListKind>,
    /// Where a list's entries count: "office (block)" for each policy that refers to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub used_by: Vec<String>,
    /// The scopes in which it counts: "host", services' names; empty: it has no effect, since
    /// its policy is inactive or not bound, or no policy refers to its list.
    pub scopes: Vec<String>,
    /// The network as written and as enforced, with name, comment and place.
    pub rule: RuleView,
    /// Who made a ban or bypass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When a ban or bypass ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum FoundKind {
    /// A bypass.
    Bypass,
    /// A ban.
    Ban,
    /// A rule of a policy.
    Policy,
    /// An entry of a named list.
    List,
    /// An entry of a list whose content comes from a URL or file.
    Feed,
}
