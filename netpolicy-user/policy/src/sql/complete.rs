//! The end of a text: whether its last statement is complete, and the tokens of an incomplete one.
//!
//! For who reads text piece by piece, as a prompt does. Only tokens are looked at; what
//! a statement says is the grammar's affair.

use super::Dialect;
use super::error::{Fault, SqlError};
use super::lexer::{Lexer, TokenClass};
use super::place::offset;

/// How a text ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It holds no token: blank space and comments at most.
    Blank,
    /// With a semicolon.
    Whole,
    /// Within a statement.
    Open {
        /// Behind its last token, in bytes.
        end: usize,
    },
    /// Within a string, a quoted name or a comment.
    Within {
        /// Where that begins, in bytes.
        start: usize,
    },
    /// With something that can never become a statement.
    Wrong,
}

/// The end of a text.
#[derive(Clone, Debug)]
pub struct Tail<'t> {
    /// How it ends.
    pub ending: Ending,
    /// The tokens behind its last semicolon, without one that is cut.
    pub tokens: Vec<&'t str>,
}

impl<'t> Tail<'t> {
    /// Reads a text that is no longer than [`MAX_TEXT`](super::MAX_TEXT), up to its
    /// first lexical error. Linear; 16 bytes for each token of the last statement.
    /// `dialect` says what ends a string; `None`: not Snowflake's way.
    #[must_use]
    pub fn of(text: &'t str, dialect: Option<Dialect>) -> Self {
        let mut lexer = Lexer::new(text, dialect);
        let mut tokens = Vec::new();
        let mut ending = Ending::Blank;
        loop {
            let token = match lexer.next() {
                Ok(token) => token,
                Err(error) => {
                    ending = broken(text, &error);
                    break;
                }
            };
            match token.kind {
                TokenClass::End => break,
                TokenClass::Semi => {
                    lexer.end_statement();
                    tokens.clear();
                    ending = Ending::Whole;
                }
                _ => {
                    tokens.push(lexer.str(token));
                    ending = Ending::Open {
                        end: offset(token.end()),
                    };
                }
            }
        }
        Self { ending, tokens }
    }
}

fn broken(text: &str, error: &SqlError) -> Ending {
    if !matches!(error.fault, Fault::Unterminated { .. }) {
        return Ending::Wrong;
    }
    Ending::Within {
        start: position(text, error.line, error.column),
    }
}

/// The offset of a line and column, both from 1.
fn position(text: &str, line: u32, column: u32) -> usize {
    let mut start = if line == 1 && text.starts_with('\u{feff}') {
        3
    } else {
        0
    };
    for _ in 1..line {
        let rest = text.get(start..).unwrap_or_default();
        start += rest.find('\n').map_or(rest.len(), |at| at + 1);
    }
    let rest = text.get(start..).unwrap_or_default();
    let skipped = offset(column).saturating_sub(1);
    start
        + rest
            .char_indices()
            .nth(skipped)
            .map_or(rest.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(text: &str) -> Ending {
        Tail::of(text, None).ending
    }

    #[test]
    fn a_text_is_whole_at_a_semicolon_that_is_one() {
        assert_eq!(ending("SHOW NETWORK POLICIES;"), Ending::Whole);
        assert_eq!(ending("SHOW NETWORK POLICIES; -- done\n"), Ending::Whole);
        assert_eq!(ending(";"), Ending::Whole);
        assert_eq!(ending("SHOW x -- ;"), Ending::Open { end: 6 });
        assert_eq!(ending("a; SHOW /* ; */ x\n"), Ending::Open { end: 17 });
        assert_eq!(ending(""), Ending::Blank);
        assert_eq!(ending(" \n-- dialect: snowflake\n"), Ending::Blank);
    }

    #[test]
    fn incomplete_text_is_reported_with_its_start() {
        assert_eq!(ending("SHOW x LIKE ';"), Ending::Within { start: 12 });
        assert_eq!(ending("DROP \u{e4} \"a;"), Ending::Within { start: 8 });
        assert_eq!(ending("a;\nb;\n  /* ;"), Ending::Within { start: 8 });
        assert_eq!(ending("\u{feff}x 'a"), Ending::Within { start: 5 });
    }

    #[test]
    fn the_dialect_says_what_ends_a_string() {
        let text = r"x '\';";
        assert_eq!(Tail::of(text, None).ending, Ending::Whole);
        let snowflake = Tail::of(text, Some(Dialect::Snowflake));
        assert_eq!(snowflake.ending, Ending::Within { start: 2 });
    }

    #[test]
    fn what_can_never_be_a_statement_needs_no_more_text() {
        assert_eq!(ending("SHOW \u{201c}x"), Ending::Wrong);
        assert_eq!(ending("SHOW x LIKE \u{2018}p'"), Ending::Wrong);
        assert_eq!(ending("SHOW \0"), Ending::Wrong);
    }

    #[test]
    fn tokens_are_those_of_the_last_statement() {
        let tail = Tail::of("a b; ALTER x SET (\n'1', \"n\"", None);
        assert_eq!(tail.tokens, ["ALTER", "x", "SET", "(", "'1'", ",", "\"n\""]);
        assert_eq!(Tail::of("a b;", None).tokens, [""; 0]);
    }
}
