//! Extractors that refuse in the API's own way.

use axum::RequestExt as _;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::header::CONTENT_LENGTH;
use axum::http::request::Parts;
use futures_util::StreamExt as _;
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;

use super::apply::BODY_LIMIT;
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
pub(super) struct Body(Vec<u8>);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = AgentError;

    /// Into room for all of it at once: bodies have up to hundreds of megabytes, and to
    /// gather their pieces first would take twice as many.
    async fn from_request(request: Request, _: &S) -> Result<Self, AgentError> {
        let announced = request.headers().get(CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.parse().ok());
        let mut bytes = Vec::with_capacity(announced.map_or(0, |n: usize| n.min(BODY_LIMIT)));
        let mut pieces = request.with_limited_body().into_body().into_data_stream();
        while let Some(piece) = pieces.next().await {
            bytes.extend_from_slice(&piece.map_err(refusal)?);
        }
        Ok(Self(bytes))
    }
}

fn refusal(error: axum::Error) -> AgentError {
    let error = error.into_inner();
    if error.is::<LengthLimitError>() {
        AgentError::TooLarge
    } else {
        AgentError::BadRequest(format!("the request was not read to its end: {error}"))
    }
}

impl Body {
    /// Parses it as JSON, and lets go of it.
    pub(super) fn parse<T: DeserializeOwned>(self) -> Result<T, AgentError> {
        serde_json::from_slice(&self.0)
            .map_err(|e| AgentError::BadRequest(format!("the request is not as expected: {e}")))
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use axum::body::Body as Sent;

    use super::*;

    async fn read(body: Sent, announced: &str) -> Result<Vec<u8>, AgentError> {
        let request = Request::builder().header(CONTENT_LENGTH, announced);
        Body::from_request(request.body(body).unwrap(), &())
            .await?
            .parse()
    }

    fn pieces(pieces: [io::Result<&'static str>; 2]) -> Sent {
        Sent::from_stream(futures_util::stream::iter(pieces))
    }

    #[tokio::test]
    async fn a_body_is_read_whole_whatever_was_announced() {
        for announced in ["5", "2", "9999", "x", "18446744073709551615"] {
            let numbers = read(pieces([Ok("[1,"), Ok("2]")]), announced)
                .await
                .unwrap();
            assert_eq!(numbers, [1, 2], "{announced}");
        }
    }

    #[tokio::test]
    async fn a_body_over_the_limit_or_cut_off_is_refused() {
        let large = Sent::from(vec![b' '; 3 << 20]);
        assert!(matches!(read(large, "4").await, Err(AgentError::TooLarge)));
        let cut = pieces([Ok("[1,"), Err(io::Error::other("gone"))]);
        let error = read(cut, "5").await.unwrap_err().to_string();
        assert!(
            error.starts_with("the request was not read to its end"),
            "{error}"
        );
    }
}
