//! `/metrics`: what the agent and the kernel know, for Prometheus.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use netpolicy_common::Reason;

#[cfg(feature = "openapi")]
use super::document::ENFORCEMENT;
use super::status;
use crate::agent::banned;
use crate::agent::error::AgentError;
use crate::agent::http::app::{App, blocking};
use crate::agent::memory;
use crate::agent::snapshot::Snapshot;
use crate::api::{Attachment, EnforcementState, FaultKind, Interface, Status};
use crate::datapath::CounterSnapshot;
use crate::exposure;
use crate::metrics::{self, Exposition, ExpositionFormat};
use crate::model::{Mode, OnDeny};

/// Origins of bans that are told apart.
const ORIGINS: usize = 32;

/// All metrics: Prometheus' text format 0.0.4, or OpenMetrics 1.0 if the request prefers that.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/metrics", operation_id = "getMetrics", tag = ENFORCEMENT,
    responses((status = OK, body = String, content_type = "text/plain",
        description = "Metrics as Prometheus reads them. Requires the privilege metrics or read."))
))]
pub(super) async fn metrics(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<Response, AgentError> {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let format = ExpositionFormat::accepted(accept);
    let text = blocking(move || Ok(exposed(&app, format))).await?;
    Ok(([(CONTENT_TYPE, format.media_type())], text).into_response())
}

fn exposed(app: &App, format: ExpositionFormat) -> String {
    let snapshot = app.supervisor.snapshot();
    let (status, kinds) = status::look(app);
    let mut out = Exposition::new(format);
    enforcement(&mut out, &status);
    // Where they cannot be read, the fault of kind kernel says so.
    if let Ok(counted) = app.inspector.counters() {
        counters(&mut out, &snapshot, counted);
    }
    by_policy(&mut out, app);
    desired(&mut out, &snapshot);
    bans_and_feeds(&mut out, &snapshot, &status);
    fleet(&mut out, &snapshot);
    let faults = FaultKind::ALL.map(|kind| {
        let count = kinds.iter().filter(|found| **found == kind).count();
        ([kind.to_string()], count)
    });
    out.family(&metrics::FAULTS, faults);
    let tally = &snapshot.tally;
    out.one(&metrics::DRIFT_REPAIRED, tally.drift_repaired.get());
    agent(&mut out, app);
    out.finish()
}

fn enforcement(out: &mut Exposition, status: &Status) {
    let enforcement = &status.enforcement;
    let engine = enforcement
        .engine
        .map_or("unknown", |engine| engine.as_str());
    let labels = [
        env!("CARGO_PKG_VERSION").to_owned(),
        enforcement.abi.to_string(),
        engine.to_owned(),
    ];
    out.family(&metrics::BUILD, [(labels, 1_u64)]);
    let states = [
        (EnforcementState::Attached, "attached"),
        (EnforcementState::Partial, "partial"),
        (EnforcementState::NotAttached, "not-attached"),
        (EnforcementState::Detached, "detached"),
        (EnforcementState::Unknown, "unknown"),
    ];
    let states = states.map(|(state, name)| ([name.to_owned()], enforcement.state == state));
    out.family(&metrics::ENFORCEMENT, states);
    let count =
        |is: fn(&Interface) -> bool| enforcement.interfaces.iter().filter(|i| is(i)).count();
    let open = enforcement
        .others
        .iter()
        .filter(|other| exposure::is_open(other));
    let interfaces = [
        ("filtered", count(exposure::is_filtered)),
        ("unfiltered", count(|i| i.attachment == Attachment::None)),
        ("open", open.count()),
    ];
    let interfaces = interfaces.map(|(state, count)| ([state.to_owned()], count));
    out.family(&metrics::INTERFACES, interfaces);
    out.one(&metrics::ENFORCED_REVISION, enforcement.revision);
    out.one(&metrics::GENERATION, enforcement.generation);
    out.one(&metrics::KERNEL_ENTRIES, enforcement.entries);
}

fn counters(out: &mut Exposition, snapshot: &Snapshot, counted: CounterSnapshot) {
    let (attempts, others): (Vec<_>, Vec<_>) = counted
        .rows
        .into_iter()
        .partition(|(_, reason, _)| is_attempt(*reason));
    let attempts = attempts.into_iter().map(|(scope, reason, packets)| {
        let verdict = crate::api::PacketAction::from(reason.action());
        let labels = [
            snapshot.scope_name(scope),
            verdict.to_string(),
            reason.name().to_owned(),
        ];
        (labels, packets)
    });
    out.family(&metrics::ATTEMPTS, attempts);
    let others = others.into_iter();
    let others = others.map(|(_, reason, packets)| ([reason.name().to_owned()], packets));
    out.family(&metrics::PACKETS, others);
    let (events, resets) = (counted.events, counted.resets);
    let outcomes =
        |counts: [(&str, u64); 3]| counts.map(|(name, count)| ([name.to_owned()], count));
    out.family(
        &metrics::EVENTS,
        outcomes([
            ("reported", events.sent),
            ("limited", events.limited),
            ("overflowed", events.overflowed),
        ]),
    );
    out.family(
        &metrics::RESETS,
        outcomes([
            ("sent", resets.sent),
            ("limited", resets.limited),
            ("withheld", resets.withheld),
        ]),
    );
}

fn by_policy(out: &mut Exposition, app: &App) {
    let counted = app.observations.by_policy().into_iter();
    let counted = counted.map(|row| {
        let verdict = crate::api::PacketAction::from(row.reason.action());
        let labels = [
            row.scope,
            row.policy,
            verdict.to_string(),
            row.reason.name().to_owned(),
        ];
        (labels, row.attempts)
    });
    out.family(&metrics::POLICY_ATTEMPTS, counted);
}

/// Whether packets of a reason are connection attempts.
fn is_attempt(reason: Reason) -> bool {
    !matches!(
        reason,
        Reason::NotTcp | Reason::Malformed | Reason::Fragment | Reason::Established
    )
}

fn desired(out: &mut Exposition, snapshot: &Snapshot) {
    let state = &snapshot.state;
    out.one(&metrics::REVISION, snapshot.revision);
    if let Some(made) = snapshot.made {
        out.one(&metrics::LAST_CHANGE, seconds(made));
    }
    if let Some(pending) = &snapshot.pending {
        out.one(&metrics::UNCONFIRMED, seconds(pending.deadline()));
    }
    out.one(&metrics::CHANGES, snapshot.tally.changes.get());
    let refusals = snapshot.tally.refusals().into_iter();
    let refusals = refusals.map(|(code, count)| ([code_name(code)], count));
    out.family(&metrics::CHANGES_REFUSED, refusals);
    let host = ("host".to_owned(), state.host.mode, state.host.on_deny);
    let services = state.services.iter();
    let services = services.map(|s| (s.name.to_string(), s.mode, s.on_deny));
    let scopes = std::iter::once(host).chain(services);
    let scopes = scopes.map(|(name, mode, on_deny)| {
        let mode = match mode {
            Mode::Enforce => "enforce",
            Mode::Observe => "observe",
        };
        let on_deny = match on_deny {
            OnDeny::Drop => "drop",
            OnDeny::Reset => "reset",
        };
        ([name, mode.to_owned(), on_deny.to_owned()], 1_u64)
    });
    out.family(&metrics::SCOPE, scopes);
    let active = state.policies.iter().filter(|p| p.is_in_force()).count();
    let inactive = state.policies.len() - active;
    let policies = [("active", active), ("inactive", inactive)];
    let policies = policies.map(|(state, count)| ([state.to_owned()], count));
    out.family(&metrics::POLICIES, policies);
    let rules = state.policies.iter().flat_map(|policy| {
        let lists = crate::model::ListKind::ALL.into_iter();
        lists.filter_map(move |kind| {
            let rules = policy.rules(kind)?;
            Some(([policy.name.to_string(), kind.to_string()], rules.len()))
        })
    });
    out.family(&metrics::RULES, rules);
    let lists = state.lists.iter();
    let lists = lists.map(|list| ([list.name.to_string()], list.len()));
    out.family(&metrics::LIST_ENTRIES, lists);
    out.one(&metrics::BYPASSES, snapshot.live_bypasses().count());
}

fn bans_and_feeds(out: &mut Exposition, snapshot: &Snapshot, status: &Status) {
    let mut origins: Vec<(String, usize)> = {
        let bans = banned::read(&snapshot.bans);
        let origins = bans.by_origin();
        origins
            .map(|(origin, count)| (origin.unwrap_or("unknown").to_owned(), count))
            .collect()
    };
    origins.sort_unstable_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
    let bans = origins.into_iter().enumerate().map(|(at, (name, count))| {
        let name = if at < ORIGINS {
            name
        } else {
            "other".to_owned()
        };
        ([name], count)
    });
    out.family(&metrics::BANS, bans);
    out.one(&metrics::BANS_MADE, snapshot.tally.bans_made.get());
    let feeds = || status.agent.iter().flat_map(|agent| &agent.feeds);
    let checked = feeds().filter_map(|feed| Some(([feed.name.clone()], seconds(feed.checked?))));
    out.family(&metrics::FEED_CHECKED, checked);
    let stale = feeds().map(|feed| ([feed.name.clone()], feed.stale));
    out.family(&metrics::FEED_STALE, stale);
    let failed = feeds().map(|feed| ([feed.name.clone()], feed.error.is_some()));
    out.family(&metrics::FEED_FAILED, failed);
}

fn fleet(out: &mut Exposition, snapshot: &Snapshot) {
    let Some((record, applied)) = snapshot.fleets.in_force() else {
        return;
    };
    let name = || [record.fleet.clone()];
    let group = applied.group.clone().unwrap_or_default();
    let of_group = [([record.fleet.clone(), group], applied.revision)];
    out.family(&metrics::FLEET_REVISION, of_group);
    out.family(&metrics::FLEET_SINCE, [(name(), seconds(applied.since))]);
    let overridden = record.local_override.is_some();
    out.family(&metrics::FLEET_OVERRIDDEN, [(name(), overridden)]);
}

fn agent(out: &mut Exposition, app: &App) {
    out.one(&metrics::AGENT_START, seconds(app.started));
    out.one(&metrics::AGENT_MEMORY, memory::resident());
    if let Some(usage) = memory::usage() {
        let modes = [
            ("user", usage.user_seconds),
            ("system", usage.system_seconds),
        ];
        let modes = modes.map(|(mode, seconds)| ([mode.to_owned()], seconds));
        out.family(&metrics::AGENT_CPU, modes);
        out.one(&metrics::AGENT_OPEN_FDS, usage.descriptors);
        out.one(&metrics::KERNEL_MEMORY, usage.maps);
    }
}

/// A code as JSON has it.
fn code_name(code: crate::api::ErrorCode) -> String {
    let value = serde_json::to_value(code).unwrap_or_default();
    value.as_str().unwrap_or("unknown").to_owned()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds are exact for 285,000 years"
)]
fn seconds(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1000.0
}
