//! `/v1/databases`

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

#[cfg(feature = "openapi")]
use super::document::{POLICIES, ProblemDetails};
use crate::agent::access::{Caller, rights};
use crate::agent::databases;
use crate::agent::error::AgentError;
use crate::agent::http::app::{App, blocking};
use crate::agent::http::extract::{Body, Params};
#[cfg(feature = "openapi")]
use crate::api::DatabaseOrder;
use crate::api::{
    DatabaseExplainQuery, DatabaseOrderQuery, DatabaseReport, DatabaseTrialReport, DatabaseVerdict,
    DatabaseView,
};
use crate::model::Privilege;

/// How long an answer waits at most, seconds, and unless set.
const LONGEST_WAIT: u64 = 60;
const USUAL_WAIT: u64 = 30;

/// All databases: whose users have policies, and whether they are in force there.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/databases", operation_id = "listDatabases", tag = POLICIES,
    responses((status = OK, body = Vec<DatabaseView>, description = "All databases."))
))]
pub(super) async fn list(State(app): State<App>) -> Json<Vec<DatabaseView>> {
    let snapshot = app.supervisor.snapshot();
    Json(app.supervisor.databases().views(&snapshot.state))
}

/// What a database makes of a user who comes from an address: by the policies, and by the lines
/// that it was seen to have.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/databases/{name}/explain", operation_id = "explainDatabaseUser", tag = POLICIES,
    params(("name" = String, Path, description = "The database's name."), DatabaseExplainQuery),
    responses(
        (status = OK, body = DatabaseVerdict, description = "The verdict, and what it follows from."),
        (status = NOT_FOUND, body = ProblemDetails, description = "There is no database of this name."),
    )
))]
pub(super) async fn explain(
    State(app): State<App>,
    Path(name): Path<String>,
    Params(query): Params<DatabaseExplainQuery>,
) -> Result<Json<DatabaseVerdict>, AgentError> {
    let snapshot = app.supervisor.snapshot();
    let board = app.supervisor.databases().clone();
    blocking(move || {
        let database = snapshot
            .state
            .database(&name)
            .ok_or_else(|| unknown(&name))?;
        let ruleset = snapshot.ruleset.as_ref().ok_or(AgentError::Internal)?;
        let asked = (&*query.user, query.source.to_canonical());
        let state = &snapshot.state;
        let known = (&board, snapshot.bypasses.as_slice());
        Ok(databases::explain(state, ruleset, database, known, asked))
    })
    .await
    .map(Json)
}

/// What is to be carried into a database. Waits until it is another order than the one that was
/// seen.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/databases/{name}/order", operation_id = "getDatabaseOrder", tag = POLICIES,
    params(("name" = String, Path, description = "The database's name."), DatabaseOrderQuery),
    responses(
        (status = OK, body = DatabaseOrder, description = "The order."),
        (status = NO_CONTENT, description = "There is no other order than the one that was seen."),
        (status = NOT_FOUND, body = ProblemDetails, description = "There is no database of this name."),
    )
))]
pub(super) async fn order(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Params(query): Params<DatabaseOrderQuery>,
) -> Result<Response, AgentError> {
    may(&app, caller, "carry policies into a database").await?;
    let board = app.supervisor.databases().clone();
    let mut ordered = board.ordered();
    let mut stopping = app.stopping.clone();
    let wait = query.wait.unwrap_or(USUAL_WAIT).clamp(1, LONGEST_WAIT);
    let deadline = Instant::now() + Duration::from_secs(wait);
    let attendance = board.attend(&name).ok_or_else(|| unknown(&name))?;
    loop {
        ordered.borrow_and_update();
        if let Some(order) = board.order_for(&attendance.name, query.seen, query.tried) {
            return Ok(Json(order).into_response());
        }
        let waiting = async {
            tokio::select! {
                changed = ordered.changed() => changed.is_ok(),
                _ = stopping.changed() => false,
            }
        };
        if !matches!(timeout_at(deadline, waiting).await, Ok(true)) {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
    }
}

/// Reports what came of an order, or what was repaired since.
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/databases/{name}/report", operation_id = "reportDatabase", tag = POLICIES,
    params(("name" = String, Path, description = "The database's name.")),
    request_body(content = DatabaseReport, description = "What came of it."),
    responses(
        (status = NO_CONTENT, description = "It was noted."),
        (status = NOT_FOUND, body = ProblemDetails, description = "There is no database of this name."),
    )
))]
pub(super) async fn report(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    body: Body,
) -> Result<StatusCode, AgentError> {
    may(&app, caller, "report on a database").await?;
    let (report, _share) = body.parse::<DatabaseReport>()?;
    if !app
        .supervisor
        .databases()
        .report(&name, report, Timestamp::now())
    {
        return Err(unknown(&name));
    }
    app.supervisor.look_again();
    Ok(StatusCode::NO_CONTENT)
}

/// Answers what was asked about lines that are not in force.
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/databases/{name}/trial", operation_id = "answerDatabaseTrial", tag = POLICIES,
    params(("name" = String, Path, description = "The database's name.")),
    request_body(content = DatabaseTrialReport, description = "What the database would make of them."),
    responses(
        (status = NO_CONTENT, description = "It was noted."),
        (status = NOT_FOUND, body = ProblemDetails, description = "There is no database of this name."),
    )
))]
pub(super) async fn trial(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    body: Body,
) -> Result<StatusCode, AgentError> {
    may(&app, caller, "answer for a database").await?;
    let (report, _share) = body.parse::<DatabaseTrialReport>()?;
    match app.supervisor.databases().answer(&name, report) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(unknown(&name)),
    }
}

async fn may(app: &App, caller: Caller, what: &'static str) -> Result<(), AgentError> {
    let grants = app.supervisor.snapshot().grants.clone();
    blocking(move || rights::require(caller, &grants, Privilege::Database, what)).await
}

fn unknown(name: &str) -> AgentError {
    AgentError::NotFound {
        what: format!("unknown database '{}'", name.escape_debug()),
        hint: "`netpolicy db list` shows what there is",
    }
}
