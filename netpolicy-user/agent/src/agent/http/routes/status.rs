//! `/v1/status` and `/v1/progress`.

use axum::Json;
use axum::extract::State;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

#[cfg(feature = "openapi")]
use super::document::ENFORCEMENT;
use super::fleet;
use crate::agent::banned;
use crate::agent::confirm::pending;
use crate::agent::error::{AgentError, chain};
use crate::agent::http::app::{App, blocking};
use crate::agent::http::scopes;
use crate::agent::kernel::attach::ABSENT;
use crate::agent::memory;
use crate::agent::snapshot::Snapshot;
use crate::api::{
    AgentStatus, Attachment, BansStatus, Detached, Enforcement, EnforcementState, EngineName,
    FaultKind, FleetView, Interface, ProgressView, Status,
};
use crate::datapath::AttachedInterface;
use crate::detach_marker;
use crate::exposure;
use crate::model::{self, Bypass, Mode, Name, OnDeny};
use crate::selection::may_be_unfiltered;

/// How the agent and enforcement are.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/status", operation_id = "getStatus", tag = ENFORCEMENT,
    responses((status = OK, body = Status, description = "The agent, what is enforced, and what is wrong."))
))]
pub(super) async fn status(State(app): State<App>) -> Result<Json<Status>, AgentError> {
    blocking(move || Ok(Json(read(&app)))).await
}

/// What the agent is doing.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/progress", operation_id = "getProgress", tag = ENFORCEMENT,
    responses((status = OK, body = ProgressView, description = "What the agent is doing."))
))]
pub(super) async fn progress(State(app): State<App>) -> Json<ProgressView> {
    Json(app.supervisor.progress())
}

fn read(app: &App) -> Status {
    look(app).0
}

/// All faults that the status lists, by kind, and who stopped all filtering by the same look.
pub fn present_faults(app: &App) -> (Vec<(FaultKind, String)>, Option<Detached>) {
    let (status, kinds) = look(app);
    let faults = kinds.into_iter().zip(status.faults);
    (faults.collect(), status.enforcement.detached)
}

