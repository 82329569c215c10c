//! Ending forwarded sessions: in the network namespace that has the server's socket.
//!
//! The addresses and ports of a socket are no proof: a user who may make a network namespace
//! can make a socket with any of them. So the namespaces to which the host's routes lead
//! come first. Of the others only those count that need the host's own rights to make: a
//! user namespace of any local user is passed over. And what was ended is only believed
//! when connection tracking has seen the connection's end.

use std::collections::{HashMap, HashSet};
use std::thread;
use std::time::{Duration, Instant};

use super::connection::{self, Connection, TcpState};
use super::conntrack::{Conntrack, TrackedState};
use super::diag::Diag;
use super::end::{Ended, Here, end_here};
use super::error::SocketsError;
use super::left::Left;
use super::namespaces::Namespaces;
use super::route::Routes;
use super::session::{Forwarded, Session};

pub(super) fn end_forwarded(sessions: &[Forwarded], ended: &mut Ended) {
    let mut outcomes = match Search::run(sessions) {
        Ok(search) => end_found(search),
        Err(error) => vec![EndOutcome::Left(Left::Hidden(error.in_full())); sessions.len()],
    };
    settle(sessions, &mut outcomes);
    let mut closed = HashSet::new();
    for (session, outcome) in sessions.iter().zip(outcomes) {
        match outcome {
            // Several entries may be of one connection: in zones, or as subflows.
            EndOutcome::Over { socket, .. } => _ = closed.insert(socket),
            EndOutcome::Left(why) => ended.left.push((Session::Forwarded(*session), why)),
        }
    }
    ended.closed += closed.len();
}

/// What names a connection: the position of its namespace, and its name there.
type SocketKey = (usize, SocketName);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum SocketName {
    Cookie([u8; 8]),
    Mptcp(u32),
}

impl SocketName {
    fn of(connection: &Connection) -> Self {
        let mptcp = connection.mptcp().map(Self::Mptcp);
        mptcp.unwrap_or(Self::Cookie(connection.cookie()))
    }
}

#[derive(Clone, Debug)]
enum EndOutcome {
    /// Its socket is gone.
    Over {
        socket: SocketKey,
        was: TcpState,
    },
    Left(Left),
}

/// Where the sockets of sessions are.
struct Search {
    namespaces: Namespaces,
    /// Of each session.
    traces: Vec<Trace>,
}

/// What is known of one session's socket.
#[derive(Clone, Default)]
struct Trace {
    /// The namespaces to which packets to its server leave, by number.
    leads_to: HashSet<i32>,
    /// The sockets with its ends, and their namespaces.
    places: Vec<(usize, Connection)>,
    /// Why a place may be missing.
    failure: Option<String>,
}

/// A network namespace that can be entered.
struct EnteredNamespace {
    at: usize,
    /// As [`super::namespaces::OpenNamespace::number`] says it.
    number: Option<i32>,
    /// Whether making it needed the host's own rights.
    is_trusted: bool,
}

impl Search {
    fn run(sessions: &[Forwarded]) -> Result<Self, SocketsError> {
        let mut namespaces = Namespaces::find()?;
        let mut routes = Routes::open()?;
        let server = |session: &Forwarded| session.socket().0.ip();
        let leads = routes.namespaces(sessions.iter().map(server).collect())?;
        let trace = |session| Trace {
            leads_to: leads.get(&server(session)).cloned().unwrap_or_default(),
            ..Trace::default()
        };
        let traces = sessions.iter().map(trace).collect();
        let mut candidates = Vec::new();
        for at in 0..namespaces.len() {
            match EnteredNamespace::look_at(&namespaces, at, &mut routes) {
                Ok(candidate) => candidates.extend(candidate),
                Err(error) => namespaces.hidden = Some(error.in_full()),
            }
        }
        let mut search = Self { namespaces, traces };
        search.near(sessions, &candidates);
        search.far(sessions, &candidates);
        Ok(search)
    }

    /// Where the routes lead.
    fn near(&mut self, sessions: &[Forwarded], candidates: &[EnteredNamespace]) {
        for candidate in candidates {
            let Some(number) = candidate.number else {
                continue;
            };
            self.look_in(candidate.at, sessions, |_, it| {
                it.leads_to.contains(&number)
            });
        }
        let seen: HashSet<_> = candidates.iter().filter_map(|it| it.number).collect();
        for trace in &mut self.traces {
            if trace.failure.is_none() && !trace.leads_to.is_subset(&seen) {
                let hidden = self.namespaces.hidden.clone();
                let unknown = || "the one that its route leads to has no process and no name";
                trace.failure = Some(hidden.unwrap_or_else(|| unknown().to_owned()));
            }
        }
    }

