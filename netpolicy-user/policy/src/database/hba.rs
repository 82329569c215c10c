//! Lines of `pg_hba.conf` that reject, as text and back.
//!
//! <https://www.postgresql.org/docs/current/auth-pg-hba-conf.html>

use std::fmt;

use ipnet::IpNet;

/// The first words of every line: TCP, encrypted or not, to any database and for replication,
/// which `all` does not include.
pub const RULES_WITHIN: &str = "host all,replication";

/// The keyword for all users, which in quotes would be a user of that name.
const EVERYONE: &str = "all";

/// A line that rejects some users from a network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HbaLine {
    /// From where.
    pub net: IpNet,
    /// Which users, ascending.
    pub users: Vec<HbaUser>,
}

/// Users of a line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HbaUser {
    /// The user of this name.
    User(String),
    /// The members of the role of this name, itself included.
    Role(String),
    /// Everyone.
    Everyone,
    /// All but these; by a regular expression, which PostgreSQL reads from version 16 on.
    AllBut(Vec<String>),
}

impl HbaUser {
    /// As PostgreSQL shows it in `pg_hba_file_rules`.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::User(name) => name.clone(),
            Self::Role(name) => format!("+{name}"),
            Self::Everyone => EVERYONE.to_owned(),
            Self::AllBut(names) => all_but(names),
        }
    }
}

impl fmt::Display for HbaUser {
    /// As in the file. A user's name stands in quotes, which takes the meaning from `all` and `+`;
    /// behind the `+` of a role they take none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "\"{name}\""),
            Self::Role(name) => write!(f, "+\"{name}\""),
            Self::Everyone => f.write_str(EVERYONE),
            Self::AllBut(names) => write!(f, "\"{}\"", all_but(names)),
        }
    }
}

impl fmt::Display for HbaLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let users: Vec<_> = self.users.iter().map(ToString::to_string).collect();
        write!(f, "{RULES_WITHIN} {} {} reject", users.join(","), self.net)
    }
}

/// A negative lookahead: matches every name but these.
fn all_but(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| literal(name)).collect();
    format!("/^(?!(?:{})$)", names.join("|"))
}

/// A text that matches itself alone. A backslash before a letter or digit would mean something
/// else; before anything else it takes the meaning away.
fn literal(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_ascii() && !c.is_ascii_alphanumeric() && c != '_' {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

/// All lines, each with its end.
#[must_use]
pub fn text(lines: &[HbaLine]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// A line that was read, as PostgreSQL shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadLine<'t> {
    /// The line.
    pub text: &'t str,
    /// Its users, as [`HbaUser::shown`] has them; none: everyone.
    pub users: Vec<String>,
    /// Its network.
    pub net: IpNet,
}

/// The lines of a text of [`text`].
///
/// # Errors
/// The first line that is none, by its number from 1: whoever puts lines into a file has to know
/// that they reject.
pub fn read_lines(text: &str) -> Result<Vec<ReadLine<'_>>, usize> {
    let lines = text.lines().zip(1..);
    lines
        .map(|(line, number)| read_line(line).ok_or(number))
        .collect()
}

fn read_line(line: &str) -> Option<ReadLine<'_>> {
    let rest = line.strip_prefix(RULES_WITHIN)?.strip_prefix(' ')?;
    let (users, net) = rest.strip_suffix(" reject")?.rsplit_once(' ')?;
    let net: IpNet = net.parse().ok()?;
    let is_plain = net == net.trunc() && !line.chars().any(char::is_control);
    let users = read_users(users)?;
    is_plain.then_some(ReadLine {
        text: line,
        users,
        net,
    })
}

/// Names in quotes with commas between them, some behind a `+`; none: everyone.
fn read_users(text: &str) -> Option<Vec<String>> {
    let mut users = Vec::new();
    if text == EVERYONE {
        return Some(users);
    }
    let mut rest = text;
    loop {
        let (sign, name) = match rest.strip_prefix('+') {
            Some(name) => ("+", name),
            None => ("", rest),
        };
        let inside = name.strip_prefix('"')?;
        let (name, behind) = inside.split_once('"')?;
        if name.is_empty() {
            return None;
        }
        users.push(format!("{sign}{name}"));
        if behind.is_empty() {
            return Some(users);
        }
        rest = behind.strip_prefix(',')?;
    }
}