/// The status, and what each of its faults is about.
pub(super) fn look(app: &App) -> (Status, Vec<FaultKind>) {
    let snapshot = app.supervisor.snapshot();
    let running = app.running.borrow().clone();
    let of = |kind: FaultKind| move |text: String| (kind, text);
    let kinds = snapshot.fault_kinds.iter().copied();
    let mut faults: Vec<(FaultKind, String)> = kinds.zip(snapshot.faults.iter().cloned()).collect();
    let enforced = app
        .inspector
        .enforced()
        .map_err(|error| {
            let why = chain(&error);
            let fault = format!("what is in force cannot be read: {why}");
            faults.push((FaultKind::Kernel, fault));
        })
        .ok();
    // Asked of the file: the writer may be busy.
    let detached = detach_marker::read(&app.marker);
    let attached = app.inspector.attached();
    let (state, interfaces) = match &attached {
        Ok(attached) => {
            let interfaces = interfaces(&snapshot, attached.clone());
            (state(detached.is_some(), &interfaces), interfaces)
        }
        Err(error) => {
            let why = chain(error);
            let fault = format!("whether the interfaces are filtered is not known: {why}");
            faults.insert(0, (FaultKind::Kernel, fault));
            (EnforcementState::Unknown, unknown(&snapshot))
        }
    };
    let others = match (app.inspector.devices(), &attached) {
        (Ok(devices), Ok(attached)) => {
            exposure::others(&devices, attached, &snapshot.interfaces, |device| {
                may_be_unfiltered(&running.config, device)
            })
        }
        (Err(error), _) => {
            let why = chain(&error);
            let fault = format!("the other interfaces are not known: {why}");
            faults.push((FaultKind::Kernel, fault));
            Vec::new()
        }
        (_, Err(_)) => Vec::new(),
    };
    let open = match &detached {
        Some(detached) => vec![detached.in_words()],
        None => unfiltered(&snapshot, &interfaces),
    };
    let open = open.into_iter().map(of(FaultKind::Interfaces));
    faults.splice(0..0, open);
    if detached.is_none() {
        let open = exposure::faults(&others).into_iter();
        let open = open.chain(exposure::overtaken(&interfaces));
        faults.extend(open.map(of(FaultKind::Interfaces)));
    }
    let bypasses: Vec<_> = snapshot.live_bypasses().collect();
    let exempt = exempt_families(&bypasses).into_iter();
    faults.extend(exempt.map(of(FaultKind::Bypasses)));
    faults.extend(running.faults().map(of(FaultKind::Configuration)));
    faults.extend(
        app.observations
            .faults()
            .into_iter()
            .map(of(FaultKind::Memory)),
    );
    let (kinds, faults) = faults.into_iter().unzip();
    let mut enforcement = Enforcement {
        state,
        detached,
        engine: None,
        generation: 0,
        revision: 0,
        digest: String::new(),
        entries: 0,
        abi: netpolicy_common::ABI_VERSION,
        interfaces,
        others,
    };
    let without_effect = enforced
        .as_ref()
        .filter(|enforced| snapshot.held.is_none() && enforced.generation == snapshot.generation)
        .map_or(0, |enforced| {
            snapshot.revision.saturating_sub(enforced.revision)
        });
    if let Some(enforced) = enforced {
        enforcement.engine = enforced.engine.map(EngineName::from);
        enforcement.generation = enforced.generation;
        enforcement.revision = enforced.revision;
        enforcement.digest = blake3::Hash::from_bytes(enforced.digest)
            .to_hex()
            .to_string();
        enforcement.entries = enforced.entries;
        enforcement.abi = enforced.abi;
    }
    let policies = &snapshot.state.policies;
    let status = Status {
        agent: Some(AgentStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: app.started,
            revision: snapshot.revision,
            policies: policies.len(),
            active_policies: policies
                .iter()
                .filter(|policy| policy.is_in_force())
                .count(),
            services: snapshot.state.services.len(),
            observing: observing(&snapshot.state),
            answering: match app.running.borrow().config.resets_per_second {
                0 => Vec::new(),
                _ => answering(&snapshot.state),
            },
            rules: snapshot.rules,
            bypasses: bypasses.len(),
            bans: BansStatus {
                count: banned::read(&snapshot.bans).len() as u64,
                next_end: banned::next_end(&snapshot.bans, &snapshot.clock),
            },
            pending: snapshot
                .pending
                .as_ref()
                .map(|pending| pending::view(pending, &snapshot.clock)),
            feeds: snapshot.feeds.views(&snapshot.state, snapshot.clock.wall()),
            fleet: Some(fleet::view(app)).filter(|view| *view != FleetView::default()),
            restart: running.restart.clone(),
            memory_bytes: memory::resident(),
            scopes: scopes::all(app, &snapshot),
            open_ports: scopes::open_ports(app, &snapshot.state),
            without_effect,
        }),
        enforcement,
        faults,
    };
    (status, kinds)
}

