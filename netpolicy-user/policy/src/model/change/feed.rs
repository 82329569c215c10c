//! What changes say of feeds.

use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use crate::model::{Feed, FeedFilter, SpecialRanges};

/// Settings of a feed; what is left out stays, or is as usual for a new one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct FeedEdit {
    /// An `https://` URL, or the absolute path of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Whether an `http://` URL is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_http: Option<bool>,
    /// Seconds between two refreshes. Jitter and `stale_after` follow where they are as usual.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<u64>,
    /// Seconds by which a refresh may come later, at random.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<u64>,
    /// Seconds that one refresh may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// Seconds without a successful refresh after which it is stale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_after: Option<u64>,
    /// The most that is read, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// The format; an empty one is told from the content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Content with fewer entries is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_entries: Option<u64>,
    /// Content that is smaller than the present one by more than this is refused, percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_shrink: Option<u8>,
    /// What becomes of private, loopback and other ranges that no public source has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub special_ranges: Option<SpecialRanges>,
    /// Which entries are taken, in place of what was selected; an empty one: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<FeedFilter>,
}

impl FeedEdit {
    /// The feed with these settings.
    #[must_use]
    pub fn of(&self, feed: &Feed) -> Feed {
        let interval = self.interval.unwrap_or(feed.interval);
        let usual = |is_usual: bool, now: u64, then: u64| if is_usual { then } else { now };
        let (jitter, stale) = (feed.interval / 10, feed.interval.saturating_mul(3));
        let jitter = usual(feed.jitter == jitter, feed.jitter, interval / 10);
        let stale_after = usual(
            feed.stale_after == stale,
            feed.stale_after,
            interval.saturating_mul(3),
        );
        let format = match self.format.as_deref() {
            None => feed.format.clone(),
            Some("") => None,
            Some(format) => Some(format.to_owned()),
        };
        Feed {
            source: self.source.clone().unwrap_or_else(|| feed.source.clone()),
            allow_http: self.allow_http.unwrap_or(feed.allow_http),
            interval,
            jitter: self.jitter.unwrap_or(jitter),
            timeout: self.timeout.unwrap_or(feed.timeout),
            stale_after: self.stale_after.unwrap_or(stale_after),
            max_bytes: self.max_bytes.unwrap_or(feed.max_bytes),
            format,
            min_entries: self.min_entries.unwrap_or(feed.min_entries),
            max_shrink: self.max_shrink.unwrap_or(feed.max_shrink),
            special_ranges: self.special_ranges.unwrap_or(feed.special_ranges),
            filter: self.filter.clone().unwrap_or_else(|| feed.filter.clone()),
        }
    }
}
