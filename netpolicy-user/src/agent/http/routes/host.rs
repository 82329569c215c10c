//! `/v1/host`

use axum::Json;
use axum::extract::State;

use super::document::POLICIES;
use crate::agent::http::app::App;
use crate::agent::http::views;
use crate::api::HostView;

/// The host's settings.
#[utoipa::path(get, path = "/v1/host", operation_id = "getHost", tag = POLICIES,
    responses((status = OK, body = HostView, description = "The host's settings."))
)]
pub(super) async fn show(State(app): State<App>) -> Json<HostView> {
    Json(views::host(&app.supervisor.snapshot().state))
}
