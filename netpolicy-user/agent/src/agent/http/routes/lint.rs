//! `/v1/lint`: likely mistakes in the policies, and what a change makes of them. Changes do not
//! wait for it.

use axum::extract::State;
use axum::{Extension, Json};
use ipnet::IpNet;
use serde::Deserialize;

#[cfg(feature = "openapi")]
use super::document::{CONFLICTING, NO_REVISION, POLICIES, ProblemDetails, UNKNOWN_NAME};
use super::texts::ChangeBody;
use crate::agent::access::Caller;
use crate::agent::error::AgentError;
use crate::agent::http::app::App;
use crate::agent::http::extract::Params;
use crate::agent::memory;
use crate::agent::writer::{judge_aside, on_all_processors};
use crate::exposure::own_networks;
#[cfg(feature = "openapi")]
use crate::model::Change;
use crate::model::lint::{Finding, FindingsDifference, difference, lint_on};

#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub(super) struct LintParams {
    /// The revision to examine; none: the state as it is.
    revision: Option<u64>,
}

/// What in the desired state may not be meant, by policy, the worst first.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/lint", operation_id = "lintPolicies", tag = POLICIES,
    params(LintParams),
    responses(
        (status = OK, body = Vec<Finding>, description = "Likely mistakes, the worst first."),
        (status = NOT_FOUND, body = ProblemDetails, description = NO_REVISION),
    )
))]
pub(super) async fn lint(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Params(params): Params<LintParams>,
) -> Result<Json<Vec<Finding>>, AgentError> {
    let snapshot = app.supervisor.snapshot();
    let past = match params.revision {
        Some(revision) => Some(app.supervisor.state_at(caller, revision).await?),
        None => None,
    };
    judge_aside(move || {
        let own = own(&app);
        let found = on_all_processors(|| match &past {
            Some(past) => lint_on(past, &own),
            None => Vec::clone(&app.linted.of(&snapshot.state, own)),
        });
        drop(past);
        memory::give_back();
        Json(found)
    })
    .await
}

/// What a change makes of the likely mistakes: checked as any change, and not made.
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/lint", operation_id = "lintChange", tag = POLICIES,
    request_body(content = Change, description = "The change. With the content type application/vnd.netpolicy.change-with-texts: a line of JSON with the change, whose texts are empty, and their lengths in bytes; then the texts."),
    responses(
        (status = OK, body = FindingsDifference, description = "Likely mistakes that the change introduces, leaves and resolves."),
        (status = NOT_FOUND, body = ProblemDetails, description = UNKNOWN_NAME),
        (status = CONFLICT, body = ProblemDetails, description = CONFLICTING),
    )
))]
pub(super) async fn change(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    body: ChangeBody,
) -> Result<Json<FindingsDifference>, AgentError> {
    judge_aside(move || {
        let (snapshot, applied) = body.try_out(&app, &caller)?;
        let own = own(&app);
        let (before, after) = on_all_processors(|| {
            let before = app.linted.of(&snapshot.state, own.clone());
            (before, lint_on(&applied.state, &own))
        });
        let answer = difference(&before, after);
        drop(applied);
        memory::give_back();
        Ok(Json(answer))
    })
    .await?
}

/// The host's own networks; without them the rest is as true.
fn own(app: &App) -> Vec<(IpNet, String)> {
    own_networks(&app.inspector.devices().unwrap_or_default())
}
