//! Answers of the console's own, and the headers that every answer has.

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderName,
    HeaderValue, IF_NONE_MATCH, VARY,
};
use hyper::{Response, StatusCode};
use serde_json::json;

use crate::assets::Asset;

/// What an answer carries.
pub(crate) type Body = BoxBody<Bytes, hyper::Error>;

/// Of every answer. The page loads nothing but its own files, and stands in no frame.
const HEADERS: [(&str, &str); 7] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    (
        "permissions-policy",
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

/// Adds what every answer has.
pub(crate) fn harden(mut answer: Response<Body>) -> Response<Body> {
    let headers = answer.headers_mut();
    for (name, value) in HEADERS {
        let name = HeaderName::from_static(name);
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    answer
}

/// A body.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed()
}

/// A value as JSON.
pub(crate) fn json(value: &serde_json::Value) -> Response<Body> {
    let mut answer = Response::new(whole(value.to_string()));
    let media = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, media);
    answer
}

/// Why the console itself does not do what it was asked.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    code: &'static str,
    what: String,
    hint: Option<&'static str>,
}

/// A refusal: its kind, as programs go by it, what is wrong, and what to do.
pub(crate) fn refusal(
    status: StatusCode,
    code: &'static str,
    what: impl Into<String>,
    hint: Option<&'static str>,
) -> Refusal {
    Refusal {
        status,
        code,
        what: what.into(),
        hint,
    }
}

impl Refusal {
    /// In the form of the agent's (RFC 9457).
    pub(crate) fn answer(self) -> Response<Body> {
        let mut body = json!({
            "title": self.status.canonical_reason().unwrap_or_default(),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.what,
            "errors": [self.what],
        });
        if let (Some(hint), Some(fields)) = (self.hint, body.as_object_mut()) {
            fields.insert("hint".to_owned(), hint.into());
        }
        let mut answer = json(&body);
        *answer.status_mut() = self.status;
        let media = HeaderValue::from_static("application/problem+json");
        answer.headers_mut().insert(CONTENT_TYPE, media);
        answer
    }
}

/// A file of the page; 304 if the browser has it already.
pub(crate) fn asset(asset: &'static Asset, headers: &HeaderMap) -> Response<Body> {
    let says = |name: &HeaderName, text: &str| {
        let values = headers.get_all(name).iter();
        let mut values = values.filter_map(|value| value.to_str().ok());
        values.any(|value| value.contains(text))
    };
    let mut answer = Response::new(whole(Bytes::new()));
    if says(&IF_NONE_MATCH, asset.etag) {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        let is_plain = !says(&ACCEPT_ENCODING, "gzip");
        match is_plain.then(|| asset.plain()).transpose() {
            Ok(Some(plain)) => *answer.body_mut() = whole(plain),
            Ok(None) | Err(_) => {
                *answer.body_mut() = whole(Bytes::from_static(asset.gzip));
                let gzip = HeaderValue::from_static("gzip");
                answer.headers_mut().insert(CONTENT_ENCODING, gzip);
            }
        }
        let media = HeaderValue::from_static(asset.media);
        answer.headers_mut().insert(CONTENT_TYPE, media);
    }
    let headers = answer.headers_mut();
    headers.insert(ETAG, HeaderValue::from_static(asset.etag));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer
}
