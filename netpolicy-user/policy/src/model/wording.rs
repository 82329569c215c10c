//! Words for messages: excerpts of users' texts, and suggestions for typos.

use std::fmt;

use super::error::Noun;
use super::evaluate::ListKind;
use super::place::Place;

/// "1 rule", "2 rules".
pub fn counted(n: impl TryInto<u64>, one: &str, many: &str) -> String {
    match n.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {one}"),
        n => format!("{n} {many}"),
    }
}

/// A user's text for messages: quoted, escaped, and cut when long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt(String);

/// Characters of a user's text that a message repeats.
const EXCERPT: usize = 60;

impl Excerpt {
    /// What a message shows of `text`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut shown = String::from("'");
        for c in text.chars().take(EXCERPT) {
            if c.is_control() {
                shown.extend(c.escape_default());
            } else {
                shown.push(c);
            }
        }
        // Lengths in bytes suffice to know that something follows.
        if text.len() > EXCERPT && text.chars().nth(EXCERPT).is_some() {
            shown.push('…');
        }
        shown.push('\'');
        Self(shown)
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The candidate most like `text`, if one is much like it.
#[must_use]
pub fn closest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Longer texts are not worth the quadratic comparison.
    if text.len() > 64 {
        return None;
    }
    let text = text.to_ascii_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&text, candidate), candidate))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

pub(super) fn did_you_mean(closest: Option<&str>) -> String {
    closest
        .map(|name| format!("; did you mean '{name}'?"))
        .unwrap_or_default()
}

pub(super) fn suggest_key(closest: &Option<&str>, known: &[&str]) -> String {
    match closest {
        Some(key) => did_you_mean(Some(key)),
        None => format!("; expected one of {}", known.join(", ")),
    }
}

/// Where something else stands.
pub(super) fn at(place: Option<&Place>) -> String {
    place.map(|place| format!(" ({place})")).unwrap_or_default()
}

/// A list for messages: "the block list of policy 'office'", "list @office".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnList {
    /// Which list of a policy; `None`: a named list.
    kind: Option<ListKind>,
    name: String,
}

impl OnList {
    pub(super) fn new(kind: Option<ListKind>, name: &str) -> Self {
        Self {
            kind,
            name: name.to_owned(),
        }
    }

    /// The command that shows its rules.
    pub(super) fn shown_by(&self) -> String {
        let noun = match self.kind {
            Some(_) => "policy",
            None => "list",
        };
        format!("`netpolicy {noun} show {}`", self.name)
    }
}

impl fmt::Display for OnList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Some(kind) => write!(f, "the {kind} list of policy '{}'", self.name),
            None => write!(f, "list '{}'", self.name),
        }
    }
}

pub(super) fn join_policies(names: &[String]) -> String {
    let noun = if names.len() == 1 {
        "policy"
    } else {
        "policies"
    };
    format!("{noun} {}", names.join(", "))
}

/// A list file that is no address list: what it is in its place, and what names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoList {
    /// "HTML or XML", if it is a format that is known.
    pub(super) format: Option<&'static str>,
    /// What it begins with; `None`: it is empty but for comments and blank lines.
    pub(super) first: Option<Excerpt>,
    /// What names it; `None`: a command.
    pub(super) named: Option<NamedBy>,
}

/// A policy file's key that names a list file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NamedBy {
    pub(super) key: &'static str,
    /// Whether it is a policy's or a list's.
    pub(super) noun: Noun,
    /// The policy or list, if it has a name.
    pub(super) name: Option<String>,
    pub(super) place: Place,
}

impl fmt::Display for NoList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(format) = self.format {
            write!(f, " list, but {format}")?;
        }
        match &self.first {
            Some(first) => write!(f, "; it begins with {first}")?,
            None => f.write_str("; it is empty but for blank lines and comments")?,
        }
        let Some(NamedBy {
            key,
            noun,
            name,
            place,
        }) = &self.named
        else {
            return Ok(());
        };
        write!(f, "; it is the {key} at {place}")?;
        match name {
            Some(name) => write!(f, " of {noun} '{name}'"),
            None => Ok(()),
        }
    }
}
