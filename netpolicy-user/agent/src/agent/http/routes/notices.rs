//! `/v1/notices`: what hooks are run for, and which there are.

use std::time::Duration;

use axum::extract::State;
use axum::{Extension, Json};
use tokio::time::{Instant, timeout_at};

#[cfg(feature = "openapi")]
use super::document::ENFORCEMENT;
use super::status;
use crate::agent::access::{Caller, rights};
use crate::agent::error::AgentError;
use crate::agent::http::app::{App, blocking};
use crate::agent::http::extract::Params;
use crate::agent::notices::present_notices;
use crate::api::{HookView, NoticesQuery, NoticesView};
use crate::config::NotifyHook;
use crate::model::Privilege;

/// How long an answer waits at most, seconds, and unless set.
const LONGEST_WAIT: u64 = 60;
const USUAL_WAIT: u64 = 30;

/// Hooks and notices. Without `after` and `agent`, or with those of an agent before this one, it
/// answers at once, with a notice for each kind of fault that is present and one if all filtering
/// is stopped. With them it answers as soon as there is another notice or the configuration is
/// reloaded, or after `wait` seconds.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/notices", operation_id = "listNotices", tag = ENFORCEMENT,
    params(NoticesQuery),
    responses((status = OK, body = NoticesView,
        description = "Hooks and notices. Requires the privilege metrics: a hook's URL may hold a secret."))
))]
pub(super) async fn notices(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<NoticesQuery>,
) -> Result<Json<NoticesView>, AgentError> {
    let snapshot = app.supervisor.snapshot();
    let what = "see hooks and notices";
    let grants = move || rights::require(caller, &snapshot.grants, Privilege::Metrics, what);
    blocking(grants).await?;
    let agent = app.started.as_nanosecond().to_string();
    let notices = app.supervisor.notices().clone();
    let mut newest = notices.newest();
    let mut running = app.running.clone();
    let known = query
        .after
        .filter(|_| query.agent.as_deref() == Some(&*agent));
    let Some(after) = known else {
        let seen = *newest.borrow_and_update();
        let asked = app.clone();
        let look = move || Ok(status::present_faults(&asked));
        let (faults, detached) = blocking(look).await?;
        return Ok(Json(NoticesView {
            agent,
            newest: seen,
            hooks: hooks(&running.borrow().config.notify),
            notices: present_notices(faults, detached.as_ref()),
            lost: 0,
        }));
    };
    let wait = query.wait.unwrap_or(USUAL_WAIT).clamp(1, LONGEST_WAIT);
    let deadline = Instant::now() + Duration::from_secs(wait);
    running.borrow_and_update();
    let mut stopping = app.stopping.clone();
    let waiting = async {
        tokio::select! {
            _ = newest.wait_for(|newest| *newest > after) => {}
            _ = running.changed() => {}
            _ = stopping.changed() => {}
        }
    };
    // In time or not: what there is by then is the answer.
    let _ = timeout_at(deadline, waiting).await;
    let (found, lost) = notices.after(after);
    Ok(Json(NoticesView {
        agent,
        newest: found.last().map_or(after, |notice| notice.id),
        hooks: hooks(&running.borrow().config.notify),
        notices: found,
        lost,
    }))
}

fn hooks(configured: &[NotifyHook]) -> Vec<HookView> {
    let views = configured.iter().map(|hook| HookView {
        on: hook.on.clone(),
        run: hook.run.clone(),
        url: hook.url.clone(),
        per_hour: hook.per_hour,
        timeout: hook.timeout.as_secs(),
    });
    views.collect()
}
