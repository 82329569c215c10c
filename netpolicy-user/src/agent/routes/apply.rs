//! `/v1/changes`, by which the desired state changes, and `/v1/export`.

use axum::extract::State;
use axum::{Extension, Json};
use serde::Deserialize;

use super::extract::{Body, Params};
use super::{App, blocking};
use crate::agent::caller::Caller;
use crate::agent::error::AgentError;
use crate::agent::request::Options;
use crate::api::{ChangeQuery, Changed, ErrorBody};
use crate::model::{Change, file};

/// Bytes of a request: room for the largest policy file with all its lists.
pub(super) const BODY_LIMIT: usize = 512 * 1024 * 1024;

/// Makes one change to the desired state and enforces it, all or nothing.
#[utoipa::path(post, path = "/v1/changes", params(ChangeQuery), request_body = Change, responses(
    (status = OK, body = Changed),
    (status = BAD_REQUEST, body = ErrorBody),
    (status = FORBIDDEN, body = ErrorBody),
    (status = NOT_FOUND, body = ErrorBody),
    (status = CONFLICT, body = ErrorBody),
    (status = INTERNAL_SERVER_ERROR, body = ErrorBody),
    (status = INSUFFICIENT_STORAGE, body = ErrorBody),
))]
pub(super) async fn change(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<ChangeQuery>,
    body: Body,
) -> Result<Json<Changed>, AgentError> {
    let change = blocking(move || body.parse::<Change>()).await?;
    let (options, asker) = Options::of(&query, caller)?;
    let changed = app.supervisor.change(change, asker, options);
    changed.await.map(Json)
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportParams {
    /// A past revision; none: the state as it is.
    revision: Option<u64>,
}

/// The desired state as a policy file.
#[utoipa::path(get, path = "/v1/export", params(ExportParams), responses(
    (status = OK, body = String, content_type = "text/plain"),
    (status = NOT_FOUND, body = ErrorBody),
))]
pub(super) async fn export(
    State(app): State<App>,
    Params(params): Params<ExportParams>,
) -> Result<String, AgentError> {
    match params.revision {
        None => {
            let snapshot = app.supervisor.snapshot();
            blocking(move || Ok(file::export(&snapshot.state))).await
        }
        Some(revision) => {
            let state = app.supervisor.state_at(revision).await?;
            blocking(move || Ok(file::export(&state))).await
        }
    }
}
