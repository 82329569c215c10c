//! All that is wrong with a statement, with every place.

use super::Wrong;
use crate::model::ErrorKind;
use crate::sql::{Spot, Statement};

/// Errors of one statement that are kept and shown.
const SHOWN: usize = 20;

/// One error and its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {wrong}")]
pub struct At {
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// What is wrong.
    pub wrong: Wrong,
}

/// All that is wrong with a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Where the statement begins.
    start: (u32, u32),
    errors: Vec<At>,
    more: usize,
}

impl Refusal {
    /// One error.
    pub(super) fn of(statement: &Statement<'_>, spot: Spot, wrong: impl Into<Wrong>) -> Self {
        let mut errors = Errors::new(statement);
        errors.push(spot, wrong.into());
        errors.refuse()
    }

    /// Line and column of the first error.
    #[must_use]
    pub fn place(&self) -> (u32, u32) {
        self.errors
            .first()
            .map_or(self.start, |at| (at.line, at.column))
    }

    /// The errors that were kept: the first 20, in the order of their finding.
    pub fn iter(&self) -> std::slice::Iter<'_, At> {
        self.errors.iter()
    }

    /// The manner of the errors together: invalid input outweighs a conflict, a conflict
    /// outweighs something unknown.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        let has = |kind| self.iter().any(|at| at.wrong.kind() == kind);
        if has(ErrorKind::Invalid) {
            ErrorKind::Invalid
        } else if has(ErrorKind::Conflict) {
            ErrorKind::Conflict
        } else {
            ErrorKind::Unknown
        }
    }

    /// One line for each error. All but the first, which stands at [`Self::place`], say
    /// where they are.
    #[must_use]
    pub fn messages(&self) -> Vec<String> {
        let mut messages: Vec<_> = self.iter().map(ToString::to_string).collect();
        if let (Some(message), Some(first)) = (messages.first_mut(), self.errors.first()) {
            *message = first.wrong.to_string();
        }
        match self.more {
            0 => {}
            1 => messages.push("and 1 more error".to_owned()),
            more => messages.push(format!("and {more} more errors")),
        }
        messages
    }

    /// What to do about the first error that says so.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        self.iter().find_map(|at| at.wrong.hint())
    }
}

impl<'a> IntoIterator for &'a Refusal {
    type Item = &'a At;
    type IntoIter = std::slice::Iter<'a, At>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Gathers what is wrong with a statement.
#[derive(Debug)]
pub(super) struct Errors<'s, 't> {
    statement: &'s Statement<'t>,
    found: Vec<At>,
    more: usize,
}

impl<'s, 't> Errors<'s, 't> {
    pub(super) fn new(statement: &'s Statement<'t>) -> Self {
        Self {
            statement,
            found: Vec::new(),
            more: 0,
        }
    }

    /// Notes an error. Its column is counted only if it will be shown.
    pub(super) fn push(&mut self, spot: Spot, wrong: Wrong) {
        if self.found.len() == SHOWN {
            self.more += 1;
            return;
        }
        let (line, column) = self.statement.place(spot);
        self.found.push(At {
            line,
            column,
            wrong,
        });
    }

    /// Takes a value, or notes why there is none.
    pub(super) fn take<T>(&mut self, spot: Spot, value: Result<T, Wrong>) -> Option<T> {
        value.map_err(|wrong| self.push(spot, wrong)).ok()
    }

    /// A value that is there unless something was noted; else all errors.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, Refusal> {
        match value {
            Some(value) if self.found.is_empty() => Ok(value),
            _ => Err(self.refuse()),
        }
    }

    fn refuse(self) -> Refusal {
        Refusal {
            start: self.statement.place(self.statement.spot),
            errors: self.found,
            more: self.more,
        }
    }
}