    /// Elsewhere: behind routers, or where no interface of this namespace has its other end.
    fn far(&mut self, sessions: &[Forwarded], candidates: &[EnteredNamespace]) {
        // Where the routes lead to a namespace that could not be searched, the socket may be
        // just there.
        let is_open = |it: &Trace| it.places.is_empty() && it.failure.is_none();
        let open: Vec<_> = self.traces.iter().map(is_open).collect();
        if !open.contains(&true) {
            return;
        }
        for candidate in candidates.iter().filter(|it| it.is_trusted) {
            let is_near = |it: &Trace| candidate.number.is_some_and(|n| it.leads_to.contains(&n));
            self.look_in(candidate.at, sessions, |position, it| {
                open.get(position) == Some(&true) && !is_near(it)
            });
        }
        for (trace, is_open) in self.traces.iter_mut().zip(open) {
            if is_open && trace.failure.is_none() {
                trace.failure.clone_from(&self.namespaces.hidden);
            }
        }
    }

    /// Looks in one namespace for the sockets of those sessions that may be there.
    fn look_in(
        &mut self,
        at: usize,
        sessions: &[Forwarded],
        may_be: impl Fn(usize, &Trace) -> bool,
    ) {
        let all = sessions.iter().zip(&mut self.traces).enumerate();
        let (wanted, traces): (Vec<_>, Vec<_>) = all
            .filter(|(position, (_, trace))| may_be(*position, trace))
            .map(|(_, both)| both)
            .unzip();
        if wanted.is_empty() {
            return;
        }
        let namespace = self.namespaces.open(at);
        let found = namespace.and_then(|namespace| match namespace {
            Some(namespace) => namespace.run(|| find_here(&wanted))?,
            None => Ok(vec![None; wanted.len()]),
        });
        match found {
            Ok(found) => {
                for (trace, connection) in traces.into_iter().zip(found) {
                    trace.places.extend(connection.map(|it| (at, it)));
                }
            }
            Err(error) => {
                let cause = error.in_full();
                for trace in traces {
                    trace.failure = Some(cause.clone());
                }
            }
        }
    }
}

impl EnteredNamespace {
    /// `Ok(None)`: it is gone.
    fn look_at(
        namespaces: &Namespaces,
        at: usize,
        routes: &mut Routes,
    ) -> Result<Option<Self>, SocketsError> {
        let Some(opened) = namespaces.open(at)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            at,
            number: opened.number(&mut routes.netlink)?,
            is_trusted: namespaces.has_same_owner(&opened)?,
        }))
    }
}

/// The sockets of forwarded sessions in the calling thread's network namespace, as far as
/// it has them.
fn find_here(sessions: &[&Forwarded]) -> Result<Vec<Option<Connection>>, SocketsError> {
    let mut diag = Diag::open()?;
    let one = |session: &&Forwarded| {
        let (local, remote) = session.socket();
        let response = diag.find(connection::between(local, remote))?;
        let found = response.and_then(|it| Connection::read(&it.header, &it.nlas));
        // A listener that would take it is another socket.
        Ok(found.filter(|it| {
            let ends = (
                it.local.ip(),
                it.local.port(),
                it.remote.ip(),
                it.remote.port(),
            );
            ends == (local.ip(), local.port(), remote.ip(), remote.port())
        }))
    };
    sessions.iter().map(one).collect()
}

