//! One request, from its head to its answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderName};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;

use crate::answer::{self, Body, Refusal, harden, refusal};
use crate::assets;
use crate::connections::Connection;
use crate::examined;
use crate::forward::forward;
use crate::imported;
use crate::origin::{self, Purpose};
use crate::passed;
use crate::serve::Shared;

/// The header with a session's secret.
const SESSION: HeaderName = HeaderName::from_static("x-netpolicy-session");

/// The header of a request that the page makes by itself, not since the person did something.
const UNASKED: HeaderName = HeaderName::from_static("x-netpolicy-unasked");

/// The most bytes of a body: a list of a million entries.
const BODY_LIMIT: usize = 32 << 20;
const TOKEN_LIMIT: usize = 1 << 10;

/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(30);
const TOKEN_TIME: Duration = Duration::from_secs(5);

/// Media types of bodies that are passed on. A page of another origin can send none of them
/// without being asked first.
const MEDIA: [&str; 2] = ["application/json", "application/x-ndjson"];

/// Answers a request.
pub(crate) async fn handle(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let answered = answer(&shared, &connection, &parts, body).await;
    harden(answered.unwrap_or_else(Refusal::answer))
}

async fn answer(
    shared: &Shared,
    connection: &Connection,
    parts: &Parts,
    body: Incoming,
) -> Result<Response<Body>, Refusal> {
    let path = parts.uri.path();
    let purpose = match matches!(path, "/session" | "/list" | "/doctor") || path.starts_with("/v1/")
    {
        true => Purpose::Api,
        false => Purpose::Page,
    };
    origin::check(parts, &shared.settings.hosts, purpose).map_err(|foreign| {
        let status = match foreign {
            origin::Foreign::Host => StatusCode::MISDIRECTED_REQUEST,
            _ => StatusCode::FORBIDDEN,
        };
        refusal(status, "foreign", foreign.to_string(), None)
    })?;
    let person = person(shared, parts)?;
    if purpose == Purpose::Page {
        return page(parts);
    }
    if path == "/session" && parts.method == Method::POST {
        return begin(shared, connection, parts, body, person).await;
    }
    let secret = parts
        .headers
        .get(SESSION)
        .and_then(|value| value.to_str().ok());
    if !secret.is_some_and(|secret| shared.sessions.knows(secret, person.as_deref())) {
        return Err(refusal(
            StatusCode::UNAUTHORIZED,
            "no-session",
            "this page has no session, or one that ended",
            Some(
                "open the URL that `netpolicy console` prints; Enter in its terminal prints another",
            ),
        ));
    }
    connection.prove();
    if !shared.requests.take() {
        return Err(too_many());
    }
    if !parts.headers.contains_key(UNASKED) {
        shared.used();
    }
    if path == "/session" {
        return match parts.method {
            Method::GET => Ok(answer::json(&about(shared, person.as_deref()))),
            _ => Err(not_passed(parts)),
        };
    }
    if path == "/list" && parts.method == Method::POST {
        let content = content(parts, body, BODY_LIMIT, BODY_TIME).await?;
        return imported::answer(content).await;
    }
    if path == "/doctor" && parts.method == Method::GET {
        return examined::answer(&shared.settings.examiner).await;
    }
    let passed = passed::find(&parts.method, path).ok_or_else(|| not_passed(parts))?;
    if shared.settings.read_only && passed.changes(parts.uri.query()) {
        return Err(refusal(
            StatusCode::FORBIDDEN,
            "read-only",
            "this console was started with --read-only: nothing is changed",
            None,
        ));
    }
    let content = content(parts, body, BODY_LIMIT, BODY_TIME).await?;
    forward(&shared.settings.agent, parts, content, person.as_deref())
        .await
        .map_err(|error| {
            let hint = "is the agent running? see `systemctl status netpolicy`";
            let what = error.to_string();
            refusal(StatusCode::BAD_GATEWAY, "no-agent", what, Some(hint))
        })
}

/// A file of the page or of the guide.
fn page(parts: &Parts) -> Result<Response<Body>, Refusal> {
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return Err(not_passed(parts));
    }
    let asset = assets::find(parts.uri.path()).ok_or_else(|| not_passed(parts))?;
    Ok(answer::asset(asset, &parts.headers))
}

