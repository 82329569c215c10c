//! `/v1/detach` and `/v1/attach`: the kill switch, on and off.

use axum::extract::State;
use axum::{Extension, Json};

use super::condition::IfMatch;
#[cfg(feature = "openapi")]
use super::document::{ENFORCEMENT, IF_MATCH, MISMATCH, ProblemDetails};
use crate::agent::access::rights;
use crate::agent::access::{Caller, Requester};
use crate::agent::change::Consent;
use crate::agent::change::consent::everything;
use crate::agent::error::AgentError;
use crate::agent::http::app::{App, blocking};
use crate::agent::http::extract::Params;
use crate::agent::kernel::attach::detach as detach_all;
use crate::api::ConsentQuery;
use crate::detach_marker;
use crate::model::Privilege;

/// Stops all filtering until it is attached again; the names of the interfaces. Requires
/// consent, unless filtering is stopped already.
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/detach", operation_id = "detachInterfaces", tag = ENFORCEMENT,
    params(ConsentQuery),
    responses(
        (status = OK, body = Vec<String>, description = "Names of the interfaces that are no longer filtered."),
        (status = CONFLICT, body = ProblemDetails, description = "It requires consent: `opens` says to what."),
    )
))]
pub(super) async fn detach(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<ConsentQuery>,
) -> Result<Json<Vec<String>>, AgentError> {
    require_admin(&app, caller, "detach")?;
    let consent = Consent::of(query.opens.as_deref())?;
    if detach_marker::read(&app.marker).is_none() {
        let consented = consent.require("detaching ends all filtering and", Some(&everything()));
        consented.inspect_err(|error| {
            app.supervisor
                .refused(Requester::here(caller), "detach", error);
        })?;
    }
    let supervisor = app.supervisor.clone();
    let detached = blocking(move || detach_all(&app.marker, &*app.kill_switch, caller)).await;
    supervisor.reconcile();
    if detached.is_ok() {
        supervisor.note(Requester::here(caller), "detach");
    }
    detached.map(Json)
}

/// Filters the configured interfaces again; the names of those that are filtered.
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/attach", operation_id = "attachInterfaces", tag = ENFORCEMENT,
    params(("If-Match" = Option<String>, Header, description = IF_MATCH)),
    responses(
        (status = OK, body = Vec<String>, description = "Names of the interfaces that are filtered."),
        (status = PRECONDITION_FAILED, body = ProblemDetails, description = MISMATCH),
    )
))]
pub(super) async fn attach(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    IfMatch(revision): IfMatch,
) -> Result<Json<Vec<String>>, AgentError> {
    require_admin(&app, caller, "attach")?;
    let requester = Requester::here(caller);
    let attached = app.supervisor.run(caller, move |writer| {
        writer.require_revision(revision, requester, "attach")?;
        writer.attach(requester)
    });
    attached.await.map(Json)
}

fn require_admin(app: &App, caller: Caller, what: &str) -> Result<(), AgentError> {
    let grants = &app.supervisor.snapshot().grants;
    let may = rights::require(caller, grants, Privilege::Admin, what);
    may.inspect_err(|error| app.supervisor.refused(Requester::here(caller), what, error))
}
