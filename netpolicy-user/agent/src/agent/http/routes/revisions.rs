//! `/v1/revisions`

use axum::extract::{Path, State};
use axum::{Extension, Json};

use super::condition::IfMatch;
#[cfg(feature = "openapi")]
use super::document::{
    CHANGES, CONFLICTING, HISTORY, IF_MATCH, MISMATCH, NO_REVISION, NO_ROOM, ProblemDetails,
};
use super::paging::{text, window};
use crate::agent::access::{Caller, Requester};
use crate::agent::change::ChangeOptions;
use crate::agent::error::AgentError;
use crate::agent::http::ahead;
use crate::agent::http::app::App;
use crate::agent::http::extract::Params;
use crate::api::{
    ChangeQuery, Changed, PageQuery, Paged, PendingView, RevisionView, RevisionsQuery,
};
use crate::store::HistoryWindow;

/// The latest revisions of the desired state, the newest first; of a policy, a user or a time.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/revisions", operation_id = "listRevisions", tag = HISTORY,
    params(RevisionsQuery),
    responses((status = OK, body = Paged<RevisionView>, description = "Revisions, the newest first."))
))]
pub(super) async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<RevisionsQuery>,
) -> Result<Json<Paged<RevisionView>>, AgentError> {
    let of = HistoryWindow {
        window: window(PageQuery {
            limit: query.limit,
            after: query.after,
            text: query.text,
        })?,
        policy: text(query.policy),
        actor: text(query.user),
        since: query.since,
        changes: query.changes,
    };
    app.supervisor.revisions(caller, of).await.map(Json)
}

/// Makes the desired state what it was at a revision: a new revision, made as any change.
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/rollback/{revision}", operation_id = "rollBack", tag = HISTORY,
    params(("revision" = u64, Path, description = "The revision to go back to."), ChangeQuery,
        ("If-Match" = Option<String>, Header, description = IF_MATCH)),
    responses(
        (status = OK, body = Changed, description = "The revision's state is in force, or was only tried (`dry_run`)."),
        (status = NOT_FOUND, body = ProblemDetails, description = NO_REVISION),
        (status = CONFLICT, body = ProblemDetails, description = CONFLICTING),
        (status = PRECONDITION_FAILED, body = ProblemDetails, description = MISMATCH),
        (status = INSUFFICIENT_STORAGE, body = ProblemDetails, description = NO_ROOM),
    )
))]
pub(super) async fn rollback(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(revision): Path<u64>,
    Params(mut query): Params<ChangeQuery>,
    IfMatch(present): IfMatch,
) -> Result<Json<Changed>, AgentError> {
    query.if_revision = present;
    let (options, requester) = ChangeOptions::of(&query, caller)?;
    let requested = ahead::Requested::Rollback { revision };
    let changed = ahead::change(&app, requested, (options, requester), ());
    changed.await.map(Json)
}

/// Confirms the unconfirmed change.
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/confirm", operation_id = "confirmChange", tag = CHANGES,
    params(("If-Match" = Option<String>, Header, description = IF_MATCH)),
    responses(
        (status = OK, body = PendingView, description = "The change that stays in force."),
        (status = NOT_FOUND, body = ProblemDetails, description = "No change waits for a confirmation."),
        (status = PRECONDITION_FAILED, body = ProblemDetails, description = MISMATCH),
    )
))]
pub(super) async fn confirm(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    IfMatch(present): IfMatch,
) -> Result<Json<PendingView>, AgentError> {
    let requester = Requester::here(caller);
    let confirmed = app.supervisor.run(caller, move |writer| {
        writer.require_revision(present, requester, "confirm")?;
        writer.confirm(requester)
    });
    confirmed.await.map(Json)
}