/// Where bypasses, alone or together, exempt every source of a family.
fn exempt_families(bypasses: &[&Bypass]) -> Vec<String> {
    let mut scopes: Vec<Option<&Name>> = bypasses.iter().map(|b| b.service.as_ref()).collect();
    scopes.push(None);
    scopes.sort_unstable();
    scopes.dedup();
    let families = [
        ("IPv4", IpNet::V4(Ipv4Net::default())),
        ("IPv6", IpNet::V6(Ipv6Net::default())),
    ];
    let mut lines = Vec::new();
    for (family, whole) in families {
        for scope in &scopes {
            let here = bypasses.iter().filter(|b| b.service.as_ref() == *scope);
            let nets: Vec<IpNet> = here.clone().map(|bypass| bypass.source).collect();
            if !IpNet::aggregate(&nets).contains(&whole) {
                continue;
            }
            let of_family = here.filter(|b| b.source.addr().is_ipv4() == whole.addr().is_ipv4());
            let alone = of_family.clone().find(|bypass| bypass.source == whole);
            let Some(first) = alone.or_else(|| of_family.min_by_key(|b| b.expires)) else {
                continue;
            };
            let by = match alone {
                Some(bypass) => format!("{} granted a bypass for {whole}", bypass.granted_by),
                None => "bypasses cover all of it together".to_owned(),
            };
            let scope = scope.map_or("anywhere".to_owned(), |name| format!("on service {name}"));
            let until = first.expires.strftime("%Y-%m-%d %H:%M:%S UTC");
            lines.push(format!(
                "no {family} source is denied {scope} until {until}: {by}"
            ));
        }
    }
    lines
}

/// The interfaces that carry an address and are neither configured, filtered nor accepted
/// as such, by name; none where that cannot be told.
pub fn unfiltered_others(app: &App, snapshot: &Snapshot) -> Vec<String> {
    let (Ok(devices), Ok(attached)) = (app.inspector.devices(), app.inspector.attached()) else {
        return Vec::new();
    };
    let running = app.running.borrow().clone();
    let others = exposure::others(&devices, &attached, &snapshot.interfaces, |device| {
        may_be_unfiltered(&running.config, device)
    });
    let open = others.iter().filter(|other| exposure::is_open(other));
    open.map(exposure::described).collect()
}

/// The scopes that drop nothing.
fn observing(state: &model::State) -> Vec<String> {
    let host = (state.host.mode == Mode::Observe).then(|| "host".to_owned());
    let services = state.services.iter().filter(|s| s.mode == Mode::Observe);
    host.into_iter()
        .chain(services.map(|s| s.name.to_string()))
        .collect()
}

/// The scopes that drop what they deny, and answer it.
fn answering(state: &model::State) -> Vec<String> {
    let answers = |mode, on_deny| mode == Mode::Enforce && on_deny == OnDeny::Reset;
    let host = answers(state.host.mode, state.host.on_deny).then(|| "host".to_owned());
    let services = state.services.iter().filter(|s| answers(s.mode, s.on_deny));
    host.into_iter()
        .chain(services.map(|s| s.name.to_string()))
        .collect()
}

/// What is not filtered and why, by what the kernel says now: the agent may not have
/// looked yet.
fn unfiltered(snapshot: &Snapshot, interfaces: &[Interface]) -> Vec<String> {
    let off = |i: &&Interface| i.attachment == Attachment::None;
    let why = |i: &Interface| match snapshot.unfiltered.get(&i.name) {
        Some(why) => why.clone(),
        None if i.index == 0 => ABSENT.to_owned(),
        None => "the program is not attached; the agent is about to attach it".to_owned(),
    };
    let line = |i: &Interface| format!("interface {} is not filtered: {}", i.name, why(i));
    interfaces.iter().filter(off).map(line).collect()
}

/// The configured interfaces, then others that are filtered.
fn interfaces(snapshot: &Snapshot, attached: Vec<AttachedInterface>) -> Vec<Interface> {
    let mut interfaces: Vec<Interface> = configured(snapshot, Attachment::None).collect();
    for found in attached {
        let found = exposure::interface(found);
        match interfaces.iter_mut().find(|i| i.name == found.name) {
            Some(interface) => *interface = found,
            None => interfaces.push(found),
        }
    }
    interfaces
}

/// The configured interfaces, where it cannot be told which are filtered.
fn unknown(snapshot: &Snapshot) -> Vec<Interface> {
    configured(snapshot, Attachment::Unknown).collect()
}