/// The person that a reverse proxy authenticated; required where a header for it is configured.
fn person(shared: &Shared, parts: &Parts) -> Result<Option<String>, Refusal> {
    let Some(header) = &shared.settings.proxy_header else {
        return Ok(None);
    };
    let mut values = parts.headers.get_all(header.as_str()).iter();
    let name = values.next().and_then(|value| value.to_str().ok());
    let name = name.map(str::trim).filter(|name| {
        let is_short = !name.is_empty() && name.len() <= 64;
        is_short && name.bytes().all(|byte| byte.is_ascii_graphic())
    });
    match (name, values.next()) {
        (Some(name), None) => Ok(Some(name.to_owned())),
        _ => Err(refusal(
            StatusCode::FORBIDDEN,
            "no-person",
            format!("the reverse proxy names no person in the header {header}"),
            None,
        )),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BeginRequest {
    token: Option<String>,
}

/// Exchanges a token for a session; behind a reverse proxy the person is known already.
async fn begin(
    shared: &Shared,
    connection: &Connection,
    parts: &Parts,
    body: Incoming,
    person: Option<String>,
) -> Result<Response<Body>, Refusal> {
    if let Some(person) = &person
        && !shared.begun.take(person)
    {
        return Err(too_many());
    }
    let content = content(parts, body, TOKEN_LIMIT, TOKEN_TIME).await?;
    let request: BeginRequest = serde_json::from_slice(&content).map_err(|error| {
        if !shared.failures.take() {
            return too_many();
        }
        let what = format!("the request is not as expected: {error}");
        refusal(StatusCode::BAD_REQUEST, "bad-request", what, None)
    })?;
    let begun = match &person {
        Some(_) => shared.sessions.begin(person.clone()).map(Some),
        None => shared
            .sessions
            .exchange(request.token.as_deref().unwrap_or_default()),
    };
    let secret = begun.map_err(|error| {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        refusal(status, "internal", error.to_string(), None)
    })?;
    // Only failures count: a process of the host without a token cannot keep those with one out.
    let secret = secret.ok_or_else(|| {
        if !shared.failures.take() {
            return too_many();
        }
        refusal(
            StatusCode::FORBIDDEN,
            "bad-token",
            "the token in the URL is not good: it was used already, or is another console's",
            Some("press Enter in the terminal of `netpolicy console`: it prints another URL"),
        )
    })?;
    connection.prove();
    if !parts.headers.contains_key(UNASKED) {
        shared.used();
    }
    let mut about = about(shared, person.as_deref());
    if let Some(fields) = about.as_object_mut() {
        fields.insert("session".to_owned(), secret.into());
    }
    Ok(answer::json(&about))
}

/// What the page says of the console.
fn about(shared: &Shared, person: Option<&str>) -> serde_json::Value {
    json!({
        "user": shared.user,
        "person": person,
        "host": shared.host,
        "version": shared.settings.version,
        "read_only": shared.settings.read_only,
    })
}

/// A body of a media type that is accepted, within its bounds.
async fn content(
    parts: &Parts,
    body: Incoming,
    limit: usize,
    time: Duration,
) -> Result<Bytes, Refusal> {
    let media = parts.headers.get(CONTENT_TYPE);
    let media = media
        .and_then(|media| media.to_str().ok())
        .unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    let collected = timeout(time, Limited::new(body, limit).collect()).await;
    let bytes = match collected {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) => {
            let (status, code) = match error.is::<http_body_util::LengthLimitError>() {
                true => (StatusCode::PAYLOAD_TOO_LARGE, "too-large"),
                false => (StatusCode::BAD_REQUEST, "bad-request"),
            };
            return Err(refusal(status, code, error.to_string(), None));
        }
        Err(_) => {
            let what = format!("the body did not arrive within {} s", time.as_secs());
            return Err(refusal(
                StatusCode::REQUEST_TIMEOUT,
                "request-timeout",
                what,
                None,
            ));
        }
    };
    if !bytes.is_empty() && !MEDIA.iter().any(|known| known.eq_ignore_ascii_case(media)) {
        let what = format!("'{}' is no JSON", media.escape_debug());
        return Err(refusal(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "bad-request",
            what,
            None,
        ));
    }
    Ok(bytes)
}

fn not_passed(parts: &Parts) -> Refusal {
    let what = format!(
        "the console has no {} {}",
        parts.method,
        parts.uri.path().escape_debug()
    );
    refusal(StatusCode::NOT_FOUND, "not-found", what, None)
}

fn too_many() -> Refusal {
    refusal(
        StatusCode::TOO_MANY_REQUESTS,
        "too-many-requests",
        "too many requests: wait a moment",
        None,
    )
}
