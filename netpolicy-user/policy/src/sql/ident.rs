//! Names: how each dialect writes and folds them.
//!
//! Only what letters a name may have is checked here. How long a new one may be, and
//! whether it is reserved, is for who makes it.

use std::borrow::Cow;

use super::Dialect;
use super::error::{Fault, NameFault};
use super::place::Spot;
use crate::model::error::Excerpt;

/// Characters that a name has at most, in every dialect: Snowflake's and PostgreSQL's
/// limit.
const LONGEST: usize = 255;

/// How a name is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quoting {
    /// As a bare word, which is folded.
    Bare,
    /// In double quotes: as it stands.
    Double,
    /// As a string, where Materialize takes a setting's value so: as it stands.
    Single,
}

/// A name as it stands in a script.
#[derive(Clone, Copy, Debug)]
pub struct Ident<'t> {
    /// Without the quotes.
    raw: &'t str,
    quoting: Quoting,
    spot: Spot,
}

impl<'t> Ident<'t> {
    pub(super) fn new(raw: &'t str, quoting: Quoting, spot: Spot) -> Self {
        Self { raw, quoting, spot }
    }

    /// The name as written, without quotes, not folded.
    #[must_use]
    pub fn text(&self) -> Cow<'t, str> {
        let quote = match self.quoting {
            Quoting::Bare => return Cow::Borrowed(self.raw),
            Quoting::Double => "\"",
            Quoting::Single => "'",
        };
        if self.raw.contains(quote) {
            Cow::Owned(self.raw.replace(&quote.repeat(2), quote))
        } else {
            Cow::Borrowed(self.raw)
        }
    }

    /// The name that it means: a bare one folded to upper case in Snowflake and to
    /// lower case elsewhere, a quoted one as it stands.
    #[must_use]
    pub fn folded(&self, dialect: Dialect) -> Cow<'t, str> {
        if self.is_quoted() {
            return self.text();
        }
        match dialect {
            Dialect::Snowflake if self.raw.bytes().any(|b| b.is_ascii_lowercase()) => {
                Cow::Owned(self.raw.to_ascii_uppercase())
            }
            Dialect::Materialize | Dialect::Lakehouse
                if self.raw.chars().any(char::is_uppercase) =>
            {
                Cow::Owned(self.raw.to_lowercase())
            }
            _ => Cow::Borrowed(self.raw),
        }
    }

    /// Whether its case counts.
    #[must_use]
    pub fn is_quoted(&self) -> bool {
        self.quoting != Quoting::Bare
    }

    /// How it is written.
    #[must_use]
    pub fn quoting(&self) -> Quoting {
        self.quoting
    }

    /// Of its first character or quote.
    #[must_use]
    pub fn spot(&self) -> Spot {
        self.spot
    }

    /// What is wrong with it in a dialect.
    pub(super) fn fault(&self, dialect: Dialect) -> Option<Fault> {
        let text = self.text();
        let why = match self.quoting {
            Quoting::Double if dialect == Dialect::Lakehouse => Some(NameFault::Quoted),
            Quoting::Bare => bare_fault(&text, dialect),
            Quoting::Double | Quoting::Single => quoted_fault(&text),
        }?;
        Some(Fault::Name {
            found: Excerpt::new(&text),
            dialect,
            why,
        })
    }
}

/// Snowflake and Lakehouse have ASCII letters only, Materialize all; dollar signs are
/// not Lakehouse's.
/// (<https://docs.snowflake.com/en/sql-reference/identifiers-syntax>,
/// <https://materialize.com/docs/sql/identifiers/>)
fn bare_fault(text: &str, dialect: Dialect) -> Option<NameFault> {
    let is_letter = |c: char| match dialect {
        Dialect::Materialize => c.is_alphabetic() || (!c.is_ascii() && c.is_alphanumeric()),
        Dialect::Snowflake | Dialect::Lakehouse => c.is_ascii_alphabetic(),
    };
    let is_later = |c: char| {
        is_letter(c)
            || c == '_'
            || c.is_ascii_digit()
            || (c == '$' && dialect != Dialect::Lakehouse)
    };
    if let Some(c) = text.chars().find(|c| !is_later(*c)) {
        return Some(NameFault::Character(c));
    }
    if let Some(c) = text.chars().next().filter(|c| !is_letter(*c) && *c != '_') {
        return Some(NameFault::Start(c));
    }
    length_fault(text)
}

fn quoted_fault(text: &str) -> Option<NameFault> {
    if text.is_empty() {
        return Some(NameFault::Empty);
    }
    if let Some(c) = text.chars().find(|c| c.is_control()) {
        return Some(NameFault::Character(c));
    }
    length_fault(text)
}

fn length_fault(text: &str) -> Option<NameFault> {
    (text.len() > LONGEST && text.chars().nth(LONGEST).is_some()).then_some(NameFault::Long)
}

/// Words that cannot be bare names everywhere: keywords that a product reserves, and
/// IF, which begins a clause.
/// (<https://docs.snowflake.com/en/sql-reference/reserved-keywords>)
const RESERVED: [&str; 96] = [
    "account",
    "all",
    "alter",
    "and",
    "any",
    "as",
    "between",
    "by",
    "case",
    "cast",
    "check",
    "column",
    "connect",
    "connection",
    "constraint",
    "create",
    "cross",
    "current",
    "current_date",
    "current_time",
    "current_timestamp",
    "current_user",
    "database",
    "delete",
    "distinct",
    "drop",
    "else",
    "exists",
    "false",
    "following",
    "for",
    "from",
    "full",
    "grant",
    "group",
    "gscluster",
    "having",
    "if",
    "ilike",
    "in",
    "increment",
    "inner",
    "insert",
    "intersect",
    "into",
    "is",
    "issue",
    "join",
    "lateral",
    "left",
    "like",
    "localtime",
    "localtimestamp",
    "minus",
    "natural",
    "not",
    "null",
    "of",
    "on",
    "or",
    "order",
    "organization",
    "outer",
    "qualify",
    "regexp",
    "revoke",
    "right",
    "rlike",
    "row",
    "rows",
    "sample",
    "schema",
    "select",
    "set",
    "some",
    "start",
    "table",
    "tablesample",
    "then",
    "to",
    "trigger",
    "true",
    "try_cast",
    "union",
    "unique",
    "update",
    "using",
    "values",
    "view",
    "when",
    "whenever",
    "where",
    "with",
    "user",
    "offset",
    "limit",
];

/// Whether a name can be written bare and then means the same, whatever its case.
pub(super) fn is_bare(name: &str, dialect: Dialect) -> bool {
    let mixed = name.bytes().any(|b| b.is_ascii_uppercase())
        && name.bytes().any(|b| b.is_ascii_lowercase());
    let plain = name.is_ascii() && bare_fault(name, dialect).is_none() && !name.is_empty();
    let reserved = RESERVED.iter().any(|word| word.eq_ignore_ascii_case(name));
    match dialect {
        Dialect::Lakehouse => plain && !name.eq_ignore_ascii_case("if"),
        // Snowflake's new policies begin with a letter unless their name is quoted.
        Dialect::Snowflake if name.starts_with('_') => false,
        Dialect::Snowflake | Dialect::Materialize => plain && !mixed && !reserved,
    }
}
