//! The connected clients: which of them a change newly denies, and the end of their sessions.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use netpolicy_common::{Action, HOST_SCOPE, ScopeId};

use crate::agent::banned::{self, SharedBans};
use crate::agent::in_force::InForce;
use crate::api::{ClientsView, DeniedClient, NotClosed};
use crate::compiler::Ruleset;
use crate::model::{Bypass, Mode, State};
use crate::sockets::{Ended, Left, Session, SocketsError, arriving_by, end, syn_cookies_sent};

/// The host's sockets, or what stands for them in unit tests.
pub trait Sockets: Send {
    /// All inbound sessions, and forwarded ones of all interfaces; `ports` says of which
    /// ports they are inbound in any case.
    ///
    /// # Errors
    /// The kernel does not say.
    fn inbound(&self, ports: &dyn Fn(u16) -> bool) -> Result<Vec<Session>, SocketsError>;

    /// Of these sources of forwarded sessions those that come in by `interfaces`; all where
    /// there are none.
    ///
    /// # Errors
    /// The kernel does not say.
    fn arriving_by(
        &self,
        sources: HashSet<IpAddr>,
        interfaces: &[String],
    ) -> Result<HashSet<IpAddr>, SocketsError>;

    /// Closes sessions, and says which of them are not gone afterwards.
    fn cut(&self, sessions: &[Session]) -> Ended;

    /// How many SYN cookies were sent; `None`: not known.
    fn syn_cookies_sent(&self) -> Option<u64>;
}

/// The kernel's sockets in the agent's network namespace.
#[derive(Debug)]
pub struct KernelSockets;

impl Sockets for KernelSockets {
    fn inbound(&self, ports: &dyn Fn(u16) -> bool) -> Result<Vec<Session>, SocketsError> {
        Session::all(ports)
    }

    fn arriving_by(
        &self,
        sources: HashSet<IpAddr>,
        interfaces: &[String],
    ) -> Result<HashSet<IpAddr>, SocketsError> {
        arriving_by(sources, interfaces)
    }

    fn cut(&self, sessions: &[Session]) -> Ended {
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
    /// What is banned, before it and after it.
    pub(in crate::agent) bans: Option<&'a SharedBans>,
}

impl Judge<'_> {
    /// Whether an attempt from `source` at `port` passed before and is dropped now.
    pub(in crate::agent) fn denies_newly(&self, source: IpAddr, port: u16) -> bool {
        self.denies(source, port)
            && !self.old.denies(source, port, self.now)
            && !self.is_banned(&self.old, source, port)
    }

    /// Whether an attempt from `source` at `port` is dropped now.
    pub(super) fn denies(&self, source: IpAddr, port: u16) -> bool {
        self.new.denies(source, port, self.now) || self.is_banned(&self.new, source, port)
    }

    /// The ban that alone denies an attempt from `source` at `port` now: "it is banned
    /// (203.0.113.0/24 by fail2ban: failed log-ins)"; `None`: no ban, or a rule as well.
    pub(in crate::agent) fn denying_ban(&self, source: IpAddr, port: u16) -> Option<String> {
        let (side, bans) = (&self.new, self.bans?);
        if side.denies(source, port, self.now) || !self.is_banned(side, source, port) {
            return None;
        }
        let service = side.state.service_of_port(port);
        let table = banned::read(bans);
        let ban = table.ban_of(IpNet::from(source), service.map(|service| &service.name))?;
        let by = ban.by.map(|by| format!(" by {by}")).unwrap_or_default();
        let reason = ban.reason.map(|reason| format!(": {reason}"));
        let reason = reason.unwrap_or_default();
        Some(format!("it is banned ({}{by}{reason})", ban.source))
    }

