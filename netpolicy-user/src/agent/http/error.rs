//! How HTTP says why a request was refused or failed: a status for each kind of error, and
//! errors of the protocol itself.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::agent::error::{AgentError, Kind};
use crate::api::ErrorBody;

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
}

impl HttpError {
    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Agent(error) => status_of(error.kind()),
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooSlow { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::WrongMethod(_) => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    /// What the caller is sent.
    #[must_use]
    pub fn body(&self) -> ErrorBody {
        let hint = match self {
            Self::Agent(error) => return error.body(),
            Self::TooLarge { .. } => {
                Some("send fewer rules at a time; the privilege admin allows 512 MiB")
            }
            Self::TooMany(_) => Some("wait until one of them has ended, then try again"),
            Self::Busy(_) => Some("try again in a moment, or as root"),
            Self::TooSlow { .. } => Some("send the request at once, and try again"),
            Self::WrongMethod(_) => None,
        };
        ErrorBody {
            errors: vec![self.to_string()],
            hint: hint.map(str::to_owned),
            opens: None,
        }
    }
}

/// The status of a kind of error.
#[must_use]
pub fn status_of(kind: Kind) -> StatusCode {
    match kind {
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::Unknown => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::Exhausted => StatusCode::INSUFFICIENT_STORAGE,
        Kind::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        Kind::Stopping => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        (self.status(), Json(self.body())).into_response()
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
