//! What is stored of a feed apart from its content.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{Feed, Name, RuleList};

/// How a feed's content was got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedRecord {
    /// The settings by which it was got.
    pub by: Feed,
    /// When it came, by the wall clock.
    pub fetched: Timestamp,
    /// When the source last said that it is current.
    pub checked: Timestamp,
    /// The format that it had.
    pub format: String,
    /// Entries that were left out.
    pub skipped: u64,
    /// The source's `ETag`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The source's `Last-Modified`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// The digest of the ruleset that was in force when this content was stored. Content makes no
    /// revision: by this the next agent knows that a process was killed before it put the content
    /// in force, and does not take the store for one of another history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<[u8; 32]>,
}

/// A feed's record under its name.
pub type NamedFeedRecord = (Name, FeedRecord);

/// What becomes of a feed.
#[derive(Clone, Copy, Debug)]
pub struct FeedUpdate<'a> {
    /// The feed.
    pub name: &'a Name,
    /// Its new content; `None`: the present one stays.
    pub content: Option<&'a RuleList>,
    /// How it was got.
    pub record: &'a FeedRecord,
}
