//! Extractors that refuse in the API's own way.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::agent::error::AgentError;

/// The query string.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = AgentError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AgentError> {
        Query::from_request_parts(parts, state)
            .await
            .map(|Query(params)| Self(params))
            .map_err(|e| AgentError::BadRequest(e.body_text()))
    }
}

/// The body, not parsed yet.
pub(super) struct Body(Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = AgentError;

    async fn from_request(request: Request, state: &S) -> Result<Self, AgentError> {
        Bytes::from_request(request, state)
            .await
            .map(Self)
            .map_err(|e: BytesRejection| {
                if e.status() == StatusCode::PAYLOAD_TOO_LARGE {
                    AgentError::TooLarge
                } else {
                    AgentError::BadRequest(e.body_text())
                }
            })
    }
}

impl Body {
    /// Parses it as JSON, and lets go of it.
    pub(super) fn parse<T: DeserializeOwned>(self) -> Result<T, AgentError> {
        serde_json::from_slice(&self.0)
            .map_err(|e| AgentError::BadRequest(format!("the request is not as expected: {e}")))
    }
}
