//! Settings of feeds, as options.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use netpolicy_formats::Format;

use crate::model::change::FeedEdit;
use crate::model::feed::{bytes, percent};
use crate::model::{FeedFilter, SpecialRanges};

/// What a feed reads.
#[derive(Debug, clap::Args)]
pub(super) struct FeedSettings {
    /// Time between two refreshes, 1m to 30d [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    interval: Option<u64>,
    /// Each refresh comes later by up to this, at random [default: a tenth of the interval]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    jitter: Option<u64>,
    /// Time that one refresh may take [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    timeout: Option<u64>,
    /// Time without a successful refresh after which it is a fault [default: three intervals]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    stale_after: Option<u64>,
    /// Read at most so much, as in 64MiB or in bytes [default: 64MiB]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_bytes: Option<u64>,
    /// The format; an empty one is told from the content, as is the default
    #[arg(long, value_parser = formats(), hide_possible_values = true)]
    format: Option<String>,
    /// Refuse content with fewer entries [default: 1]
    #[arg(long, value_name = "N")]
    min_entries: Option<u64>,
    /// Refuse content that is smaller than the present by more than this [default: 30%]
    #[arg(long, value_name = "PERCENT", value_parser = share)]
    max_shrink: Option<u8>,
    /// Private, loopback and other special ranges: refuse, skip or allow [default: refuse]
    #[arg(long, value_name = "WHAT", value_parser = special)]
    special_ranges: Option<SpecialRanges>,
    /// Accept an http:// URL, which anyone on the way can alter
    #[arg(
        long,
        value_name = "true|false",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    allow_http: Option<bool>,
    #[command(flatten)]
    wanted: WantedEntries,
}

/// Which entries are taken; all that are named replace what was selected before.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Selected entries")]
struct WantedEntries {
    /// Only entries of this service of a cloud provider; may be repeated
    #[arg(long, value_name = "NAME")]
    service: Vec<String>,
    /// Only entries of this region of a cloud provider; may be repeated
    #[arg(long, value_name = "NAME")]
    region: Vec<String>,
    /// Only entries of this country, by ISO 3166's two letters; may be repeated
    #[arg(long, value_name = "XX")]
    country: Vec<String>,
    /// Only entries of this autonomous system; may be repeated
    #[arg(long = "as", value_name = "NUMBER")]
    asn: Vec<u32>,
    /// Only entries of this set, where there are several; may be repeated
    #[arg(long, value_name = "NAME")]
    set: Vec<String>,
    /// All entries, whatever was selected before
    #[arg(long, conflicts_with_all = ["service", "region", "country", "asn", "set"])]
    all_entries: bool,
}

impl FeedSettings {
    /// As the API accepts them.
    pub(super) fn edit(&self, source: Option<String>) -> FeedEdit {
        let wanted = &self.wanted;
        let filter = FeedFilter {
            service: wanted.service.clone(),
            region: wanted.region.clone(),
            country: wanted.country.clone(),
            asn: wanted.asn.clone(),
            set: wanted.set.clone(),
        };
        FeedEdit {
            source,
            allow_http: self.allow_http,
            interval: self.interval,
            jitter: self.jitter,
            timeout: self.timeout,
            stale_after: self.stale_after,
            max_bytes: self.max_bytes,
            format: self.format.clone(),
            min_entries: self.min_entries,
            max_shrink: self.max_shrink,
            special_ranges: self.special_ranges,
            filter: (wanted.all_entries || !filter.is_empty()).then_some(filter),
        }
    }
}

/// Formats by name, which the shell completes; an empty one is told from the content.
fn formats() -> impl TypedValueParser<Value = String> {
    let names = Format::ALL.map(Format::name);
    PossibleValuesParser::new(names.into_iter().chain([""]))
}

/// "1h" in seconds; a bare number is seconds.
fn seconds(text: &str) -> Result<u64, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    let time = humantime::parse_duration(text);
    let time = time.map_err(|e| format!("{e}; expected a time, as in 1h or 15m"))?;
    Ok(time.as_secs())
}

fn size(text: &str) -> Result<u64, String> {
    let size = text.parse().ok().or_else(|| bytes(text));
    size.ok_or_else(|| "expected a size, as in 64MiB, or a number of bytes".to_owned())
}

/// "30%", or "30".
fn share(text: &str) -> Result<u8, String> {
    let share = text.parse().ok().or_else(|| percent(text));
    let share = share.and_then(|share| u8::try_from(share).ok());
    share
        .filter(|share| *share <= 100)
        .ok_or_else(|| "expected a percentage of 0% to 100%, as in 30%".to_owned())
}

fn special(text: &str) -> Result<SpecialRanges, String> {
    match text {
        "refuse" => Ok(SpecialRanges::Refuse),
        "skip" => Ok(SpecialRanges::Skip),
        "allow" => Ok(SpecialRanges::Allow),
        _ => Err("expected refuse, skip or allow".to_owned()),
    }
}
