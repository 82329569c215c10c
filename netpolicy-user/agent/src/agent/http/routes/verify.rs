//! `/v1/verify`: whether the kernel holds what the policies say.

use axum::extract::State;
use axum::{Extension, Json};

#[cfg(feature = "openapi")]
use super::document::ENFORCEMENT;
use crate::agent::access::rights;
use crate::agent::access::{Caller, Requester};
use crate::agent::error::AgentError;
use crate::agent::http::app::{App, blocking};
use crate::api::VerifyView;
use crate::exposure;
use crate::model::Privilege;

/// Reads everything in force back, compares it with a fresh compile of the desired state
/// and repairs what differs. Takes the privilege admin.
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/verify", operation_id = "verifyEnforcement", tag = ENFORCEMENT,
    responses((status = OK, body = VerifyView, description = "What differed, and whether it was repaired."))
))]
pub(super) async fn verify(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<VerifyView>, AgentError> {
    let grants = &app.supervisor.snapshot().grants;
    let may = rights::require(caller, grants, Privilege::Admin, "verify");
    may.inspect_err(|error| {
        app.supervisor
            .refused(Requester::here(caller), "verify", error);
    })?;
    let mut verified = app.supervisor.verify_all(&app.inspector).await?;
    verified.overtaken = blocking(move || {
        // Where they cannot be asked, the status says so.
        let attached = app.inspector.attached().unwrap_or_default();
        let interfaces: Vec<_> = attached.into_iter().map(exposure::interface).collect();
        Ok(exposure::overtaken(&interfaces))
    })
    .await?;
    Ok(Json(verified))
}
