//! The HTTP API: one file for each resource.
//!
//! Handlers translate between HTTP and the supervisor, the published snapshot and
//! the kernel's read side; they decide nothing.

mod apply;
mod audit;
mod bans;
mod bypasses;
mod caller;
mod clients;
mod condition;
mod counters;
mod databases;
mod diff;
#[cfg(feature = "openapi")]
mod document;
mod evaluate;
mod events;
mod explain;
mod explain_network;
mod feeds;
mod find;
mod fleet;
mod grants;
mod host;
mod interfaces;
mod lint;
mod lists;
mod metrics;
mod named;
mod notices;
mod paging;
mod policies;
mod policy_tests;
mod revisions;
mod services;
mod sources;
pub(in crate::agent) mod sql;
mod status;
mod store;
#[cfg(test)]
pub(in crate::agent::http) mod tests;
mod texts;
mod verify;

pub use status::{present_faults, unfiltered_others};

use std::io::Read as _;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, Uri};
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::{delete, get, post, put};
use flate2::bufread::GzDecoder;

use crate::agent::error::AgentError;
use crate::agent::http::admission::authorize;
use crate::agent::http::app::App;
use crate::agent::http::error::HttpError;
use crate::agent::http::standing::BODY_LIMIT;

/// The OpenAPI document, compressed: `cargo xtask docs` writes it from the handlers' annotations,
/// which nothing but the feature `openapi` compiles.
static OPENAPI: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/openapi.json.gz"));

/// `GET /v1/openapi.json`.
async fn openapi_document() -> Result<impl IntoResponse, AgentError> {
    let mut document = Vec::new();
    let read = GzDecoder::new(OPENAPI).read_to_end(&mut document);
    // The build compressed it.
    read.map_err(|_| AgentError::Internal)?;
    Ok(([(CONTENT_TYPE, "application/json")], document))
}

/// The router and, with the feature `openapi`, the document, from one table of operations;
/// `large` ones take a body of [`BODY_LIMIT`] instead of axum's usual 2 MB.
macro_rules! operations {
    ($($method:ident $path:literal $module:ident::$handler:ident $($large:ident)?;)*) => {
        fn operations() -> Router<App> {
            Router::new()
                $(.route($path, operations!(@limit $method($module::$handler) $(, $large)?)))*
        }

        /// Method and path of each operation.
        #[cfg(test)]
        const OPERATIONS: &[(&str, &str)] =
            &[$((stringify!($method), $path)),*];

        /// The OpenAPI document, from the annotations of the handlers.
        #[cfg(feature = "openapi")]
        #[must_use]
        pub fn openapi() -> utoipa::openapi::OpenApi {
            use utoipa::OpenApi as _;
            use utoipa_axum::{router::OpenApiRouter, routes};

            let (_, mut api) = OpenApiRouter::<App>::with_openapi(document::Api::openapi())
                $(.routes(routes!($module::$handler)))*
                .split_for_parts();
            document::complete(&mut api);
            api
        }
    };
    (@limit $operation:expr, large) => { $operation.layer(DefaultBodyLimit::max(BODY_LIMIT)) };
    (@limit $operation:expr) => { $operation };
}

operations! {
    get "/v1/status" status::status;
    get "/v1/progress" status::progress;
    get "/v1/policies" policies::list;
    get "/v1/policies/{name}" policies::show;
    get "/v1/policies/{name}/rules" policies::rules;
    get "/v1/lists" lists::list;
    get "/v1/lists/{name}" lists::show;
    get "/v1/lists/{name}/entries" lists::entries;
    get "/v1/feeds" feeds::list;
    put "/v1/feeds/{name}/content" feeds::put large;
    post "/v1/feeds/{name}/report" feeds::report;
    post "/v1/feeds/{name}/refresh" feeds::refresh;
    get "/v1/fleet" fleet::show;
    delete "/v1/fleet" fleet::leave;
    post "/v1/fleet/objects/missing" fleet::missing large;
    post "/v1/fleet/objects" fleet::objects large;
    put "/v1/fleet/revision" fleet::revision;
    post "/v1/fleet/probe" fleet::probe;
    get "/v1/databases" databases::list;
    get "/v1/databases/{name}/explain" databases::explain;
    get "/v1/databases/{name}/order" databases::order;
    post "/v1/databases/{name}/report" databases::report;
    post "/v1/databases/{name}/trial" databases::trial;
    get "/v1/services" services::list;
    get "/v1/services/known" services::known;
    get "/v1/host" host::show;
    post "/v1/changes" apply::change large;
    get "/v1/export" apply::export;
    get "/v1/diff" diff::revisions;
    post "/v1/diff" diff::change large;
    post "/v1/sql" sql::run large;
    get "/v1/explain" explain::explain;
    get "/v1/explain/network" explain_network::explain_network;
    get "/v1/find" find::find;
    get "/v1/clients" clients::list;
    get "/v1/lint" lint::lint;
    post "/v1/lint" lint::change large;
    get "/v1/evaluate" evaluate::policy;
    post "/v1/evaluate" evaluate::change large;
    get "/v1/recommend" evaluate::recommend;
    get "/v1/tests" policy_tests::list;
    post "/v1/verify" verify::verify;
    get "/v1/counters" counters::counters;
    get "/v1/events" events::events;
    get "/v1/sources" sources::sources;
    get "/v1/hits" sources::hits;
    get "/v1/rates" sources::rates;
    get "/metrics" metrics::metrics;
    get "/v1/notices" notices::notices;
    get "/v1/bypasses" bypasses::list;
    post "/v1/bypasses" bypasses::grant;
    delete "/v1/bypasses" bypasses::revoke;
    get "/v1/bans" bans::list;
    post "/v1/bans" bans::ban large;
    delete "/v1/bans" bans::unban;
    put "/v1/bans" bans::replace large;
    get "/v1/revisions" revisions::list;
    post "/v1/rollback/{revision}" revisions::rollback;
    post "/v1/confirm" revisions::confirm;
    get "/v1/grants" grants::list;
    post "/v1/grants" grants::grant;
    delete "/v1/grants" grants::revoke;
    get "/v1/audit" audit::list;
    get "/v1/caller" caller::show;
    get "/v1/backup" store::backup;
    post "/v1/store/rescue" store::rescue;
    post "/v1/store/acknowledge" store::acknowledge;
    post "/v1/attach" interfaces::attach;
    post "/v1/detach" interfaces::detach;
}

/// The whole API. Connections bring a [`Peer`](crate::agent::http::admission::Peer).
pub fn router(app: App) -> Router {
    operations()
        .route("/v1/openapi.json", get(openapi_document))
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
        .layer(from_fn_with_state(app.clone(), authorize))
        .with_state(app)
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
