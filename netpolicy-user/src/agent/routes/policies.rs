//! `/v1/policies`

use axum::Json;
use axum::extract::{Path, State};

use super::document::POLICIES;
use super::{App, blocking};
use crate::agent::error::AgentError;
use crate::agent::views;
use crate::api::{PolicyView, Problem};
use crate::model::{self, error::closest};

/// All policies, without their lists.
#[utoipa::path(get, path = "/v1/policies", operation_id = "listPolicies", tag = POLICIES,
    responses((status = OK, body = Vec<PolicyView>, description = "All policies, without their lists."))
)]
pub(super) async fn list(State(app): State<App>) -> Json<Vec<PolicyView>> {
    let snapshot = app.supervisor.snapshot();
    Json(snapshot.state.policies.iter().map(views::policy).collect())
}

/// One policy, with its lists.
#[utoipa::path(get, path = "/v1/policies/{name}", operation_id = "getPolicy", tag = POLICIES,
    params(("name" = String, Path, description = "The policy's name.")),
    responses(
        (status = OK, body = PolicyView, description = "The policy, with its lists."),
        (status = NOT_FOUND, body = Problem, description = "There is no policy of this name."),
    )
)]
pub(super) async fn show(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<PolicyView>, AgentError> {
    let snapshot = app.supervisor.snapshot();
    blocking(move || match snapshot.state.policy(&name) {
        Some(policy) => Ok(Json(views::whole_policy(policy))),
        None => Err(AgentError::NotFound {
            what: unknown(&name, &snapshot.state),
            hint: "`netpolicy policy list` shows what there is",
        }),
    })
    .await
}

fn unknown(name: &str, state: &model::State) -> String {
    let names = state.policies.iter().map(|policy| policy.name.as_str());
    let meant = closest(name, names).map(|name| format!(", perhaps '{name}' is meant"));
    format!(
        "unknown policy '{}'{}",
        name.escape_debug(),
        meant.unwrap_or_default()
    )
}
