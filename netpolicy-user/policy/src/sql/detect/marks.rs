//! Marks of dialects in a text, and what they leave of all dialects.

use super::super::Dialect;
use super::super::error::{Fault, SqlError};
use super::super::grammar::Parser;
use super::super::lexer::Lexer;
use super::super::place::{Spot, offset};
use crate::model::error::Excerpt;

/// Something that not every dialect has.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    pub(super) what: &'static str,
    pub(super) of: &'static [Dialect],
    pub(super) spot: Spot,
}

/// What is known so far.
#[derive(Default)]
pub(super) struct Marks {
    /// Each left fewer dialects than were there before.
    found: Vec<Mark>,
}

impl Marks {
    pub(super) fn add(&mut self, lexer: &Lexer<'_>, mark: Mark) -> Result<(), SqlError> {
        let left = self.left();
        let narrowed = left.iter().filter(|d| mark.of.contains(d)).count();
        if narrowed == 0 {
            let earlier = self
                .found
                .iter()
                .find(|earlier| !earlier.of.iter().any(|d| mark.of.contains(d)))
                .or(self.found.first());
            if let Some(first) = earlier {
                return Err(lexer.error(
                    mark.spot,
                    Fault::Mixed {
                        first: first.what,
                        first_of: first.of.to_vec(),
                        line: first.spot.line,
                        column: first.spot.column(lexer.text()),
                        second: mark.what,
                        second_of: mark.of.to_vec(),
                    },
                ));
            }
        }
        if narrowed < left.len() {
            self.found.push(mark);
        }
        Ok(())
    }

    /// Dialects that have all marks.
    fn left(&self) -> Vec<Dialect> {
        Dialect::ALL
            .into_iter()
            .filter(|d| self.found.iter().all(|mark| mark.of.contains(d)))
            .collect()
    }

    pub(super) fn only(&self) -> Option<Dialect> {
        match self.left().as_slice() {
            [only] => Some(*only),
            _ => None,
        }
    }

    pub(super) fn decide(&self, lexer: &Lexer<'_>, spot: Spot) -> Result<Dialect, SqlError> {
        self.only().ok_or_else(|| self.ambiguous(lexer, spot))
    }

    fn ambiguous(&self, lexer: &Lexer<'_>, spot: Spot) -> SqlError {
        let of = self.left();
        unreadable(lexer, spot, &of).unwrap_or_else(|| lexer.error(spot, Fault::Ambiguous { of }))
    }
}

/// The error of a statement that could be of several dialects, where none of them
/// can read it: what none has is not ambiguous.
fn unreadable(lexer: &Lexer<'_>, spot: Spot, of: &[Dialect]) -> Option<SqlError> {
    let text = lexer.text();
    let mut furthest: Option<SqlError> = None;
    for dialect in of {
        let mut parser = Parser::new(text, Some(*dialect));
        parser.start_at(spot);
        let error = parser.statement().err()?;
        let place = |error: &SqlError| (error.line, error.column);
        if furthest
            .as_ref()
            .is_none_or(|old| place(old) < place(&error))
        {
            furthest = Some(error);
        }
    }
    let error = furthest?;
    let mut words = lexer.clone();
    words.start_at(spot);
    let first = words.next().ok()?;
    let second = words.next().ok()?;
    let place = lexer.error(second.spot, Fault::Backquote);
    if (error.line, error.column) > (place.line, place.column) {
        return Some(error);
    }
    let rest = text.get(offset(first.spot.offset)..).unwrap_or_default();
    let end = rest.find([';', '\n']).unwrap_or(rest.len());
    let found = Excerpt::new(rest.get(..end).unwrap_or_default().trim_end());
    Some(lexer.error(first.spot, Fault::UnknownStatement { found }))
}
