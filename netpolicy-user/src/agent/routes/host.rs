//! `/v1/host`

use axum::Json;
use axum::extract::State;

use super::App;
use crate::agent::views;
use crate::api::HostView;

/// The host's settings.
#[utoipa::path(get, path = "/v1/host", responses((status = OK, body = HostView)))]
pub(super) async fn show(State(app): State<App>) -> Json<HostView> {
    Json(views::host(&app.supervisor.snapshot().state))
}
