//! `/v1/evaluate` and `/v1/recommend`: policies, judged over the sources that came. Changes do not
//! wait for it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use axum::extract::State;
use axum::{Extension, Json};
use jiff::Timestamp;

#[cfg(feature = "openapi")]
use super::document::{CONFLICTING, POLICIES, ProblemDetails, UNKNOWN_NAME};
use super::texts::ChangeBody;
use super::{named, paging, policies};
use crate::agent::access::Caller;
use crate::agent::error::AgentError;
use crate::agent::http::app::App;
use crate::agent::http::extract::Params;
use crate::agent::http::views;
use crate::agent::in_force::InForce;
use crate::agent::memory;
use crate::agent::rehearsal::{
    CandidateRules, HOST, RecommendOptions, SeenSources as _, duration, evaluate,
    recommend as recommended, since,
};
use crate::agent::snapshot::Snapshot;
use crate::agent::writer::judge_aside;
use crate::api::{EvaluatePolicyQuery, EvaluateQuery, Evaluation, RecommendQuery, Recommendation};
#[cfg(feature = "openapi")]
use crate::model::Change;
use crate::model::{
    Binding, ChangeContext, Combine, JOINED_IPV6, JoinLengths, Mode, Service, State as Desired,
};
use crate::sockets::Session;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How far back sources are judged.
const EVALUATED: Duration = Duration::from_secs(30 * DAY.as_secs());
/// How far back sources are looked for that are to be covered.
const RECOMMENDED: Duration = Duration::from_secs(90 * DAY.as_secs());
/// A source stayed if it came for so long.
const STAYED: Duration = Duration::from_secs(60 * 60);

/// What a policy would have denied and let in.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/evaluate", operation_id = "evaluatePolicy", tag = POLICIES,
    params(EvaluatePolicyQuery),
    responses(
        (status = OK, body = Evaluation, description = "The policy, active and enforced, with what else is in force, judged over the sources that are remembered."),
        (status = NOT_FOUND, body = ProblemDetails, description = UNKNOWN_NAME),
    )
))]
pub(super) async fn policy(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<EvaluatePolicyQuery>,
) -> Result<Json<Evaluation>, AgentError> {
    let (limit, in_force) = (paging::limit(query.limit)?, in_force(&app, caller).await?);
    judge_aside(move || {
        let candidate = with_policy(&in_force.state, &query)?;
        judge(&app, &in_force, &candidate, query.since.as_deref(), limit)
    })
    .await?
}

/// What would have been denied and let in after a change: checked as any change, and not made.
#[cfg_attr(feature = "openapi", utoipa::path(post, path = "/v1/evaluate", operation_id = "evaluateChange", tag = POLICIES,
    params(EvaluateQuery),
    request_body(content = Change, description = "The change, most often that of a policy file. With the content type application/vnd.netpolicy.change-with-texts: a line of JSON with the change, whose texts are empty, and their lengths in bytes; then the texts."),
    responses(
        (status = OK, body = Evaluation, description = "What the change leads to, judged over the sources that are remembered."),
        (status = NOT_FOUND, body = ProblemDetails, description = UNKNOWN_NAME),
        (status = CONFLICT, body = ProblemDetails, description = CONFLICTING),
    )
))]
pub(super) async fn change(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<EvaluateQuery>,
    body: ChangeBody,
) -> Result<Json<Evaluation>, AgentError> {
    let (limit, in_force) = (paging::limit(query.limit)?, in_force(&app, caller).await?);
    judge_aside(move || {
        let (change, _share) = body.parse()?;
        let cx = ChangeContext {
            now: Timestamp::now(),
            actor: &caller.name(),
            limits: app.running.borrow().config.limits,
            force: true,
        };
        let applied = in_force.state.try_out(&change, &cx)?;
        drop(change);
        let (state, since) = (&applied.state, query.since.as_deref());
        let mut answer = judge(&app, &in_force, state, since, limit)?;
        answer.notes.extend(applied.warnings);
        Ok(answer)
    })
    .await?
}

/// The smallest allow list that covers the sources that came and stayed.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/recommend", operation_id = "recommendPolicy", tag = POLICIES,
    params(RecommendQuery),
    responses(
        (status = OK, body = Recommendation, description = "The allow list, and what it would not cover."),
        (status = NOT_FOUND, body = ProblemDetails, description = UNKNOWN_NAME),
    )
))]
pub(super) async fn recommend(
    State(app): State<App>,
    Params(query): Params<RecommendQuery>,
) -> Result<Json<Recommendation>, AgentError> {
    let options = options(&query)?;
    let snapshot = app.supervisor.snapshot();
    judge_aside(move || {
        let state = &snapshot.state;
        let service = match query.service.as_deref() {
            None | Some(HOST) => None,
            Some(name) => Some(named::service(state, name)?),
        };
        let scopes = match service {
            Some(service) => vec![service.name.as_str()],
            None => asking_the_host(state),
        };
        let (connected, unknown) = connected(&app, &snapshot, &scopes);
        let seen = app.observations.seen_since(options.since);
        let mut answer = recommended(&seen, &scopes, &connected, options);
        answer.service = service.map(|service| views::service(state, service));
        answer.notes.extend(unknown);
        if let [_, services @ ..] = &*scopes
            && !services.is_empty()
        {
            answer.notes.push(format!(
                "includes the clients of services that the host's policies govern: {}",
                services.join(", ")
            ));
        }
        if seen.remembered_since.is_none() {
            answer.notes.push(NOTHING.to_owned());
        }
        drop(seen);
        memory::give_back();
        Ok(Json(answer))
    })
    .await?
}

