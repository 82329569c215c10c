//! Who is connected, and since when: the agent looks now and then, and remembers when it saw a
//! connection first. The kernel keeps no such time.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;

use super::snapshot::Snapshot;
use crate::model::{Binding, State};
use crate::sockets::{self, Session, SessionIdentity, SocketsError};

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How much longer than a look the time to the next one is at the least: where there are a
/// hundred thousand sockets, a look takes a tenth of a second.
const REST: u32 = 500;

/// The host's sockets, read from any thread; or what stands for them in unit tests.
pub trait SocketReader: Send + Sync + 'static {
    /// All inbound sessions, and forwarded ones of all interfaces; `ports` says of which ports
    /// they are inbound in any case.
    ///
    /// # Errors
    /// The kernel does not say.
    fn sessions(&self, ports: &dyn Fn(u16) -> bool) -> Result<Vec<Session>, SocketsError>;

    /// Of these sources of forwarded sessions those that come in by `interfaces`; all where
    /// there are none.
    ///
    /// # Errors
    /// The kernel does not say.
    fn arriving(
        &self,
        sources: HashSet<IpAddr>,
        interfaces: &[String],
    ) -> Result<HashSet<IpAddr>, SocketsError>;

    /// How long own connections have been idle.
    ///
    /// # Errors
    /// The kernel does not say.
    fn idle_times(&self) -> Result<HashMap<SessionIdentity, Duration>, SocketsError>;

    /// The ports that are listened on, and the addresses.
    ///
    /// # Errors
    /// The kernel does not say.
    fn listening(&self) -> Result<BTreeMap<u16, BTreeSet<IpAddr>>, SocketsError>;
}

/// The kernel's sockets in the agent's network namespace.
#[derive(Debug)]
pub struct HostSockets;

impl SocketReader for HostSockets {
    fn sessions(&self, ports: &dyn Fn(u16) -> bool) -> Result<Vec<Session>, SocketsError> {
        Session::all(ports)
    }

    fn arriving(
        &self,
        sources: HashSet<IpAddr>,
        interfaces: &[String],
    ) -> Result<HashSet<IpAddr>, SocketsError> {
        sockets::arriving_by(sources, interfaces)
    }

    fn idle_times(&self) -> Result<HashMap<SessionIdentity, Duration>, SocketsError> {
        sockets::idle_times()
    }

    fn listening(&self) -> Result<BTreeMap<u16, BTreeSet<IpAddr>>, SocketsError> {
        sockets::listening()
    }
}

/// Whether a policy governs attempts at a port.
#[must_use]
pub fn is_governed(state: &State, port: u16) -> bool {
    let governs = |scope: &Binding| state.governing(scope).next().is_some();
    let own = |port| {
        let service = state.service_of_port(port);
        service.is_some_and(|service| governs(&Binding::Service(service.name.clone())))
    };
    !state.host.failsafe_ports.contains(port) && (governs(&Binding::Host) || own(port))
}

/// See the module.
pub struct Connected {
    sockets: Arc<dyn SocketReader>,
    seen: Mutex<SeenSessions>,
}

#[derive(Default)]
struct SeenSessions {
    /// When it was looked first.
    since: Option<Timestamp>,
    /// When each session was seen first; `None`: it was there at the first look.
    first: HashMap<SessionIdentity, Option<Timestamp>>,
}

/// The sessions of clients at a moment.
pub struct ClientLook {
    /// Connected ones at ports that a policy governs.
    pub sessions: Vec<Session>,
    /// When each was seen first; `None`: it was there at the first look.
    pub first: HashMap<SessionIdentity, Option<Timestamp>>,
    /// When it was looked first.
    pub since: Timestamp,
}

impl Connected {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(sockets: Arc<dyn SocketReader>) -> Self {
        Self {
            sockets,
            seen: Mutex::default(),
        }
    }

    /// The sockets.
    #[must_use]
    pub fn sockets(&self) -> &dyn SocketReader {
        &*self.sockets
    }

