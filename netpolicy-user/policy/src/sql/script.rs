//! A script: its statements, one after the other, and their dialect.

use super::detect::detect;
use super::error::{Fault, SqlError};
use super::grammar::Parser;
use super::place::{Spot, line_breaks, size};
use super::{Dialect, Statement, Verb};

/// Bytes that a statement has at most: two lists of 100,000 IPv6 networks have 10 MB.
pub const MAX_STATEMENT: usize = 16 << 20;

/// Bytes that a text has at most. Places are 32 bits.
pub const MAX_TEXT: usize = 512 << 20;

/// The statements of a script, in their order. Each is read when it is asked for, so
/// what stands before a bad one can be carried out before it is read. The first error
/// ends it.
///
/// Reading is linear in the text and takes 12 bytes for each address of the current
/// statement.
#[derive(Clone, Debug)]
pub struct Statements<'t> {
    parser: Parser<'t>,
    dialect: Option<Dialect>,
    is_done: bool,
}

impl<'t> Statements<'t> {
    /// Reads a script in the dialect that is asked for; else in the one that its first
    /// line names as a comment, `-- dialect: snowflake`; else in the only one that it
    /// can be. From `SET dialect = …` on, that one holds.
    ///
    /// # Errors
    /// The text is too long; its first line contradicts the argument or names no
    /// dialect; the dialect cannot be told.
    pub fn new(text: &'t str, dialect: Option<Dialect>) -> Result<Self, SqlError> {
        if text.len() > MAX_TEXT {
            return Err(SqlError {
                line: 1,
                column: 1,
                fault: Fault::TextTooLarge { bytes: text.len() },
            });
        }
        let dialect = match (dialect, first_line(text)?) {
            (Some(argument), Some((comment, spot))) if argument != comment => {
                return Err(SqlError {
                    line: 1,
                    column: spot.column(text),
                    fault: Fault::Contradiction { comment, argument },
                });
            }
            (Some(dialect), _) | (None, Some((dialect, _))) => Some(dialect),
            (None, None) => detect(text)?,
        };
        Ok(Self {
            parser: Parser::new(text, dialect),
            dialect,
            is_done: false,
        })
    }

    /// The dialect of the statement that was read last, or at first of the next one.
    /// `None`: no statement told yet.
    #[must_use]
    pub fn dialect(&self) -> Option<Dialect> {
        self.dialect
    }
}

impl<'t> Iterator for Statements<'t> {
    type Item = Result<Statement<'t>, SqlError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let statement = self.parser.statement().transpose();
        match &statement {
            Some(Ok(Statement {
                verb: Verb::SetDialect(dialect),
                ..
            })) => {
                self.dialect = Some(*dialect);
                self.parser.set_dialect(*dialect);
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => self.is_done = true,
        }
        statement
    }
}

/// The dialect that a first line `-- dialect: d` names, and where.
fn first_line(text: &str) -> Result<Option<(Dialect, Spot)>, SqlError> {
    let line = text.lines().next().unwrap_or_default();
    let named = line
        .trim_start_matches('\u{feff}')
        .trim_start()
        .strip_prefix("--")
        .map(str::trim_start)
        .and_then(|comment| {
            let (key, value) = comment.split_at_checked("dialect".len())?;
            key.eq_ignore_ascii_case("dialect").then_some(value)
        })
        .and_then(|rest| rest.trim_start().strip_prefix([':', '=']));
    let Some(name) = named else {
        return Ok(None);
    };
    let name = name.trim();
    let at = line.rfind(name).unwrap_or_default();
    let spot = Spot { offset: 0, line: 1 }.after(line.get(..at).unwrap_or_default());
    let name = name.trim_end_matches(';').trim_end();
    match name.parse() {
        Ok(dialect) => Ok(Some((dialect, spot))),
        Err(unknown) => Err(SqlError {
            line: 1,
            column: spot.column(text),
            fault: Fault::UnknownDialect(unknown),
        }),
    }
}

/// A script's bytes as text.
///
/// # Errors
/// They are no UTF-8: with the place of the first byte that is not.
pub fn decode(bytes: &[u8]) -> Result<&str, SqlError> {
    let error = match std::str::from_utf8(bytes) {
        Ok(text) => return Ok(text),
        Err(error) => error,
    };
    let (good, bad) = bytes
        .split_at_checked(error.valid_up_to())
        .unwrap_or((&[], bytes));
    let good = std::str::from_utf8(good).unwrap_or_default();
    let spot = Spot {
        offset: size(good.len()),
        line: line_breaks(good).saturating_add(1),
    };
    Err(SqlError {
        line: spot.line,
        column: spot.column(good),
        fault: Fault::NotUtf8 {
            byte: bad.first().copied().unwrap_or_default(),
        },
    })
}
