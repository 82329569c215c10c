//! `/v1/audit`

use axum::extract::State;
use axum::{Extension, Json};
use serde::Deserialize;

use super::document::ACCESS;
use crate::agent::access::Caller;
use crate::agent::error::AgentError;
use crate::agent::http::app::App;
use crate::agent::http::extract::Params;
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
    let entries = app
        .supervisor
        .run(caller, move |writer| writer.audit_log(limit));
    entries.await.map(Json)
}
