//! Paged lists.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::{IntoParams, ToSchema};

use super::RuleView;
use crate::model::ListKind;

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Paged<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Entries that match, in this part or not.
    pub total: u64,
    /// What to send as `after` for the part that follows; left out: nothing follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// The query of `GET /v1/audit`, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(IntoParams))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct PageQuery {
    /// At most so many entries: 1 to 1,000; 100 unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 1000))]
    pub limit: Option<usize>,
    /// Only entries that follow this one: the `next` of the part before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Only entries that contain this text; ASCII letters match in either case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// The query of `GET /v1/revisions`, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(IntoParams))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct RevisionsQuery {
    /// At most so many revisions: 1 to 1,000; 100 unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 1000))]
    pub limit: Option<usize>,
    /// Only revisions that follow this one: the `next` of the part before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Only revisions in whose `actor` or `action` this text is; ASCII letters match in either
    /// case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Only revisions that changed the policy of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Only revisions that this OS user made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Only revisions that were made at this time or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(value_type = Option<String>, format = DateTime))]
    pub since: Option<Timestamp>,
    /// With what changed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub changes: bool,
}

impl PageQuery {
    /// The largest `limit`.
    pub const MOST: usize = 1_000;
    /// The `limit` of a query without one.
    pub const USUAL: usize = 100;
}

/// The query of `GET /v1/policies/{name}/rules`: first the allow list, then the block list, then
/// the exceptions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(IntoParams))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct RulesQuery {
    /// At most so many rules: 1 to 1,000; 100 unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 1000))]
    pub limit: Option<usize>,
    /// Only rules that follow this one: the `next` of the part before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Only rules whose text, name or comment contains this; ASCII letters match in either
    /// case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Only rules of this list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<ListKind>,
    /// Only rules that cover this address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(value_type = Option<String>))]
    pub covers: Option<IpAddr>,
}

/// A rule of a policy, with its place in its lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct RuleItem {
    /// Its number, from 1: the allow list's rules, then the block list's, then the exceptions.
    pub number: u64,
    /// The list that it is on.
    pub list: ListKind,
    /// The rule.
    pub rule: RuleView,
}
