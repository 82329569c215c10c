//! `/v1/lint`: likely mistakes in the policies.

use axum::Json;
use axum::extract::State;

#[cfg(feature = "openapi")]
use super::document::POLICIES;
use crate::agent::error::AgentError;
use crate::agent::http::app::App;
use crate::agent::writer::aside;
use crate::exposure::own_networks;
use crate::model::lint::{Finding, lint_on};

/// What in the desired state may not be meant, by policy, the worst first.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/lint", operation_id = "lintPolicies", tag = POLICIES,
    responses((status = OK, body = Vec<Finding>, description = "Likely mistakes, the worst first."))
))]
pub(super) async fn lint(State(app): State<App>) -> Result<Json<Vec<Finding>>, AgentError> {
    let snapshot = app.supervisor.snapshot();
    aside(move || {
        // Without them the rest is as true.
        let devices = app.inspector.devices().unwrap_or_default();
        Json(lint_on(&snapshot.state, &own_networks(&devices)))
    })
    .await
}
