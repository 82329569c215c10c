//! The clients that are connected: whom a change newly denies, and how their connections end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::Timestamp;
use netpolicy_common::{Action, HOST_SCOPE, ScopeId};

use crate::api::{ClientsView, DeniedClient, Existing};
use crate::compiler::Ruleset;
use crate::model::{Bypass, State};
use crate::sockets::{Connection, SocketsError, Survey, destroy};

/// The host's sockets, or what stands for them in unit tests.
pub trait Sockets: Send {
    /// All inbound connections; `ports` says of which ports they are in any case.
    ///
    /// # Errors
    /// The kernel does not say.
    fn inbound(&self, ports: &dyn Fn(u16) -> bool) -> Result<Vec<Connection>, SocketsError>;

    /// Closes connections; how many it closed.
    ///
    /// # Errors
    /// The kernel refuses.
    fn cut(&self, connections: &[Connection]) -> Result<usize, SocketsError>;
}

/// The kernel's sockets in the agent's network namespace.
#[derive(Debug)]
pub struct KernelSockets;

impl Sockets for KernelSockets {
    fn inbound(&self, ports: &dyn Fn(u16) -> bool) -> Result<Vec<Connection>, SocketsError> {
        Ok(Survey::take(ports)?.connections)
    }

    fn cut(&self, connections: &[Connection]) -> Result<usize, SocketsError> {
        destroy(connections).map(|destroyed| destroyed.closed)
    }
}

/// What decides on an attempt at a time: rules, and who is exempt from them.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    pub(super) rules: &'a Ruleset,
    /// The state that the rules were compiled from.
    pub(super) state: &'a State,
    /// The bypasses that there are.
    pub(super) bypasses: &'a [Bypass],
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
pub(super) struct Judge<'a> {
    /// What is in force.
    pub(super) old: Side<'a>,
    /// What is to be.
    pub(super) new: Side<'a>,
    /// The time now.
    pub(super) now: Timestamp,
}

impl Judge<'_> {
    /// Whether an attempt from `source` at `port` passed before and is dropped now.
    pub(super) fn denies_newly(&self, source: IpAddr, port: u16) -> bool {
        self.new.denies(source, port, self.now) && !self.old.denies(source, port, self.now)
    }

    /// Whether an attempt from `source` at `port` is dropped now.
    fn denies(&self, source: IpAddr, port: u16) -> bool {
        self.new.denies(source, port, self.now)
    }

    /// The first port of each pair of scopes, before and after: all ports of a pair are
    /// judged alike. The host's come first, and what is a failsafe port on no side.
    /// Looks at every port: some 50 µs.
    pub(super) fn ports(&self) -> Vec<u16> {
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
    pub(super) fn scope(&self, port: u16) -> (ScopeId, String) {
        match self.new.state.service_of_port(port) {
            Some(service) => (service.id, service.name.to_string()),
            None => (HOST_SCOPE, "host".to_owned()),
        }
    }
}

/// Connected clients, and the connections of those that a change denies.
#[derive(Debug, Default)]
pub(super) struct Clients {
    pub(super) view: ClientsView,
    pub(super) denied: Vec<Connection>,
}

/// Judges the clients that are connected. `all`: denied are all whom the new rules deny,
/// not only those whom the old ones did not.
pub(super) fn judge(
    sockets: &dyn Sockets,
    judge: &Judge<'_>,
    all: bool,
) -> Result<Clients, SocketsError> {
    let is_service = |port| judge.new.state.service_of_port(port).is_some();
    let connections = sockets.inbound(&is_service)?;
    let mut clients = Clients::default();
    let mut sources: BTreeSet<IpAddr> = BTreeSet::new();
    let mut denied: BTreeMap<(IpAddr, ScopeId, String), usize> = BTreeMap::new();
    for connection in connections {
        let (source, port) = (connection.remote.ip(), connection.local.port());
        // What no policy can reach is no client of anything covered.
        if judge.new.state.host.failsafe_ports.contains(port) {
            continue;
        }
        if connection.state.is_connected() {
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
        if connection.state.is_connected() {
            let (id, name) = judge.scope(port);
            *denied.entry((source, id, name)).or_default() += 1;
        }
        clients.denied.push(connection);
    }
    clients.view = ClientsView {
        connected: sources.len(),
        denied: denied
            .into_iter()
            .map(|((source, _, scope), connections)| DeniedClient {
                source,
                scope,
                connections,
            })
            .collect(),
        closed: 0,
        existing: Existing::Keep,
    };
    Ok(clients)
}

#[cfg(test)]
mod tests;
