//! Why a script stopped, in the words of the statement's product.

use crate::agent::error::{AgentError, Kind};
use crate::api::{Opens, SqlFailure};
use crate::sql::meaning::{self, Refusal};
use crate::sql::{Dialect, SqlError, Statement};

/// Why a script stopped.
#[derive(Debug)]
pub struct Failure {
    /// Where, from 1.
    line: u32,
    /// In characters, from 1.
    column: u32,
    /// All that is wrong.
    pub(super) errors: Vec<String>,
    /// What to do.
    pub(super) hint: Option<String>,
    /// What kind of error it is.
    pub kind: Kind,
    /// Consent to this is all that is missing.
    opens: Option<Opens>,
}

impl Failure {
    /// As it is sent, with the status of its kind.
    #[must_use]
    pub fn view(self, status: u16) -> SqlFailure {
        SqlFailure {
            line: self.line,
            column: self.column,
            errors: self.errors,
            hint: self.hint,
            status,
            opens: self.opens,
        }
    }
}

/// The text cannot be read.
pub(super) fn unreadable(error: &SqlError) -> Failure {
    Failure {
        line: error.line,
        column: error.column,
        errors: vec![error.message()],
        hint: error.hint(),
        kind: Kind::Invalid,
        opens: None,
    }
}

/// A statement is wrong, given what there is.
pub(super) fn refused(refusal: &Refusal) -> Failure {
    let (line, column) = refusal.place();
    Failure {
        line,
        column,
        errors: refusal.messages(),
        hint: refusal.hint().map(str::to_owned),
        kind: refusal.kind().into(),
        opens: None,
    }
}

/// A statement was refused when it was to be made, or failed.
pub(super) fn failed(statement: &Statement<'_>, error: &AgentError) -> Failure {
    let (line, column) = statement.place(statement.spot);
    let body = error.body();
    let (errors, hint) = match error {
        AgentError::Lockout {
            address,
            policy,
            why,
            ..
        } => {
            let text = meaning::lockout(statement, *address, policy.as_deref(), why);
            let hint = match statement.dialect {
                Dialect::Lakehouse => {
                    Some("allow that address first, or put FORCE at the statement's end".to_owned())
                }
                _ => body.hint,
            };
            (vec![text], hint)
        }
        AgentError::NotAllowed { lacks } => (vec![meaning::lacks(statement, lacks)], body.hint),
        _ => (body.errors, body.hint),
    };
    Failure {
        line,
        column,
        errors,
        hint,
        kind: error.kind(),
        opens: body.opens,
    }
}
