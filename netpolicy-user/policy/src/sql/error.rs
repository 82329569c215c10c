//! Syntax errors, typed, with their place.

use super::Dialect;
use crate::model::error::Excerpt;

/// One error and its place. The message is one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {fault}{}", self.hint().map(|hint| format!("; {hint}")).unwrap_or_default())]
pub struct SqlError {
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// What is wrong.
    pub fault: Fault,
}

impl SqlError {
    /// What is wrong, without place and hint.
    #[must_use]
    pub fn message(&self) -> String {
        self.fault.to_string()
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        self.fault.hint()
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Something else was to come.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What was to come.
        expected: String,
        /// What came.
        found: Found,
        /// What may have been meant, or what to do.
        hint: Option<String>,
    },
    /// The text ends within something; the place is where that begins.
    #[error("{what} is not closed: {close} is missing")]
    Unterminated {
        /// "this string".
        what: &'static str,
        /// What would end it.
        close: &'static str,
    },
    /// A quote that only looks like one.
    #[error("{character:?} (U+{:04X} {}) is a typographic quote, not SQL's", u32::from(*.character), quote_name(*.character))]
    TypographicQuote {
        /// The character.
        character: char,
    },
    /// A backquote, which quotes names elsewhere.
    #[error("a backquote quotes names in MySQL and Databend, and nothing in this SQL")]
    Backquote,
    /// A character that no statement has.
    #[error("unexpected character {:?} (U+{:04X}{})", character, u32::from(*.character), character_name(*.character))]
    Character {
        /// The character.
        character: char,
    },
    /// A backslash before something else than what Snowflake's escapes have.
    #[error("unknown escape '\\{}' in a string", .character.escape_default())]
    Escape {
        /// What stands after the backslash.
        character: char,
    },
    /// A way of writing strings that policies do not need.
    #[error("{what} are not supported here")]
    StringForm {
        /// "Dollar-quoted strings".
        what: &'static str,
    },
    /// Something that another dialect has.
    #[error("{what} belongs to {}; this is {}: {instead}", titles(of), this.title())]
    OtherDialect {
        /// What was written.
        what: String,
        /// Who has it.
        of: Vec<Dialect>,
        /// The dialect of the text.
        this: Dialect,
        /// What this dialect takes in its place.
        instead: &'static str,
    },
    /// A statement that its product has and that can mean nothing on a host.
    #[error("{what}: {why}")]
    NoCounterpart {
        /// "ALTER SECURITY INTEGRATION".
        what: String,
        /// Why it is refused.
        why: &'static str,
        /// What to do in its place.
        instead: Option<&'static str>,
    },
    /// No dialect has a statement like it.
    #[error("unknown statement: {found}")]
    UnknownStatement {
        /// Its first words.
        found: Excerpt,
    },
    /// A name of a database or schema before a policy's.
    #[error("{found} is qualified, and a network policy belongs to no database and no schema")]
    Qualified {
        /// The name as written.
        found: Excerpt,
        /// Its last part.
        last: String,
    },
    /// A string that is to be a network rule's name.
    #[error(
        "{found} is not a network rule's name; expected a name, which may be qualified, as in 'db.schema.name'"
    )]
    RuleName {
        /// What was written.
        found: Excerpt,
    },
    /// A clause or option that stood before.
    #[error("{what} stands twice; the first is at line {line}, column {column}")]
    Twice {
        /// The clause.
        what: &'static str,
        /// Of the first one.
        line: u32,
        /// Of the first one.
        column: u32,
    },
    /// Both OR REPLACE, or OR ALTER, and IF NOT EXISTS.
    #[error("{what} and IF NOT EXISTS exclude each other")]
    ReplaceIfNotExists {
        /// Which of both.
        what: &'static str,
    },
    /// A Materialize rule lacks an option.
    #[error("rule {rule} lacks {missing}; a rule has ACTION, DIRECTION and ADDRESS")]
    RuleOption {
        /// The rule's name.
        rule: Excerpt,
        /// The first option that is not there.
        missing: &'static str,
    },
    /// An option's value that is not the only one there is.
    #[error("{only} is the only valid option")]
    OnlyOption {
        /// "Allow" or "Ingress".
        only: &'static str,
    },
    /// REVOKE OWNERSHIP.
    #[error(
        "ownership is not revoked but given to another: GRANT OWNERSHIP ON NETWORK POLICY n TO ROLE r"
    )]
    RevokeOwnership,
    /// SHOW PARAMETERS for another parameter.
    #[error("unknown parameter {found}; the only one here is 'network_policy'")]
    Parameter {
        /// What was asked for.
        found: Excerpt,
    },
    /// A name that its dialect does not take.
    #[error("{found} is not a name in {}: {why}", dialect.title())]
    Name {
        /// The name.
        found: Excerpt,
        /// Whose rule it is.
        dialect: Dialect,
        /// What is wrong with it.
        why: NameFault,
    },
    /// A number that is out of range.
    #[error("{found} is out of range; expected a number from 0 to {}", u32::MAX)]
    Number {
        /// The number.
        found: Excerpt,
    },
    /// A statement goes past [`super::MAX_STATEMENT`]; the place is where it does.
    #[error("the statement is longer than {} MiB", super::MAX_STATEMENT >> 20)]
    StatementTooLarge,
    /// A text goes past [`super::MAX_TEXT`].
    #[error("the text has {bytes} bytes, more than {} MiB", super::MAX_TEXT >> 20)]
    TextTooLarge {
        /// Its length.
        bytes: usize,
    },
    /// Bytes that are no UTF-8.
    #[error("the byte 0x{byte:02x} is not UTF-8")]
    NotUtf8 {
        /// The first such byte.
        byte: u8,
    },
    /// The text could be of several dialects.
    #[error("ambiguous: name the dialect; this could be {}", titles(of))]
    Ambiguous {
        /// Whose it could be.
        of: Vec<Dialect>,
    },
    /// The text has marks of two dialects; the place is the second mark's.
    #[error(
        "{second} belongs to {}, but {first} at line {line}, column {column} to {}",
        titles(second_of),
        titles(first_of)
    )]
    Mixed {
        /// The first mark.
        first: &'static str,
        /// Who has it.
        first_of: Vec<Dialect>,
        /// Of the first mark.
        line: u32,
        /// Of the first mark.
        column: u32,
        /// The second mark.
        second: &'static str,
        /// Who has it.
        second_of: Vec<Dialect>,
    },
    /// The first line names another dialect than the caller.
    #[error("the first line names the dialect {comment}, but {argument} was asked for")]
    Contradiction {
        /// In the first line.
        comment: Dialect,
        /// The caller's.
        argument: Dialect,
    },
    /// A word that names no dialect.
    #[error("{0}")]
    UnknownDialect(crate::model::dialect::UnknownDialect),
}

