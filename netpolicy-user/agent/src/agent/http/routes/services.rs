//! `/v1/services`

use axum::Json;
use axum::extract::State;

use super::condition::AtRevision;
#[cfg(feature = "openapi")]
use super::document::POLICIES;
use crate::agent::http::app::App;
use crate::agent::http::views;
use crate::api::ServiceView;
use crate::model::{KnownService, known};

/// All services.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/services", operation_id = "listServices", tag = POLICIES,
    responses((status = OK, body = Vec<ServiceView>, description = "All services."))
))]
pub(super) async fn list(State(app): State<App>) -> AtRevision<Vec<ServiceView>> {
    let snapshot = app.supervisor.snapshot();
    let services = snapshot.state.services.iter();
    let services = services
        .map(|s| views::service(&snapshot.state, s))
        .collect();
    AtRevision(snapshot.revision, services)
}

/// Well-known services, whose ports a service of the same name most likely has.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/services/known", operation_id = "listKnownServices", tag = POLICIES,
    responses((status = OK, body = Vec<KnownService>, description = "Well-known services, by name."))
))]
pub(super) async fn known() -> Json<&'static [KnownService]> {
    Json(known::services())
}
