//! `/v1/audit`

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::App;
use super::extract::Params;
use crate::agent::error::AgentError;
use crate::api::AuditView;

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditParams {
    /// At most so many; 100 unless told otherwise.
    limit: Option<usize>,
}

/// Who did what, and what was refused, the newest first.
#[utoipa::path(get, path = "/v1/audit", params(AuditParams), responses(
    (status = OK, body = Vec<AuditView>),
))]
pub(super) async fn list(
    State(app): State<App>,
    Params(params): Params<AuditParams>,
) -> Result<Json<Vec<AuditView>>, AgentError> {
    let entries = app.supervisor.audit_log(params.limit.unwrap_or(100));
    entries.await.map(Json)
}