    /// Looks who is connected to ports that a policy governs.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn look(&self, snapshot: &Snapshot) -> Result<ClientLook, SocketsError> {
        let state = &snapshot.state;
        let mut sessions = self.sessions(snapshot)?;
        let now = Timestamp::now();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let new = seen.since.map(|_| now);
        let since = *seen.since.get_or_insert(now);
        // Of all ports: a policy may govern another one from now on.
        let first: HashMap<_, _> = sessions
            .iter()
            .map(|session| {
                let identity = session.identity();
                let first = seen.first.get(&identity).copied().unwrap_or(new);
                (identity, first)
            })
            .collect();
        seen.first.clone_from(&first);
        drop(seen);
        sessions.retain(|session| is_governed(state, session.port()));
        self.retain_arriving(&mut sessions, snapshot)?;
        Ok(ClientLook {
            sessions,
            first,
            since,
        })
    }

    /// Connected sessions of clients, whether a policy governs their ports or not.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn clients(&self, snapshot: &Snapshot) -> Result<Vec<Session>, SocketsError> {
        let mut sessions = self.sessions(snapshot)?;
        self.retain_arriving(&mut sessions, snapshot)?;
        Ok(sessions)
    }

    fn sessions(&self, snapshot: &Snapshot) -> Result<Vec<Session>, SocketsError> {
        let is_service = |port| snapshot.state.service_of_port(port).is_some();
        let mut sessions = self.sockets.sessions(&is_service)?;
        sessions.retain(Session::is_connected);
        Ok(sessions)
    }

    /// Drops forwarded sessions that come in by none of the interfaces.
    fn retain_arriving(
        &self,
        sessions: &mut Vec<Session>,
        snapshot: &Snapshot,
    ) -> Result<(), SocketsError> {
        let forwarded = sessions.iter().filter(|session| session.is_forwarded());
        let sources = forwarded.map(Session::source).collect();
        let arriving = self.sockets.arriving(sources, &snapshot.interfaces)?;
        sessions.retain(|s| !s.is_forwarded() || arriving.contains(&s.source()));
        Ok(())
    }
}

/// Looks now and then, until the agent ends.
pub async fn keep_looking(connected: Arc<Connected>, snapshots: watch::Receiver<Arc<Snapshot>>) {
    loop {
        let (connected, snapshot) = (connected.clone(), snapshots.borrow().clone());
        let started = Instant::now();
        let looked = tokio::task::spawn_blocking(move || connected.look(&snapshot).map(drop)).await;
        if let Ok(Err(error)) = looked {
            tracing::debug!(%error, "who is connected is not known");
        }
        let rest = started.elapsed().saturating_mul(REST);
        tokio::time::sleep(LOOK_EVERY.max(rest)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::testing::{FakeSockets, state_with_policy};

    #[test]
    fn connection_is_dated_unless_it_was_there_at_the_first_look() {
        let sockets = FakeSockets::default();
        let connected = Connected::new(Arc::new(sockets.clone()));
        let state = Arc::new(state_with_policy("office", &[], &["192.0.2.1"]));
        let snapshot = Snapshot::of(&state, 1);
        sockets.open("10.0.0.1", 5432);
        let first = connected.look(&snapshot).unwrap();
        assert_eq!(first.first[&first.sessions[0].identity()], None);
        sockets.open("10.0.0.2", 5432);
        // Never judged there.
        sockets.open("10.0.0.3", 22);
        let second = connected.look(&snapshot).unwrap();
        assert_eq!(second.since, first.since);
        let dated: Vec<_> = second
            .sessions
            .iter()
            .map(|s| {
                (
                    s.source().to_string(),
                    second.first[&s.identity()].is_some(),
                )
            })
            .collect();
        assert_eq!(
            dated,
            [
                ("10.0.0.1".to_owned(), false),
                ("10.0.0.2".to_owned(), true)
            ]
        );
        let third = connected.look(&snapshot).unwrap();
        assert_eq!(third.first, second.first, "the first time stays");
    }

    #[test]
    fn only_ports_that_an_active_policy_governs_count() {
        let state = state_with_policy("office", &[], &["192.0.2.1"]);
        assert!(is_governed(&state, 5432));
        assert!(!is_governed(&state, 22));
        assert!(!is_governed(&State::empty(), 5432));
    }
}