/// What came in place of what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The text's end.
    End,
    /// This.
    Text(Excerpt),
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::End => f.write_str("the end of the text"),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// What is wrong with a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// Quotes where there must be none.
    #[error("names cannot be quoted there")]
    Quoted,
    /// `""`.
    #[error("it is empty")]
    Empty,
    /// Longer than 255 characters.
    #[error("it has more than 255 characters")]
    Long,
    /// A character that only quoted names have, or none.
    #[error("it holds {0:?}")]
    Character(char),
    /// It begins with something that names do not begin with.
    #[error("it begins with {0:?}")]
    Start(char),
}

impl Fault {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Expected { hint, .. } => return hint.clone(),
            Self::TypographicQuote { character } => format!(
                "write {}",
                if is_double(*character) {
                    "'…' around texts, and \"…\" around names only"
                } else {
                    "the plain ' (U+0027)"
                }
            ),
            Self::Backquote => "write \"…\" around the name, or nothing".to_owned(),
            Self::NoCounterpart { instead, .. } => return instead.map(str::to_owned),
            Self::UnknownStatement { .. } => {
                "statements here begin as CREATE, ALTER, DROP, SHOW or DESC NETWORK POLICY do; \
                 the guide on SQL lists them"
                    .to_owned()
            }
            Self::Qualified { last, .. } => format!("write {last} alone"),
            Self::Character { character } if character.is_whitespace() => {
                "write a plain space".to_owned()
            }
            Self::Escape { .. } => "write \\\\ for a backslash".to_owned(),
            Self::StringForm { .. } => "write '…', with '' for a quote within".to_owned(),
            Self::StatementTooLarge => "split the lists over several policies".to_owned(),
            Self::Ambiguous { .. } => {
                "with --dialect, `SET dialect = snowflake;`, or a first line \
                 `-- dialect: snowflake`"
                    .to_owned()
            }
            Self::Mixed { .. } => "keep each dialect's statements in a text of their own, or put \
                 `SET dialect = …;` before them"
                .to_owned(),
            Self::Contradiction { .. } => "change one of them".to_owned(),
            Self::Name {
                dialect: Dialect::Lakehouse,
                ..
            } => "a name is 3 to 28 letters, digits and underscores".to_owned(),
            Self::Name {
                why: NameFault::Character(c),
                ..
            } if c.is_control() => "remove it: no name holds control characters".to_owned(),
            Self::Name {
                why: NameFault::Character(_) | NameFault::Start(_),
                ..
            } => "put double quotes around it".to_owned(),
            _ => return None,
        })
    }
}

