//! `/v1/bans`: JSON objects, one a line, in and out.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::de::DeserializeOwned;

#[cfg(feature = "openapi")]
use super::document::{BANS, CONFLICTING, NO_ROOM, ProblemDetails};
use crate::agent::access::{Caller, Requester};
use crate::agent::banned;
use crate::agent::bans::{BanWork, JudgedBan, WantedBan, WantedUnban, written};
use crate::agent::error::AgentError;
use crate::agent::http::admission::PeerOrigin;
use crate::agent::http::app::{App, blocking};
use crate::agent::http::extract::{Body, Params};
#[cfg(feature = "openapi")]
use crate::api::BanOutcome;
use crate::api::{
    BanQuery, BanRequest, BansPage, BansQuery, NDJSON, ReplaceBansQuery, UnbanRequest,
};

/// Bytes of a request that is read sooner than another thread would begin to; and lines of an
/// answer.
const QUICK: usize = 16 << 10;
const QUICK_LINES: usize = 128;

/// Bytes of a request that another thread is worth.
const LARGE: usize = 256 << 10;

/// The bans in force, page by page.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/bans", operation_id = "listBans", tag = BANS,
    params(BansQuery),
    responses((status = OK, body = BansPage, description = "Bans, and how many there are."))
))]
pub(super) async fn list(
    State(app): State<App>,
    Params(query): Params<BansQuery>,
) -> Result<Json<BansPage>, AgentError> {
    blocking(move || {
        let snapshot = app.supervisor.snapshot();
        if query.count.is_some() {
            let count = banned::count(&snapshot.bans, &query)?;
            return Ok(Json(BansPage {
                count,
                ..BansPage::default()
            }));
        }
        banned::page(&snapshot.bans, &query, &snapshot.clock).map(Json)
    })
    .await
}

/// Bans sources, or extends their bans: all of the request or nothing, durable and in force
/// when it is answered. What may not be banned is refused line by line.
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/bans", operation_id = "banSources", tag = BANS,
    params(BanQuery),
    request_body(content = BanRequest, content_type = NDJSON,
        description = "A JSON object a line (newline-delimited JSON); or one as application/json."),
    responses(
        (status = OK, body = BanOutcome, content_type = NDJSON,
            description = "A line for each line of the request, in its order."),
        (status = CONFLICT, body = ProblemDetails, description = CONFLICTING),
        (status = INSUFFICIENT_STORAGE, body = ProblemDetails, description = NO_ROOM),
    )
))]
pub(super) async fn ban(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Extension(origin): Extension<PeerOrigin>,
    Params(query): Params<BanQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, AgentError> {
    let parse = |wanted| Ok(BanWork::Ban(wanted));
    let client = BanClient {
        caller,
        origin,
        from: query.from,
    };
    carry_out::<BanRequest, WantedBan>(app, client, headers, body, parse).await
}

/// Unbans sources. Those that are not banned are no error.
#[cfg_attr(feature = "openapi", utoipa::path(delete, path = "/v1/bans", operation_id = "unbanSources", tag = BANS,
    request_body(content = UnbanRequest, content_type = NDJSON,
        description = "A JSON object a line (newline-delimited JSON); or one as application/json."),
    responses(
        (status = OK, body = BanOutcome, content_type = NDJSON,
            description = "A line for each line of the request, in its order."),
        (status = CONFLICT, body = ProblemDetails, description = CONFLICTING),
        (status = INSUFFICIENT_STORAGE, body = ProblemDetails, description = NO_ROOM),
    )
))]
pub(super) async fn unban(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Extension(origin): Extension<PeerOrigin>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, AgentError> {
    let parse = |wanted| Ok(BanWork::Unban(wanted));
    carry_out::<UnbanRequest, WantedUnban>(
        app,
        BanClient::new(caller, origin),
        headers,
        body,
        parse,
    )
    .await
}

/// Makes the bans of one origin those of the request: others of that origin end, in the same
/// step. An empty body ends all, or all for a service.
#[cfg_attr(feature = "openapi", utoipa::path(put, path = "/v1/bans", operation_id = "replaceBans", tag = BANS,
    params(ReplaceBansQuery),
    request_body(content = BanRequest, content_type = NDJSON,
        description = "A JSON object a line (newline-delimited JSON); or one as application/json."),
    responses(
        (status = OK, body = BanOutcome, content_type = NDJSON,
            description = "A line for each line of the request, in its order."),
        (status = CONFLICT, body = ProblemDetails, description = CONFLICTING),
        (status = INSUFFICIENT_STORAGE, body = ProblemDetails, description = NO_ROOM),
    )
))]
pub(super) async fn replace(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Extension(origin): Extension<PeerOrigin>,
    Params(query): Params<ReplaceBansQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, AgentError> {
    let by = &query.by;
    if by.is_empty() || by.len() > 64 || by.chars().any(char::is_control) {
        return Err(AgentError::BadRequest(
            "`by` is not a name: expected 1 to 64 bytes on one line".to_owned(),
        ));
    }
    let parse = |bans| Ok(BanWork::Replace { of: query, bans });
    carry_out::<BanRequest, WantedBan>(app, BanClient::new(caller, origin), headers, body, parse)
        .await
}

/// Who requests, and from where.
struct BanClient {
    caller: Caller,
    origin: PeerOrigin,
    /// One more address of the operator.
    from: Option<String>,
}

impl BanClient {
    fn new(caller: Caller, origin: PeerOrigin) -> Self {
        Self {
            caller,
            origin,
            from: None,
        }
    }

    /// The requester. The first time not for an async task's thread.
    fn requester(&self) -> Result<Requester, AgentError> {
        match &self.from {
            Some(from) => Requester::of(self.caller, Some(from)),
            None => Ok(self.origin.requester(self.caller)),
        }
    }

    /// Whether it is known at once who requests.
    fn is_known(&self) -> bool {
        self.from.is_none() && self.origin.is_known()
    }
}

async fn carry_out<T: DeserializeOwned, W: From<T> + Send + 'static>(
    app: App,
    client: BanClient,
    headers: HeaderMap,
    body: Body,
    work: impl FnOnce(Vec<W>) -> Result<BanWork, AgentError> + Send + 'static,
) -> Result<Response, AgentError> {
    let is_one = headers
        .get(CONTENT_TYPE)
        .and_then(|media| media.to_str().ok())
        .is_some_and(|media| media.starts_with("application/json"));
    let (bytes, share) = body.into_parts();
    let is_quick = bytes.len() <= QUICK && client.is_known();
    let parse = move || {
        let wanted = match is_one {
            true => vec![one::<T>(&bytes)?.into()],
            false => lines::<T, W>(&bytes)?,
        };
        Ok((client.requester()?, work(wanted)?))
    };
    let (requester, work) = match is_quick {
        true => parse()?,
        false => blocking(parse).await?,
    };
    let judged = app.supervisor.ban(requester, work, Box::new(share)).await?;
    let text = match judged.len() {
        0..=QUICK_LINES => text_of(&judged)?,
        _ => blocking(move || text_of(&judged)).await?,
    };
    Ok(([(CONTENT_TYPE, NDJSON)], text).into_response())
}

