//! `/v1/grants`

use axum::extract::State;
use axum::{Extension, Json};

use super::App;
use super::document::{ACCESS, NO_ROOM};
use super::extract::{Body, Params};
use crate::agent::caller::Caller;
use crate::agent::error::AgentError;
use crate::agent::request::{Asker, Seat};
use crate::api::{GrantRequest, GrantView, Problem};

/// All privileges that were granted.
#[utoipa::path(get, path = "/v1/grants", operation_id = "listGrants", tag = ACCESS,
    responses((status = OK, body = Vec<GrantView>, description = "All grants."))
)]
pub(super) async fn list(State(app): State<App>) -> Json<Vec<GrantView>> {
    let snapshot = app.supervisor.snapshot();
    Json(snapshot.grants.iter().map(GrantView::from).collect())
}

/// Grants a privilege to an OS user or group.
#[utoipa::path(post, path = "/v1/grants", operation_id = "grantPrivilege", tag = ACCESS,
    request_body(content = GrantRequest, description = "The privilege, and who gets it."),
    responses(
        (status = OK, body = GrantView, description = "The grant, in force."),
        (status = NOT_FOUND, body = Problem, description = "There is no such user, group or policy."),
        (status = INSUFFICIENT_STORAGE, body = Problem, description = NO_ROOM),
    )
)]
pub(super) async fn grant(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Json<GrantView>, AgentError> {
    let (request, _share) = body.parse()?;
    let granted = app.supervisor.grant(request, asker(caller));
    granted.await.map(Json)
}

/// Takes a privilege away.
#[utoipa::path(delete, path = "/v1/grants", operation_id = "revokePrivilege", tag = ACCESS,
    params(GrantRequest),
    responses(
        (status = OK, body = GrantView, description = "The grant that was revoked."),
        (status = NOT_FOUND, body = Problem, description = "There is no such grant."),
    )
)]
pub(super) async fn revoke(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Params(request): Params<GrantRequest>,
) -> Result<Json<GrantView>, AgentError> {
    let revoked = app.supervisor.revoke(request, asker(caller));
    revoked.await.map(Json)
}

/// The caller, and where he sits.
pub(super) fn asker(caller: Caller) -> Asker {
    Asker {
        caller,
        seat: Seat::of(caller),
    }
}
