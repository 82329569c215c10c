//! The keys of a configuration file, each read on its own: all that is wrong is reported at once.

use std::cmp::Reverse;
use std::path::Path;

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue, Deserializer, Error};

use super::{ConfigProblem, File, place};
use crate::model::error::closest;

/// A key and its value, with their places.
type KeyValue<'i> = (Spanned<DeString<'i>>, Spanned<DeValue<'i>>);

/// Reads all keys that can be read, and reports the others.
pub(super) fn keys(path: &Path, text: &str, problems: &mut Vec<ConfigProblem>) -> File {
    let mut report = |error: &Error, message: String| {
        problems.push(ConfigProblem {
            place: place(path, text, error.span().map_or(0, |span| span.start)),
            message,
        });
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // What was read of a text that is no TOML may be something else than what is meant.
        for error in errors {
            let message = error.message().trim().replace('\n', ", ");
            report(&error, message);
        }
        return File::default();
    }
    let mut readable = Vec::new();
    for (section, entry) in entries(table.into_inner()) {
        let key = entry.0.get_ref().to_string();
        let is_section = section.is_none() && entry.1.get_ref().is_table();
        match read([(section.clone(), entry.clone())]) {
            Ok(_) => readable.push((section, entry)),
            Err(error) => {
                let name = || Some(key.clone()).filter(|_| is_section);
                let section = section.map(|section| section.get_ref().to_string());
                let section = section.or_else(name);
                report(&error, in_words(section.as_deref(), &key, error.message()));
            }
        }
    }
    read(readable).unwrap_or_else(|error| {
        report(&error, error.message().trim().replace('\n', ", "));
        File::default()
    })
}

/// The entries of a file, each with the section that it is in, if any.
fn entries(table: DeTable<'_>) -> Vec<(Option<Spanned<DeString<'_>>>, KeyValue<'_>)> {
    let mut found = Vec::new();
    for (key, value) in table {
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(section) if !section.is_empty() => {
                let inner = section.into_iter();
                found.extend(inner.map(|entry| (Some(key.clone()), entry)));
            }
            value => found.push((None, (key, Spanned::new(span, value)))),
        }
    }
    found
}

/// A file with these entries alone.
fn read<'i>(
    entries: impl IntoIterator<Item = (Option<Spanned<DeString<'i>>>, KeyValue<'i>)>,
) -> Result<File, Error> {
    let mut table = DeTable::new();
    for (section, (key, value)) in entries {
        let Some(section) = section else {
            table.insert(key, value);
            continue;
        };
        let span = section.span();
        let inner = table.entry(section).or_insert_with(|| {
            let empty = DeValue::Table(DeTable::new());
            Spanned::new(span, empty)
        });
        if let DeValue::Table(inner) = inner.get_mut() {
            inner.insert(key, value);
        }
    }
    File::deserialize(Deserializer::from(Spanned::new(0..0, table)))
}

/// What serde says of a key, in the words of the policy file's errors.
fn in_words(section: Option<&str>, key: &str, message: &str) -> String {
    let message = message.trim().replace('\n', ", ");
    let (what, expected) = message.split_once(", expected ").unwrap_or((&message, ""));
    if let Some(unknown) = quoted(what, "unknown field ") {
        // A section that is not known has the name, not its keys.
        let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        let is_section = section == Some(unknown);
        let (kind, place) = match section.filter(|_| !is_section) {
            Some(section) => ("key", format!(" in [{section}]")),
            None if is_section => ("section", String::new()),
            None => ("key", String::new()),
        };
        let unknown = unknown.escape_debug();
        let tip = match closest(&unknown.to_string(), known.iter().copied()) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("expected {}", one_of(&known)),
        };
        return format!("unknown {kind} '{unknown}'{place}; {tip}");
    }
    if let Some(variant) = quoted(what, "unknown variant ") {
        let known: Vec<String> = expected.split('`').skip(1).step_by(2).map(quote).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let variant = variant.escape_debug();
        return format!("'{key}' is \"{variant}\"; expected {}", one_of(&known));
    }
    let found = ["invalid type: ", "invalid value: "];
    match found.iter().find_map(|start| what.strip_prefix(start)) {
        Some(found) => {
            let expected = match expected {
                "a sequence" => "a list of names, as in [\"eth0\"]",
                "path string" => "an absolute path, as in \"/run/netpolicy/agent.sock\"",
                "u32" => "an integer from 0 to 4294967295",
                "usize" => "an integer of at least 1",
                "a string" => "a text in quotes",
                "struct FileLimits" => "a section, as in [limits]",
                expected => expected,
            };
            format!("'{key}' is {}; expected {expected}", article(found))
        }
        None => message,
    }
}

/// "integer `7`" with its article and without its ticks.
fn article(found: &str) -> String {
    match found {
        "sequence" => "a list".to_owned(),
        "map" => "a section".to_owned(),
        found => format!("the {}", found.replace('`', "")),
    }
}

fn quote(text: &str) -> String {
    format!("\"{text}\"")
}

/// What stands in ticks behind `start`.
fn quoted<'t>(text: &'t str, start: &str) -> Option<&'t str> {
    text.strip_prefix(start)?
        .strip_prefix('`')?
        .strip_suffix('`')
}

/// "a", "a or b", "a, b or c".
fn one_of(all: &[&str]) -> String {
    match all {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [some @ .., last] => format!("{} or {last}", some.join(", ")),
    }
}

/// Line and column of a problem, to sort by; those that are in no file come last.
pub(super) fn position(problem: &ConfigProblem) -> (Reverse<bool>, usize, usize) {
    let mut parts = problem.place.rsplitn(3, ':');
    let mut number = || parts.next().and_then(|part| part.parse::<usize>().ok());
    let (column, line) = (number(), number());
    let is_in_file = column.is_some() && line.is_some();
    (
        Reverse(is_in_file),
        line.unwrap_or_default(),
        column.unwrap_or_default(),
    )
}
