//! How HTTP says why a request was refused or failed: a status for each kind of error, and
//! errors of the protocol itself.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use crate::agent::error::{AgentError, FailureKind};
use crate::api::{ErrorCode, PROBLEM_JSON, ProblemDetails};

/// Why a request is not answered with what it asked for.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The agent refused it, or failed.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The request's body is over the limit.
    #[error("the request is too large: at most {} are read from {who}", size(.limit))]
    TooLarge {
        /// The caller's name.
        who: String,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The caller holds all that one caller may.
    #[error("{0}")]
    TooMany(String),
    /// All callers together hold all that they may.
    #[error("{0}")]
    Busy(String),
    /// The request does not arrive.
    #[error("{what} did not arrive within {seconds} s")]
    TooSlow {
        /// "the body of the request".
        what: &'static str,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The resource is there, but does not do that.
    #[error("{0}")]
    WrongMethod(String),
    /// The agent does not know yet what is to be enforced.
    #[error(
        "the agent (pid {}) is starting: it reads its store and takes over what is in force",
        std::process::id()
    )]
    Starting,
}

impl HttpError {
    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Agent(error) => status_of(error.kind(), error.code()),
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy(_) | Self::Starting => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooSlow { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::WrongMethod(_) => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    /// What kind of problem it is, for programs.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Agent(error) => error.code(),
            Self::TooLarge { .. } => ErrorCode::TooLarge,
            Self::TooMany(_) => ErrorCode::TooManyRequests,
            Self::Busy(_) => ErrorCode::Busy,
            Self::TooSlow { .. } => ErrorCode::RequestTimeout,
            Self::WrongMethod(_) => ErrorCode::MethodNotAllowed,
            Self::Starting => ErrorCode::Starting,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Agent(error) => return error.hint(),
            Self::TooLarge { .. } => {
                "send fewer rules at a time; the privilege admin allows 512 MiB"
            }
            Self::TooMany(_) => "wait until one of them has ended, then try again",
            Self::Busy(_) => "try again in a moment, or as root",
            Self::TooSlow { .. } => "send the request at once, and try again",
            Self::Starting => "try again in a moment",
            Self::WrongMethod(_) => return None,
        };
        Some(hint.to_owned())
    }

    /// What the caller is sent.
    #[must_use]
    pub fn body(&self) -> ProblemDetails {
        let status = self.status();
        let (errors, opens, revision) = match self {
            Self::Agent(error) => (error.errors(), error.opens().cloned(), error.revision()),
            error => (vec![error.to_string()], None, None),
        };
        let places = match self {
            Self::Agent(error) => error.places(),
            _ => Vec::new(),
        };
        ProblemDetails {
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            status: status.as_u16(),
            code: self.code(),
            detail: errors.join("; "),
            errors,
            places,
            hint: self.hint(),
            opens,
            revision,
        }
    }
}

/// The status of a kind of error; a condition of the request's own has another.
#[must_use]
pub fn status_of(kind: FailureKind, code: ErrorCode) -> StatusCode {
    match kind {
        FailureKind::Invalid => StatusCode::BAD_REQUEST,
        FailureKind::Unknown => StatusCode::NOT_FOUND,
        FailureKind::Conflict if code == ErrorCode::RevisionMismatch => {
            StatusCode::PRECONDITION_FAILED
        }
        FailureKind::Conflict => StatusCode::CONFLICT,
        FailureKind::Forbidden => StatusCode::FORBIDDEN,
        FailureKind::Exhausted => StatusCode::INSUFFICIENT_STORAGE,
        FailureKind::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        FailureKind::Stopping => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let media_type = [(CONTENT_TYPE, PROBLEM_JSON)];
        (self.status(), media_type, Json(self.body())).into_response()
    }
}

impl IntoResponse for AgentError {
    fn into_response(self) -> Response {
        HttpError::from(self).into_response()
    }
}

/// A size as a person writes it: "64 MiB", "64 KiB".
fn size(bytes: &usize) -> String {
    match bytes >> 20 {
        0 => format!("{} KiB", bytes >> 10),
        mib => format!("{mib} MiB"),
    }
}
