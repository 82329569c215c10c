//! Strings as they stand in a script, and lists of them.

use std::borrow::Cow;

use super::Dialect;
use super::place::{Spot, offset, size};

/// A string in single quotes, or in Snowflake's dollar signs.
#[derive(Clone, Copy, Debug)]
pub struct Literal<'t> {
    /// Between the quotes.
    raw: &'t str,
    dialect: Dialect,
    /// Of the opening quote.
    spot: Spot,
    /// Whether it stands between `$$`, where nothing is escaped.
    in_dollars: bool,
}

impl<'t> Literal<'t> {
    pub(super) fn new(raw: &'t str, dialect: Dialect, spot: Spot) -> Self {
        Self {
            raw,
            dialect,
            spot,
            in_dollars: false,
        }
    }

    /// A string between `$$`.
    pub(super) fn in_dollars(raw: &'t str, dialect: Dialect, spot: Spot) -> Self {
        Self {
            in_dollars: true,
            ..Self::new(raw, dialect, spot)
        }
    }

    /// What it says: `''` is a quote, and a backslash escapes in Snowflake. Borrowed
    /// unless there is something to unescape.
    #[must_use]
    pub fn text(&self) -> Cow<'t, str> {
        let escapes = self.dialect == Dialect::Snowflake && self.raw.contains('\\');
        if self.in_dollars || (!escapes && !self.raw.contains('\'')) {
            return Cow::Borrowed(self.raw);
        }
        let mut text = String::with_capacity(self.raw.len());
        let mut chars = self.raw.chars();
        while let Some(c) = chars.next() {
            match c {
                '\'' => {
                    // The second of two.
                    chars.next();
                    text.push('\'');
                }
                '\\' if escapes => text.extend(chars.next().map(|c| unescape(c).unwrap_or(c))),
                c => text.push(c),
            }
        }
        Cow::Owned(text)
    }

    /// Of the opening quote.
    #[must_use]
    pub fn spot(&self) -> Spot {
        self.spot
    }

    /// The first backslash escape that Snowflake does not have here: its place behind
    /// the opening quote, and what follows the backslash.
    pub(super) fn unknown_escape(&self) -> Option<(usize, char)> {
        if self.dialect != Dialect::Snowflake || self.in_dollars {
            return None;
        }
        let mut chars = self.raw.char_indices();
        while let Some((at, c)) = chars.next() {
            if c == '\\' {
                let (_, next) = chars.next()?;
                if unescape(next).is_none() {
                    return Some((at, next));
                }
            }
        }
        None
    }
}

/// Snowflake's escapes but for octal, hexadecimal and Unicode ones.
fn unescape(c: char) -> Option<char> {
    Some(match c {
        '\'' | '"' | '\\' => c,
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        _ => return None,
    })
}

/// Where a string of a list stands: 12 bytes.
#[derive(Clone, Copy, Debug)]
struct StringSpan {
    /// Behind the opening quote, in bytes from the script's start.
    start: u32,
    /// Between the quotes, in bytes.
    len: u32,
    line: u32,
}

/// A list of strings in parentheses, in their order.
#[derive(Clone, Debug)]
pub struct Literals<'t> {
    script: &'t str,
    dialect: Dialect,
    items: Vec<StringSpan>,
    /// Of the opening parenthesis.
    spot: Spot,
}

impl<'t> Literals<'t> {
    pub(super) fn new(script: &'t str, dialect: Dialect, spot: Spot) -> Self {
        Self {
            script,
            dialect,
            items: Vec::new(),
            spot,
        }
    }

    pub(super) fn push(&mut self, literal: &Literal<'t>) {
        self.items.push(StringSpan {
            start: literal
                .spot
                .offset
                .saturating_add(if literal.in_dollars { 2 } else { 1 }),
            len: size(literal.raw.len()),
            line: literal.spot.line,
        });
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether it is `()`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The strings, in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Literal<'t>> + '_ {
        self.items.iter().map(|item| {
            let start = offset(item.start);
            Literal {
                raw: self
                    .script
                    .get(start..start.saturating_add(offset(item.len)))
                    .unwrap_or_default(),
                dialect: self.dialect,
                spot: Spot {
                    offset: item.start.saturating_sub(1),
                    line: item.line,
                },
                in_dollars: false,
            }
        })
    }

    /// The texts between the opening and the closing parenthesis have this many bytes
    /// when joined by commas, as Snowflake's limit counts them.
    #[must_use]
    pub fn joined_len(&self) -> usize {
        let texts: usize = self.items.iter().map(|item| offset(item.len)).sum();
        texts.saturating_add(self.items.len().saturating_sub(1))
    }

    /// Of the opening parenthesis.
    #[must_use]
    pub fn spot(&self) -> Spot {
        self.spot
    }
}
