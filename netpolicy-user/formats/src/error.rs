//! What is wrong with a file, each with its place.

use std::fmt;

use netpolicy_policy::model::counted;
use netpolicy_policy::model::error::{AddressProblem, Excerpt};

use crate::format::Selector;
use crate::{Format, Place};

/// One error of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Where; `None`: in the file as a whole.
    pub place: Option<Place>,
    /// What is wrong.
    pub problem: Problem,
}

impl Error {
    /// The error with the file's name before its place.
    #[must_use]
    pub fn of_file(&self, name: &str) -> String {
        match self.place {
            Some(place) if place.line > 0 => format!("{name}:{place}: {}", self.problem),
            _ => format!("{name}: {}", self.problem),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.place.filter(|place| place.line > 0) {
            write!(f, "{place}: ")?;
        }
        self.problem.fmt(f)
    }
}

impl std::error::Error for Error {}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self {
            place: None,
            problem,
        }
    }
}

impl From<Unrecognised> for Error {
    fn from(why: Unrecognised) -> Self {
        Problem::Unrecognised(why).into()
    }
}

/// What a file is that is in no known format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unrecognised {
    /// Nothing but blanks and comments.
    #[error("is empty but for blank lines and comments; expected an address list")]
    Empty,
    /// A compressed file.
    #[error(
        "is compressed ({by}); decompress it first, as in `{command} FILE | netpolicy import -`"
    )]
    Compressed {
        /// The program that compressed it.
        by: &'static str,
        /// The one that decompresses it.
        command: &'static str,
    },
    /// UTF-16.
    #[error("is UTF-16; convert it first: iconv -f UTF-16 -t UTF-8 FILE")]
    Utf16,
    /// Another encoding than UTF-8.
    #[error(
        "is not UTF-8 text: byte 0x{byte:02x} at line {}, column {}; if it is Latin-1, convert it first: iconv -f LATIN1 -t UTF-8 FILE",
        place.line, place.column
    )]
    NotUtf8 {
        /// Where.
        place: Place,
        /// The byte.
        byte: u8,
    },
    /// No text.
    #[error(
        "is not a text file: it holds a zero byte; the only binary format that is read is a MaxMind database (.mmdb)"
    )]
    Binary,
    /// A web page.
    #[error("is a web page (HTML), no address list; look for the address of the list itself")]
    Html,
    /// XML of another kind.
    #[error("is XML, but no ipset of firewalld, the only XML that is read")]
    Xml,
    /// JSON of another kind.
    #[error("is JSON, but of no known kind; known are: {}", json_formats())]
    Json,
    /// Anything else.
    #[error("is in no known format; it begins with {first}; the formats are: {}", Format::ALL.map(Format::name).join(", "))]
    Unknown {
        /// Its first line.
        first: Excerpt,
    },
}

fn json_formats() -> String {
    use Format::*;
    [
        NftJson,
        DropJson,
        AwsRanges,
        GcpRanges,
        AzureTags,
        GithubMeta,
        Cloudflare,
        CrowdsecJson,
    ]
    .map(Format::name)
    .join(", ")
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A malformed address.
    #[error("{text} is not an address or CIDR: {why}")]
    Address {
        /// The text.
        text: Excerpt,
        /// What is wrong with it.
        why: AddressProblem,
    },
    /// An entry that has more than one meaning, or none.
    #[error("{0}")]
    Entry(String),
    /// A line that the format does not have.
    #[error("{found} is not part of {}; expected {expected}", format.title())]
    Line {
        /// The format.
        format: Format,
        /// What stands there.
        found: Excerpt,
        /// What should stand there.
        expected: &'static str,
    },
    /// It ends too early.
    #[error(
        "ends too early: {missing} is missing, so the file is cut off; fetch or write it again"
    )]
    Truncated {
        /// What is missing.
        missing: String,
    },
    /// Malformed JSON, XML or CSV, or values of another type.
    #[error("{syntax}: {why}")]
    Syntax {
        /// "JSON".
        syntax: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A file of no known format.
    #[error("{0}")]
    Unrecognised(#[from] Unrecognised),
    /// A file of another format than was said.
    #[error("is not {}: it seems to be {}; read it with --format {seems}, or without --format", format.title(), seems.title())]
    OtherFormat {
        /// The format that was said.
        format: Format,
        /// What it seems to be.
        seems: Format,
    },
    /// Something to select by that the format does not have.
    #[error("{} has nothing that {} selects by{}", format.title(), selector.option(), selectors(*format))]
    ForeignSelector {
        /// The format.
        format: Format,
        /// What was given.
        selector: Selector,
    },
    /// Several sets, and none was chosen.
    #[error("has {}: {}; choose: netpolicy import FILE --set NAME", counted(parts.len(), noun, &format!("{noun}s")), counts(parts))]
    SeveralParts {
        /// "set".
        noun: &'static str,
        /// Their names and how many entries each has.
        parts: Vec<(String, usize)>,
    },
    /// A set that is not there.
    #[error("has no {noun} {name}; it has {}", if known.is_empty() { "none".to_owned() } else { known.join(", ") })]
    UnknownPart {
        /// "set".
        noun: &'static str,
        /// What was asked for.
        name: Excerpt,
        /// What is there.
        known: Vec<String>,
    },
    /// All the world, if nothing is selected.
    #[error("{} holds the networks of the whole world; select: netpolicy import FILE --country XX, or --as NUMBER", format.title())]
    Unselected {
        /// The format.
        format: Format,
    },
    /// Nothing is left.
    #[error("no entry is selected by {what}{}", if known.is_empty() { String::new() } else { format!("; there are: {known}") })]
    NoneSelected {
        /// The filter.
        what: String,
        /// What could be selected.
        known: String,
    },
    /// More entries than any host holds.
    #[error("has more than {most} entries, the most that are read")]
    TooMany {
        /// The most.
        most: usize,
    },
    /// A file whose lines are policies, not addresses.
    #[error(
        "pg_hba.conf is no address list: its lines admit and reject in order; `netpolicy import FILE` makes a policy file of it"
    )]
    NoList,
    /// Rules that `nft` cannot print.
    #[error(
        "chain {chain} has rules made by iptables-nft, whose sources `nft` prints in part; import the output of `iptables-save` instead"
    )]
    Xtables {
        /// The chain.
        chain: String,
    },
    /// Errors that were not kept.
    #[error("and {0} more errors")]
    More(usize),
}

fn selectors(format: Format) -> String {
    let known: Vec<_> = format.selectors().iter().map(|s| s.option()).collect();
    if known.is_empty() {
        return String::new();
    }
    format!("; it knows {}", known.join(" and "))
}

/// Parts that a message names.
const NAMED: usize = 12;

fn counts(parts: &[(String, usize)]) -> String {
    let shown = parts.iter().take(NAMED);
    let mut shown: Vec<_> = shown
        .map(|(name, count)| format!("{name} ({})", counted(*count, "entry", "entries")))
        .collect();
    if parts.len() > NAMED {
        shown.push(format!("and {} more", parts.len() - NAMED));
    }
    shown.join(", ")
}
