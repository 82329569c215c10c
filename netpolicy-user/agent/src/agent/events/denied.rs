//! Gives events their names: wall time, interface, scope, and the rule that denied.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use netpolicy_common::{Event, HOST_SCOPE, Reason, ScopeId};
use tokio::sync::{mpsc, watch};

use super::stream::EventHub;
use crate::agent::banned;
use crate::agent::snapshot::Snapshot;
use crate::api::{DeniedEvent, EventLine};
use crate::clock::since_boot;
use crate::model::{Binding, Combine, Service, State, Verdict, evaluate, evaluate_all};

/// Look-ups that are remembered.
const CACHE: usize = 16_384;

/// What look-ups may take of every second: one over millions of rules takes some
/// 20 ms. Beyond it events go out without their rule.
const BUDGET: Duration = Duration::from_millis(200);

/// Names what comes and sends it to the hub; ends with the channel. For a thread of
/// its own.
pub fn name_events(
    mut raw: mpsc::Receiver<Event>,
    snapshots: &watch::Receiver<Arc<Snapshot>>,
    hub: &EventHub,
) {
    let mut rules = RuleNames::default();
    while let Some(event) = raw.blocking_recv() {
        if !hub.is_heard() {
            continue;
        }
        let snapshot = snapshots.borrow().clone();
        if let Some(denied) = denied(&event, &snapshot, &mut rules) {
            hub.send(EventLine::Denied(denied));
        }
    }
}

/// What the API says of an event; `None`: it is none of a denied attempt.
pub fn denied(event: &Event, snapshot: &Snapshot, rules: &mut RuleNames) -> Option<DeniedEvent> {
    let reason = Reason::from_u8(event.reason)?;
    let source = address(event.family, event.source)?;
    let destination = address(event.family, event.destination)?;
    let denying = rules.find(snapshot, event.scope, reason, source);
    Some(DeniedEvent {
        time: wall_time(event.time_ns),
        source,
        source_port: event.source_port,
        destination,
        destination_port: event.destination_port,
        interface: interface_name(event.ifindex),
        scope: snapshot.scope_name(event.scope),
        reason: reason.into(),
        action: reason.action().into(),
        generation: event.generation,
        rule: denying.rule,
        policies: denying.policies,
    })
}

/// The source of an event.
#[must_use]
pub fn source(event: &Event) -> Option<IpAddr> {
    address(event.family, event.source)
}

fn address(family: u8, bytes: [u8; 16]) -> Option<IpAddr> {
    match family {
        4 => {
            let [a, b, c, d, ..] = bytes;
            Some(Ipv4Addr::new(a, b, c, d).into())
        }
        6 => Some(Ipv6Addr::from(bytes).into()),
        _ => None,
    }
}

fn interface_name(index: u32) -> String {
    crate::datapath::interface_name(index).unwrap_or_else(|| format!("interface {index}"))
}

/// The wall time of an instant of `CLOCK_BOOTTIME`, by how long ago it was.
#[must_use]
pub fn wall_time(boot_ns: u64) -> Timestamp {
    let now = Timestamp::now();
    let ago = since_boot().saturating_sub(Duration::from_nanos(boot_ns));
    now.checked_sub(ago).unwrap_or(now)
}

/// What denied an attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Denying {
    /// "office block 10.0.0.0/8", "office block @bad-hosts 10.0.0.0/8"; `None`: no rule denied
    /// it, or time did not suffice.
    rule: Option<String>,
    /// The policy of the rule, or those whose allow lists do not hold the source.
    policies: Vec<String>,
}

/// Which rule denied which attempt, as far as there was time to find out.
#[derive(Default)]
pub struct RuleNames {
    revision: u64,
    known: HashMap<(ScopeId, IpAddr), Denying>,
    second: Option<Instant>,
    spent: Duration,
}

/// Whether no look-up is needed: a ban denied it, or that no list allows it.
fn is_evident(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Banned | Reason::ObservedBanned | Reason::NotAllowed | Reason::ObservedNotAllowed
    )
}

