//! `/v1/clients`: who is connected now, since when, and by which rule.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use netpolicy_common::{Action, HOST_SCOPE, Reason, ScopeId};

#[cfg(feature = "openapi")]
use super::document::{ENFORCEMENT, ProblemDetails, UNKNOWN_NAME};
use super::explain::ban_of;
use super::named;
use crate::agent::banned;
use crate::agent::error::AgentError;
use crate::agent::http::app::App;
use crate::agent::http::extract::Params;
use crate::agent::http::views;
use crate::agent::snapshot::Snapshot;
use crate::agent::writer::aside;
use crate::api::{ClientsQuery, ConnectedClient, ConnectedView, PacketAction};
use crate::model::{
    Mode, Service, State as Desired, evaluate_all, explain as judge, holding, parse_source,
};
use crate::sockets::{Session, SessionIdentity};

/// Clients that are connected to ports which a policy governs.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/clients", operation_id = "listClients", tag = ENFORCEMENT,
    params(ClientsQuery),
    responses(
        (status = OK, body = ConnectedView, description = "The clients, by scope, then by address."),
        (status = NOT_FOUND, body = ProblemDetails, description = UNKNOWN_NAME),
    )
))]
pub(super) async fn list(
    State(app): State<App>,
    Params(mut query): Params<ClientsQuery>,
) -> Result<Json<ConnectedView>, AgentError> {
    query.service = named::scope(&app, query.service)?;
    aside(move || read(&app, &query)).await?.map(Json)
}

/// A client's connections in a scope.
#[derive(Default)]
struct ClientGroup {
    ports: BTreeSet<u16>,
    /// The MPTCP connections that are counted.
    mptcp: BTreeSet<u32>,
    connections: usize,
    forwarded: usize,
    /// Of those that are dated.
    since: Option<Timestamp>,
    has_undated: bool,
    idle: Option<Duration>,
}

fn read(app: &App, query: &ClientsQuery) -> Result<ConnectedView, AgentError> {
    let network = query.source.as_deref().map(parse_source).transpose();
    let network = network.map_err(|error| AgentError::BadRequest(error.to_string()))?;
    let most = match query.limit.unwrap_or(ClientsQuery::USUAL) {
        limit @ 1..=ClientsQuery::MOST => limit,
        limit => {
            return Err(AgentError::BadRequest(format!(
                "limit is {limit}; expected 1 to {}",
                ClientsQuery::MOST
            )));
        }
    };
    let snapshot = app.supervisor.snapshot();
    let unknown = |source| AgentError::Sockets {
        what: "who is connected is not known",
        source,
    };
    let mut look = app.connected.look(&snapshot).map_err(unknown)?;
    look.sessions.retain(|session| {
        network.is_none_or(|network| network.contains(&session.source()))
            && query.service.as_deref().is_none_or(|wanted| {
                scope_of(&snapshot.state, session.port())
                    .1
                    .eq_ignore_ascii_case(wanted)
            })
    });
    // Without them the rest is as true.
    let idle = app.connected.sockets().idle_times().unwrap_or_default();
    let mut groups = grouped(&snapshot.state, &look.sessions, &look.first, &idle);
    if query.denied {
        groups = denied(&snapshot, groups);
    }
    let total = groups.len() as u64;
    // In full for those that are shown alone: it takes a look at every rule that holds one of them.
    let shown: Vec<_> = groups.into_iter().take(most).collect();
    let sources: Vec<IpAddr> = shown.iter().map(|((_, source), _)| *source).collect();
    let small = holding(&snapshot.state, &sources);
    let clients = shown
        .into_iter()
        .map(|((_, source), group)| client(&snapshot, &small, source, group));
    Ok(ConnectedView {
        items: clients.collect(),
        total,
        watched_since: look.since,
    })
}

