//! Why a script stopped, in the words of the statement's product.

use crate::agent::error::{AgentError, FailureKind, code_of};
use crate::api::{ErrorCode, Opens, SqlFailure, SqlRequest};
use crate::sql::meaning::{self, Refusal, makes_revisions};
use crate::sql::{SqlError, Statement, Statements};

/// Why a script stopped.
#[derive(Debug)]
pub struct ScriptFailure {
    /// Where, from 1.
    line: u32,
    /// In characters, from 1.
    column: u32,
    /// All that is wrong.
    pub(super) errors: Vec<String>,
    /// What to do.
    pub(super) hint: Option<String>,
    /// What kind of error it is.
    pub kind: FailureKind,
    /// What kind of problem it is, for programs.
    pub code: ErrorCode,
    /// Consent to this is all that is missing.
    opens: Option<Opens>,
}

impl ScriptFailure {
    /// As it is sent, with the status of its kind.
    #[must_use]
    pub fn view(self, status: u16) -> SqlFailure {
        SqlFailure {
            line: self.line,
            column: self.column,
            errors: self.errors,
            hint: self.hint,
            status,
            code: self.code,
            opens: self.opens,
        }
    }
}

/// The text cannot be read.
pub(super) fn unreadable(error: &SqlError) -> ScriptFailure {
    ScriptFailure {
        line: error.line,
        column: error.column,
        errors: vec![error.message()],
        hint: error.hint(),
        kind: FailureKind::Invalid,
        code: ErrorCode::InvalidSql,
        opens: None,
    }
}

/// The script as a whole is refused.
pub(super) fn of_script(error: &AgentError) -> ScriptFailure {
    ScriptFailure {
        line: 1,
        column: 1,
        errors: error.errors(),
        hint: error.hint(),
        kind: error.kind(),
        code: error.code(),
        opens: error.opens().cloned(),
    }
}

/// A statement is wrong, given what there is.
pub(super) fn refused(refusal: &Refusal) -> ScriptFailure {
    let (line, column) = refusal.place();
    ScriptFailure {
        line,
        column,
        errors: refusal.messages(),
        hint: refusal.hint().map(str::to_owned),
        kind: refusal.kind().into(),
        code: code_of(refusal.kind()),
        opens: None,
    }
}

/// A statement was refused when it was to be made, or failed.
pub(super) fn failed(statement: &Statement<'_>, error: &AgentError) -> ScriptFailure {
    let (line, column) = statement.place(statement.spot);
    let (errors, hint) = match error {
        AgentError::Lockout {
            address,
            policy,
            why,
            ..
        } => {
            let text = meaning::lockout(statement, *address, policy.as_deref(), why);
            let hint = meaning::lockout_hint(statement).map(str::to_owned);
            (vec![text], hint.or_else(|| error.hint()))
        }
        AgentError::NotAllowed { lacks } => (vec![meaning::lacks(statement, lacks)], error.hint()),
        _ => (error.errors(), error.hint()),
    };
    ScriptFailure {
        line,
        column,
        errors,
        hint,
        kind: error.kind(),
        code: error.code(),
        opens: error.opens().cloned(),
    }
}

/// Why a script that makes several revisions is refused: only the last of them could be
/// rolled back without a confirmation.
pub(super) fn several_revisions(request: &SqlRequest) -> Option<(AgentError, ScriptFailure)> {
    let statements = Statements::new(&request.text, request.dialect).ok()?;
    let statements = statements.map_while(Result::ok);
    let mut changing = statements.filter(|statement| makes_revisions(&statement.verb));
    let second = changing.nth(1)?;
    let error = AgentError::Sql {
        message: "a confirmation covers one revision, and this script makes several".to_owned(),
        hint: Some("make it atomic, or run its statements one by one".to_owned()),
    };
    let failure = failed(&second, &error);
    Some((error, failure))
}
