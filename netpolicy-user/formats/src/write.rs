//! Readings as netpolicy's own text: list files and parts of policy files.

use std::fmt::Write as _;

use netpolicy_policy::model::ListKind;

use crate::{Entry, Reading};

/// A list file: an entry a line, with its comment.
#[must_use]
pub fn list_file(reading: &Reading) -> String {
    let mut text = String::new();
    for entry in &reading.entries {
        // Writing to a string does not fail.
        let _ = write!(text, "{}", entry.net);
        if let Some(comment) = &entry.comment {
            let _ = write!(text, "  # {comment}");
        }
        text.push('\n');
    }
    text
}

/// A list file whose entries stand in the lines in which they stand in the file that was
/// read, so that a later error names that line.
#[must_use]
pub fn list_file_by_lines(reading: &Reading) -> String {
    let mut entries: Vec<&Entry> = reading.entries.iter().collect();
    entries.sort_by_key(|entry| entry.place.line);
    let mut text = String::new();
    let mut line = 1;
    let mut entries = entries.into_iter().peekable();
    let mut is_begun = false;
    while let Some(entry) = entries.next() {
        while line < entry.place.line {
            text.push('\n');
            line += 1;
            is_begun = false;
        }
        let separator = if is_begun { ", " } else { "" };
        let _ = write!(text, "{separator}{}", entry.net);
        let shares_line = |next: &&Entry| next.place.line == entry.place.line;
        let is_alone = !is_begun && !entries.peek().is_some_and(shares_line);
        is_begun = true;
        if let Some(comment) = entry.comment.as_deref().filter(|_| is_alone) {
            let _ = write!(text, "  # {comment}");
        }
        if entry.place.line == 0 {
            text.push('\n');
            is_begun = false;
        }
    }
    text.push('\n');
    text
}

/// A `[[list]]` of a policy file.
#[must_use]
pub fn list_table(name: &str, comment: &str, reading: &Reading) -> String {
    let mut text = format!(
        "[[list]]\nname = {}\ncomment = {}\n",
        quoted(name),
        quoted(comment)
    );
    array("entries", reading, &mut text);
    text
}

/// A `[[policy]]` of a policy file that allows or blocks the entries.
#[must_use]
pub fn policy_table(name: &str, comment: &str, kind: ListKind, reading: &Reading) -> String {
    let mut text = format!(
        "[[policy]]\nname = {}\ncomment = {}\n",
        quoted(name),
        quoted(comment)
    );
    let key = match kind {
        ListKind::Allow => "allow",
        ListKind::Block => "block",
        ListKind::Except => "except",
    };
    array(key, reading, &mut text);
    text
}

fn array(key: &str, reading: &Reading, text: &mut String) {
    let _ = writeln!(text, "{key} = [");
    for entry in &reading.entries {
        let address = quoted(&entry.net.to_string());
        let _ = match &entry.comment {
            Some(comment) => {
                let comment = quoted(comment);
                writeln!(text, "  {{ address = {address}, comment = {comment} }},")
            }
            None => writeln!(text, "  {address},"),
        };
    }
    text.push_str("]\n");
}

/// A string of TOML.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
