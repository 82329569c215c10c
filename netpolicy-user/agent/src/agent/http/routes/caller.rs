//! `/v1/caller`

use axum::extract::State;
use axum::{Extension, Json};

#[cfg(feature = "openapi")]
use super::document::ACCESS;
use crate::agent::access::{Caller, OperatorOrigin, rights};
use crate::agent::error::AgentError;
use crate::agent::http::app::{App, blocking};
use crate::api::CallerView;
use crate::model::Privilege;

/// Who the caller is, what they may do, and the address that no change may lock out.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/caller", operation_id = "getCaller", tag = ACCESS,
    responses((status = OK, body = CallerView, description = "The caller, as the agent knows them."))
))]
pub(super) async fn show(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<CallerView>, AgentError> {
    let snapshot = app.supervisor.snapshot();
    blocking(move || {
        let rights = rights::of(caller, &snapshot.grants);
        let has = |privilege: &Privilege| rights.has(*privilege);
        Ok(Json(CallerView {
            user: caller.name(),
            groups: caller.groups(),
            privileges: Privilege::ALL.into_iter().filter(has).collect(),
            operator: OperatorOrigin::of(caller).view(),
        }))
    })
    .await
}
