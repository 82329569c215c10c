//! `/v1/services`

use axum::Json;
use axum::extract::State;

use super::document::POLICIES;
use crate::agent::http::app::App;
use crate::agent::http::views;
use crate::api::ServiceView;

/// All services.
#[utoipa::path(get, path = "/v1/services", operation_id = "listServices", tag = POLICIES,
    responses((status = OK, body = Vec<ServiceView>, description = "All services."))
)]
pub(super) async fn list(State(app): State<App>) -> Json<Vec<ServiceView>> {
    let state = &app.supervisor.snapshot().state;
    Json(
        state
            .services
            .iter()
            .map(|s| views::service(state, s))
            .collect(),
    )
}