fn one<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, AgentError> {
    serde_json::from_slice(bytes)
        .map_err(|error| AgentError::BadRequest(format!("the request is not as expected: {error}")))
}

/// Reads a line for each object; empty lines are none. Many are read on two processors.
fn lines<T: DeserializeOwned, W: From<T> + Send>(bytes: &[u8]) -> Result<Vec<W>, AgentError> {
    let half = bytes.len() / 2;
    let end = bytes.get(half..).filter(|_| bytes.len() >= LARGE);
    let Some(end) = end.and_then(|rest| rest.iter().position(|byte| *byte == b'\n')) else {
        return lines_from(bytes, 1);
    };
    let (first, second) = bytes.split_at(half + end + 1);
    std::thread::scope(|scope| {
        let second = scope.spawn(|| {
            let before = first.iter().filter(|byte| **byte == b'\n').count();
            lines_from(second, before + 1)
        });
        let mut wanted = lines_from::<T, W>(first, 1)?;
        wanted.extend(second.join().map_err(|_| AgentError::Internal)??);
        Ok(wanted)
    })
}

/// The same of a part that begins with this line.
fn lines_from<T: DeserializeOwned, W: From<T>>(
    bytes: &[u8],
    number: usize,
) -> Result<Vec<W>, AgentError> {
    let mut wanted = Vec::with_capacity(bytes.len() / 64);
    for (number, line) in (number..).zip(bytes.split(|byte| *byte == b'\n')) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let line: T = serde_json::from_slice(line).map_err(|error| {
            AgentError::BadRequest(format!(
                "line {number}: {error}; nothing was banned or unbanned"
            ))
        })?;
        wanted.push(line.into());
    }
    Ok(wanted)
}

fn text_of(judged: &[JudgedBan]) -> Result<Vec<u8>, AgentError> {
    written(judged).map_err(|_| AgentError::Internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_large_request_are_read_in_their_order_and_numbered() {
        let count = 10_000_u32;
        let line = |at: u32| {
            let source = std::net::Ipv4Addr::from(at);
            format!("{{\"source\":\"{source}\",\"for\":60}}\n\n")
        };
        let text: String = (0..count).map(line).collect();
        assert!(text.len() > LARGE);
        let read = lines::<BanRequest, BanRequest>(text.as_bytes()).unwrap();
        let sources: Vec<_> = read.into_iter().map(|request| request.source).collect();
        let expected = (0..count).map(|at| std::net::Ipv4Addr::from(at).to_string());
        assert_eq!(sources, expected.collect::<Vec<_>>());
        // Each has an empty line behind it.
        for wrong in [3, count - 7] {
            let place = text.find(&line(wrong)).unwrap();
            let damaged = format!("{}x{}", &text[..place], &text[place..]);
            let error = lines::<BanRequest, BanRequest>(damaged.as_bytes()).unwrap_err();
            let expected = format!("line {}:", 2 * wrong + 1);
            assert!(error.to_string().contains(&expected), "{error}");
        }
    }
}