/// The host's scope, and those of services in which the host's policies decide as well.
fn asking_the_host(state: &Desired) -> Vec<&str> {
    let asks = |service: &&Service| {
        let own = Binding::Service(service.name.clone());
        service.combine == Combine::And || state.governing(&own).next().is_none()
    };
    let services = state.services.iter().filter(asks);
    let services = services.map(|service| service.name.as_str());
    [HOST].into_iter().chain(services).collect()
}

/// The clients that are connected in some scopes; or why that is not known.
fn connected(
    app: &App,
    snapshot: &Snapshot,
    scopes: &[&str],
) -> (BTreeSet<IpAddr>, Option<String>) {
    let state = &snapshot.state;
    let sessions = match app.connected.clients(snapshot) {
        Ok(sessions) => sessions,
        Err(error) => {
            let note = format!("who is connected now is not known: {error}");
            return (BTreeSet::new(), Some(note));
        }
    };
    let is_here = |session: &&Session| {
        let service = state.service_of_port(session.port());
        let scope = service.map_or(HOST, |service| service.name.as_str());
        let source = session.source();
        scopes.contains(&scope)
            && !source.is_loopback()
            && !state.host.failsafe_ports.contains(session.port())
    };
    let here = sessions.iter().filter(is_here);
    (here.map(Session::source).collect(), None)
}

/// Said where no source is remembered.
const NOTHING: &str = "no source is remembered: the memory of sources is off, or nothing came yet";

async fn in_force(app: &App, caller: Caller) -> Result<InForce, AgentError> {
    let take = |writer: &mut crate::agent::writer::Writer| Ok(writer.in_force().clone());
    app.supervisor.run(caller, take).await
}

/// Compiles a candidate and judges what came.
fn judge(
    app: &App,
    in_force: &InForce,
    candidate: &Desired,
    from: Option<&str>,
    limit: usize,
) -> Result<Json<Evaluation>, AgentError> {
    let since = since(from, EVALUATED, Timestamp::now())?;
    let compiled = in_force.compiled.next(candidate, &mut |_, _| {});
    let seen = app.observations.seen_since(since);
    let now = CandidateRules {
        state: &in_force.state,
        rules: &in_force.ruleset,
    };
    let next = CandidateRules {
        state: candidate,
        rules: compiled.ruleset(),
    };
    let snapshot = app.supervisor.snapshot();
    let exempt = (&*snapshot.bypasses, snapshot.clock.now());
    let mut answer = evaluate(&seen, since, (now, next), exempt, limit);
    if seen.remembered_since.is_none() {
        answer.notes.push(NOTHING.to_owned());
    }
    drop((seen, compiled));
    memory::give_back();
    Ok(Json(answer))
}

/// The state with a policy active, enforced and bound.
fn with_policy(state: &Desired, query: &EvaluatePolicyQuery) -> Result<Desired, AgentError> {
    let name = policies::find(&query.policy, state)?.name.clone();
    let scope = match query.service.as_deref() {
        None => None,
        Some(HOST) => Some(Binding::Host),
        Some(name) => Some(Binding::Service(named::service(state, name)?.name.clone())),
    };
    let mut state = state.clone();
    for policy in state
        .policies
        .iter_mut()
        .filter(|policy| policy.name == name)
    {
        policy.active = true;
        policy.mode = Mode::Enforce;
        policy.bindings.extend(scope.clone());
        if policy.bindings.is_empty() {
            policy.bindings.insert(Binding::Host);
        }
    }
    Ok(state)
}

fn options(query: &RecommendQuery) -> Result<RecommendOptions, AgentError> {
    let length = |key, given: Option<u8>, usual, range: std::ops::RangeInclusive<u8>| {
        let length = given.unwrap_or(usual);
        match range.contains(&length) {
            true => Ok(length),
            false => Err(AgentError::BadRequest(format!(
                "{key} is {length}; expected {} to {}",
                range.start(),
                range.end()
            ))),
        }
    };
    let now = Timestamp::now();
    Ok(RecommendOptions {
        now,
        since: since(query.since.as_deref(), RECOMMENDED, now)?,
        stayed: match query.stayed.as_deref() {
            None => STAYED,
            Some(text) => duration("stayed", text)?,
        },
        join: JoinLengths {
            v4: length("aggregate", query.aggregate, 32, 8..=32)?,
            v6: length("aggregate6", query.aggregate6, JOINED_IPV6, 32..=128)?,
        },
    })
}
