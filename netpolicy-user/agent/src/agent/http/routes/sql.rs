//! `/v1/sql`

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

use super::condition::IfMatch;
#[cfg(feature = "openapi")]
use super::document::{
    CHANGES, CONFLICTING, IF_MATCH, MISMATCH, NO_ROOM, ProblemDetails, UNKNOWN_NAME,
};
use crate::agent::access::Caller;
use crate::agent::change::ChangeOptions;
use crate::agent::error::AgentError;
use crate::agent::http::ahead;
use crate::agent::http::app::{App, blocking};
use crate::agent::http::error::status_of;
use crate::agent::http::extract::{Body, Params};
use crate::agent::sql;
use crate::api::{ChangeQuery, SqlRequest, SqlResponse};

/// Runs a script of SQL, up to the first statement that fails. The status is that
/// statement's; the body is the same whether one failed or not.
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/sql", operation_id = "runSql", tag = CHANGES,
    params(ChangeQuery, ("If-Match" = Option<String>, Header, description = IF_MATCH)),
    request_body(content = SqlRequest, description = "The script."),
    responses(
        (status = OK, body = SqlResponse, description = "The whole script was run, or only tried (`dry_run`)."),
        (status = BAD_REQUEST, content((SqlResponse = "application/json"), (ProblemDetails = "application/problem+json")), description = "A statement or the request is invalid."),
        (status = FORBIDDEN, content((SqlResponse = "application/json"), (ProblemDetails = "application/problem+json")), description = "The caller lacks a privilege for a statement, or any at all."),
        (status = NOT_FOUND, body = SqlResponse, description = UNKNOWN_NAME),
        (status = CONFLICT, body = SqlResponse, description = CONFLICTING),
        (status = INTERNAL_SERVER_ERROR, content((SqlResponse = "application/json"), (ProblemDetails = "application/problem+json")), description = "A statement failed, or a fault in netpolicy; nothing of the statement changed."),
        (status = PRECONDITION_FAILED, content((SqlResponse = "application/json"), (ProblemDetails = "application/problem+json")), description = MISMATCH),
        (status = INSUFFICIENT_STORAGE, body = SqlResponse, description = NO_ROOM),
    )
))]
pub(super) async fn run(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Params(mut query): Params<ChangeQuery>,
    IfMatch(revision): IfMatch,
    body: Body,
) -> Result<Response, AgentError> {
    let (request, share) = blocking(move || body.parse::<SqlRequest>()).await?;
    query.if_revision = revision;
    let (options, requester) = ChangeOptions::of(&query, caller)?;
    let outcome = ahead::script(&app, request, (options, requester), share).await?;
    let response = response(outcome);
    let status = response.error.as_ref().map_or(StatusCode::OK, |error| {
        StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    });
    Ok((status, Json(response)).into_response())
}

/// What is sent of what a script came to.
pub(in crate::agent) fn response(outcome: sql::ScriptOutcome) -> SqlResponse {
    SqlResponse {
        error: outcome.failure.map(|failure| {
            let status = status_of(failure.kind, failure.code);
            failure.view(status.as_u16())
        }),
        ..outcome.response
    }
}
