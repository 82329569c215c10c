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
use crate::agent::bans::{BanWork, WantedBan, WantedUnban};
use crate::agent::error::AgentError;
use crate::agent::http::app::{App, blocking};
use crate::agent::http::extract::{Body, Params};
use crate::api::{
    BanOutcome, BanRequest, BansPage, BansQuery, NDJSON, ReplaceBansQuery, UnbanRequest,
};

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
    headers: HeaderMap,
    body: Body,
) -> Result<Response, AgentError> {
    let parse = |wanted| Ok(BanWork::Ban(wanted));
    carry_out::<BanRequest, WantedBan>(app, caller, headers, body, parse).await
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
    headers: HeaderMap,
    body: Body,
) -> Result<Response, AgentError> {
    let parse = |wanted| Ok(BanWork::Unban(wanted));
    carry_out::<UnbanRequest, WantedUnban>(app, caller, headers, body, parse).await
}

/// Makes the bans of one origin those of the request: others of that origin end, in the same
/// step. An empty body ends all.
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
    Params(query): Params<ReplaceBansQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, AgentError> {
    let by = query.by;
    if by.is_empty() || by.len() > 64 || by.chars().any(char::is_control) {
        return Err(AgentError::BadRequest(
            "`by` is not a name: expected 1 to 64 bytes on one line".to_owned(),
        ));
    }
    let parse = |bans| Ok(BanWork::Replace { by, bans });
    carry_out::<BanRequest, WantedBan>(app, caller, headers, body, parse).await
}

async fn carry_out<T: DeserializeOwned, W: From<T> + Send + 'static>(
    app: App,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
    work: impl FnOnce(Vec<W>) -> Result<BanWork, AgentError> + Send + 'static,
) -> Result<Response, AgentError> {
    let is_one = headers
        .get(CONTENT_TYPE)
        .and_then(|media| media.to_str().ok())
        .is_some_and(|media| media.starts_with("application/json"));
    let (bytes, share) = body.into_parts();
    let (requester, work) = blocking(move || {
        let wanted = match is_one {
            true => vec![one::<T>(&bytes)?.into()],
            false => lines::<T, W>(&bytes)?,
        };
        Ok((Requester::here(caller), work(wanted)?))
    })
    .await?;
    let outcomes = app.supervisor.ban(requester, work, Box::new(share)).await?;
    let text = written(&outcomes)?;
    Ok(([(CONTENT_TYPE, NDJSON)], text).into_response())
}

fn one<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, AgentError> {
    serde_json::from_slice(bytes)
        .map_err(|error| AgentError::BadRequest(format!("the request is not as expected: {error}")))
}

/// Reads a line for each object; empty lines are none.
fn lines<T: DeserializeOwned, W: From<T>>(bytes: &[u8]) -> Result<Vec<W>, AgentError> {
    let mut wanted = Vec::with_capacity(bytes.len() / 64);
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
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

fn written(outcomes: &[BanOutcome]) -> Result<Vec<u8>, AgentError> {
    let mut text = Vec::with_capacity(outcomes.len() * 96);
    for outcome in outcomes {
        serde_json::to_writer(&mut text, outcome).map_err(|_| AgentError::Internal)?;
        text.push(b'\n');
    }
    Ok(text)
}
