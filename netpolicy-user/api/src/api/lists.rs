//! Named lists, and parts of their entries.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::{IntoParams, ToSchema};

use super::RuleView;
use crate::model::{Feed, NetworkRule};

/// A named list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ListView {
    /// Its name.
    pub name: String,
    /// How many entries it has.
    pub entry_count: usize,
    /// The policies that refer to it.
    pub policies: Vec<String>,
    /// Its entries as written; only in `GET /v1/lists/{name}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entries: Option<Vec<RuleView>>,
    /// What SQL has to know of it, if it is a network rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_rule: Option<NetworkRule>,
    /// Where its content comes from, if it is a feed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feed: Option<Feed>,
    /// A file that makes it smaller by more than this is asked about, percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_shrink: Option<u8>,
    /// Its comment.
    pub comment: Option<String>,
    /// Who owns it.
    pub owner: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub altered: Timestamp,
}

/// The query of `GET /v1/lists/{name}/entries`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(IntoParams))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct EntriesQuery {
    /// At most so many entries: 1 to 1,000; 100 unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 1000))]
    pub limit: Option<usize>,
    /// Only entries that follow this one: the `next` of the part before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Only entries whose text, name or comment contains this; ASCII letters match in either
    /// case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Only entries that cover this address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(value_type = Option<String>))]
    pub covers: Option<IpAddr>,
}

/// An entry of a named list, with its place in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct EntryItem {
    /// Its number, from 1.
    pub number: u64,
    /// The entry.
    pub entry: RuleView,
}
