//! `/v1/sources`, `/v1/hits` and `/v1/rates`: the memory of sources.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;

#[cfg(feature = "openapi")]
use super::document::{ENFORCEMENT, ProblemDetails, UNKNOWN_NAME};
use super::named;
use crate::agent::error::AgentError;
use crate::agent::http::app::{App, blocking};
use crate::agent::http::extract::Params;
use crate::agent::memory;
use crate::api::{HitsPage, HitsQuery, RatesQuery, RatesView, SourcesPage, SourcesQuery};

/// Of as many rules the sums leave much memory behind that is free.
const MANY_RULES: u64 = 10_000;

/// Which sources came, what became of their attempts, and which rule decided: the newest first.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/sources", operation_id = "listSources", tag = ENFORCEMENT,
    params(SourcesQuery),
    responses(
        (status = OK, body = SourcesPage, description = "Sources, as of a second or two ago."),
        (status = NOT_FOUND, body = ProblemDetails, description = UNKNOWN_NAME),
    )
))]
pub(super) async fn sources(
    State(app): State<App>,
    Params(mut query): Params<SourcesQuery>,
) -> Result<Json<SourcesPage>, AgentError> {
    query.service = named::scope(&app, query.service)?;
    blocking(move || app.observations.sources(&query, Timestamp::now()).map(Json)).await
}

/// How often policies, lists and rules decided, and when last.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/hits", operation_id = "listHits", tag = ENFORCEMENT,
    params(HitsQuery),
    responses((status = OK, body = HitsPage, description = "Hits; what was never hit is left out."))
))]
pub(super) async fn hits(
    State(app): State<App>,
    Params(query): Params<HitsQuery>,
) -> Result<Json<HitsPage>, AgentError> {
    blocking(move || {
        let page = app.observations.hits(&query, Timestamp::now())?;
        if page.total > MANY_RULES {
            memory::give_back();
        }
        Ok(Json(page))
    })
    .await
}

/// How many attempts came in each minute, hour or day.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/rates", operation_id = "listRates", tag = ENFORCEMENT,
    params(RatesQuery),
    responses(
        (status = OK, body = RatesView, description = "Attempts by time, scope, policy and reason."),
        (status = NOT_FOUND, body = ProblemDetails, description = UNKNOWN_NAME),
    )
))]
pub(super) async fn rates(
    State(app): State<App>,
    Params(mut query): Params<RatesQuery>,
) -> Result<Json<RatesView>, AgentError> {
    query.scope = named::scope(&app, query.scope)?;
    query.policy = named::policy(&app, query.policy)?;
    blocking(move || app.observations.rates(&query, Timestamp::now()).map(Json)).await
}
