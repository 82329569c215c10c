//! Which callers are admitted: root, and users and groups with a grant.

use axum::extract::{ConnectInfo, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::app::App;
use super::standing::Standing;
use crate::agent::access::{Caller, OperatorOrigin, Requester, rights};
use crate::agent::error::AgentError;

/// Who is at the other end of a connection, as the kernel says.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub Option<Caller>);

/// Middleware: admits callers that may see anything, with a [`Caller`] and a [`Standing`] for
/// what follows, and refuses other callers before anything of a request's body is read.
pub async fn authorize(
    State(app): State<App>,
    ConnectInfo(Peer(caller)): ConnectInfo<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(caller) = caller else {
        let who = "an unknown caller".to_owned();
        return AgentError::NoRights { who }.into_response();
    };
    let found = standing(&app, caller).await;
    if let Some(standing) = found.filter(|found| found.may_use(request.uri().path())) {
        request.extensions_mut().insert(caller);
        request.extensions_mut().insert(standing);
        return next.run(request).await;
    }
    let who = caller.name();
    let path = request.uri().path();
    tracing::warn!(%who, path, "refused: no privileges for it");
    let error = match found {
        None => AgentError::NoRights { who },
        Some(standing) => AgentError::NotAllowed {
            lacks: vec![format!(
                "{who} may {} and nothing else: that requires another privilege",
                match standing {
                    Standing::Watcher => "read metrics and notices",
                    _ => "refresh feeds",
                }
            )],
        },
    };
    // Reading changes nothing, and is not in that log when it is allowed either.
    if request.method() != Method::GET {
        let action = format!("{} {}", request.method(), path.escape_debug());
        let requester = Requester {
            caller,
            origin: OperatorOrigin::Console,
        };
        app.supervisor.refused(requester, &action, &error);
    }
    error.into_response()
}

/// Asks the user database, which may take its time.
async fn standing(app: &App, caller: Caller) -> Option<Standing> {
    if caller.is_root() {
        return Some(Standing::Admin);
    }
    let snapshot = app.supervisor.snapshot();
    let asked = tokio::task::spawn_blocking(move || {
        Standing::of(&rights::of(caller, &snapshot.grants), &snapshot.state)
    });
    asked.await.unwrap_or(None)
}
