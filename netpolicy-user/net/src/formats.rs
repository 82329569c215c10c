//! The seam before the formats: a feed's settings and bytes to networks.

use ipnet::IpNet;
use netpolicy_formats::{Filter, Format, Options, read_with};
use netpolicy_policy::model::{Feed, counted};

/// Errors of one source that are said.
const SHOWN: usize = 3;

/// What a source says.
pub(crate) struct Read {
    pub(crate) entries: Vec<(IpNet, Option<Box<str>>)>,
    pub(crate) skipped: u64,
    pub(crate) format: String,
    pub(crate) notes: Vec<String>,
}

/// Why it cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ReadError(String);

/// Reads what a source sent.
///
/// # Errors
/// In words, the first errors with their lines.
pub(crate) fn read(feed: &Feed, bytes: &[u8]) -> Result<Read, ReadError> {
    let format = feed.format.as_deref().map(str::parse::<Format>);
    let format = format
        .transpose()
        .map_err(|error| ReadError(error.to_string()))?;
    let filter = Filter {
        service: feed.filter.service.clone(),
        region: feed.filter.region.clone(),
        country: feed.filter.country.clone(),
        asn: feed.filter.asn.clone(),
        set: feed.filter.set.clone(),
    };
    let read = read_with(format, bytes, &filter, Options::default()).map_err(|errors| {
        let shown = errors.iter().take(SHOWN).map(ToString::to_string);
        let mut shown: Vec<_> = shown.collect();
        if errors.len() > SHOWN {
            let more = errors.len() - SHOWN;
            shown.push(format!("and {}", counted(more, "more error", "more errors")));
        }
        ReadError(shown.join("; "))
    })?;
    let nets = read.entries.into_iter().flat_map(|entry| {
        let comment = entry.comment;
        entry.net.nets().map(move |net| (net, comment.clone()))
    });
    Ok(Read {
        entries: nets.collect(),
        skipped: u64::try_from(read.skipped.total).unwrap_or(u64::MAX),
        format: read.format.to_string(),
        notes: read.notes,
    })
}