fn configured(
    snapshot: &Snapshot,
    attachment: Attachment,
) -> impl Iterator<Item = Interface> + use<'_> {
    snapshot.interfaces.iter().map(move |name| {
        let index = nix::net::if_::if_nametoindex(name.as_str()).unwrap_or(0);
        Interface::new(name, index, attachment)
    })
}

fn state(detached: bool, interfaces: &[Interface]) -> EnforcementState {
    let attached = interfaces
        .iter()
        .filter(|i| exposure::is_filtered(i))
        .count();
    match attached {
        0 if detached => EnforcementState::Detached,
        0 => EnforcementState::NotAttached,
        n if n < interfaces.iter().filter(|i| !i.elsewhere).count() => EnforcementState::Partial,
        _ => EnforcementState::Attached,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn what_is_not_filtered_is_said_before_the_agent_has_looked() {
        let mut snapshot = crate::agent::testing::empty_snapshot();
        let interface = |name, index| Interface::new(name, index, Attachment::None);
        let interfaces = [
            interface("eth7", 0),
            interface("eth8", 8),
            interface("eth9", 9),
        ];
        snapshot
            .unfiltered
            .insert("eth9".into(), "it is busy".into());
        let lines = unfiltered(&snapshot, &interfaces);
        assert!(
            lines[0].contains("eth7 is not filtered: it does not exist"),
            "{lines:?}"
        );
        assert!(
            lines[1].contains("eth8 is not filtered: the program is not"),
            "{lines:?}"
        );
        assert!(
            lines[2].contains("eth9 is not filtered: it is busy"),
            "{lines:?}"
        );
    }

    #[test]
    fn bypasses_that_exempt_a_whole_family_are_reported() {
        let granted = Timestamp::UNIX_EPOCH;
        let bypass = |source: &str, service: Option<&str>| Bypass {
            source: source.parse().unwrap(),
            service: service.map(|name| Name::new(name).unwrap()),
            granted,
            expires: granted + jiff::SignedDuration::from_mins(30),
            granted_by: "alice".into(),
        };
        let told = |bypasses: &[Bypass]| exempt_families(&bypasses.iter().collect::<Vec<_>>());
        assert_eq!(
            told(&[bypass("0.0.0.0/0", None)]),
            [
                "no IPv4 source is denied anywhere until 1970-01-01 00:30:00 UTC: alice granted a bypass for 0.0.0.0/0"
            ]
        );
        let halves = [
            bypass("8000::/1", Some("pgsql")),
            bypass("::/1", Some("pgsql")),
        ];
        assert_eq!(
            told(&halves),
            [
                "no IPv6 source is denied on service pgsql until 1970-01-01 00:30:00 UTC: bypasses cover all of it together"
            ]
        );
        // Each of these leaves something that is denied.
        let apart = [bypass("8000::/1", Some("pgsql")), bypass("::/1", None)];
        assert!(told(&apart).is_empty());
        assert!(told(&[bypass("10.0.0.0/8", None)]).is_empty());
        assert!(told(&[]).is_empty());
    }

    #[test]
    fn partial_means_some_but_not_all() {
        let interface = |attachment| Interface::new("x", 1, attachment);
        let (on, off) = (interface(Attachment::Native), interface(Attachment::None));
        let both = [on.clone(), off.clone()];
        assert_eq!(state(false, &[]), EnforcementState::NotAttached);
        assert_eq!(state(false, &both[1..]), EnforcementState::NotAttached);
        assert_eq!(state(false, &both), EnforcementState::Partial);
        assert_eq!(state(false, &both[..1]), EnforcementState::Attached);
        assert_eq!(state(true, &both[1..]), EnforcementState::Detached);
        let elsewhere = Interface {
            elsewhere: true,
            ..on.clone()
        };
        assert_eq!(
            state(false, &[off, elsewhere.clone()]),
            EnforcementState::NotAttached
        );
        assert_eq!(state(false, &[on, elsewhere]), EnforcementState::Attached);
    }
}
