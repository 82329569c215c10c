//! `/v1/policies`

use axum::extract::{Path, State};

use super::condition::AtRevision;
#[cfg(feature = "openapi")]
use super::document::{POLICIES, ProblemDetails};
use super::paging;
use crate::agent::error::AgentError;
use crate::agent::http::app::{App, blocking};
use crate::agent::http::extract::Params;
use crate::agent::http::views;
use crate::api::{Paged, PolicyView, RuleItem, RulesQuery};
use crate::model::{self, Policy, error::closest};

/// All policies, without their lists.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/policies", operation_id = "listPolicies", tag = POLICIES,
    responses((status = OK, body = Vec<PolicyView>, description = "All policies, without their lists."))
))]
pub(super) async fn list(State(app): State<App>) -> AtRevision<Vec<PolicyView>> {
    let snapshot = app.supervisor.snapshot();
    let policies = snapshot.state.policies.iter().map(views::policy).collect();
    AtRevision(snapshot.revision, policies)
}

/// One policy, with its lists.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/policies/{name}", operation_id = "getPolicy", tag = POLICIES,
    params(("name" = String, Path, description = "The policy's name.")),
    responses(
        (status = OK, body = PolicyView, description = "The policy, with its lists."),
        (status = NOT_FOUND, body = ProblemDetails, description = "There is no policy of this name."),
    )
))]
pub(super) async fn show(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<AtRevision<PolicyView>, AgentError> {
    let snapshot = app.supervisor.snapshot();
    blocking(move || {
        let policy = find(&name, &snapshot.state)?;
        Ok(AtRevision(snapshot.revision, views::whole_policy(policy)))
    })
    .await
}

/// Rules of one policy.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/policies/{name}/rules", operation_id = "listRules", tag = POLICIES,
    params(("name" = String, Path, description = "The policy's name."), RulesQuery),
    responses(
        (status = OK, body = Paged<RuleItem>, description = "Rules, in the order of the lists."),
        (status = NOT_FOUND, body = ProblemDetails, description = "There is no policy of this name."),
    )
))]
pub(super) async fn rules(
    State(app): State<App>,
    Path(name): Path<String>,
    Params(query): Params<RulesQuery>,
) -> Result<AtRevision<Paged<RuleItem>>, AgentError> {
    let limit = paging::limit(query.limit)?;
    let snapshot = app.supervisor.snapshot();
    blocking(move || {
        let policy = find(&name, &snapshot.state)?;
        Ok(AtRevision(
            snapshot.revision,
            views::rules_page(policy, &query, limit),
        ))
    })
    .await
}

pub(super) fn find<'a>(name: &str, state: &'a model::State) -> Result<&'a Policy, AgentError> {
    state.policy(name).ok_or_else(|| AgentError::NotFound {
        what: unknown(name, state),
        hint: "`netpolicy policy list` shows what there is",
    })
}

fn unknown(name: &str, state: &model::State) -> String {
    let names = state.policies.iter().map(|policy| policy.name.as_str());
    let meant = closest(name, names).map(|name| format!("; did you mean '{name}'?"));
    format!(
        "unknown policy '{}'{}",
        name.escape_debug(),
        meant.unwrap_or_default()
    )
}
