//! Collects what is wrong or worth knowing about one input.
//!
//! Errors beyond the first [`SHOWN`] are only counted, and warnings of one sort
//! beyond the first few too, so that a file of noise costs no memory.

use std::fmt;

use super::error::{ErrorKind, ModelError, Place, Problem};

/// Errors of one input that are kept and shown.
const SHOWN: usize = 20;

/// Warnings of one sort that are shown.
const WARNED: usize = 5;

/// All errors of one input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelErrors {
    shown: Vec<ModelError>,
    total: usize,
    gave_up: bool,
}

impl ModelErrors {
    /// The errors that were kept: the first 20.
    pub fn iter(&self) -> std::slice::Iter<'_, ModelError> {
        self.shown.iter()
    }

    /// How many there are, the ones that were not kept included.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total
    }

    /// The manner of the errors together: invalid input outweighs a conflict, a
    /// conflict outweighs something unknown.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        let has = |kind| self.shown.iter().any(|error| error.kind() == kind);
        if has(ErrorKind::Invalid) {
            ErrorKind::Invalid
        } else if has(ErrorKind::Conflict) {
            ErrorKind::Conflict
        } else {
            ErrorKind::Unknown
        }
    }

    /// One line for each error, and one for those that were not kept.
    #[must_use]
    pub fn messages(&self) -> Vec<String> {
        let mut messages: Vec<_> = self.shown.iter().map(ToString::to_string).collect();
        let more = self.total - self.shown.len();
        if self.gave_up {
            messages.push(format!(
                "and at least {more} more {}; the rest was not read",
                plural(more, "error")
            ));
        } else if more > 0 {
            messages.push(format!("and {more} more {}", plural(more, "error")));
        }
        messages
    }
}

impl fmt::Display for ModelErrors {
    /// One error a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.messages().join("\n"))
    }
}

impl std::error::Error for ModelErrors {}

impl From<ModelError> for ModelErrors {
    fn from(error: ModelError) -> Self {
        Self {
            shown: vec![error],
            total: 1,
            gave_up: false,
        }
    }
}

impl From<Problem> for ModelErrors {
    fn from(problem: Problem) -> Self {
        ModelError::from(problem).into()
    }
}

impl<'a> IntoIterator for &'a ModelErrors {
    type Item = &'a ModelError;
    type IntoIter = std::slice::Iter<'a, ModelError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Errors and warnings while an input is read.
#[derive(Debug, Default)]
pub(super) struct Report {
    errors: ModelErrors,
    masked: Capped,
    skipped: Capped,
    notes: Vec<String>,
}

impl Report {
    /// Notes an error at a place.
    pub(super) fn error_at(&mut self, place: Option<Place>, problem: Problem) {
        self.push(ModelError { place, problem });
    }

    /// Notes an error.
    pub(super) fn push(&mut self, error: ModelError) {
        self.errors.total += 1;
        if self.errors.shown.len() < SHOWN {
            self.errors.shown.push(error);
        }
    }

    /// Errors so far.
    pub(super) fn error_count(&self) -> usize {
        self.errors.total
    }

    /// Says that the input was not read to its end.
    pub(super) fn give_up(&mut self) {
        self.errors.gave_up = true;
    }

    /// Notes a rule with host bits; `message` is made only if it will be shown.
    pub(super) fn masked(&mut self, message: impl FnOnce() -> String) {
        self.masked.push(message);
    }

    /// Notes an error that is left out instead of refused.
    pub(super) fn skipped(&mut self, error: impl FnOnce() -> ModelError) {
        self.skipped.push(|| format!("left out: {}", error()));
    }

    /// Notes any other warning.
    pub(super) fn warn(&mut self, message: String) {
        self.notes.push(message);
    }

    /// The warnings, or the errors if there are any.
    pub(super) fn finish(self) -> Result<Vec<String>, ModelErrors> {
        if self.errors.total > 0 {
            return Err(self.errors);
        }
        let mut warnings = self.notes;
        self.masked
            .finish(&mut warnings, "with host bits set, masked likewise");
        self.skipped.finish(&mut warnings, "left out");
        Ok(warnings)
    }
}

/// The first few messages of one kind, and their total.
#[derive(Debug, Default)]
pub(crate) struct Capped {
    shown: Vec<String>,
    total: usize,
}

impl Capped {
    /// Counts a message, and keeps it if few are kept.
    pub(crate) fn push(&mut self, message: impl FnOnce() -> String) {
        self.total += 1;
        if self.shown.len() < WARNED {
            self.shown.push(message());
        }
    }

    /// Appends the kept messages, and one with the number of the others.
    pub(crate) fn finish(mut self, into: &mut Vec<String>, what: &str) {
        let more = self.total - self.shown.len();
        into.append(&mut self.shown);
        if more > 0 {
            into.push(format!("and {more} more {} {what}", plural(more, "rule")));
        }
    }
}

/// `noun`, in the plural unless there is one.
pub(super) fn plural(count: usize, noun: &str) -> String {
    if count == 1 {
        noun.to_owned()
    } else {
        format!("{noun}s")
    }
}
