//! `/v1/revisions`

use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde::Deserialize;

use super::App;
use super::extract::Params;
use super::grants::asker;
use crate::agent::caller::Caller;
use crate::agent::change::Proposal;
use crate::agent::error::AgentError;
use crate::agent::request::Options;
use crate::api::{ChangeQuery, Changed, ErrorBody, PendingView, RevisionView};

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct RevisionParams {
    /// At most so many; 100 unless told otherwise.
    limit: Option<usize>,
}

/// The latest revisions of the desired state, the newest first.
#[utoipa::path(get, path = "/v1/revisions", params(RevisionParams), responses(
    (status = OK, body = Vec<RevisionView>),
))]
pub(super) async fn list(
    State(app): State<App>,
    Params(params): Params<RevisionParams>,
) -> Result<Json<Vec<RevisionView>>, AgentError> {
    let revisions = app.supervisor.revisions(params.limit.unwrap_or(100));
    revisions.await.map(Json)
}

/// Makes the desired state what it was at a revision: a new revision, made as any change.
#[utoipa::path(post, path = "/v1/rollback/{revision}",
    params(("revision" = u64, Path), ChangeQuery),
    responses(
        (status = OK, body = Changed),
        (status = BAD_REQUEST, body = ErrorBody),
        (status = FORBIDDEN, body = ErrorBody),
        (status = NOT_FOUND, body = ErrorBody),
        (status = CONFLICT, body = ErrorBody),
    )
)]
pub(super) async fn rollback(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(revision): Path<u64>,
    Params(query): Params<ChangeQuery>,
) -> Result<Json<Changed>, AgentError> {
    let (options, asker) = Options::of(&query, caller)?;
    let proposal = Proposal::Rollback { revision };
    let changed = app.supervisor.change(proposal, asker, options);
    changed.await.map(Json)
}

/// Confirms the change that would be taken back otherwise.
#[utoipa::path(post, path = "/v1/confirm", responses(
    (status = OK, body = PendingView),
    (status = FORBIDDEN, body = ErrorBody),
    (status = NOT_FOUND, body = ErrorBody),
))]
pub(super) async fn confirm(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<PendingView>, AgentError> {
    app.supervisor.confirm(asker(caller)).await.map(Json)
}
