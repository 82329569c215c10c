//! Which callers are admitted: root, and users and groups with a grant.

use std::sync::{Arc, OnceLock};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderName, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::app::App;
use super::standing::Standing;
use crate::agent::access::{Caller, OperatorOrigin, Person, Requester, rights};
use crate::agent::error::AgentError;

/// The header that names the person on whose behalf a caller acts, for the audit log: what a
/// reverse proxy before the console says. It selects no rights.
const ON_BEHALF_OF: HeaderName = HeaderName::from_static("x-netpolicy-on-behalf-of");

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// As the kernel says.
    pub caller: Option<Caller>,
    origin: PeerOrigin,
}

impl Peer {
    /// The peer of a connection that was just made.
    #[must_use]
    pub fn new(caller: Option<Caller>) -> Self {
        Self {
            caller,
            origin: PeerOrigin::default(),
        }
    }
}

/// Where the peer of a connection was started from, once that was looked for: it takes two files
/// of each of the process's parents.
#[derive(Clone, Debug, Default)]
pub struct PeerOrigin(Arc<OnceLock<OperatorOrigin>>);

impl PeerOrigin {
    /// The peer as a requester. The first time not for an async task's thread.
    pub(in crate::agent::http) fn requester(&self, caller: Caller) -> Requester {
        Requester {
            caller,
            origin: *self.0.get_or_init(|| OperatorOrigin::of(caller)),
        }
    }

    /// Whether it was looked for.
    pub(in crate::agent::http) fn is_known(&self) -> bool {
        self.0.get().is_some()
    }
}

/// Middleware: admits callers that may see anything, with a [`Caller`] and a [`Standing`] for
/// what follows, and refuses other callers before anything of a request's body is read.
pub async fn authorize(
    State(app): State<App>,
    ConnectInfo(Peer { caller, origin }): ConnectInfo<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(mut caller) = caller else {
        let who = "an unknown caller".to_owned();
        return AgentError::NoRights { who }.into_response();
    };
    let person = request.headers().get(ON_BEHALF_OF);
    caller.person = person.and_then(|person| Person::new(person.to_str().ok()?));
    let found = standing(&app, caller).await;
    if let Some(standing) = found.filter(|found| found.may_use(request.uri().path())) {
        request.extensions_mut().insert(caller);
        request.extensions_mut().insert(standing);
        request.extensions_mut().insert(origin);
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
                    Standing::Narrow(narrow) => narrow.in_words(),
                    _ => "read".to_owned(),
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
