//! Why a script stopped, for the API: in the words of the statement's product.

use crate::agent::error::{AgentError, code_of};
use crate::api::{ErrorCode, SqlFailure};
use crate::model::ErrorKind;
use crate::sql::meaning::{self, Refusal};
use crate::sql::{SqlError, Statement};

/// The text cannot be read.
pub(super) fn unreadable(error: &SqlError) -> SqlFailure {
    SqlFailure {
        line: error.line,
        column: error.column,
        errors: vec![error.message()],
        hint: error.hint(),
        status: 400,
        code: ErrorCode::InvalidSql,
        opens: None,
    }
}

/// The script as a whole is refused.
pub(super) fn of_script(error: &AgentError) -> SqlFailure {
    let body = error.body();
    SqlFailure {
        line: 1,
        column: 1,
        errors: body.errors,
        hint: body.hint,
        status: body.status,
        code: body.code,
        opens: body.opens,
    }
}

/// A statement is wrong, given what there is.
pub(super) fn refused(refusal: &Refusal) -> SqlFailure {
    let (line, column) = refusal.place();
    SqlFailure {
        line,
        column,
        errors: refusal.messages(),
        hint: refusal.hint().map(str::to_owned),
        status: match refusal.kind() {
            ErrorKind::Invalid => 400,
            ErrorKind::Unknown => 404,
            ErrorKind::Conflict => 409,
        },
        code: code_of(refusal.kind()),
        opens: None,
    }
}

/// A statement was refused when it was to be made, or failed.
pub(super) fn failed(statement: &Statement<'_>, error: &AgentError) -> SqlFailure {
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
            let hint = meaning::lockout_hint(statement).map(str::to_owned);
            (vec![text], hint.or(body.hint))
        }
        AgentError::NotAllowed { lacks } => (vec![meaning::lacks(statement, lacks)], body.hint),
        _ => (body.errors, body.hint),
    };
    SqlFailure {
        line,
        column,
        errors,
        hint,
        status: error.status().as_u16(),
        code: error.code(),
        opens: body.opens,
    }
}
