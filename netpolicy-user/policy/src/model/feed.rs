//! Feeds: named lists whose content comes from a file or a URL.
//!
//! The settings are part of the desired state. The content is not: it changes by the hour, makes
//! no revision, and comes from an unprivileged process. What is refused of it is said here, and
//! both that process and the agent ask.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use super::error::{Excerpt, Problem};
use super::lint::special::special_purpose;
use super::wording::counted;
use super::{NamedList, State};

/// Characters that a source has at most.
const MAX_SOURCE: usize = 2_000;
/// The shortest interval, seconds: less is an attack on the publisher.
const SHORTEST: u64 = 60;
/// The longest interval, seconds: 30 days.
const LONGEST: u64 = 30 * 24 * 3600;
/// The most that a feed may have, bytes: what one request to the agent may have.
const LARGEST: u64 = 512 << 20;
/// The longest that one refresh may take, seconds.
const SLOWEST: u64 = 3_600;
/// Lists with fewer entries may shrink by any amount.
pub const SHRINK_FROM: usize = 20;
/// Entries that an error names.
const SHOWN: usize = 3;

/// Where a feed's content comes from, and what is refused of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", schema(as = FeedSettings))]
pub struct Feed {
    /// An `https://` URL, or the absolute path of a file.
    pub source: String,
    /// Whether an `http://` URL is accepted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_http: bool,
    /// Seconds between two refreshes.
    pub interval: u64,
    /// Seconds by which a refresh may come later, at random.
    pub jitter: u64,
    /// Seconds that one refresh may take.
    pub timeout: u64,
    /// Seconds without a successful refresh after which it is stale, which is a fault.
    pub stale_after: u64,
    /// The most that is read, bytes.
    pub max_bytes: u64,
    /// The format, by the name that `netpolicy import --format` has for it; none: it is told
    /// from the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Content with fewer entries is refused.
    pub min_entries: u64,
    /// Content that is smaller than the present one by more than this is refused, percent.
    pub max_shrink: u8,
    /// What becomes of private, loopback and other ranges that no public source has.
    pub special_ranges: SpecialRanges,
    /// Which entries are taken, where the format says more of them.
    #[serde(default, skip_serializing_if = "FeedFilter::is_empty")]
    pub filter: FeedFilter,
}

/// What becomes of ranges that no public source has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum SpecialRanges {
    /// Content with one is refused.
    #[default]
    Refuse,
    /// They are left out.
    Skip,
    /// They are taken as any other.
    Allow,
}

impl fmt::Display for SpecialRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refuse => "refuse",
            Self::Skip => "skip",
            Self::Allow => "allow",
        })
    }
}

/// Which entries of a feed are taken; nothing named: all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct FeedFilter {
    /// Of these services of a cloud provider.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub service: Vec<String>,
    /// Of these regions of a cloud provider.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub region: Vec<String>,
    /// Of these countries, by ISO 3166's two letters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub country: Vec<String>,
    /// Of these autonomous systems.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub asn: Vec<u32>,
    /// Of these sets, where a file has several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<String>,
}

impl FeedFilter {
    /// Whether all entries are taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Why content is refused; what is in force stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedRefusal {
    /// Fewer entries than there must be.
    #[error(
        "it has {}, and min_entries is {min}",
        counted(*entries, "entry", "entries")
    )]
    TooFew {
        /// Entries of the new content.
        entries: usize,
        /// The least.
        min: u64,
    },
    /// Too much smaller than before.
    #[error(
        "it has {} where {before} are in force: it would shrink by {}, and max_shrink is {limit} %",
        counted(*entries, "entry", "entries"), shrunk(*entries, *before)
    )]
    Shrunk {
        /// Entries of the new content.
        entries: usize,
        /// Entries of the present one.
        before: usize,
        /// The limit, percent.
        limit: u8,
    },
    /// Ranges that no public source has.
    #[error(
        "it holds {}: {}; set special_ranges = \"skip\" to leave them out, or \"allow\" if that is intended",
        counted(*count, "range of special purpose", "ranges of special purpose"),
        shown.join(", ")
    )]
    Special {
        /// How many.
        count: usize,
        /// The first of them, with what they are for.
        shown: Vec<String>,
    },
    /// A whole family.
    #[error("it holds {net}, every address there is")]
    Everything {
        /// "0.0.0.0/0" or "::/0".
        net: IpNet,
    },
    /// An address of this host.
    #[error("'{net}' holds {address}, an address of this host")]
    Own {
        /// The entry.
        net: IpNet,
        /// The host's address.
        address: IpAddr,
    },
}

