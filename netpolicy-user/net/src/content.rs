//! Bytes of a source to canonical networks, after the feed's guards.

use std::fmt::Write as _;

use ipnet::IpNet;
use netpolicy_policy::model::{Feed, FeedRefusal};

use crate::formats::{self, ReadError};

/// Characters of a comment that are kept.
const MAX_COMMENT: usize = 200;

/// Content as the agent takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Canonical {
    /// A network a line, ascending, each once; a comment after " # ".
    pub(crate) lines: String,
    /// How many.
    pub(crate) entries: usize,
    /// Entries that were left out: repeated ones not counted.
    pub(crate) skipped: u64,
    /// The format that it had.
    pub(crate) format: String,
    /// What its reader should know.
    pub(crate) notes: Vec<String>,
}

/// Why content is not handed over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContentError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The feed's settings refuse it.
    #[error(transparent)]
    Refused(#[from] FeedRefusal),
}

/// Reads content. `before`: entries of what the same source gave before.
///
/// # Errors
/// It cannot be read, or the feed's settings refuse it.
pub(crate) fn canonical(
    feed: &Feed,
    bytes: &[u8],
    before: Option<usize>,
) -> Result<Canonical, ContentError> {
    let read = formats::read(feed, bytes)?;
    let mut entries = read.entries;
    let mut skipped = read.skipped;
    entries.retain(|(net, _)| {
        let is_skipped = feed.skips(net);
        skipped += u64::from(is_skipped);
        !is_skipped
    });
    entries.sort_by_key(|(net, _)| *net);
    entries.dedup_by(|(later, _), (earlier, _)| later == earlier);
    feed.judge(entries.iter().map(|(net, _)| net), before, &[])?;
    Ok(Canonical {
        lines: lines(&entries),
        entries: entries.len(),
        skipped,
        format: read.format,
        notes: read.notes,
    })
}

fn lines(entries: &[(IpNet, Option<Box<str>>)]) -> String {
    let mut lines = String::with_capacity(entries.len() * 20);
    for (net, comment) in entries {
        // Writing to a string does not fail.
        let _ = write!(lines, "{net}");
        let comment = comment.as_deref().map(one_line).unwrap_or_default();
        if !comment.is_empty() {
            let _ = write!(lines, " # {comment}");
        }
        lines.push('\n');
    }
    lines
}

fn one_line(comment: &str) -> String {
    let plain = comment
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c });
    let short: String = plain.take(MAX_COMMENT).collect();
    short.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_becomes_canonical_ascending_and_free_of_repetitions() {
        let feed = Feed::new("https://example.org/list.txt");
        let text = b"# a list\n8.8.8.8\n8.8.4.1/24 # dns\n1.1.1.1\n2a00:1::/32\n8.8.8.8\n1.1.1.0-1.1.1.2\n";
        let read = canonical(&feed, text, None).unwrap();
        assert_eq!(
            read.lines,
            "1.1.1.0/31\n1.1.1.1/32\n1.1.1.2/32\n8.8.4.0/24 # dns\n8.8.8.8/32\n2a00:1::/32\n"
        );
        assert_eq!((read.entries, read.skipped, &*read.format), (6, 0, "plain"));
    }

    #[test]
    fn guards_refuse_content_and_skip_what_is_said() {
        let mut feed = Feed::new("https://example.org/list.txt");
        let text = b"8.8.8.8\n10.0.0.1\n";
        let found = canonical(&feed, text, None).unwrap_err().to_string();
        assert!(found.contains("10.0.0.1/32"), "{found}");
        feed.special_ranges = netpolicy_policy::model::SpecialRanges::Skip;
        let read = canonical(&feed, text, None).unwrap();
        assert_eq!((read.entries, read.skipped), (1, 1));
        let found = canonical(&feed, text, Some(100)).unwrap_err().to_string();
        assert!(found.contains("shrink"), "{found}");
        let found = canonical(&feed, b"<!doctype html>", None).unwrap_err();
        assert!(matches!(found, ContentError::Read(_)), "{found}");
    }
}
