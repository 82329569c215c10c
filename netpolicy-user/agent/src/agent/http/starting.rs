//! The API while the agent starts: with millions of rules that takes a second or more.
//!
//! The status is refused at once, so that who asks for it can look at the kernel instead. All
//! other requests wait for their answer.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::watch;
use tower::Service as _;

use super::error::HttpError;

/// Serves what is sent to the channel, once it is sent.
pub fn router(started: watch::Receiver<Option<Router>>) -> Router {
    Router::new().fallback(pass_on).with_state(started)
}

async fn pass_on(
    State(mut started): State<watch::Receiver<Option<Router>>>,
    request: Request,
) -> Response {
    let is_there = started.borrow().is_some();
    if !is_there && request.method() == Method::GET && request.uri().path() == "/v1/status" {
        return HttpError::Starting.into_response();
    }
    let router = match started.wait_for(Option::is_some).await {
        Ok(router) => router.clone(),
        // It will not start.
        Err(_) => None,
    };
    let Some(mut router) = router else {
        return HttpError::Starting.into_response();
    };
    match router.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::body::Body;
    use axum::http::StatusCode;
    use axum::routing::get;
    use tokio::time::timeout;

    use super::*;

    async fn answer(router: &Router, path: &str) -> StatusCode {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        router.clone().call(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn status_is_refused_at_once_and_all_else_waits_until_the_agent_has_started() {
        let (start, started) = watch::channel(None);
        let outer = router(started);
        let refused = answer(&outer, "/v1/status").await;
        assert_eq!(refused, StatusCode::SERVICE_UNAVAILABLE);
        let mut waiting = Box::pin(answer(&outer, "/v1/policies"));
        let early = timeout(Duration::from_millis(20), &mut waiting).await;
        assert!(early.is_err(), "{early:?}");
        let inner = Router::new()
            .route("/v1/status", get(async || "ok"))
            .route("/v1/policies", get(async || "ok"));
        start.send_replace(Some(inner));
        assert_eq!(waiting.await, StatusCode::OK);
        assert_eq!(answer(&outer, "/v1/status").await, StatusCode::OK);
    }

    #[tokio::test]
    async fn agent_that_does_not_start_answers_who_waited() {
        let (start, started) = watch::channel(None);
        let outer = router(started);
        let waiting = answer(&outer, "/v1/policies");
        drop(start);
        assert_eq!(waiting.await, StatusCode::SERVICE_UNAVAILABLE);
    }
}
