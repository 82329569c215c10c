//! `/v1/audit`

use axum::extract::State;
use axum::{Extension, Json};

#[cfg(feature = "openapi")]
use super::document::ACCESS;
use super::paging::window;
use crate::agent::access::Caller;
use crate::agent::error::AgentError;
use crate::agent::http::app::App;
use crate::agent::http::extract::Params;
use crate::api::{AuditView, PageQuery, Paged};

/// Who did what, and what was refused, the newest first.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/audit", operation_id = "listAuditEntries", tag = ACCESS,
    params(PageQuery),
    responses((status = OK, body = Paged<AuditView>, description = "Entries of the audit log, the newest first."))
))]
pub(super) async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<PageQuery>,
) -> Result<Json<Paged<AuditView>>, AgentError> {
    let entries = app.supervisor.audit_log(caller, window(query)?);
    entries.await.map(Json)
}
