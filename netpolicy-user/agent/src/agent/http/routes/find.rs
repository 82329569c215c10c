//! `/v1/find`: what holds or overlaps a network.

use axum::Json;
use axum::extract::State;

#[cfg(feature = "openapi")]
use super::document::POLICIES;
use super::paging::limit;
use crate::agent::error::AgentError;
use crate::agent::http::app::App;
use crate::agent::http::extract::Params;
use crate::agent::http::found;
use crate::agent::writer::aside;
use crate::api::{FindQuery, FindView};
use crate::model::parse_source;

/// Rules of policies, entries of lists and feeds, bans and bypasses that have an address of a
/// network.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/find", operation_id = "findNetwork", tag = POLICIES,
    params(FindQuery),
    responses((status = OK, body = FindView, description = "What was found."))
))]
pub(super) async fn find(
    State(app): State<App>,
    Params(query): Params<FindQuery>,
) -> Result<Json<FindView>, AgentError> {
    let network = parse_source(&query.network);
    let network = network.map_err(|error| AgentError::BadRequest(error.to_string()))?;
    let most = limit(query.limit)?;
    let snapshot = app.supervisor.snapshot();
    aside(move || Json(found::find(&snapshot, network, most))).await
}
