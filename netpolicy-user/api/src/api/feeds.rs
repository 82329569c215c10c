//! Feeds: how they are, and what the process that refreshes them hands over.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::{IntoParams, ToSchema};

use crate::model::Feed;

/// A feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct FeedView {
    /// The list that it fills.
    pub name: String,
    /// Where its content comes from, and what is refused of it.
    pub settings: Feed,
    /// Names these settings.
    pub version: String,
    /// The policies that refer to it.
    pub policies: Vec<String>,
    /// Entries in force.
    pub entries: usize,
    /// Entries that were left out.
    pub skipped: u64,
    /// The format of the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// When the content came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched: Option<Timestamp>,
    /// When the source last said that it is current.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked: Option<Timestamp>,
    /// When it is refreshed next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Timestamp>,
    /// Whether it was not refreshed for too long.
    pub stale: bool,
    /// Why the last refresh failed; what is in force stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<Timestamp>,
    /// The source's `ETag`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The source's `Last-Modified`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// How often a refresh was requested since the agent started.
    pub requested: u64,
}

/// The query of `GET /v1/feeds`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(IntoParams))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct FeedsQuery {
    /// Answer only when settings or requested refreshes differ from these: the `seen` of an
    /// earlier answer's header `x-netpolicy-feeds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    /// Answer after so many seconds even so: 1 to 60; 30 unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 60))]
    pub wait: Option<u64>,
}

/// The header that names settings and requested refreshes of all feeds.
pub const FEEDS_SEEN: &str = "x-netpolicy-feeds";

/// The query of `PUT /v1/feeds/{name}/content`: how the content was got.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(IntoParams))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct FeedContentQuery {
    /// The settings by which it was got: a feed's `version`.
    pub version: String,
    /// Its format.
    pub format: String,
    /// Entries that were left out.
    #[serde(default)]
    pub skipped: u64,
    /// The source's `ETag`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The source's `Last-Modified`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// Seconds to the next refresh.
    #[serde(default)]
    pub next_in: u64,
}

/// What came of a refresh that brought no content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct FeedReport {
    /// The settings by which it was tried: a feed's `version`.
    pub version: String,
    /// Why it failed; none: the content in force is current.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Seconds to the next refresh.
    #[serde(default)]
    pub next_in: u64,
}
