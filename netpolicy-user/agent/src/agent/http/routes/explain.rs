//! `/v1/explain`: what becomes of one attempt, and what policies and program say of it.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::State;
use axum::{Extension, Json};
use netpolicy_common::Reason;
use serde::Deserialize;

#[cfg(feature = "openapi")]
use super::document::{ENFORCEMENT, NO_REVISION, ProblemDetails};
use crate::agent::access::Caller;
use crate::agent::banned;
use crate::agent::error::{AgentError, chain};
use crate::agent::http::app::{App, blocking};
use crate::agent::http::extract::Params;
use crate::agent::http::views;
use crate::agent::memory;
use crate::agent::snapshot::Snapshot;
use crate::api::{BanView, Cause, ExplainView, Interface, KernelVerdict, Verdict};
use crate::arrival::{ArrivalError, Origin};
use crate::datapath::packet;
use crate::detach_marker;
use crate::exposure;
use crate::model::{Explanation, Mode, State as Desired, explain as judge};

/// Between the flip and the publication of what it put into force, model and kernel
/// differ for a moment: that often a disagreement is looked at again.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(50);

/// The port that stands for one of no service when the program is asked: 0 is never
/// a service's, nor a failsafe port.
const NO_PORT: u16 = 0;

#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub(super) struct ExplainParams {
    /// An address.
    #[cfg_attr(feature = "openapi", param(value_type = String))]
    source: IpAddr,
    /// A destination port; none: a port of no service.
    port: Option<u16>,
    /// The interface on which it arrives; none: that of the route to the source.
    interface: Option<String>,
    /// The revision whose policies are asked; none: the state as it is.
    revision: Option<u64>,
}

/// Why an attempt passes or is dropped where it arrives, and what policies and loaded
/// program say of it.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/explain", operation_id = "explainVerdict", tag = ENFORCEMENT,
    params(ExplainParams),
    responses(
        (status = OK, body = ExplainView, description = "The verdict, and what it follows from."),
        (status = NOT_FOUND, body = ProblemDetails, description = NO_REVISION),
    )
))]
pub(super) async fn explain(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Params(params): Params<ExplainParams>,
) -> Result<Json<ExplainView>, AgentError> {
    check_port(params.port)?;
    let past = match params.revision {
        Some(revision) => Some(app.supervisor.state_at(caller, revision).await?),
        None => None,
    };
    blocking(move || {
        let origin = origin(&app, &params)?;
        if let (Some(state), Some(revision)) = (&past, params.revision) {
            let view = ask_past(&app, state, revision, &params, &origin)?;
            memory::give_back();
            return Ok(Json(view));
        }
        let mut view = ask(&app, &params, &origin);
        for _ in 1..TRIES {
            if view.agrees {
                break;
            }
            std::thread::sleep(PAUSE);
            view = ask(&app, &params, &origin);
        }
        if !view.agrees {
            tracing::error!(
                source = %view.source, port = view.port,
                policies = %view.policies.reason, kernel = ?view.kernel,
                "policies and loaded program disagree"
            );
        }
        Ok(Json(view))
    })
    .await
}

/// No packet goes to port 0.
pub(super) fn check_port(port: Option<u16>) -> Result<(), AgentError> {
    match port {
        Some(0) => Err(AgentError::BadRequest(
            "invalid port 0: expected 1 to 65535".to_owned(),
        )),
        _ => Ok(()),
    }
}

/// What the policies of a past revision say. What is in force now says nothing about them.
fn ask_past(
    app: &App,
    state: &Desired,
    revision: u64,
    params: &ExplainParams,
    origin: &Origin,
) -> Result<ExplainView, AgentError> {
    let now = app.supervisor.snapshot().clock.now();
    let explanation = judge(state, &[], now, params.source, params.port);
    let attached = app.inspector.attached();
    let attached = attached.map_err(|error| AgentError::Unreadable(chain(&error)))?;
    let here = attached.iter().filter(|i| i.is_here);
    let indices: Vec<u32> = here.map(|i| i.index).collect();
    let mut view = views::explanation(state, &explanation, &origin.filtering(&indices));
    view.kernel_error = Some(format!("revision {revision} is not what is in force"));
    view.revision = Some(revision);
    Ok(view)
}

fn origin(app: &App, params: &ExplainParams) -> Result<Origin, AgentError> {
    let source = params.source.to_canonical();
    let origin = app.inspector.origin(source, params.interface.as_deref());
    origin.map_err(|error| match error {
        ArrivalError::UnknownInterface(_) => AgentError::BadRequest(error.to_string()),
        ArrivalError::Netlink(_) => AgentError::Unreadable(error.to_string()),
    })
}

