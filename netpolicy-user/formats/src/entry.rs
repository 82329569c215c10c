//! What a reading gives: entries, with their places and what was said of them.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

use crate::Format;
use crate::error::Error;

/// Where something stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// From 1; 0: the format has no lines.
    pub line: u32,
    /// In characters from 1; 0: not known.
    pub column: u32,
}

impl Place {
    pub(crate) fn line(line: u32) -> Self {
        Self { line, column: 0 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self { line, column: 0 } => write!(f, "{line}"),
            Self { line, column } => write!(f, "{line}:{column}"),
        }
    }
}

/// The addresses of an entry: masked, mapped addresses as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Span {
    /// A network or a single address.
    Net(IpNet),
    /// All addresses from the first to the last, which together are no network.
    Range(IpAddr, IpAddr),
}

impl Span {
    /// The addresses from `first` to `last`, which are of one family and in order.
    pub(crate) fn range(first: IpAddr, last: IpAddr) -> Self {
        let span = Self::Range(first, last);
        let mut nets = span.nets();
        match (nets.next(), nets.next()) {
            (Some(net), None) => Self::Net(net),
            _ => span,
        }
    }

    /// The networks that it consists of, in order.
    pub fn nets(self) -> impl Iterator<Item = IpNet> {
        let (net, v4, v6) = match self {
            Self::Net(net) => (Some(net), None, None),
            Self::Range(IpAddr::V4(first), IpAddr::V4(last)) => {
                (None, Some(Ipv4Subnets::new(first, last, 0)), None)
            }
            Self::Range(IpAddr::V6(first), IpAddr::V6(last)) => {
                (None, None, Some(Ipv6Subnets::new(first, last, 0)))
            }
            Self::Range(..) => (None, None, None),
        };
        let v4 = v4.into_iter().flatten().map(IpNet::V4);
        let v6 = v6.into_iter().flatten().map(IpNet::V6);
        net.into_iter().chain(v4).chain(v6)
    }
}

impl fmt::Display for Span {
    /// As netpolicy writes it: a single address without a length.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(net) if net.prefix_len() == net.max_prefix_len() => net.addr().fmt(f),
            Self::Net(net) => net.fmt(f),
            Self::Range(first, last) => write!(f, "{first}-{last}"),
        }
    }
}

/// One entry of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As it is written.
    pub text: Box<str>,
    /// What it means.
    pub net: Span,
    /// What is said of it.
    pub comment: Option<Box<str>>,
    /// Where it stands.
    pub place: Place,
    /// How long it is still to hold, counted from when the file was made; `None`: for good.
    pub expires: Option<Duration>,
}

/// What a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Its format.
    pub format: Format,
    /// Its entries, each network once, in the order of the file.
    pub entries: Vec<Entry>,
    /// What its reader should know, a sentence each.
    pub notes: Vec<String>,
    /// What was left out.
    pub skipped: Skipped,
    /// Whether lines have more columns than an address, which became comments.
    pub has_columns: bool,
}

/// What a reading left out, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// How many.
    pub total: usize,
    /// The first of them.
    pub shown: Vec<Error>,
}

/// Left-out entries that are kept with their reasons.
const SHOWN: usize = 20;

impl Skipped {
    pub(crate) fn push(&mut self, error: impl FnOnce() -> Error) {
        self.total += 1;
        if self.shown.len() < SHOWN {
            self.shown.push(error());
        }
    }
}

impl Reading {
    /// One line for each that was left out, and one for those that are only counted.
    #[must_use]
    pub fn left_out(&self, file: &str) -> Vec<String> {
        let shown = self.skipped.shown.iter();
        let mut lines: Vec<_> = shown
            .map(|error| format!("left out: {}", error.of_file(file)))
            .collect();
        let more = self.skipped.total - self.skipped.shown.len();
        if more > 0 {
            lines.push(format!("and {more} more left out"));
        }
        lines
    }
}
