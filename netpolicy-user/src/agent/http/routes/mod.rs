//! The HTTP API: one file for each resource.
//!
//! Handlers translate between HTTP and the supervisor, the published snapshot and
//! the kernel's read side; they decide nothing.

mod apply;
mod audit;
mod bans;
mod bypasses;
mod clients;
mod condition;
mod counters;
mod diff;
mod document;
mod events;
mod explain;
mod explain_network;
mod feeds;
mod find;
mod grants;
mod host;
mod interfaces;
mod lint;
mod lists;
mod paging;
mod policies;
mod revisions;
mod services;
pub(in crate::agent) mod sql;
mod status;
mod store;
#[cfg(test)]
pub(in crate::agent::http) mod tests;
mod texts;
mod verify;

pub use status::unfiltered_others;

use axum::extract::DefaultBodyLimit;
use axum::http::{Method, Uri};
use axum::middleware::from_fn_with_state;
use axum::{Json, Router};
use utoipa::OpenApi as _;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use crate::agent::error::AgentError;
use crate::agent::http::admission::authorize;
use crate::agent::http::app::App;
use crate::agent::http::error::HttpError;
use crate::agent::http::standing::BODY_LIMIT;

/// The whole API. Connections bring a [`Peer`](crate::agent::http::admission::Peer).
pub fn router(app: App) -> Router {
    let (router, api) = operations();
    router
        .route(
            "/v1/openapi.json",
            axum::routing::get(move || std::future::ready(Json(api.clone()))),
        )
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
        .layer(from_fn_with_state(app.clone(), authorize))
        .with_state(app)
}

/// The document that `GET /v1/openapi.json` answers with.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    operations().1
}

/// All operations, and their description.
fn operations() -> (Router<App>, utoipa::openapi::OpenApi) {
    let (router, mut api) = OpenApiRouter::with_openapi(document::Api::openapi())
        .routes(routes!(status::status))
        .routes(routes!(status::progress))
        .routes(routes!(policies::list))
        .routes(routes!(policies::show))
        .routes(routes!(policies::rules))
        .routes(routes!(lists::list))
        .routes(routes!(lists::show))
        .routes(routes!(lists::entries))
        .routes(routes!(feeds::list))
        .routes(routes!(feeds::put).layer(DefaultBodyLimit::max(BODY_LIMIT)))
        .routes(routes!(feeds::report))
        .routes(routes!(feeds::refresh))
        .routes(routes!(services::list))
        .routes(routes!(host::show))
        .routes(routes!(apply::change).layer(DefaultBodyLimit::max(BODY_LIMIT)))
        .routes(routes!(apply::export))
        .routes(routes!(diff::revisions, diff::change).layer(DefaultBodyLimit::max(BODY_LIMIT)))
        .routes(routes!(sql::run).layer(DefaultBodyLimit::max(BODY_LIMIT)))
        .routes(routes!(explain::explain))
        .routes(routes!(explain_network::explain_network))
        .routes(routes!(find::find))
        .routes(routes!(clients::list))
        .routes(routes!(lint::lint))
        .routes(routes!(verify::verify))
        .routes(routes!(counters::counters))
        .routes(routes!(events::events))
        .routes(routes!(bypasses::list, bypasses::grant, bypasses::revoke))
        .routes(
            routes!(bans::list, bans::ban, bans::unban, bans::replace)
                .layer(DefaultBodyLimit::max(BODY_LIMIT)),
        )
        .routes(routes!(revisions::list))
        .routes(routes!(revisions::rollback))
        .routes(routes!(revisions::confirm))
        .routes(routes!(grants::list, grants::grant, grants::revoke))
        .routes(routes!(audit::list))
        .routes(routes!(store::backup))
        .routes(routes!(store::rescue))
        .routes(routes!(store::acknowledge))
        .routes(routes!(interfaces::attach))
        .routes(routes!(interfaces::detach))
        .split_for_parts();
    document::complete(&mut api);
    (router, api)
}

async fn unknown(uri: Uri) -> AgentError {
    AgentError::NotFound {
        what: format!("there is no {}", uri.path()),
        hint: "GET /v1/openapi.json lists the resources",
    }
}

async fn not_allowed(method: Method, uri: Uri) -> HttpError {
    HttpError::WrongMethod(format!("{} does not support {method}", uri.path()))
}
