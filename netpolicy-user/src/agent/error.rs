//! Why the agent does not do what it was asked, and how HTTP says so.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::enforcer::EnforcerError;
use crate::api::ErrorBody;
use crate::model::{ErrorKind, ModelError, ModelErrors, Name};
use crate::store::StoreError;

/// Why a request was refused or failed. Nothing changed, unless it says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// What was asked for is wrong in itself, or does not go with what is there.
    #[error(transparent)]
    Model(#[from] ModelErrors),
    /// The request cannot be read.
    #[error("{0}")]
    BadRequest(String),
    /// The request's body is over the limit.
    #[error("the request is too large: at most 512 MiB are read")]
    TooLarge,
    /// The resource is there, but does not do that.
    #[error("{0}")]
    WrongMethod(String),
    /// There is no such thing.
    #[error("{what}; {hint}")]
    NotFound {
        /// What is not there.
        what: String,
        /// What to do.
        hint: &'static str,
    },
    /// Only root may.
    #[error("only root may use the agent, and this is {who}")]
    NotRoot {
        /// The caller's name.
        who: String,
    },
    /// The kernel did not take the new ruleset.
    #[error("the kernel did not take the new rules: {}; revision {revision} stays in force", chain(.source))]
    Prepare {
        /// The revision in force.
        revision: u64,
        /// What the kernel says.
        source: EnforcerError,
    },
    /// The store did not take the new state.
    #[error("the change could not be stored: {}; revision {revision} stays in force", chain(.source))]
    Commit {
        /// The revision in force.
        revision: u64,
        /// What the store says.
        source: StoreError,
    },
    /// The store cannot be read or written.
    #[error("{what}: {}", chain(.source))]
    Store {
        /// What was tried.
        what: &'static str,
        /// What the store says.
        source: StoreError,
    },
    /// The kernel refused, or cannot be read.
    #[error("{what}: {}", chain(.source))]
    Kernel {
        /// What was tried.
        what: &'static str,
        /// What the kernel says.
        source: EnforcerError,
    },
    /// The detached marker cannot be written or removed.
    #[error("{what} {path}: {source}")]
    Marker {
        /// What was tried, and what came of it.
        what: &'static str,
        /// The marker.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A bypass was revoked in the store, but the kernel may still honour it.
    #[error("the bypass is revoked, but {0}")]
    BypassLeft(String),
    /// A fault in netpolicy itself.
    #[error("a fault in netpolicy; the agent's log says more")]
    Internal,
    /// The agent is about to end.
    #[error("the agent is stopping; what is in force stays in force")]
    Stopping,
}

impl From<ModelError> for AgentError {
    fn from(error: ModelError) -> Self {
        Self::Model(error.into())
    }
}

impl AgentError {
    /// No such bypass.
    #[must_use]
    pub fn no_bypass(source: &ipnet::IpNet, service: Option<&Name>) -> Self {
        let scope = service.map_or_else(|| "the host".to_owned(), |s| format!("service '{s}'"));
        Self::NotFound {
            what: format!("there is no bypass of {source} for {scope}"),
            hint: "`netpolicy bypass list` shows what there is",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Model(errors) => match errors.kind() {
                ErrorKind::Invalid => StatusCode::BAD_REQUEST,
                ErrorKind::Unknown => StatusCode::NOT_FOUND,
                ErrorKind::Conflict => StatusCode::CONFLICT,
            },
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::WrongMethod(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotFound { .. } => StatusCode::NOT_FOUND,
            Self::NotRoot { .. } => StatusCode::FORBIDDEN,
            Self::Prepare { source, .. } | Self::Kernel { source, .. } if source.no_memory => {
                StatusCode::INSUFFICIENT_STORAGE
            }
            Self::Commit { source, .. } | Self::Store { source, .. } => match source {
                StoreError::Full { .. } => StatusCode::INSUFFICIENT_STORAGE,
                StoreError::NoSuchRevision { .. } => StatusCode::NOT_FOUND,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            },
            Self::Prepare { .. }
            | Self::Kernel { .. }
            | Self::BypassLeft(_)
            | Self::Internal
            | Self::Marker { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotRoot { .. } => Some("run it as root, for example with sudo".to_owned()),
            Self::Prepare { source, .. } | Self::Kernel { source, .. } => source.hint.clone(),
            Self::Commit { source, .. } | Self::Store { source, .. } => {
                source.hint().map(str::to_owned)
            }
            Self::Stopping => Some("try again when it has started anew".to_owned()),
            _ => None,
        }
    }

    /// What the caller is sent.
    #[must_use]
    pub fn body(&self) -> ErrorBody {
        ErrorBody {
            errors: match self {
                Self::Model(errors) => errors.messages(),
                other => vec![other.to_string()],
            },
            hint: self.hint(),
        }
    }
}

impl IntoResponse for AgentError {
    fn into_response(self) -> Response {
        (self.status(), Json(self.body())).into_response()
    }
}

/// An error and what caused it, in one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Errors that already repeat their cause do not need to hear it again.
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}