/// "62 %".
fn shrunk(entries: usize, before: usize) -> String {
    let gone = before.saturating_sub(entries).saturating_mul(100);
    format!("{} %", gone.div_ceil(before.max(1)))
}

impl Feed {
    /// With the usual settings.
    #[must_use]
    pub fn new(source: &str) -> Self {
        Self {
            source: source.to_owned(),
            allow_http: false,
            interval: 3_600,
            jitter: 360,
            timeout: 60,
            stale_after: 3 * 3_600,
            max_bytes: 64 << 20,
            format: None,
            min_entries: 1,
            max_shrink: 30,
            special_ranges: SpecialRanges::Refuse,
            filter: FeedFilter::default(),
        }
    }

    /// Whether it is fetched over the network.
    #[must_use]
    pub fn is_url(&self) -> bool {
        !self.source.starts_with('/')
    }

    /// The time between two refreshes.
    #[must_use]
    pub fn interval(&self) -> Duration {
        Duration::from_secs(self.interval)
    }

    /// The most that a refresh may come later.
    #[must_use]
    pub fn jitter(&self) -> Duration {
        Duration::from_secs(self.jitter)
    }

    /// The time that one refresh may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }

    /// Whether content that was got by `other` serves for this feed: what is read is the same.
    #[must_use]
    pub fn reads_as(&self, other: &Self) -> bool {
        (&self.source, &self.format, &self.filter) == (&other.source, &other.format, &other.filter)
    }

    /// Refuses settings that cannot be meant.
    ///
    /// # Errors
    /// The first that is wrong.
    pub fn check(&self) -> Result<(), Problem> {
        let text = &self.source;
        let is_file = text.starts_with('/');
        let scheme = ["https://", "http://"].into_iter().find(|s| {
            let start = text.get(..s.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(s))
        });
        let rest = scheme.and_then(|scheme| text.get(scheme.len()..));
        let rest = rest.unwrap_or_default();
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let is_plain = !text.chars().any(|c| c.is_control() || c.is_whitespace());
        if text.len() > MAX_SOURCE || (!is_file && (host.is_empty() || !is_plain)) {
            return Err(wrong(
                "url",
                text,
                "an https:// URL of at most 2,000 characters",
            ));
        }
        if is_file && text.chars().any(char::is_control) {
            return Err(wrong("file", text, "the absolute path of a file"));
        }
        if host.contains('@') {
            let expected =
                "a URL without user and password, which all readers of policies would see";
            return Err(wrong("url", text, expected));
        }
        if scheme == Some("http://") && !self.allow_http {
            let expected =
                "an https:// URL; allow_http = true accepts one that anyone on the way can alter";
            return Err(wrong("url", text, expected));
        }
        let numbers = [
            ("interval", self.interval, SHORTEST, LONGEST, "1m to 30d"),
            (
                "jitter",
                self.jitter,
                0,
                self.interval,
                "0s to the interval",
            ),
            ("timeout", self.timeout, 1, SLOWEST, "1s to 1h"),
            (
                "stale_after",
                self.stale_after,
                self.interval,
                4 * LONGEST,
                "the interval to 120d",
            ),
            ("max_bytes", self.max_bytes, 1, LARGEST, "1 byte to 512 MiB"),
            (
                "min_entries",
                self.min_entries,
                0,
                u64::MAX >> 1,
                "0 or more",
            ),
            ("max_shrink", self.max_shrink.into(), 0, 100, "0% to 100%"),
        ];
        for (key, number, least, most, expected) in numbers {
            if !(least..=most).contains(&number) {
                return Err(wrong(key, &number.to_string(), expected));
            }
        }
        let is_word = |text: &String| {
            let fits = |c: char| c.is_ascii_alphanumeric() || "-_.:/ ".contains(c);
            (1..=64).contains(&text.len()) && text.chars().all(fits)
        };
        let FeedFilter {
            service,
            region,
            country,
            set,
            asn: _,
        } = &self.filter;
        let words = [
            ("service", service),
            ("region", region),
            ("country", country),
            ("set", set),
        ];
        for (key, words) in words {
            if let Some(text) = words.iter().find(|text| !is_word(text)) {
                return Err(wrong(key, text, "words of letters, digits and - _ . : /"));
            }
        }
        match self.format.as_ref().filter(|format| !is_word(format)) {
            Some(format) => Err(wrong("format", format, "a format's name, as in \"plain\"")),
            None => Ok(()),
        }
    }

