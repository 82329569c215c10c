//! `/v1/feeds`

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use tokio::time::{Instant, timeout_at};

#[cfg(feature = "openapi")]
use super::document::{CONFLICTING, NO_ROOM, POLICIES, ProblemDetails};
use crate::agent::access::{Caller, Requester};
use crate::agent::error::AgentError;
use crate::agent::feeds;
use crate::agent::http::app::{App, blocking};
use crate::agent::http::extract::{Body, Params};
use crate::agent::snapshot::Snapshot;
use crate::agent::writer::Writer;
use crate::api::{FEEDS_SEEN, FeedContentQuery, FeedReport, FeedView, FeedsQuery};

/// How long an answer waits at most, seconds, and unless set.
const LONGEST_WAIT: u64 = 60;
const USUAL_WAIT: u64 = 30;

/// All feeds, with their settings and how they are.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/feeds", operation_id = "listFeeds", tag = POLICIES,
    params(FeedsQuery),
    responses((status = OK, body = Vec<FeedView>, description = "All feeds."))
))]
pub(super) async fn list(State(app): State<App>, Params(query): Params<FeedsQuery>) -> Response {
    let mut snapshots = app.supervisor.snapshots();
    let mut stopping = app.stopping.clone();
    let wait = query.wait.unwrap_or(USUAL_WAIT).clamp(1, LONGEST_WAIT);
    let deadline = Instant::now() + Duration::from_secs(wait);
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        let seen = seen(&snapshot);
        if query.seen.as_deref() != Some(&*seen) {
            return answer(&snapshot, &seen);
        }
        let waiting = async {
            tokio::select! {
                changed = snapshots.changed() => changed.is_ok(),
                _ = stopping.changed() => false,
            }
        };
        match timeout_at(deadline, waiting).await {
            Ok(true) => {}
            Ok(false) | Err(_) => return answer(&snapshot, &seen),
        }
    }
}

fn answer(snapshot: &Snapshot, seen: &str) -> Response {
    let views = snapshot.feeds.views(&snapshot.state, snapshot.clock.wall());
    let mut response = Json(views).into_response();
    if let Ok(seen) = HeaderValue::from_str(seen) {
        response.headers_mut().insert(FEEDS_SEEN, seen);
    }
    response
}

/// Names what the process that refreshes feeds goes by.
fn seen(snapshot: &Snapshot) -> String {
    let mut hasher = blake3::Hasher::new();
    for (list, feed) in snapshot.state.feeds() {
        let condition = snapshot.feeds.of(&list.name);
        let requested = condition.map_or(0, |condition| condition.requested);
        let line = format!("{} {} {requested}\n", list.name, feeds::version(feed));
        hasher.update(line.as_bytes());
    }
    let hex = hasher.finalize().to_hex();
    hex.get(..16).unwrap_or_default().to_owned()
}

/// Puts new content of a feed in force: one canonical network a line, ascending. Content that
/// the feed's settings refuse leaves what is in force.
#[cfg_attr(feature = "openapi", utoipa::path(put, path = "/v1/feeds/{name}/content", operation_id = "putFeedContent", tag = POLICIES,
    params(("name" = String, Path, description = "The feed's name."), FeedContentQuery),
    request_body(content = Vec<u8>, content_type = "application/octet-stream",
        description = "One canonical network a line, as in 192.0.2.0/24, ascending, each once; \
                       a comment may follow after \" # \"."),
    responses(
        (status = OK, body = FeedView, description = "The feed, with its content in force."),
        (status = NOT_FOUND, body = ProblemDetails, description = "There is no feed of this name."),
        (status = CONFLICT, body = ProblemDetails, description = CONFLICTING),
        (status = INSUFFICIENT_STORAGE, body = ProblemDetails, description = NO_ROOM),
    )
))]
pub(super) async fn put(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Params(query): Params<FeedContentQuery>,
    body: Body,
) -> Result<Json<FeedView>, AgentError> {
    let limit = app.running.borrow().config.limits.rules_per_list;
    let inspector = app.inspector.clone();
    let (content, own, _share) = blocking(move || {
        let (text, share) = body.text()?;
        let content = feeds::parse(&text, limit)
            .map_err(|error| AgentError::BadRequest(error.to_string()))?;
        // Where they cannot be read, content is not refused for them.
        let devices = inspector.devices().unwrap_or_default();
        let own: Vec<IpAddr> = devices
            .into_iter()
            .flat_map(|device| device.addresses)
            .collect();
        Ok((content, own, share))
    })
    .await?;
    let requester = Requester::here(caller);
    let put = move |writer: &mut Writer| writer.put_feed(&name, content, &query, &own, requester);
    app.supervisor.run(caller, put).await.map(Json)
}

/// Reports a refresh that brought no content: it failed, or what is in force is current.
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/feeds/{name}/report", operation_id = "reportFeed", tag = POLICIES,
    params(("name" = String, Path, description = "The feed's name.")),
    request_body(content = FeedReport, description = "What came of it."),
    responses(
        (status = OK, body = FeedView, description = "The feed."),
        (status = NOT_FOUND, body = ProblemDetails, description = "There is no feed of this name."),
        (status = CONFLICT, body = ProblemDetails, description = CONFLICTING),
    )
))]
pub(super) async fn report(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    body: Body,
) -> Result<Json<FeedView>, AgentError> {
    let (report, _share) = body.parse::<FeedReport>()?;
    let requester = Requester::here(caller);
    let work = move |writer: &mut Writer| writer.report_feed(&name, &report, requester);
    app.supervisor.run(caller, work).await.map(Json)
}

/// Requests a refresh of a feed now.
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/feeds/{name}/refresh", operation_id = "refreshFeed", tag = POLICIES,
    params(("name" = String, Path, description = "The feed's name.")),
    responses(
        (status = OK, body = FeedView, description = "The feed, of which a refresh is requested."),
        (status = NOT_FOUND, body = ProblemDetails, description = "There is no feed of this name."),
    )
))]
pub(super) async fn refresh(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Json<FeedView>, AgentError> {
    let requester = Requester::here(caller);
    let work = move |writer: &mut Writer| writer.refresh_feed(&name, requester);
    app.supervisor.run(caller, work).await.map(Json)
}
