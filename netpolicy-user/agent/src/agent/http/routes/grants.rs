//! `/v1/grants`

use axum::extract::State;
use axum::{Extension, Json};

use super::condition::IfMatch;
#[cfg(feature = "openapi")]
use super::document::{ACCESS, IF_MATCH, MISMATCH, NO_ROOM, ProblemDetails};
use crate::agent::access::{Caller, Requester, grants};
use crate::agent::error::AgentError;
use crate::agent::http::app::App;
use crate::agent::http::extract::{Body, Params};
use crate::api::{GrantRequest, GrantView};

/// All privileges that were granted.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/grants", operation_id = "listGrants", tag = ACCESS,
    responses((status = OK, body = Vec<GrantView>, description = "All grants."))
))]
pub(super) async fn list(State(app): State<App>) -> Json<Vec<GrantView>> {
    let snapshot = app.supervisor.snapshot();
    Json(snapshot.grants.iter().map(GrantView::from).collect())
}

/// Grants a privilege to an OS user or group.
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/grants", operation_id = "grantPrivilege", tag = ACCESS,
    params(("If-Match" = Option<String>, Header, description = IF_MATCH)),
    request_body(content = GrantRequest, description = "The privilege, and who gets it."),
    responses(
        (status = OK, body = GrantView, description = "The grant, in force."),
        (status = NOT_FOUND, body = ProblemDetails, description = "There is no such user, group or policy."),
        (status = PRECONDITION_FAILED, body = ProblemDetails, description = MISMATCH),
        (status = INSUFFICIENT_STORAGE, body = ProblemDetails, description = NO_ROOM),
    )
))]
pub(super) async fn grant(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    IfMatch(revision): IfMatch,
    body: Body,
) -> Result<Json<GrantView>, AgentError> {
    let (request, _share) = body.parse::<GrantRequest>()?;
    let requester = Requester::here(caller);
    let granted = app.supervisor.run(caller, move |writer| {
        writer.require_revision(revision, requester, &grants::granting(&request))?;
        writer.grant(&[request], requester)
    });
    the_one(granted.await?)
}

/// Takes a privilege away.
#[cfg_attr(feature = "openapi", utoipa::path(delete, path = "/v1/grants", operation_id = "revokePrivilege", tag = ACCESS,
    params(GrantRequest, ("If-Match" = Option<String>, Header, description = IF_MATCH)),
    responses(
        (status = OK, body = GrantView, description = "The grant that was revoked."),
        (status = NOT_FOUND, body = ProblemDetails, description = "There is no such grant."),
        (status = PRECONDITION_FAILED, body = ProblemDetails, description = MISMATCH),
    )
))]
pub(super) async fn revoke(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Params(request): Params<GrantRequest>,
    IfMatch(revision): IfMatch,
) -> Result<Json<GrantView>, AgentError> {
    let requester = Requester::here(caller);
    let revoked = app.supervisor.run(caller, move |writer| {
        writer.require_revision(revision, requester, &grants::revoking(&request))?;
        writer.revoke(&[request], requester)
    });
    the_one(revoked.await?)
}

fn the_one(grants: Vec<GrantView>) -> Result<Json<GrantView>, AgentError> {
    let grant = grants.into_iter().next();
    grant.map(Json).ok_or(AgentError::Internal)
}
