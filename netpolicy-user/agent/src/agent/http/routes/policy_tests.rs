//! `/v1/tests`: policy tests, and whether the policies in force do what they expect.

use axum::extract::State;
use netpolicy_common::HOST_SCOPE;

use super::condition::AtRevision;
#[cfg(feature = "openapi")]
use super::document::POLICIES;
use crate::agent::error::AgentError;
use crate::agent::http::app::App;
use crate::agent::writer::judge_aside;
use crate::api::PolicyTestView;
use crate::model::{PolicyTest, evaluate};

/// All policy tests, each judged by the policies in force. Bans, bypasses and observe mode do not
/// count.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/tests", operation_id = "listTests", tag = POLICIES,
    responses((status = OK, body = Vec<PolicyTestView>, description = "The tests, by source."))
))]
pub(super) async fn list(
    State(app): State<App>,
) -> Result<AtRevision<Vec<PolicyTestView>>, AgentError> {
    let snapshot = app.supervisor.snapshot();
    judge_aside(move || {
        let state = &snapshot.state;
        let failed = state.failing_tests(|service, source| match &snapshot.ruleset {
            Some(rules) => rules.lookup(service.map_or(HOST_SCOPE, |service| service.id), source),
            None => evaluate(state, service, source).reason,
        });
        let mut failed = failed.into_iter().peekable();
        let views = state.tests.iter().enumerate().map(|(at, test)| {
            let failed = failed.next_if(|failed| failed.test == at);
            view(test, failed.map(|failed| failed.why))
        });
        AtRevision(snapshot.revision, views.collect())
    })
    .await
}

fn view(test: &PolicyTest, why: Option<String>) -> PolicyTestView {
    PolicyTestView {
        source: test.attempt.source.to_string(),
        service: test.attempt.service.as_ref().map(ToString::to_string),
        port: test.attempt.port,
        expect: test.expect,
        comment: test.comment.clone(),
        place: test.place.as_ref().map(ToString::to_string),
        holds: why.is_none(),
        why,
    }
}