    /// Whether an entry is to be left out.
    #[must_use]
    pub fn skips(&self, net: &IpNet) -> bool {
        self.special_ranges == SpecialRanges::Skip && special_purpose(net).is_some()
    }

    /// Refuses content that cannot be meant. `before`: entries of what the same source gave
    /// before; `own`: the host's addresses.
    ///
    /// # Errors
    /// The first reason.
    pub fn judge<'a>(
        &self,
        content: impl Iterator<Item = &'a IpNet>,
        before: Option<usize>,
        own: &[IpAddr],
    ) -> Result<(), FeedRefusal> {
        let (mut entries, mut special, mut shown) = (0_usize, 0_usize, Vec::new());
        let is_open = self.special_ranges == SpecialRanges::Allow;
        for net in content {
            entries += 1;
            if net.prefix_len() == 0 {
                return Err(FeedRefusal::Everything { net: *net });
            }
            if is_open {
                continue;
            }
            if let Some(purpose) = special_purpose(net) {
                special += 1;
                if shown.len() < SHOWN {
                    shown.push(format!("'{net}', {purpose}"));
                }
            } else if let Some(address) = own.iter().find(|own| net.contains(*own)) {
                let (net, address) = (*net, *address);
                return Err(FeedRefusal::Own { net, address });
            }
        }
        if special > 0 {
            let count = special;
            return Err(FeedRefusal::Special { count, shown });
        }
        let min = self.min_entries;
        if u64::try_from(entries).unwrap_or(u64::MAX) < min {
            return Err(FeedRefusal::TooFew { entries, min });
        }
        match before {
            Some(before) if has_shrunk(entries, before, self.max_shrink) => {
                let limit = self.max_shrink;
                Err(FeedRefusal::Shrunk {
                    entries,
                    before,
                    limit,
                })
            }
            _ => Ok(()),
        }
    }
}

/// Whether a list shrinks by more than a limit in percent; short ones may by any amount.
#[must_use]
pub fn has_shrunk(entries: usize, before: usize, limit: u8) -> bool {
    let kept = usize::from(100 - limit.min(100));
    before >= SHRINK_FROM && entries.saturating_mul(100) < before.saturating_mul(kept)
}

/// "64MiB", "512 KiB" in bytes.
#[must_use]
pub fn bytes(text: &str) -> Option<u64> {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    units.iter().find_map(|(unit, shift)| {
        let number: u64 = text.strip_suffix(unit)?.trim_end().parse().ok()?;
        number.checked_mul(1 << shift)
    })
}

/// "30%" as 30; more than 100 is kept, and refused later.
#[must_use]
pub fn percent(text: &str) -> Option<u64> {
    text.strip_suffix('%')?.trim_end().parse().ok()
}

fn wrong(key: &'static str, found: &str, expected: &'static str) -> Problem {
    Problem::WrongValue {
        key,
        found: Excerpt::new(found),
        expected,
    }
}

impl State {
    /// The lists that are feeds.
    pub fn feeds(&self) -> impl Iterator<Item = (&NamedList, &Feed)> {
        let lists = self.lists.iter();
        lists.filter_map(|list| Some((list, list.feed.as_deref()?)))
    }
}

#[cfg(test)]
mod tests;
