//! `/v1/diff`: how two states differ. Changes do not wait for it.

use axum::extract::State;
use axum::{Extension, Json};
use serde::Deserialize;

#[cfg(feature = "openapi")]
use super::document::{CONFLICTING, HISTORY, NO_REVISION, ProblemDetails, UNKNOWN_NAME};
use super::texts::ChangeBody;
use crate::agent::access::Caller;
use crate::agent::error::AgentError;
use crate::agent::http::app::App;
use crate::agent::http::extract::Params;
use crate::agent::memory;
use crate::agent::writer::aside;
use crate::api::{Changed, DiffAnswer, Timing};
#[cfg(feature = "openapi")]
use crate::model::Change;
use crate::model::{State as Desired, diff, plan};

/// Bytes of a unified diff, unless the query has fewer.
const LONGEST: usize = 16 << 20;

#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub(super) struct DiffParams {
    /// The older revision; 0: the empty state before the first.
    from: u64,
    /// The newer revision; none: the state as it is.
    to: Option<u64>,
    /// At most so many bytes of text: 1,024 to 16,777,216, which is usual; further lines are
    /// counted.
    #[cfg_attr(feature = "openapi", param(minimum = 1024, maximum = 16777216))]
    limit: Option<usize>,
}

/// How a revision differs from another one, or from the state as it is.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/diff", operation_id = "diffRevisions", tag = HISTORY,
    params(DiffParams),
    responses(
        (status = OK, body = DiffAnswer, description = "The difference of both as policy files."),
        (status = NOT_FOUND, body = ProblemDetails, description = NO_REVISION),
    )
))]
pub(super) async fn revisions(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Params(params): Params<DiffParams>,
) -> Result<Json<DiffAnswer>, AgentError> {
    let limit = limit(params.limit)?;
    let snapshot = app.supervisor.snapshot();
    let old = app.supervisor.state_at(caller, params.from).await?;
    let new = match params.to {
        Some(to) => Some(app.supervisor.state_at(caller, to).await?),
        None => None,
    };
    aside(move || {
        let answer = difference(&old, new.as_ref().unwrap_or(&snapshot.state), limit);
        drop((old, new));
        memory::give_back();
        Json(answer)
    })
    .await
}

/// How the state would differ after a change: checked as any change, and not made.
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/diff", operation_id = "diffChange", tag = HISTORY,
    request_body(content = Change, description = "The change, most often that of a policy file. With the content type application/vnd.netpolicy.change-with-texts: a line of JSON with the change, whose texts are empty, and their lengths in bytes; then the texts."),
    responses(
        (status = OK, body = DiffAnswer, description = "The difference that the change would make."),
        (status = NOT_FOUND, body = ProblemDetails, description = UNKNOWN_NAME),
        (status = CONFLICT, body = ProblemDetails, description = CONFLICTING),
    )
))]
pub(super) async fn change(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    body: ChangeBody,
) -> Result<Json<DiffAnswer>, AgentError> {
    aside(move || {
        let (snapshot, applied) = body.try_out(&app, &caller)?;
        let mut answer = difference(&snapshot.state, &applied.state, LONGEST);
        let plan = plan(&snapshot.state, &applied.state);
        // Where the texts agree and the plan does not, the plan is right.
        answer.differs |= !plan.is_empty();
        answer.plan = Some(Changed {
            revision: snapshot.revision,
            generation: snapshot.generation,
            entries: snapshot.entries,
            changed: !plan.is_empty(),
            plan,
            effects: Vec::new(),
            clients: None,
            databases: Vec::new(),
            seen: None,
            operator: None,
            opens: None,
            pending: None,
            warnings: applied.warnings,
            dry_run: true,
            timing: Timing::default(),
        });
        drop(applied.state);
        memory::give_back();
        Ok(Json(answer))
    })
    .await?
}

/// How many bytes of text there may be.
fn limit(limit: Option<usize>) -> Result<usize, AgentError> {
    match limit.unwrap_or(LONGEST) {
        limit @ 1_024..=LONGEST => Ok(limit),
        limit => Err(AgentError::BadRequest(format!(
            "limit is {limit}; expected 1024 to {LONGEST}"
        ))),
    }
}

fn difference(old: &Desired, new: &Desired, limit: usize) -> DiffAnswer {
    let diff = diff::unified(old, new, limit);
    DiffAnswer {
        differs: !diff.text.is_empty() || diff.left_out > 0,
        diff: diff.text,
        left_out: diff.left_out,
        plan: None,
    }
}
