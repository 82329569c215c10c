//! What holds in each scope, and which ports are open to every source, as the API shows it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use netpolicy_common::{HOST_SCOPE, ScopeFlags, ScopeId};

use crate::agent::connected::is_governed;
use crate::agent::http::app::App;
use crate::agent::snapshot::Snapshot;
use crate::api::{OpenPort, ScopeRule, ScopeStatus};
use crate::compiler::Ruleset;
use crate::model::{AllowPart, Binding, Combine, Mode, Policy, Service, State};

/// Each scope: the host first, then services by name.
#[must_use]
pub fn all(app: &App, snapshot: &Snapshot) -> Vec<ScopeStatus> {
    let counted = app.inspector.counters().ok();
    let dropped = counted.and_then(|counted| app.rates.last_minute(Instant::now(), &counted));
    let scopes = [None]
        .into_iter()
        .chain(snapshot.state.services.iter().map(Some));
    scopes
        .map(|service| {
            let mut status = scope(&snapshot.state, snapshot.ruleset.as_deref(), service);
            let id = service.map_or(HOST_SCOPE, |service| service.id);
            status.dropped_last_minute = of(dropped.as_ref(), id);
            status
        })
        .collect()
}

fn of(dropped: Option<&BTreeMap<ScopeId, u64>>, id: ScopeId) -> Option<u64> {
    dropped.map(|dropped| dropped.get(&id).copied().unwrap_or(0))
}

/// A service, or the host; of what was dropped nothing is said yet.
fn scope(state: &State, ruleset: Option<&Ruleset>, service: Option<&Service>) -> ScopeStatus {
    let host: Vec<&Policy> = state.governing(&Binding::Host).collect();
    let own: Vec<&Policy> = match service {
        None => Vec::new(),
        Some(service) => {
            let scope = Binding::Service(service.name.clone());
            let own = state
                .policies
                .iter()
                .filter(|p| p.active && p.bindings.contains(&scope));
            own.collect()
        }
    };
    let is_host_asked = own.is_empty() || service.is_some_and(|s| s.combine == Combine::And);
    let mode = service.map_or(state.host.mode, |service| service.mode);
    let mode = match own.is_empty() && state.host.mode == Mode::Observe {
        true => Mode::Observe,
        false => mode,
    };
    let mut policies = own;
    if is_host_asked {
        let more = host
            .iter()
            .filter(|policy| !policies.contains(policy))
            .copied();
        policies.extend(more.collect::<Vec<_>>());
    }
    let (entries, is_closed) = compiled(ruleset, service.map_or(HOST_SCOPE, |s| s.id));
    let only = |policy: &&&Policy| matches!(policy.allow, AllowPart::Only(_));
    let rule = match (policies.is_empty(), policies.iter().find(only)) {
        (true, _) => ScopeRule::Open,
        (false, None) => ScopeRule::BlockOnly,
        (false, Some(_)) if is_closed => ScopeRule::Closed,
        (false, Some(_)) => ScopeRule::AllowOnly,
    };
    let names = |policies: Vec<&&Policy>| {
        let names: Vec<_> = policies.iter().map(|policy| policy.name.as_str()).collect();
        names.join(", ")
    };
    let sentence = match rule {
        ScopeRule::Open => "open: no policy governs it".to_owned(),
        ScopeRule::BlockOnly => {
            format!(
                "all sources but those that {} blocks",
                names(policies.iter().collect())
            )
        }
        ScopeRule::AllowOnly => {
            format!(
                "only sources that {} allows",
                names(policies.iter().filter(only).collect())
            )
        }
        ScopeRule::Closed => {
            let by = names(policies.iter().filter(only).collect());
            format!("no source: {by} allows none that is not blocked")
        }
    };
    let observed = match mode {
        Mode::Observe if rule != ScopeRule::Open => "; observed: what it denies passes",
        _ => "",
    };
    ScopeStatus {
        scope: service
            .map_or("host", |service| service.name.as_str())
            .to_owned(),
        ports: service.map(|service| service.ports.to_string()),
        rule,
        mode,
        sentence: sentence + observed,
        policies: policies
            .iter()
            .map(|policy| policy.name.to_string())
            .collect(),
        entries,
        dropped_last_minute: None,
    }
}

