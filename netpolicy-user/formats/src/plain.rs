//! Plain lists: an address, CIDR or range a line or several separated by commas, comments
//! after `#` and `;`, and lists with further columns, as IPsum and DShield publish them.

use netpolicy_policy::model::address::{self, Written};

use crate::Span;
use crate::collect::Collector;
use crate::error::Problem;
use crate::text::{decode, lines, place};

/// Whether a file is a plain list without further columns: netpolicy's own list file, with
/// whatever errors.
#[must_use]
pub fn is_plain_list(bytes: &[u8]) -> bool {
    let Ok(text) = decode(bytes) else {
        return false;
    };
    text.lines().all(|line| {
        let end = line.find(['#', ';']).unwrap_or(line.len());
        columns(&line[..end]).is_none()
    })
}

/// Reads a plain list.
pub(crate) fn read(text: &str, into: &mut Collector<'_>) {
    for (number, line) in lines(text) {
        read_line(number, line, into);
        if into.is_done() {
            return;
        }
    }
}

fn read_line(number: u32, line: &str, into: &mut Collector<'_>) {
    let item = line.trim();
    if let Some(net) = address::strict(item.as_bytes()) {
        let at = place(number, line, item);
        into.add_written(Written::Net(net), item, at, None, None);
        return;
    }
    let end = line.find(['#', ';']).unwrap_or(line.len());
    let (content, comment) = line.split_at(end);
    let comment = comment.trim_matches(|c: char| c.is_whitespace() || matches!(c, '#' | ';'));
    if let Some((first, rest)) = columns(content) {
        columned(number, line, (first, rest), comment, into);
        return;
    }
    for field in content.split(',') {
        let item = field.trim();
        if !item.is_empty() {
            into.add(item, place(number, line, item), Some(comment), None);
        }
    }
}

/// The first column and the others, if a line has columns: blanks after an address, and then
/// neither a range, a length nor a comma.
fn columns(content: &str) -> Option<(&str, &str)> {
    let content = content.trim();
    let (first, rest) = content.split_once(|c: char| c.is_whitespace())?;
    let rest = rest.trim_start();
    let goes_on = rest.starts_with(['-', '/', ',']) || first.ends_with([',', '-', '/']);
    let is_address = || address::parse(first).is_ok();
    (!goes_on && (is_address() || is_heading(first, rest))).then_some((first, rest))
}

/// The line above DShield's columns.
fn is_heading(first: &str, rest: &str) -> bool {
    first == "Start" && rest.starts_with("End")
}

fn columned(
    number: u32,
    line: &str,
    (first, rest): (&str, &str),
    comment: &str,
    into: &mut Collector<'_>,
) {
    into.has_columns = true;
    if is_heading(first, rest) {
        return;
    }
    let at = place(number, line, first);
    if let Some((written, rest)) = dshield(first, rest) {
        let more = [rest, comment].join(" ");
        into.add_written(written, first, at, Some(&more), None);
        return;
    }
    let mut words = rest.split(|c: char| c.is_whitespace() || c == ',');
    let second = words.find(|word| word.contains(['.', ':']) && address::parse(word).is_ok());
    if let Some(second) = second {
        // A netmask, the end of a range, or another entry: each would be something else.
        let why = format!(
            "has a second address, '{second}', after '{first}': write a netmask as a length (/24), \
             a range with '-', and further entries on lines of their own"
        );
        into.refuse(place(number, line, second), Problem::Entry(why));
        return;
    }
    let more = [rest, comment].join(" ");
    into.add(first, at, Some(&more), None);
}

/// DShield: first address, last address, length, and further columns.
fn dshield<'t>(first: &str, rest: &'t str) -> Option<(Written, &'t str)> {
    let mut columns = rest.splitn(3, '\t');
    let (last, length) = (columns.next()?, columns.next()?);
    let length: u8 = length.trim().parse().ok()?;
    let more = columns.next().unwrap_or_default();
    let range = address::parse(&format!("{first}-{}", last.trim())).ok()?;
    let Written::Range(from, to) = range else {
        return None;
    };
    match Span::range(from, to) {
        Span::Net(net) if net.prefix_len() == length => Some((range, more)),
        _ => None,
    }
}
