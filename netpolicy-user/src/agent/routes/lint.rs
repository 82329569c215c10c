//! `/v1/lint`: what in the policies is hardly meant so.

use axum::Json;
use axum::extract::State;

use super::App;
use super::document::POLICIES;
use crate::agent::error::AgentError;
use crate::agent::reads::aside;
use crate::model::lint::{Finding, lint as examine};

/// What in the desired state may not be meant, by policy, the worst first.
#[utoipa::path(get, path = "/v1/lint", operation_id = "lintPolicies", tag = POLICIES,
    responses((status = OK, body = Vec<Finding>, description = "Likely mistakes, the worst first."))
)]
pub(super) async fn lint(State(app): State<App>) -> Result<Json<Vec<Finding>>, AgentError> {
    let snapshot = app.supervisor.snapshot();
    aside(move || Json(examine(&snapshot.state))).await
}