    /// Whether a ban denies an attempt from `source` at `port` on that side, whatever its
    /// rules say.
    fn is_banned(&self, side: &Side<'_>, source: IpAddr, port: u16) -> bool {
        let Some(bans) = self.bans else { return false };
        let state = side.state;
        if state.host.failsafe_ports.contains(port) {
            return false;
        }
        let service = state.service_of_port(port);
        let mode = service.map_or(state.host.mode, |service| service.mode);
        mode == Mode::Enforce
            && banned::is_banned(bans, source, service.map(|service| &service.name))
            && !side.is_exempt(source, port, self.now)
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

/// Which clients to look for.
#[derive(Clone, Copy)]
pub(in crate::agent) struct ClientSearch<'a> {
    /// By which interfaces forwarded sessions come in that count; all where there are none.
    pub(in crate::agent) interfaces: &'a [String],
    /// Every client that the new rules deny, not only those that the old ones did not.
    pub(in crate::agent) all: bool,
}

/// Judges the clients that are connected.
pub(in crate::agent) fn judge(
    sockets: &dyn Sockets,
    judge: &Judge<'_>,
    wanted: ClientSearch<'_>,
) -> Result<Clients, SocketsError> {
    let (mut denied, allowed) = divide(sockets, judge, wanted)?;
    keep_arriving(sockets, &mut denied, wanted)?;
    let sources = |sessions: &[Session], forwarded| -> HashSet<IpAddr> {
        let sessions = sessions.iter().filter(|s| s.is_connected());
        let sessions = sessions.filter(|s| s.is_forwarded() == forwarded);
        sessions.map(Session::source).collect()
    };
    let mut connected = sources(&denied, false);
    connected.extend(sources(&denied, true));
    connected.extend(sources(&allowed, false));
    let mut others = sources(&allowed, true);
    others.retain(|source| !connected.contains(source));
    connected.extend(sockets.arriving_by(others, wanted.interfaces)?);
    let mut counts: BTreeMap<(IpAddr, ScopeId, String), Count> = BTreeMap::new();
    for session in denied.iter().filter(|s| s.is_connected()) {
        let (id, name) = judge.scope(session.port());
        let count = counts.entry((session.source(), id, name)).or_default();
        let is_counted = session.mptcp().is_some_and(|it| !count.mptcp.insert(it));
        count.connections += usize::from(!is_counted);
        count.forwarded += usize::from(session.is_forwarded());
    }
    let view = ClientsView {
        connected: connected.len(),
        denied: counts
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
    Ok(Clients { view, denied })
}

/// Only the sessions that are denied. The others are not counted, which spares a look at
/// the routes to each of their sources.
pub(in crate::agent) fn denied(
    sockets: &dyn Sockets,
    judge: &Judge<'_>,
    wanted: ClientSearch<'_>,
) -> Result<Vec<Session>, SocketsError> {
    let (mut denied, _) = divide(sockets, judge, wanted)?;
    keep_arriving(sockets, &mut denied, wanted)?;
    Ok(denied)
}

/// The sessions that are denied, and the others. Forwarded ones may come by any interface.
fn divide(
    sockets: &dyn Sockets,
    judge: &Judge<'_>,
    wanted: ClientSearch<'_>,
) -> Result<(Vec<Session>, Vec<Session>), SocketsError> {
    let is_service = |port| judge.new.state.service_of_port(port).is_some();
    let mut sessions = sockets.inbound(&is_service)?;
    // What no policy can reach is no client of anything covered.
    let failsafe_ports = &judge.new.state.host.failsafe_ports;
    sessions.retain(|session| !failsafe_ports.contains(session.port()));
    Ok(sessions.into_iter().partition(|session| {
        let (source, port) = (session.source(), session.port());
        if wanted.all {
            judge.denies(source, port)
        } else {
            judge.denies_newly(source, port)
        }
    }))
}

/// Leaves out forwarded sessions that do not come in by the interfaces.
fn keep_arriving(
    sockets: &dyn Sockets,
    sessions: &mut Vec<Session>,
    wanted: ClientSearch<'_>,
) -> Result<(), SocketsError> {
    let forwarded = sessions.iter().filter(|s| s.is_forwarded());
    let sources = forwarded.map(Session::source).collect();
    let arriving = sockets.arriving_by(sources, wanted.interfaces)?;
    sessions.retain(|s| !s.is_forwarded() || arriving.contains(&s.source()));
    Ok(())
}

/// Adds what a later round did not end, and returns how many of the earlier round are over
/// by now. A round finds those again that are still open; not an MPTCP connection without
/// subflows, which has no socket and no entry of its own.
pub(in crate::agent) fn add_left(
    left: &mut Vec<(Session, Left)>,
    later: Vec<(Session, Left)>,
) -> usize {
    let mut earlier: HashMap<_, _> = left
        .drain(..)
        .map(|(session, why)| (session.identity(), (session, why)))
        .collect();
    for (session, why) in later {
        let why = match earlier.remove(&session.identity()) {
            // Its socket is gone since: that it has none says less than why it counts as open.
            Some((_, Left::Unverified(cause))) => Left::Unverified(cause),
            _ => why,
        };
        left.push((session, why));
    }
    let mut over = 0;
    for (session, why) in earlier.into_values() {
        match why {
            Left::Mptcp => left.push((session, why)),
            Left::Unverified(_) => over += 1,
            _ => {}
        }
    }
    over
}

/// The sessions that are not over, by client, port and reason.
pub(in crate::agent) fn not_closed(left: &[(Session, Left)]) -> Vec<NotClosed> {
    let mut counts: BTreeMap<(IpAddr, u16, Left), usize> = BTreeMap::new();
    for (session, why) in left {
        let client = (session.source(), session.port(), why.clone());
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
