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
    let binding = service.map(|service| Binding::Service(service.name.clone()));
    let own: Vec<&Policy> = match &binding {
        Some(binding) => state.governing(binding).collect(),
        None => Vec::new(),
    };
    let is_joined = !own.is_empty() && service.is_some_and(|s| s.combine == Combine::And);
    let mode = service.map_or(state.host.mode, |service| service.mode);
    let mode = match own.is_empty() && state.host.mode == Mode::Observe {
        true => Mode::Observe,
        false => mode,
    };
    // Sources have to pass each of these; policies of one side together let in what one allows.
    let has_observed_host =
        is_joined && mode == Mode::Enforce && state.host.mode == Mode::Observe && !host.is_empty();
    let sides: Vec<&[&Policy]> = match (own.is_empty(), is_joined) {
        (true, _) => vec![&host],
        (false, true) if !has_observed_host => vec![&own, &host],
        (false, _) => vec![&own],
    };
    let mut policies = own.clone();
    if own.is_empty() || is_joined {
        policies.extend(host.iter().filter(|policy| !own.contains(policy)));
    }
    let id = service.map_or(HOST_SCOPE, |service| service.id);
    let (entries, is_closed) = compiled(ruleset, id, has_observed_host);
    let (rule, mut sentence) = says(&sides, is_closed);
    if mode == Mode::Observe && rule != ScopeRule::Open {
        sentence += "; observed: what it denies passes";
    }
    if has_observed_host {
        sentence += "; the host's policies are only observed";
    }
    ScopeStatus {
        scope: service
            .map_or("host", |service| service.name.as_str())
            .to_owned(),
        ports: service.map(|service| service.ports.to_string()),
        rule,
        mode,
        sentence,
        policies: policies
            .iter()
            .map(|policy| policy.name.to_string())
            .collect(),
        entries,
        dropped_last_minute: None,
    }
}

/// What sources have to be to pass all sides, in words.
fn says(sides: &[&[&Policy]], is_closed: bool) -> (ScopeRule, String) {
    fn names<'a>(policies: impl Iterator<Item = &'a &'a Policy>) -> String {
        let mut names: Vec<_> = policies.map(|policy| policy.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names.join(", ")
    }
    let only = |policy: &&&Policy| matches!(policy.allow, AllowPart::Only(_));
    let all = || sides.iter().copied().flatten();
    let mut allowing: Vec<_> = sides
        .iter()
        .map(|side| names(side.iter().filter(only)))
        .filter(|names| !names.is_empty())
        .collect();
    allowing.dedup();
    if all().next().is_none() {
        let sentence = "open: no policy governs it".to_owned();
        return (ScopeRule::Open, sentence);
    }
    if is_closed && !allowing.is_empty() {
        let by = allowing.join(", ");
        let sentence = format!("no source: {by} allows none that is not blocked");
        return (ScopeRule::Closed, sentence);
    }
    match &*allowing {
        [] => {
            let sentence = format!("all sources but those that {} blocks", names(all()));
            (ScopeRule::BlockOnly, sentence)
        }
        [own, host] => {
            let sentence = format!("only sources that both {own} and, for the host, {host} allow");
            (ScopeRule::AllowOnly, sentence)
        }
        [by, ..] => {
            let sentence = format!("only sources that {by} allows");
            (ScopeRule::AllowOnly, sentence)
        }
    }
}

/// The prefixes that sources are compared with in a scope, and whether no source passes; in that
/// the host's do not count where they are only observed.
fn compiled(ruleset: Option<&Ruleset>, id: ScopeId, has_observed_host: bool) -> (u64, bool) {
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
        let is_only = flags.has(ScopeFlags::HOST_ONLY) && !has_observed_host;
        lists.extend(host.map(|host| (host, is_only)));
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
                "both: AllowOnly 3: only sources that office allows; the host's policies are only observed",
                "closed: Closed 0: no source: none allows none that is not blocked",
                "inherits: BlockOnly 1: all sources but those that abuse blocks; observed: what it denies passes",
                "own: AllowOnly 2: only sources that office allows",
            ]
        );
    }

    #[test]
    fn policy_that_is_only_observed_does_not_count_and_both_sides_are_named() {
        let file = r#"
            [[service]]
            name = "both"
            ports = ["1"]
            combine = "and"
            [[service]]
            name = "tried"
            ports = ["2"]
            [[policy]]
            name = "lan"
            allow = ["192.0.2.0/24"]
            [[policy]]
            name = "office"
            allow = ["192.0.2.7"]
            bind = ["both"]
            [[policy]]
            name = "trial"
            allow = ["198.51.100.7"]
            mode = "observe"
            bind = ["tried"]
        "#;
        assert_eq!(
            told(file),
            [
                "host: AllowOnly 1: only sources that lan allows",
                "both: AllowOnly 2: only sources that both office and, for the host, lan allow",
                "tried: AllowOnly 1: only sources that lan allows",
            ]
        );
    }
}