/// "Snowflake or Lakehouse".
fn titles(of: &[Dialect]) -> String {
    let titles: Vec<_> = of.iter().map(|dialect| dialect.title()).collect();
    titles.join(" or ")
}

/// Characters that word processors and keyboards put in place of quotes, and names.
const QUOTES: [(char, &str); 15] = [
    ('\u{2018}', "LEFT SINGLE QUOTATION MARK"),
    ('\u{2019}', "RIGHT SINGLE QUOTATION MARK"),
    ('\u{201A}', "SINGLE LOW-9 QUOTATION MARK"),
    ('\u{201B}', "SINGLE HIGH-REVERSED-9 QUOTATION MARK"),
    ('\u{201C}', "LEFT DOUBLE QUOTATION MARK"),
    ('\u{201D}', "RIGHT DOUBLE QUOTATION MARK"),
    ('\u{201E}', "DOUBLE LOW-9 QUOTATION MARK"),
    ('\u{201F}', "DOUBLE HIGH-REVERSED-9 QUOTATION MARK"),
    ('\u{2032}', "PRIME"),
    ('\u{2033}', "DOUBLE PRIME"),
    ('\u{00AB}', "LEFT-POINTING DOUBLE ANGLE QUOTATION MARK"),
    ('\u{00BB}', "RIGHT-POINTING DOUBLE ANGLE QUOTATION MARK"),
    ('\u{FF07}', "FULLWIDTH APOSTROPHE"),
    ('\u{FF02}', "FULLWIDTH QUOTATION MARK"),
    ('\u{00B4}', "ACUTE ACCENT"),
];

/// Whether a character only looks like a quote.
pub(super) fn is_typographic_quote(c: char) -> bool {
    QUOTES.iter().any(|(quote, _)| *quote == c)
}

fn quote_name(c: char) -> &'static str {
    QUOTES
        .iter()
        .find(|(quote, _)| *quote == c)
        .map_or("", |(_, name)| name)
}

fn is_double(c: char) -> bool {
    quote_name(c).contains("DOUBLE") || c == '\u{FF02}'
}

fn character_name(c: char) -> &'static str {
    match c {
        '\0' => " NULL",
        '\u{A0}' => " NO-BREAK SPACE",
        '\u{200B}' => " ZERO WIDTH SPACE",
        '\u{FEFF}' => " BYTE ORDER MARK",
        _ => "",
    }
}
