//! `/v1/sql`

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

use super::extract::{Body, Params};
use super::{App, blocking};
use crate::agent::caller::Caller;
use crate::agent::error::AgentError;
use crate::agent::request::Options;
use crate::api::{ChangeQuery, ErrorBody, SqlRequest, SqlResponse};

/// Runs a script of SQL, up to the first statement that fails. The status is that
/// statement's; the body is the same whether one failed or not.
#[utoipa::path(post, path = "/v1/sql", params(ChangeQuery), request_body = SqlRequest, responses(
    (status = OK, body = SqlResponse),
    (status = BAD_REQUEST, body = SqlResponse),
    (status = FORBIDDEN, body = SqlResponse),
    (status = NOT_FOUND, body = SqlResponse),
    (status = CONFLICT, body = SqlResponse),
    (status = PAYLOAD_TOO_LARGE, body = ErrorBody),
    (status = INTERNAL_SERVER_ERROR, body = SqlResponse),
    (status = INSUFFICIENT_STORAGE, body = SqlResponse),
))]
pub(super) async fn run(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<ChangeQuery>,
    body: Body,
) -> Result<Response, AgentError> {
    let request = blocking(move || body.parse::<SqlRequest>()).await?;
    let (options, asker) = Options::of(&query, caller)?;
    let response = app.supervisor.sql(request, asker, options).await?;
    let status = response.error.as_ref().map_or(StatusCode::OK, |error| {
        StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    });
    Ok((status, Json(response)).into_response())
}
