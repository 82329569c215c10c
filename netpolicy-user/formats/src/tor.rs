//! `exit-addresses` of the Tor project: a relay with its exit addresses in several lines.

use netpolicy_policy::model::error::Excerpt;

use crate::Format;
use crate::collect::Collector;
use crate::error::Problem;
use crate::text::{lines, place, require_last_line};

/// Reads exit addresses.
pub(crate) fn read(text: &str, into: &mut Collector<'_>) {
    require_last_line(text, into);
    let mut relay = "";
    for (number, line) in lines(text) {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (None | Some("Published" | "LastStatus"), _) => {}
            (Some(word), _) if word.starts_with('#') => {}
            (Some("ExitNode"), Some(fingerprint)) => relay = fingerprint,
            (Some("ExitAddress"), Some(address)) => {
                let comment = format!("Tor exit {relay}");
                into.add(address, place(number, line, address), Some(&comment), None);
            }
            (Some(word), _) => {
                let problem = Problem::Line {
                    format: Format::TorExit,
                    found: Excerpt::new(line.trim()),
                    expected: "ExitNode, Published, LastStatus or ExitAddress with an address",
                };
                into.refuse(place(number, line, word), problem);
            }
        }
        if into.is_done() {
            return;
        }
    }
}