/// The prefixes that sources are compared with in a scope, and whether no source passes.
fn compiled(ruleset: Option<&Ruleset>, id: ScopeId) -> (u64, bool) {
    let Some(rules) = ruleset.and_then(|ruleset| ruleset.scope(id)) else {
        return (0, false);
    };
    let host = ruleset.and_then(|ruleset| ruleset.scopes.first());
    let flags = rules.config.flags;
    let mut lists = Vec::new();
    if flags.has(ScopeFlags::OWN_LISTS) {
        lists.push((rules, flags.has(ScopeFlags::OWN_ONLY)));
    }
    if flags.has(ScopeFlags::HOST_LISTS) {
        lists.extend(host.map(|host| (host, flags.has(ScopeFlags::HOST_ONLY))));
    }
    let entries = lists
        .iter()
        .map(|(rules, _)| rules.block.len() + rules.allow.len());
    let is_closed = lists
        .iter()
        .any(|(rules, only)| *only && rules.allow.is_empty());
    (entries.map(|entries| entries as u64).sum(), is_closed)
}

/// Ports that are listened on, not on loopback addresses alone, and that no policy governs.
/// `None`: the kernel does not say.
#[must_use]
pub fn open_ports(app: &App, state: &State) -> Option<Vec<OpenPort>> {
    let listening = match app.connected.sockets().listening() {
        Ok(listening) => listening,
        Err(error) => {
            tracing::debug!(%error, "what is listened on is not known");
            return None;
        }
    };
    let open = listening.into_iter().filter_map(|(port, mut addresses)| {
        addresses.retain(|address| !address.is_loopback());
        if addresses.is_empty() || is_governed(state, port) {
            return None;
        }
        let service = state.service_of_port(port);
        Some(OpenPort {
            port,
            addresses: addresses.iter().map(IpAddr::to_string).collect(),
            service: service.map(|service| service.name.to_string()),
            failsafe: state.host.failsafe_ports.contains(port),
        })
    });
    Some(open.collect())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::compiler::compile;
    use crate::model::{ChangeContext, Limits, SourceText};

    fn state(file: &str) -> State {
        let file = SourceText {
            name: "p.toml".into(),
            text: file.into(),
        };
        let change = crate::model::Change::Apply {
            file,
            lists: vec![],
            skip_invalid: false,
            allow_empty: false,
            keep_others: false,
        };
        let cx = ChangeContext {
            now: Timestamp::UNIX_EPOCH,
            actor: "root",
            limits: Limits::default(),
            force: true,
        };
        State::empty().apply(&change, &cx).unwrap().state
    }

    /// Each scope as "name: rule, entries: sentence".
    fn told(file: &str) -> Vec<String> {
        let state = state(file);
        let ruleset = compile(&state);
        let scopes = [None].into_iter().chain(state.services.iter().map(Some));
        let told = scopes.map(|service| scope(&state, Some(&ruleset), service));
        told.map(|s| format!("{}: {:?} {}: {}", s.scope, s.rule, s.entries, s.sentence))
            .collect()
    }

    #[test]
    fn scope_without_policy_is_open() {
        assert_eq!(told(""), ["host: Open 0: open: no policy governs it"]);
    }

    #[test]
    fn each_scope_says_what_it_lets_through() {
        let file = r#"
            [host]
            mode = "observe"
            [[service]]
            name = "both"
            ports = ["1"]
            combine = "and"
            [[service]]
            name = "closed"
            ports = ["2"]
            [[service]]
            name = "inherits"
            ports = ["3"]
            [[service]]
            name = "own"
            ports = ["4"]
            [[policy]]
            name = "abuse"
            block = ["203.0.113.0/24"]
            [[policy]]
            name = "none"
            allow = []
            bind = ["closed"]
            [[policy]]
            name = "office"
            allow = ["192.0.2.0/24", "198.51.100.7"]
            bind = ["both", "own"]
        "#;
        assert_eq!(
            told(file),
            [
                "host: BlockOnly 1: all sources but those that abuse blocks; observed: what it denies passes",
                "both: AllowOnly 3: only sources that office allows",
                "closed: Closed 0: no source: none allows none that is not blocked",
                "inherits: BlockOnly 1: all sources but those that abuse blocks; observed: what it denies passes",
                "own: AllowOnly 2: only sources that office allows",
            ]
        );
    }
}
