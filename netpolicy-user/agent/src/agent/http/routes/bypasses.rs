//! `/v1/bypasses`

use axum::extract::State;
use axum::{Extension, Json};
use serde::Deserialize;

use super::condition::IfMatch;
#[cfg(feature = "openapi")]
use super::document::{BYPASSES, CONFLICTING, IF_MATCH, MISMATCH, NO_ROOM, ProblemDetails};
use crate::agent::access::Caller;
use crate::agent::access::Requester;
use crate::agent::bypasses::{self, Revocation, view};
use crate::agent::change::Consent;
use crate::agent::error::AgentError;
use crate::agent::http::app::App;
use crate::agent::http::extract::{Body, Params};
use crate::agent::writer::Writer;
use crate::api::{BypassRequest, BypassView, ConsentQuery};

/// The bypasses that have not expired.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/bypasses", operation_id = "listBypasses", tag = BYPASSES,
    responses((status = OK, body = Vec<BypassView>, description = "The unexpired bypasses."))
))]
pub(super) async fn list(State(app): State<App>) -> Json<Vec<BypassView>> {
    let snapshot = app.supervisor.snapshot();
    let live = snapshot.live_bypasses();
    Json(live.map(|bypass| view(bypass, &snapshot.clock)).collect())
}

/// Exempts a source for a time; one that is exempt already is so for the new time. A
/// bypass that opens a scope to every source requires consent.
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/bypasses", operation_id = "grantBypass", tag = BYPASSES,
    params(ConsentQuery, ("If-Match" = Option<String>, Header, description = IF_MATCH)),
    request_body(content = BypassRequest, description = "The source, and for how long it is exempt."),
    responses(
        (status = OK, body = BypassView, description = "The bypass, in force."),
        (status = NOT_FOUND, body = ProblemDetails, description = "There is no service of this name."),
        (status = CONFLICT, body = ProblemDetails, description = CONFLICTING),
        (status = PRECONDITION_FAILED, body = ProblemDetails, description = MISMATCH),
        (status = INSUFFICIENT_STORAGE, body = ProblemDetails, description = NO_ROOM),
    )
))]
pub(super) async fn grant(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<ConsentQuery>,
    IfMatch(revision): IfMatch,
    body: Body,
) -> Result<Json<BypassView>, AgentError> {
    let (request, _share) = body.parse::<BypassRequest>()?;
    let consent = Consent::of(query.opens.as_deref())?;
    let requester = Requester::here(caller);
    let grant = move |writer: &mut Writer| {
        writer.require_revision(revision, requester, &bypasses::granting(&request))?;
        writer.grant_bypass(&request, requester, consent)
    };
    let granted = app.supervisor.run(caller, grant);
    granted.await.map(Json)
}

#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub(super) struct RevokeParams {
    /// The address or CIDR.
    source: String,
    /// The service; none: the host.
    service: Option<String>,
    /// Take it away even if it is all that lets the operator in.
    #[serde(default)]
    force: bool,
    /// One more address of the operator, as for changes.
    from: Option<String>,
}

/// Takes an exemption away.
#[cfg_attr(feature = "openapi", utoipa::path(delete, path = "/v1/bypasses", operation_id = "revokeBypass", tag = BYPASSES,
    params(RevokeParams, ("If-Match" = Option<String>, Header, description = IF_MATCH)),
    responses(
        (status = OK, body = BypassView, description = "The bypass that was revoked."),
        (status = NOT_FOUND, body = ProblemDetails, description = "There is no such bypass."),
        (status = CONFLICT, body = ProblemDetails, description = CONFLICTING),
        (status = PRECONDITION_FAILED, body = ProblemDetails, description = MISMATCH),
    )
))]
pub(super) async fn revoke(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Params(params): Params<RevokeParams>,
    IfMatch(revision): IfMatch,
) -> Result<Json<BypassView>, AgentError> {
    let requester = Requester::of(caller, params.from.as_deref())?;
    let revoke = move |writer: &mut Writer| {
        let service = params.service.as_deref();
        let which = Revocation {
            source: &params.source,
            service,
            force: params.force,
        };
        writer.require_revision(revision, requester, &bypasses::revoking(which))?;
        writer.revoke_bypass(&params.source, service, requester, params.force)
    };
    let revoked = app.supervisor.run(caller, revoke);
    revoked.await.map(Json)
}
