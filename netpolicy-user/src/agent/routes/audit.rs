//! `/v1/audit`

use axum::extract::State;
use axum::{Extension, Json};
use serde::Deserialize;

use super::App;
use super::document::ACCESS;
use super::extract::Params;
use crate::agent::caller::Caller;
use crate::agent::error::AgentError;
use crate::api::AuditView;

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditParams {
    /// At most so many; 100 unless told otherwise.
    limit: Option<usize>,
}

/// Who did what, and what was refused, the newest first.
#[utoipa::path(get, path = "/v1/audit", operation_id = "listAuditEntries", tag = ACCESS,
    params(AuditParams),
    responses((status = OK, body = Vec<AuditView>, description = "Entries of the audit log, the newest first."))
)]
pub(super) async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Params(params): Params<AuditParams>,
) -> Result<Json<Vec<AuditView>>, AgentError> {
    let limit = params.limit.unwrap_or(100);
    let entries = app.supervisor.audit_log(caller, limit);
    entries.await.map(Json)
}