impl RuleNames {
    /// With what denied all of these, however many: one pass over the rules of each scope.
    pub fn of<'e>(snapshot: &Snapshot, events: impl IntoIterator<Item = &'e Event>) -> Self {
        let state = &*snapshot.state;
        let mut asked: HashMap<ScopeId, HashSet<IpAddr>> = HashMap::new();
        for event in events {
            let is_asked = Reason::from_u8(event.reason).is_some_and(|of| !is_evident(of));
            if let Some(source) = source(event).filter(|_| is_asked) {
                asked.entry(event.scope).or_default().insert(source);
            }
        }
        let mut known = HashMap::new();
        for (scope, sources) in asked {
            let sources: Vec<IpAddr> = sources.into_iter().collect();
            let Some(service) = service_of(state, scope) else {
                let none = |source| ((scope, source), Denying::default());
                known.extend(sources.into_iter().map(none));
                continue;
            };
            let verdicts = evaluate_all(state, service, &sources);
            for (source, verdict) in sources.into_iter().zip(verdicts) {
                let denying = named(state, verdict).unwrap_or_default();
                known.insert((scope, source), denying);
            }
        }
        Self {
            revision: snapshot.revision,
            known,
            ..Self::default()
        }
    }

    fn find(
        &mut self,
        snapshot: &Snapshot,
        scope: ScopeId,
        reason: Reason,
        source: IpAddr,
    ) -> Denying {
        if matches!(reason, Reason::Banned | Reason::ObservedBanned) {
            return Denying {
                rule: ban(snapshot, scope, source),
                policies: Vec::new(),
            };
        }
        // What is on no allow list was denied by no rule.
        if matches!(reason, Reason::NotAllowed | Reason::ObservedNotAllowed) {
            return Denying {
                rule: None,
                policies: allowing_only(&snapshot.state, scope),
            };
        }
        if self.revision != snapshot.revision {
            self.known.clear();
            self.revision = snapshot.revision;
        }
        if let Some(denying) = self.known.get(&(scope, source)) {
            return denying.clone();
        }
        if self
            .second
            .is_none_or(|s| s.elapsed() >= Duration::from_secs(1))
        {
            self.second = Some(Instant::now());
            self.spent = Duration::ZERO;
        }
        if self.spent >= BUDGET {
            return Denying::default();
        }
        let started = Instant::now();
        let denying = denying_rule(&snapshot.state, scope, source).unwrap_or_default();
        self.spent += started.elapsed();
        if self.known.len() >= CACHE {
            self.known.clear();
        }
        self.known.insert((scope, source), denying.clone());
        denying
    }
}

