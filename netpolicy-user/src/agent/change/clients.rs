//! The connected clients: which of them a change newly denies, and the end of their sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::Timestamp;
use netpolicy_common::{Action, HOST_SCOPE, ScopeId};

use crate::agent::in_force::InForce;
use crate::api::{ClientsView, DeniedClient, NotClosed};
use crate::compiler::Ruleset;
use crate::model::{Bypass, State};
use crate::sockets::{Ended, Left, Session, SocketsError, end, syn_cookies_sent};

/// The host's sockets, or what stands for them in unit tests.
pub trait Sockets: Send {
    /// All inbound sessions; `ports` says of which ports they are in any case, and
    /// `interfaces` by which forwarded ones come in.
    ///
    /// # Errors
    /// The kernel does not say.
    fn inbound(
        &self,
        ports: &dyn Fn(u16) -> bool,
        interfaces: &[String],
    ) -> Result<Vec<Session>, SocketsError>;

    /// Closes sessions, and says which of them are not gone afterwards.
    ///
    /// # Errors
    /// The kernel refuses.
    fn cut(&self, sessions: &[Session]) -> Result<Ended, SocketsError>;

    /// How many SYN cookies were sent; `None`: not known.
    fn syn_cookies_sent(&self) -> Option<u64>;
}

/// The kernel's sockets in the agent's network namespace.
#[derive(Debug)]
pub struct KernelSockets;

impl Sockets for KernelSockets {
    fn inbound(
        &self,
        ports: &dyn Fn(u16) -> bool,
        interfaces: &[String],
    ) -> Result<Vec<Session>, SocketsError> {
        Session::all(ports, interfaces)
    }

    fn cut(&self, sessions: &[Session]) -> Result<Ended, SocketsError> {
        end(sessions)
    }

    fn syn_cookies_sent(&self) -> Option<u64> {
        syn_cookies_sent()
    }
}

/// What decides on an attempt at a time: rules, and who is exempt from them.
#[derive(Clone, Copy)]
pub(in crate::agent) struct Side<'a> {
    pub(in crate::agent) rules: &'a Ruleset,
    /// The state that the rules were compiled from.
    pub(in crate::agent) state: &'a State,
    /// The bypasses that there are.
    pub(in crate::agent) bypasses: &'a [Bypass],
}

impl<'a> Side<'a> {
    /// What decides while this is in force.
    pub(in crate::agent) fn of(now: &'a InForce, bypasses: &'a [Bypass]) -> Self {
        Self {
            rules: &now.ruleset,
            state: &now.state,
            bypasses,
        }
    }
}

impl Side<'_> {
    /// Whether an attempt from `source` at `port` is dropped.
    fn denies(&self, source: IpAddr, port: u16, now: Timestamp) -> bool {
        self.rules.judge_port(port, source).1.action() == Action::Drop
            && !self.is_exempt(source, port, now)
    }

    fn is_exempt(&self, source: IpAddr, port: u16, now: Timestamp) -> bool {
        let bypasses = self.bypasses.iter();
        let mut covering = bypasses
            .filter(|bypass| bypass.source.contains(&source))
            .peekable();
        if covering.peek().is_none() {
            return false;
        }
        let service = self.state.service_of_port(port);
        let service = service.map(|service| &service.name);
        covering.any(|bypass| bypass.covers(service, now))
    }
}

/// By what sources are judged: before a change and after it.
pub(in crate::agent) struct Judge<'a> {
    /// What is in force.
    pub(in crate::agent) old: Side<'a>,
    /// What is to be.
    pub(in crate::agent) new: Side<'a>,
    /// The time now.
    pub(in crate::agent) now: Timestamp,
}

impl Judge<'_> {
    /// Whether an attempt from `source` at `port` passed before and is dropped now.
    pub(in crate::agent) fn denies_newly(&self, source: IpAddr, port: u16) -> bool {
        self.new.denies(source, port, self.now) && !self.old.denies(source, port, self.now)
    }

    /// Whether an attempt from `source` at `port` is dropped now.
    fn denies(&self, source: IpAddr, port: u16) -> bool {
        self.new.denies(source, port, self.now)
    }

    /// The first port of each pair of scopes, before and after: all ports of a pair are
    /// judged alike. The host's come first, and what is a failsafe port on no side.
    /// Looks at every port: some 50 µs.
    pub(in crate::agent) fn ports(&self) -> Vec<u16> {
        let mut first: BTreeMap<(ScopeId, ScopeId), u16> = BTreeMap::new();
        let mut last = None;
        let pairs = self.old.rules.ports.iter().zip(self.new.rules.ports.iter());
        // No packet goes to port 0.
        for (port, (&old, &new)) in (0..=u16::MAX).zip(pairs).skip(1) {
            if last != Some((old, new)) {
                last = Some((old, new));
                first.entry((new, old)).or_insert(port);
            }
        }
        first.into_values().collect()
    }

    /// The scope of a port, and its name.
    pub(in crate::agent) fn scope(&self, port: u16) -> (ScopeId, String) {
        match self.new.state.service_of_port(port) {
            Some(service) => (service.id, service.name.to_string()),
            None => (HOST_SCOPE, "host".to_owned()),
        }
    }
}

