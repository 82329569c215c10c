//! The seam before the formats: a feed's settings and bytes to networks.

use ipnet::IpNet;
use netpolicy_formats::{Filter, Format, Options, read_with};
use netpolicy_policy::model::address::{self, Written};
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
            shown.push(format!(
                "and {}",
                counted(more, "more error", "more errors")
            ));
        }
        ReadError(shown.join("; "))
    })?;
    if read.format == Format::Plain && is_cut(bytes) {
        return Err(ReadError(
            "the last line does not end, and its network has host bits set: the list is cut off"
                .to_owned(),
        ));
    }
    let nets = read.entries.into_iter().flat_map(|entry| {
        let comment = entry.comment;
        entry.net.nets().map(move |net| (net, comment.clone()))
    });
    // A range may come to hundreds of networks.
    let entries: Vec<_> = nets.take(Options::MOST + 1).collect();
    if entries.len() > Options::MOST {
        let most = Options::MOST;
        return Err(ReadError(format!(
            "its ranges come to more than {most} networks, the most that are read"
        )));
    }
    Ok(Read {
        entries,
        skipped: u64::try_from(read.skipped.total).unwrap_or(u64::MAX),
        format: read.format.to_string(),
        notes: read.notes,
    })
}

/// Whether the last line is without an end and its network with host bits, as "45.1.2.4/3" is
/// where "45.1.2.4/32" was cut.
fn is_cut(bytes: &[u8]) -> bool {
    let last = bytes.rsplit(|byte| *byte == b'\n').next();
    let Some(Ok(line)) = last.map(str::from_utf8) else {
        return false;
    };
    let item = line.rsplit(',').next().unwrap_or(line).trim();
    matches!(address::parse(item), Ok(Written::Net(written)) if written.masked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_list_with_a_cut_prefix_at_its_end_is_refused() {
        let feed = Feed::new("https://example.org/list.txt");
        let refused = read(&feed, b"45.1.2.3/32\n45.1.2.4/3").err().unwrap();
        assert!(refused.to_string().contains("cut off"), "{refused}");
        for whole in ["45.1.2.3/32\n45.1.2.4/3\n", "45.1.2.3/32\n45.1.2.4/32"] {
            assert_eq!(read(&feed, whole.as_bytes()).unwrap().entries.len(), 2);
        }
    }
}
