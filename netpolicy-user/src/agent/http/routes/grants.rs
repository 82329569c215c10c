//! `/v1/grants`

use axum::extract::State;
use axum::{Extension, Json};

use super::document::{ACCESS, NO_ROOM};
use crate::agent::access::Caller;
use crate::agent::access::Requester;
use crate::agent::error::AgentError;
use crate::agent::http::app::App;
use crate::agent::http::extract::{Body, Params};
use crate::api::{GrantRequest, GrantView, ProblemDetails};

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
        (status = NOT_FOUND, body = ProblemDetails, description = "There is no such user, group or policy."),
        (status = INSUFFICIENT_STORAGE, body = ProblemDetails, description = NO_ROOM),
    )
)]
pub(super) async fn grant(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Json<GrantView>, AgentError> {
    let (request, _share) = body.parse::<GrantRequest>()?;
    let requester = Requester::here(caller);
    let granted = app
        .supervisor
        .run(caller, move |writer| writer.grant(&request, requester));
    granted.await.map(Json)
}

/// Takes a privilege away.
#[utoipa::path(delete, path = "/v1/grants", operation_id = "revokePrivilege", tag = ACCESS,
    params(GrantRequest),
    responses(
        (status = OK, body = GrantView, description = "The grant that was revoked."),
        (status = NOT_FOUND, body = ProblemDetails, description = "There is no such grant."),
    )
)]
pub(super) async fn revoke(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Params(request): Params<GrantRequest>,
) -> Result<Json<GrantView>, AgentError> {
    let requester = Requester::here(caller);
    let revoked = app
        .supervisor
        .run(caller, move |writer| writer.revoke(&request, requester));
    revoked.await.map(Json)
}