fn ask(app: &App, params: &ExplainParams, origin: &Origin) -> ExplainView {
    let snapshot = app.supervisor.snapshot();
    let mut explanation = judge(
        &snapshot.state,
        &snapshot.bypasses,
        snapshot.clock.now(),
        params.source,
        params.port,
    );
    let ban = ban_of(&snapshot, &snapshot.state, &mut explanation);
    let attached = app.inspector.attached().map_err(|error| chain(&error));
    let here = attached.iter().flatten().filter(|i| i.is_here);
    let indices: Vec<u32> = here.clone().map(|i| i.index).collect();
    let here: Vec<Interface> = here.cloned().map(exposure::interface).collect();
    let filtering = origin.filtering(&indices);
    let detached = detach_marker::read(&app.marker).filter(|_| indices.is_empty());
    if let Some(bypass) = &mut explanation.bypass {
        bypass.expires = snapshot.clock.shown(bypass.expires);
    }
    let mut view = views::explanation(&snapshot.state, &explanation, &filtering);
    view.answered &= app.running.borrow().config.resets_per_second > 0;
    if let Some(ban) = ban {
        views::banned(&mut view, ban);
    }
    let is_filtered = attached.is_ok() && detached.is_none() && filtering.unfiltered.is_none();
    match (attached, detached, filtering.unfiltered) {
        (Err(why), ..) => {
            let why = format!("whether it is filtered cannot be read: {why}");
            views::not_enforced(&mut view, Verdict::Unknown, Cause::Unknown, why);
        }
        (_, Some(detached), _) => {
            views::not_enforced(
                &mut view,
                Verdict::Pass,
                Cause::NotFiltered,
                detached.in_words(),
            );
        }
        (_, None, Some(why)) => {
            views::not_enforced(&mut view, Verdict::Pass, Cause::NotFiltered, why);
        }
        (_, None, None) => {}
    }
    if is_filtered && view.verdict == Verdict::Drop {
        let arrives_at = |i: &&Interface| view.interface.as_ref().is_none_or(|on| *on == i.name);
        let before = exposure::overtaken(here.iter().filter(arrives_at));
        if !before.is_empty() {
            let why = before.join("; ");
            views::not_enforced(&mut view, Verdict::Unknown, Cause::Unknown, why);
        }
    }
    let held = snapshot.held.filter(|held| held.keeps);
    match ask_kernel(app, explanation.source, params.port) {
        Ok(kernel) if held.is_some() => {
            // The policies of the rules in force are not known: nothing to agree with.
            if let Some(held) = held.filter(|_| is_filtered) {
                let why = held.in_words(snapshot.revision);
                views::not_enforced(&mut view, kernel.verdict.into(), kernel.reason, why);
            }
            view.kernel = Some(kernel);
            view.other_rules_in_force = true;
        }
        Ok(kernel) => {
            let reason = explanation.reason;
            view.agrees =
                kernel.reason == reason.into() && kernel.verdict == reason.action().into();
            view.kernel = Some(kernel);
        }
        Err(error) => {
            if let Some(held) = held.filter(|_| is_filtered) {
                let why = held.in_words(snapshot.revision);
                views::not_enforced(&mut view, Verdict::Unknown, Cause::Unknown, why);
            }
            view.kernel_error = Some(error);
        }
    }
    view
}

/// The ban that the attempt meets, which stands before the policies.
pub(super) fn ban_of(
    snapshot: &Snapshot,
    state: &Desired,
    explanation: &mut Explanation,
) -> Option<BanView> {
    if matches!(explanation.reason, Reason::Failsafe | Reason::Bypass) {
        return None;
    }
    let service = state.services.iter().find(|s| s.id == explanation.scope);
    let name = service.map(|service| &service.name);
    let ban = banned::ban_of(&snapshot.bans, explanation.source, name, &snapshot.clock)?;
    explanation.reason = match service.map_or(state.host.mode, |service| service.mode) {
        Mode::Enforce => Reason::Banned,
        Mode::Observe => Reason::ObservedBanned,
    };
    explanation.rule = None;
    Some(ban)
}

fn ask_kernel(app: &App, source: IpAddr, port: Option<u16>) -> Result<KernelVerdict, String> {
    let (action, reason) = app
        .inspector
        .probe(&packet::syn(source, port.unwrap_or(NO_PORT)))
        .map_err(|error| chain(&error))?;
    Ok(KernelVerdict {
        verdict: action.into(),
        reason: reason.into(),
    })
}
