//! `/v1/revisions`

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::App;
use super::extract::Params;
use crate::agent::error::AgentError;
use crate::api::RevisionView;

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
