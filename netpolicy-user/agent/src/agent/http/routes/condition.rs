//! Conditional requests: which revision a change was written for, and which one an answer
//! shows.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::HeaderValue;
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::agent::error::AgentError;

/// What `If-Match` names (RFC 9110 section 13.1.1); `None`: any revision will do.
pub(super) struct IfMatch(pub(super) Option<u64>);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = AgentError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AgentError> {
        let mut values = parts.headers.get_all(IF_MATCH).into_iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(Self(None)),
            (Some(value), None) => revision(value).map(Self),
            (Some(_), Some(_)) => Err(AgentError::BadRequest(
                "the header If-Match is there twice; expected one revision".to_owned(),
            )),
        }
    }
}

fn revision(value: &HeaderValue) -> Result<Option<u64>, AgentError> {
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let quoted = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let is_number = |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match quoted.filter(is_number).map(str::parse) {
        Some(Ok(revision)) => Ok(Some(revision)),
        _ => Err(AgentError::BadRequest(format!(
            "the header If-Match is {}; expected a revision in double quotes, as in \"12\", or *",
            String::from_utf8_lossy(value.as_bytes()).escape_debug()
        ))),
    }
}

/// JSON of a state, with its revision as `ETag`: what `If-Match` of a change may name.
pub(super) struct AtRevision<T>(pub(super) u64, pub(super) T);

impl<T: Serialize> IntoResponse for AtRevision<T> {
    fn into_response(self) -> Response {
        ([etag(self.0)], Json(self.1)).into_response()
    }
}

/// The header that names a revision.
pub(super) fn etag(revision: u64) -> (axum::http::HeaderName, String) {
    (ETAG, format!("\"{revision}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_names_one_revision() {
        let read = |text: &str| revision(&HeaderValue::from_str(text).unwrap());
        assert_eq!(read("\"12\"").unwrap(), Some(12));
        assert_eq!(read(" \"0\" ").unwrap(), Some(0));
        assert_eq!(read("*").unwrap(), None);
        for bad in [
            "12",
            "\"\"",
            "\"a\"",
            "W/\"12\"",
            "\"12",
            "\"-1\"",
            "\"+1\"",
            "\"1\", \"2\"",
            "",
            "\"99999999999999999999999\"",
        ] {
            let error = read(bad).unwrap_err().to_string();
            assert!(error.contains("as in \"12\""), "{bad}: {error}");
        }
    }
}