/// The policies that let through only what they allow, of those that govern a scope. Without a
/// look at their lists: where a service's and the host's both have to pass, either may be meant.
fn allowing_only(state: &State, scope: ScopeId) -> Vec<String> {
    let service = state.services.iter().find(|service| service.id == scope);
    let only = |scope: &Binding| -> Vec<String> {
        let policies = state.governing(scope);
        let only = policies.filter(|p| p.allow_list().is_some());
        only.map(|policy| policy.name.to_string()).collect()
    };
    let own = service.map(|service| Binding::Service(service.name.clone()));
    let governs = own
        .as_ref()
        .is_some_and(|own| state.governing(own).next().is_some());
    let mut names = own.as_ref().map(only).unwrap_or_default();
    if !governs || service.is_some_and(|service| service.combine == Combine::And) {
        names.extend(only(&Binding::Host));
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// "ban 203.0.113.0/24 by fail2ban: failed log-ins"; `None`: it has ended since.
fn ban(snapshot: &Snapshot, scope: ScopeId, source: IpAddr) -> Option<String> {
    let services = &snapshot.state.services;
    let service = services.iter().find(|service| service.id == scope);
    let name = service.map(|service| &service.name);
    let ban = banned::ban_of(&snapshot.bans, source, name, &snapshot.clock)?;
    let by = ban.by.map(|by| format!(" by {by}")).unwrap_or_default();
    let reason = ban.reason.map(|reason| format!(": {reason}"));
    Some(format!(
        "ban {}{by}{}",
        ban.source,
        reason.unwrap_or_default()
    ))
}

fn denying_rule(state: &State, scope: ScopeId, source: IpAddr) -> Option<Denying> {
    let service = service_of(state, scope)?;
    named(state, evaluate(state, service, source))
}

/// The service of a scope, `Some(None)` for the host's; `None`: it was removed.
#[expect(clippy::option_option, reason = "the host has no service")]
fn service_of(state: &State, scope: ScopeId) -> Option<Option<&Service>> {
    match scope {
        HOST_SCOPE => Some(None),
        id => state.services.iter().find(|s| s.id == id).map(Some),
    }
}

fn named(state: &State, verdict: Verdict) -> Option<Denying> {
    let found = verdict.rule.filter(|_| verdict.reason.is_denial())?;
    let rule = found.resolve(state)?;
    let (policy, text) = (&rule.policy.name, rule.rule.text());
    let comment = rule.rule.comment();
    let comment = comment.map(|text| format!(" ({text})")).unwrap_or_default();
    let list = match rule.named {
        Some(named) => format!("{} {}", found.list, named.reference()),
        None => found.list.to_string(),
    };
    Some(Denying {
        rule: Some(format!("{policy} {list} {text}{comment}")),
        policies: vec![policy.to_string()],
    })
}

#[cfg(test)]
pub(in crate::agent) mod tests {
    use super::*;
    use crate::agent::testing;

    pub(in crate::agent) fn event() -> Event {
        let mut source = [0; 16];
        source[..4].copy_from_slice(&[10, 0, 0, 1]);
        Event {
            time_ns: 0,
            generation: 3,
            source,
            destination: [0; 16],
            ifindex: 1,
            source_port: 40_000,
            destination_port: 5432,
            scope: HOST_SCOPE,
            reason: Reason::Blocked as u8,
            family: 4,
            reserved: [0; 4],
        }
    }

    fn snapshot() -> Snapshot {
        let state = testing::state_with_policy("office", &["192.168.1.0/24"], &["10.0.0.0/8"]);
        Snapshot::of(&Arc::new(state), 1)
    }

    #[test]
    fn an_event_is_named() {
        let named = denied(&event(), &snapshot(), &mut RuleNames::default()).unwrap();
        assert_eq!(named.source.to_string(), "10.0.0.1");
        assert_eq!(named.interface, "lo");
        assert_eq!(named.scope, "host");
        assert_eq!(named.reason.as_str(), "blocked");
        assert_eq!(named.action.as_str(), "drop");
        assert_eq!(named.rule.as_deref(), Some("office block 10.0.0.0/8"));
        assert_eq!(named.policies, ["office"]);
    }

    #[test]
    fn what_no_rule_denied_has_none_and_unknown_scopes_are_removed_services() {
        let mut event = event();
        event.reason = Reason::NotAllowed as u8;
        event.scope = 9;
        let named = denied(&event, &snapshot(), &mut RuleNames::default()).unwrap();
        assert_eq!(named.rule, None);
        assert_eq!(named.scope, "service 9 (removed)");
        assert_eq!(named.policies, ["office"]);
    }

    #[test]
    fn without_time_left_an_event_goes_out_without_its_rule() {
        let mut rules = RuleNames {
            revision: 1,
            second: Some(Instant::now()),
            spent: BUDGET,
            ..RuleNames::default()
        };
        let named = denied(&event(), &snapshot(), &mut rules).unwrap();
        assert_eq!(named.rule, None);
    }

    #[test]
    fn past_attempts_are_named_however_little_time_is_left() {
        let (snapshot, events) = (snapshot(), [event()]);
        let mut rules = RuleNames::of(&snapshot, &events);
        (rules.second, rules.spent) = (Some(Instant::now()), BUDGET);
        let named = denied(&events[0], &snapshot, &mut rules).unwrap();
        assert_eq!(named.rule.as_deref(), Some("office block 10.0.0.0/8"));
        assert_eq!(named.policies, ["office"]);
    }

    #[test]
    fn a_new_revision_forgets_the_old_rules() {
        let mut rules = RuleNames::default();
        denied(&event(), &snapshot(), &mut rules);
        let other = testing::state_with_policy("branch", &[], &["10.0.0.1"]);
        let named = denied(&event(), &Snapshot::of(&Arc::new(other), 2), &mut rules).unwrap();
        assert_eq!(named.rule.as_deref(), Some("branch block 10.0.0.1"));
    }

    #[test]
    fn garbage_is_no_event() {
        let mut event = event();
        event.family = 7;
        assert!(denied(&event, &snapshot(), &mut RuleNames::default()).is_none());
        event.family = 4;
        event.reason = 200;
        assert!(denied(&event, &snapshot(), &mut RuleNames::default()).is_none());
    }

    #[test]
    fn boot_time_becomes_wall_time() {
        let ns = since_boot().as_secs() * 1_000_000_000;
        let ago = Timestamp::now().duration_since(wall_time(ns));
        assert!(ago.as_secs() <= 2 && ago.as_secs() >= 0, "{ago}");
    }
}