/// Ends the sockets that are in one place each.
fn end_found(search: Search) -> Vec<EndOutcome> {
    let Search { namespaces, traces } = search;
    let mut by_namespace: HashMap<usize, Vec<Connection>> = HashMap::new();
    for trace in &traces {
        if let [(namespace, connection)] = trace.places.as_slice() {
            let connections = by_namespace.entry(*namespace).or_default();
            connections.push(*connection);
        }
    }
    let mut left: HashMap<SocketKey, Left> = HashMap::new();
    for (at, mut connections) in by_namespace {
        let mut seen = HashSet::new();
        connections.retain(|it| seen.insert(SocketName::of(it)));
        let here = namespaces.open(at).and_then(|namespace| match namespace {
            Some(namespace) => namespace.run(|| end_here(&connections)),
            None => Ok(Here::default()),
        });
        let remaining = match here {
            Ok(here) => here.left,
            Err(error) => {
                let why = Left::Refused(error.in_full());
                connections.iter().map(|it| (*it, why.clone())).collect()
            }
        };
        let remaining = remaining.into_iter();
        left.extend(remaining.map(|(connection, why)| ((at, SocketName::of(&connection)), why)));
    }
    let outcome = |trace: Trace| match (trace.places.as_slice(), trace.failure) {
        (&[(namespace, connection)], _) => {
            let socket = (namespace, SocketName::of(&connection));
            match left.get(&socket) {
                Some(why) => EndOutcome::Left(why.clone()),
                None => EndOutcome::Over {
                    socket,
                    was: connection.state,
                },
            }
        }
        ([], Some(cause)) => EndOutcome::Left(Left::Hidden(cause)),
        ([], None) => EndOutcome::Left(Left::NoSocket),
        _ => EndOutcome::Left(Left::Ambiguous),
    };
    traces.into_iter().map(outcome).collect()
}

/// Waits until the ends of what was ended have passed, and deletes the entries then: an
/// entry that went first would leave the client's address unknown to the server's resets.
/// What stays open in connection tracking is not over.
fn settle(sessions: &[Forwarded], outcomes: &mut [EndOutcome]) {
    let is_over = |outcome: &&mut EndOutcome| matches!(outcome, EndOutcome::Over { .. });
    if !outcomes.iter_mut().any(|outcome| is_over(&outcome)) {
        return;
    }
    let result = Conntrack::open().and_then(|conntrack| match conntrack {
        Some(mut conntrack) => await_ends(&mut conntrack, sessions, outcomes),
        // All entries are gone.
        None => Ok(()),
    });
    if let Err(error) = result {
        let cause = format!("connection tracking cannot be asked ({})", error.in_full());
        for outcome in outcomes.iter_mut().filter(is_over) {
            *outcome = EndOutcome::Left(Left::Unverified(cause.clone()));
        }
    }
}

fn await_ends(
    conntrack: &mut Conntrack,
    sessions: &[Forwarded],
    outcomes: &mut [EndOutcome],
) -> Result<(), SocketsError> {
    /// The client's next packet is answered with a reset that counts, where the first did
    /// not: a round trip to a far client.
    const PATIENCE: Duration = Duration::from_millis(500);
    const PAUSE: Duration = Duration::from_millis(5);
    let deadline = Instant::now() + PATIENCE;
    let mut pending: Vec<_> = sessions.iter().zip(outcomes).collect();
    loop {
        let mut open = Vec::new();
        for (session, outcome) in pending {
            let EndOutcome::Over { was, .. } = *outcome else {
                continue;
            };
            let progress = conntrack.progress(&session.0)?;
            if has_ended(was, progress) {
                conntrack.delete(&session.0)?;
            } else {
                open.push((session, outcome));
            }
        }
        if open.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            for (_, outcome) in open {
                let why = "connection tracking still has the connection open";
                *outcome = EndOutcome::Left(Left::Unverified(why.to_owned()));
            }
            return Ok(());
        }
        pending = open;
        thread::sleep(PAUSE);
    }
}

/// Whether a connection whose socket is gone is over. The kernel sends no reset for a
/// socket that was not open yet, or that both sides had ended (`tcp_need_reset`): such an
/// entry stays as it is.
fn has_ended(was: TcpState, progress: TrackedState) -> bool {
    match progress {
        TrackedState::None => true,
        TrackedState::Opening => was == TcpState::SynRecv,
        TrackedState::Ending => matches!(was, TcpState::Closing | TcpState::LastAck),
        TrackedState::Open => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_that_ends_without_a_reset_is_over_where_tracking_agrees() {
        for was in [
            TcpState::Established,
            TcpState::FinWait2,
            TcpState::CloseWait,
        ] {
            assert!(has_ended(was, TrackedState::None));
            for progress in [
                TrackedState::Opening,
                TrackedState::Open,
                TrackedState::Ending,
            ] {
                assert!(!has_ended(was, progress), "{was} {progress:?}");
            }
        }
        assert!(has_ended(TcpState::SynRecv, TrackedState::Opening));
        assert!(!has_ended(TcpState::SynRecv, TrackedState::Open));
        assert!(has_ended(TcpState::LastAck, TrackedState::Ending));
        assert!(!has_ended(TcpState::LastAck, TrackedState::Open));
    }
}
