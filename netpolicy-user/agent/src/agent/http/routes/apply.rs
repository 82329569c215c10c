//! `/v1/changes`, by which the desired state changes, and `/v1/export`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde::Deserialize;

use super::condition::{IfMatch, etag};
#[cfg(feature = "openapi")]
use super::document::{
    CHANGES, CONFLICTING, HISTORY, IF_MATCH, MISMATCH, NO_REVISION, NO_ROOM, ProblemDetails,
    UNKNOWN_NAME,
};
use super::texts::ChangeBody;
use crate::agent::access::Caller;
use crate::agent::change::ChangeOptions;
use crate::agent::error::AgentError;
use crate::agent::http::ahead;
use crate::agent::http::app::{App, blocking};
use crate::agent::http::extract::Params;
use crate::agent::writer::aside;
use crate::api::{ChangeQuery, Changed};
#[cfg(feature = "openapi")]
use crate::model::Change;
use crate::model::file;

/// Makes one change to the desired state and enforces it, all or nothing.
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/changes", operation_id = "applyChange", tag = CHANGES,
    params(ChangeQuery, ("If-Match" = Option<String>, Header, description = IF_MATCH)),
    request_body(content = Change, description = "The change."),
    responses(
        (status = OK, body = Changed, description = "The change is in force, or was only tried (`dry_run`)."),
        (status = NOT_FOUND, body = ProblemDetails, description = UNKNOWN_NAME),
        (status = CONFLICT, body = ProblemDetails, description = CONFLICTING),
        (status = PRECONDITION_FAILED, body = ProblemDetails, description = MISMATCH),
        (status = INSUFFICIENT_STORAGE, body = ProblemDetails, description = NO_ROOM),
    )
))]
pub(super) async fn change(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Params(mut query): Params<ChangeQuery>,
    IfMatch(revision): IfMatch,
    body: ChangeBody,
) -> Result<Json<Changed>, AgentError> {
    // Held until the change is made: it is as large as its text.
    let (change, share) = blocking(move || body.parse()).await?;
    query.if_revision = revision;
    let (options, requester) = ChangeOptions::of(&query, caller)?;
    let requested = ahead::Requested::Change(change);
    let changed = ahead::change(&app, requested, (options, requester), share);
    changed.await.map(Json)
}

#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub(super) struct ExportParams {
    /// A past revision; none: the state as it is.
    revision: Option<u64>,
}

/// The desired state as a policy file.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/export", operation_id = "exportPolicyFile", tag = HISTORY,
    params(ExportParams),
    responses(
        (status = OK, body = String, content_type = "text/plain", description = "A policy file (TOML)."),
        (status = NOT_FOUND, body = ProblemDetails, description = NO_REVISION),
    )
))]
pub(super) async fn export(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Params(params): Params<ExportParams>,
) -> Result<impl IntoResponse, AgentError> {
    let (revision, state) = match params.revision {
        None => {
            let snapshot = app.supervisor.snapshot();
            (snapshot.revision, Arc::clone(&snapshot.state))
        }
        Some(revision) => (
            revision,
            Arc::new(app.supervisor.state_at(caller, revision).await?),
        ),
    };
    let text = aside(move || file::export(&state)).await?;
    Ok(([etag(revision)], text))
}
