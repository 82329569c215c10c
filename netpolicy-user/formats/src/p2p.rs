//! P2P lists: `name:first-last` a line, as PeerGuardian wrote them.

use netpolicy_policy::model::address::{self, Written};
use netpolicy_policy::model::error::Excerpt;

use crate::Format;
use crate::collect::Collector;
use crate::error::Problem;
use crate::text::{lines, place};

const EXPECTED: &str = "NAME:FIRST-LAST, as in \"Example:192.0.2.0-192.0.2.255\"";

/// Whether a line is of such a list.
pub(crate) fn is_line(line: &str) -> bool {
    split(line).is_some_and(|(_, range)| address::parse(range).is_ok())
}

/// Reads a P2P list.
pub(crate) fn read(text: &str, into: &mut Collector<'_>) {
    for (number, line) in lines(text) {
        let content = line.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        match split(content) {
            Some((name, range)) => {
                into.add(range, place(number, line, range), Some(name), None);
            }
            None => {
                let problem = Problem::Line {
                    format: Format::P2p,
                    found: Excerpt::new(content),
                    expected: EXPECTED,
                };
                into.refuse(place(number, line, content), problem);
            }
        }
        if into.is_done() {
            return;
        }
    }
}

/// A line's name and range. A name may hold colons, and so do IPv6 addresses.
fn split(line: &str) -> Option<(&str, &str)> {
    let (name, range) = line.rsplit_once(':')?;
    if range.contains('.') && range.contains('-') {
        return Some((name, range.trim()));
    }
    let colons = line.match_indices(':').map(|(at, _)| at);
    let mut splits = colons.map(|at| (&line[..at], line[at + 1..].trim()));
    splits.find(|(_, range)| {
        range.contains('-') && matches!(address::parse(range), Ok(Written::Range(..)))
    })
}
