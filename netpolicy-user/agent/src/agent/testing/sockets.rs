//! Fake clients.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::agent::change::clients::Sockets;
use crate::agent::connected::SocketReader;
use crate::sockets::{
    Connection, Ended, Forwarded, Left, Session, SessionIdentity, SocketsError, TcpState as Open,
};

/// Fake sessions, and the requests to close them.
#[derive(Clone, Default)]
pub(in crate::agent) struct FakeSockets(Arc<Mutex<MadeUp>>);

#[derive(Default)]
struct MadeUp {
    open: Vec<Session>,
    /// Sources whose sessions cannot be ended.
    stuck: Vec<(IpAddr, Left)>,
    syn_cookies: u64,
    listening: BTreeMap<u16, BTreeSet<IpAddr>>,
    /// Of how many sources it was asked where they come in, each time.
    routed: Vec<usize>,
    fail: bool,
}

impl FakeSockets {
    /// An open connection from a source to a port.
    pub(in crate::agent) fn open(&self, source: &str, port: u16) {
        self.add(Session::Own(made_up(source, port)));
    }

    /// A subflow of an MPTCP connection from a source to a port.
    pub(in crate::agent) fn open_subflow(&self, source: &str, port: u16, token: u32) {
        self.add(Session::Own(made_up(source, port).of_mptcp(token)));
    }

    /// A session from a source that arrives at a port and goes on to another host.
    pub(in crate::agent) fn open_forwarded(&self, source: &str, port: u16) {
        let arrives_at = SocketAddr::from(([198, 51, 100, 1], port));
        let server = "172.17.0.2:9000".parse().unwrap();
        let client = (source.parse::<IpAddr>().unwrap(), 40_000).into();
        let made = Forwarded::made_up(client, arrives_at, server);
        self.add(Session::Forwarded(made));
    }

    fn add(&self, session: Session) {
        self.0.lock().unwrap().open.push(session);
    }

    /// What is open, as "10.0.0.1 5432".
    pub(in crate::agent) fn left(&self) -> Vec<String> {
        let made_up = self.0.lock().unwrap();
        let open = made_up.open.iter();
        open.map(|s| format!("{} {}", s.source(), s.port()))
            .collect()
    }

    /// From now on nothing ends the sessions of a source.
    pub(in crate::agent) fn stick(&self, source: &str, why: Left) {
        let source = source.parse().unwrap();
        self.0.lock().unwrap().stuck.push((source, why));
    }

    /// Something listens on an address and port.
    pub(in crate::agent) fn listen(&self, address: &str, port: u16) {
        let address = address.parse().unwrap();
        let mut made_up = self.0.lock().unwrap();
        made_up.listening.entry(port).or_default().insert(address);
    }

    /// That many SYN cookies were sent.
    pub(in crate::agent) fn send_syn_cookies(&self, sent: u64) {
        self.0.lock().unwrap().syn_cookies = sent;
    }

    /// Of how many sources it was asked so far where they come in.
    pub(in crate::agent) fn routed(&self) -> usize {
        self.0.lock().unwrap().routed.iter().sum()
    }

    /// The kernel says nothing any more.
    pub(in crate::agent) fn fail(&self) {
        self.0.lock().unwrap().fail = true;
    }
}

fn made_up(source: &str, port: u16) -> Connection {
    let remote = SocketAddr::new(source.parse().unwrap(), 40_000);
    let local: IpAddr = match remote.is_ipv4() {
        true => "198.51.100.1".parse().unwrap(),
        false => "2001:db8:ff::1".parse().unwrap(),
    };
    Connection::made_up((local, port).into(), remote, Open::Established)
}

impl SocketReader for FakeSockets {
    fn sessions(&self, ports: &dyn Fn(u16) -> bool) -> Result<Vec<Session>, SocketsError> {
        self.inbound(ports)
    }

    fn arriving(
        &self,
        sources: HashSet<IpAddr>,
        _: &[String],
    ) -> Result<HashSet<IpAddr>, SocketsError> {
        Ok(sources)
    }

    fn idle_times(&self) -> Result<HashMap<SessionIdentity, Duration>, SocketsError> {
        let open = self.0.lock().unwrap().open.clone();
        let own = open.iter().filter(|session| !session.is_forwarded());
        Ok(own
            .map(|s| (s.identity(), Duration::from_millis(1500)))
            .collect())
    }

    fn listening(&self) -> Result<BTreeMap<u16, BTreeSet<IpAddr>>, SocketsError> {
        let made_up = self.0.lock().unwrap();
        if made_up.fail {
            return Err(SocketsError::NoDiag);
        }
        Ok(made_up.listening.clone())
    }
}

impl Sockets for FakeSockets {
    fn inbound(&self, _: &dyn Fn(u16) -> bool) -> Result<Vec<Session>, SocketsError> {
        let made_up = self.0.lock().unwrap();
        if made_up.fail {
            return Err(SocketsError::NoDiag);
        }
        Ok(made_up.open.clone())
    }

    fn arriving_by(
        &self,
        sources: HashSet<IpAddr>,
        _: &[String],
    ) -> Result<HashSet<IpAddr>, SocketsError> {
        self.0.lock().unwrap().routed.push(sources.len());
        Ok(sources)
    }

    fn cut(&self, sessions: &[Session]) -> Ended {
        let mut made_up = self.0.lock().unwrap();
        let mut ended = Ended::default();
        for session in sessions {
            let is_it = |(source, _): &&(IpAddr, Left)| *source == session.source();
            match made_up.stuck.iter().find(is_it) {
                Some((_, why)) => ended.left.push((*session, why.clone())),
                None => {
                    made_up.open.retain(|open| open != session);
                    ended.closed += 1;
                }
            }
        }
        ended
    }

    fn syn_cookies_sent(&self) -> Option<u64> {
        Some(self.0.lock().unwrap().syn_cookies)
    }
}
