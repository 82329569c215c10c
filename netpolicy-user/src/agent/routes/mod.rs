//! The HTTP API: one file for each resource.
//!
//! Handlers translate between HTTP and the supervisor, the published snapshot and
//! the kernel's read side; they decide nothing.

mod apply;
mod audit;
mod bypasses;
mod condition;
mod counters;
mod diff;
mod document;
mod events;
mod explain;
mod extract;
mod grants;
mod host;
mod interfaces;
mod lint;
mod paging;
mod policies;
mod revisions;
mod services;
mod sql;
mod status;
mod store;
#[cfg(test)]
mod tests;
mod texts;
mod verify;

pub use status::unfiltered_others;

use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::{Method, Uri};
use axum::middleware::from_fn_with_state;
use axum::{Json, Router};
use jiff::Timestamp;
use tokio::sync::watch;
use utoipa::OpenApi as _;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use super::enforcer::{Brake, Inspector};
use super::error::AgentError;
use super::events::EventHub;
use super::quota::Quota;
use super::server::authorize;
use super::standing::BODY_LIMIT;
use super::supervisor::Supervisor;
use crate::model::Limits;

/// What handlers work with.
#[derive(Clone)]
pub struct App {
    /// The way to the writer, and what it publishes.
    pub supervisor: Supervisor,
    /// The kernel, to read from.
    pub inspector: Arc<dyn Inspector>,
    /// The emergency brake.
    pub brake: Arc<dyn Brake>,
    /// The file that says that nothing is to be attached.
    pub marker: PathBuf,
    /// Interfaces that need not be filtered: see
    /// [`Config::unfiltered_interfaces`](crate::config::Config::unfiltered_interfaces).
    pub unfiltered_interfaces: Arc<[String]>,
    /// Events.
    pub hub: EventHub,
    /// Becomes `true` when the agent stops; streams end then.
    pub stopping: watch::Receiver<bool>,
    /// When the agent started.
    pub started: Timestamp,
    /// How much a host takes.
    pub limits: Limits,
    /// The memory that bodies under way may take.
    pub bodies: Arc<Quota>,
}

/// The whole API. Connections bring a [`super::server::Peer`].
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
        .routes(routes!(services::list))
        .routes(routes!(host::show))
        .routes(routes!(apply::change).layer(DefaultBodyLimit::max(BODY_LIMIT)))
        .routes(routes!(apply::export))
        .routes(routes!(diff::revisions, diff::change).layer(DefaultBodyLimit::max(BODY_LIMIT)))
        .routes(routes!(sql::run).layer(DefaultBodyLimit::max(BODY_LIMIT)))
        .routes(routes!(explain::explain))
        .routes(routes!(lint::lint))
        .routes(routes!(verify::verify))
        .routes(routes!(counters::counters))
        .routes(routes!(events::events))
        .routes(routes!(bypasses::list, bypasses::grant, bypasses::revoke))
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

async fn not_allowed(method: Method, uri: Uri) -> AgentError {
    AgentError::WrongMethod(format!("{} does not support {method}", uri.path()))
}

/// Runs what takes a while off the threads that serve.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AgentError> + Send + 'static,
) -> Result<T, AgentError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            tracing::error!(%error, "a request failed for a fault in netpolicy");
            Err(AgentError::Internal)
        }
    }
}
