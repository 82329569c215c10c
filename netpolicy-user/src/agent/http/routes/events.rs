//! `/v1/events`: denied attempts as they happen, a JSON object a line.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::watch;

#[cfg(feature = "openapi")]
use super::document::ENFORCEMENT;
use crate::agent::http::app::App;
use crate::api::EventLine;

/// Denied attempts from now on; ends when the agent stops.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/events", operation_id = "streamEvents", tag = ENFORCEMENT,
    responses((status = OK, body = EventLine, content_type = "application/x-ndjson",
        description = "A stream without end of such objects, one a line (newline-delimited JSON)."))
))]
pub(super) async fn events(State(app): State<App>) -> Response {
    let lines = stream::unfold(
        (app.hub.subscribe(), app.stopping),
        |(mut lines, mut stopping)| async move {
            let line = next(&mut lines, &mut stopping).await?;
            Some((Ok::<_, Infallible>(line), (lines, stopping)))
        },
    );
    (
        [(CONTENT_TYPE, "application/x-ndjson")],
        Body::from_stream(lines),
    )
        .into_response()
}

async fn next(
    lines: &mut Receiver<EventLine>,
    stopping: &mut watch::Receiver<bool>,
) -> Option<Bytes> {
    let received = tokio::select! {
        received = lines.recv() => received,
        // An error means that the agent is gone altogether.
        _ = stopping.wait_for(|stopping| *stopping) => return None,
    };
    let line = match received {
        Ok(line) => line,
        // The listener is too slow.
        Err(RecvError::Lagged(count)) => EventLine::Lost { count },
        Err(RecvError::Closed) => return None,
    };
    let mut text = serde_json::to_vec(&line).ok()?;
    text.push(b'\n');
    Some(text.into())
}