/// Those that would be denied now: with one pass over the rules of each scope.
fn denied<'s>(snapshot: &'s Snapshot, groups: ClientGroups<'s>) -> ClientGroups<'s> {
    let state = &snapshot.state;
    let mut scopes: BTreeMap<ScopeId, Vec<_>> = BTreeMap::new();
    for (key, group) in groups {
        let port = group.ports.first().copied().unwrap_or_default();
        let (id, _) = scope_of(state, port);
        scopes.entry(id).or_default().push((key, port, group));
    }
    let mut found = BTreeMap::new();
    for (id, clients) in scopes {
        let service = state.services.iter().find(|service| service.id == id);
        let canonical = clients
            .iter()
            .map(|((_, source), ..)| source.to_canonical());
        let sources: Vec<IpAddr> = canonical.collect();
        let verdicts = evaluate_all(state, service, &sources);
        let judged = clients.into_iter().zip(sources.iter().zip(verdicts));
        for ((key, port, group), (source, verdict)) in judged {
            if is_denied(snapshot, service, *source, port, verdict.reason) {
                found.insert(key, group);
            }
        }
    }
    found
}

/// What [`client`] says in full. `reason`: what the policies say.
fn is_denied(
    snapshot: &Snapshot,
    service: Option<&Service>,
    source: IpAddr,
    port: u16,
    reason: Reason,
) -> bool {
    let host = &snapshot.state.host;
    let name = service.map(|service| &service.name);
    let now = snapshot.clock.now();
    let mut bypasses = snapshot.bypasses.iter();
    let is_exempt = host.failsafe_ports.contains(port)
        || bypasses.any(|one| one.source.contains(&source) && one.covers(name, now));
    if is_exempt {
        return false;
    }
    match banned::ban_of(&snapshot.bans, source, name, &snapshot.clock) {
        Some(_) => service.map_or(host.mode, |service| service.mode) == Mode::Enforce,
        None => reason.action() == Action::Drop,
    }
}

fn scope_of(state: &Desired, port: u16) -> (ScopeId, &str) {
    let service = state.service_of_port(port);
    service.map_or((HOST_SCOPE, "host"), |service| {
        (service.id, service.name.as_str())
    })
}

/// By scope and source, the host first, then services by name.
type ClientGroups<'s> = BTreeMap<((bool, &'s str), IpAddr), ClientGroup>;

fn grouped<'s>(
    state: &'s Desired,
    sessions: &[Session],
    first: &HashMap<SessionIdentity, Option<Timestamp>>,
    idle: &HashMap<SessionIdentity, Duration>,
) -> ClientGroups<'s> {
    let mut groups = ClientGroups::new();
    for session in sessions {
        let (id, name) = scope_of(state, session.port());
        let scope = (id != HOST_SCOPE, name);
        let group = groups.entry((scope, session.source())).or_default();
        let identity = session.identity();
        group.ports.insert(session.port());
        if session
            .mptcp()
            .is_some_and(|token| !group.mptcp.insert(token))
        {
            // Another subflow of it.
            continue;
        }
        group.connections += 1;
        group.forwarded += usize::from(session.is_forwarded());
        match first.get(&identity).copied().flatten() {
            Some(time) => group.since = Some(group.since.map_or(time, |since| since.min(time))),
            None => group.has_undated = true,
        }
        let idle = idle.get(&identity).copied();
        group.idle = match (group.idle, idle) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
    groups
}

/// `small` judges the source as the snapshot's state does.
fn client(
    snapshot: &Snapshot,
    small: &Desired,
    source: IpAddr,
    group: ClientGroup,
) -> ConnectedClient {
    // All ports of a scope are judged alike.
    let port = group.ports.first().copied();
    let now = snapshot.clock.now();
    let mut explanation = judge(small, &snapshot.bypasses, now, source, port);
    let ban = ban_of(snapshot, small, &mut explanation);
    if let Some(bypass) = &mut explanation.bypass {
        bypass.expires = snapshot.clock.shown(bypass.expires);
    }
    let action = explanation.reason.action();
    ConnectedClient {
        source,
        scope: explanation.scope_name.clone(),
        ports: group.ports.into_iter().collect(),
        connections: group.connections,
        forwarded: group.forwarded,
        since: group.since.filter(|_| !group.has_undated),
        idle_ms: group
            .idle
            .map(|idle| u64::try_from(idle.as_millis()).unwrap_or(u64::MAX)),
        verdict: PacketAction::from(action).into(),
        reason: explanation.reason.into(),
        sentence: match &ban {
            Some(ban) => views::ban_in_words(ban, action == Action::Drop),
            None => explanation.sentence(small),
        },
        matched: explanation
            .rule
            .and_then(|rule| views::matched(small, rule)),
        ban,
    }
}
