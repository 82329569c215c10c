//! `/v1/host`

use axum::extract::State;

use super::condition::AtRevision;
#[cfg(feature = "openapi")]
use super::document::POLICIES;
use crate::agent::http::app::App;
use crate::agent::http::views;
use crate::api::HostView;

/// The host's settings.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/host", operation_id = "getHost", tag = POLICIES,
    responses((status = OK, body = HostView, description = "The host's settings."))
))]
pub(super) async fn show(State(app): State<App>) -> AtRevision<HostView> {
    let snapshot = app.supervisor.snapshot();
    AtRevision(snapshot.revision, views::host(&snapshot.state))
}
