//! `/v1/detach` and `/v1/attach`: the emergency brake, on and off.

use axum::extract::State;
use axum::{Extension, Json};

use super::{App, blocking};
use crate::agent::attach::detach as detach_all;
use crate::agent::caller::Caller;
use crate::agent::error::AgentError;
use crate::api::ErrorBody;

/// Stops all filtering until it is attached again; the names of the interfaces.
#[utoipa::path(post, path = "/v1/detach", responses(
    (status = OK, body = Vec<String>),
    (status = INTERNAL_SERVER_ERROR, body = ErrorBody),
))]
pub(super) async fn detach(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Vec<String>>, AgentError> {
    let supervisor = app.supervisor.clone();
    let detached = blocking(move || detach_all(&app.marker, &*app.brake, caller)).await;
    supervisor.reconcile();
    detached.map(Json)
}

/// Filters the configured interfaces again; the names of those that are filtered.
#[utoipa::path(post, path = "/v1/attach", responses(
    (status = OK, body = Vec<String>),
    (status = INTERNAL_SERVER_ERROR, body = ErrorBody),
))]
pub(super) async fn attach(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Vec<String>>, AgentError> {
    app.supervisor.attach(caller).await.map(Json)
}