/// Connected clients, and the sessions of those that a change denies.
#[derive(Debug, Default)]
pub(in crate::agent) struct Clients {
    pub(in crate::agent) view: ClientsView,
    pub(in crate::agent) denied: Vec<Session>,
}

impl Clients {
    /// How many connections the denied sessions are: subflows of one MPTCP connection
    /// are one.
    pub(in crate::agent) fn denied_connections(&self) -> usize {
        let tokens: BTreeSet<_> = self.denied.iter().filter_map(Session::mptcp).collect();
        let plain = self.denied.iter().filter(|s| s.mptcp().is_none());
        plain.count() + tokens.len()
    }
}

/// Connections of a source in a scope.
#[derive(Default)]
struct Count {
    connections: usize,
    forwarded: usize,
    /// The MPTCP connections that are counted.
    mptcp: BTreeSet<u32>,
}

/// Judges the clients that are connected. `all`: every client that the new rules deny,
/// not only those that the old ones did not.
pub(in crate::agent) fn judge(
    sockets: &dyn Sockets,
    interfaces: &[String],
    judge: &Judge<'_>,
    all: bool,
) -> Result<Clients, SocketsError> {
    let is_service = |port| judge.new.state.service_of_port(port).is_some();
    let sessions = sockets.inbound(&is_service, interfaces)?;
    let mut clients = Clients::default();
    let mut sources: BTreeSet<IpAddr> = BTreeSet::new();
    let mut denied: BTreeMap<(IpAddr, ScopeId, String), Count> = BTreeMap::new();
    for session in sessions {
        let (source, port) = (session.source(), session.port());
        // What no policy can reach is no client of anything covered.
        if judge.new.state.host.failsafe_ports.contains(port) {
            continue;
        }
        if session.is_connected() {
            sources.insert(source);
        }
        let hit = if all {
            judge.denies(source, port)
        } else {
            judge.denies_newly(source, port)
        };
        if !hit {
            continue;
        }
        if session.is_connected() {
            let (id, name) = judge.scope(port);
            let count = denied.entry((source, id, name)).or_default();
            let is_counted = session.mptcp().is_some_and(|it| !count.mptcp.insert(it));
            count.connections += usize::from(!is_counted);
            count.forwarded += usize::from(session.is_forwarded());
        }
        clients.denied.push(session);
    }
    clients.view = ClientsView {
        connected: sources.len(),
        denied: denied
            .into_iter()
            .map(|((source, _, scope), count)| DeniedClient {
                source,
                scope,
                connections: count.connections,
                forwarded: count.forwarded,
            })
            .collect(),
        ..ClientsView::default()
    };
    Ok(clients)
}

/// Adds what a later round did not end. A round finds those again that an earlier one did
/// not end and that still have a socket; an MPTCP connection without subflows has none.
pub(in crate::agent) fn add_left(left: &mut Vec<(Session, Left)>, later: Vec<(Session, Left)>) {
    let is_found = |mptcp| {
        later
            .iter()
            .any(|(session, _)| session.mptcp() == Some(mptcp))
    };
    left.retain(|(session, why)| {
        *why == Left::Mptcp && session.mptcp().is_some_and(|mptcp| !is_found(mptcp))
    });
    left.extend(later);
}

/// The sessions that are not over, by client, port and reason.
pub(in crate::agent) fn not_closed(left: &[(Session, Left)]) -> Vec<NotClosed> {
    let mut counts: BTreeMap<(IpAddr, u16, Left), usize> = BTreeMap::new();
    for (session, why) in left {
        let client = (session.source(), session.port(), *why);
        *counts.entry(client).or_default() += 1;
    }
    let view = |((source, port, why), connections): ((IpAddr, u16, Left), usize)| NotClosed {
        source,
        port,
        connections,
        reason: why.to_string(),
    };
    counts.into_iter().map(view).collect()
}

#[cfg(test)]
mod tests;
