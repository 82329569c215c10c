//! A session of a client: with a socket of this network namespace, or through it.
//!
//! Finds all that are inbound; judges none.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use super::connection::Connection;
use super::conntrack::{Conntrack, Ends, Entry, TrackedState};
use super::error::SocketsError;
use super::route::Routes;
use super::survey::{Survey, own_addresses};

/// A TCP connection that is forwarded to another network namespace or host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forwarded(pub(super) Entry);

impl Forwarded {
    /// The server's end and the client's, as the server's socket has them.
    pub(super) fn socket(&self) -> (SocketAddr, SocketAddr) {
        (self.0.reply.source, self.0.reply.destination)
    }

    /// One that exists nowhere.
    #[doc(hidden)]
    pub fn made_up(client: SocketAddr, arrives_at: SocketAddr, server: SocketAddr) -> Self {
        Self(Entry {
            original: Ends {
                source: client,
                destination: arrives_at,
            },
            reply: Ends {
                source: server,
                destination: client,
            },
            progress: TrackedState::Open,
            zone: 0,
            id: None,
        })
    }
}

/// An inbound TCP session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// With a socket of this network namespace.
    Own(Connection),
    /// Through it.
    Forwarded(Forwarded),
}

impl Session {
    /// The address that its packets come from, as the filter sees them: before any NAT.
    #[must_use]
    pub fn source(&self) -> IpAddr {
        match self {
            Self::Own(connection) => connection.source(),
            Self::Forwarded(Forwarded(entry)) => entry.original.source.ip(),
        }
    }

    /// The port that its packets come to, as the filter sees them: before any NAT.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Self::Own(connection) => connection.port(),
            Self::Forwarded(Forwarded(entry)) => entry.original.destination.port(),
        }
    }

    /// Whether the handshake is done, and not both sides have ended.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        match self {
            Self::Own(connection) => connection.state.is_connected(),
            Self::Forwarded(Forwarded(entry)) => entry.progress == TrackedState::Open,
        }
    }

    /// Whether it is forwarded.
    #[must_use]
    pub fn is_forwarded(&self) -> bool {
        matches!(self, Self::Forwarded(_))
    }

    /// The token of the MPTCP connection that it is a subflow of.
    #[must_use]
    pub fn mptcp(&self) -> Option<u32> {
        match self {
            Self::Own(connection) => connection.mptcp(),
            Self::Forwarded(_) => None,
        }
    }

    /// All inbound sessions: those of [`Survey::take`], and those that connection
    /// tracking knows and that are forwarded, whichever interface they come by (see
    /// [`arriving_by`]).
    ///
    /// # Errors
    /// The kernel does not list them, or cannot be asked.
    pub fn all(covered: impl Fn(u16) -> bool) -> Result<Vec<Self>, SocketsError> {
        let connections = Survey::take(covered)?.connections;
        let Some(mut conntrack) = Conntrack::open()? else {
            return Ok(connections.into_iter().map(Self::Own).collect());
        };
        let entries = conntrack.entries()?;
        let own = own_addresses()?;
        let (connections, forwarded) = assign(connections, entries, &own);
        let own = connections.into_iter().map(Self::Own);
        let forwarded = forwarded.into_iter().map(Forwarded).map(Self::Forwarded);
        Ok(own.chain(forwarded).collect())
    }

    /// What tells it from all other sessions; the same for all subflows of an MPTCP
    /// connection.
    #[must_use]
    pub fn identity(&self) -> SessionIdentity {
        match self {
            Self::Own(connection) => match connection.mptcp() {
                Some(token) => SessionIdentity::Mptcp(token),
                None => {
                    SessionIdentity::Own(connection.local, connection.remote, connection.cookie())
                }
            },
            Self::Forwarded(Forwarded(entry)) => {
                let Ends {
                    source,
                    destination,
                } = entry.original;
                SessionIdentity::Forwarded(source, destination, entry.zone, entry.id)
            }
        }
    }
}

/// What tells a session from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionIdentity {
    /// With a socket of its own: its ends, and the kernel's name for it.
    Own(SocketAddr, SocketAddr, [u8; 8]),
    /// An MPTCP connection, by its token.
    Mptcp(u32),
    /// Forwarded: the client's end and the one that it connected to, its zone and number.
    Forwarded(SocketAddr, SocketAddr, u16, Option<u32>),
}

/// Of these sources of forwarded sessions those that are behind `interfaces`, as far as the
/// routes say; all where there are no interfaces.
///
/// # Errors
/// The kernel does not list interfaces or routes.
pub fn arriving_by(
    sources: HashSet<IpAddr>,
    interfaces: &[String],
) -> Result<HashSet<IpAddr>, SocketsError> {
    if sources.is_empty() || interfaces.is_empty() {
        return Ok(sources);
    }
    Routes::open()?.behind(sources, interfaces)
}

/// Tells own sockets what NAT made of them, and the forwarded entries from the others.
fn assign(
    mut connections: Vec<Connection>,
    entries: Vec<Entry>,
    own: &HashSet<IpAddr>,
) -> (Vec<Connection>, Vec<Entry>) {
    let by_ends: HashMap<_, _> = connections
        .iter()
        .enumerate()
        .map(|(at, c)| ((plain(c.local), plain(c.remote)), at))
        .collect();
    let mut forwarded = Vec::new();
    for entry in entries {
        let Entry {
            original,
            reply,
            progress,
            ..
        } = entry;
        if let Some(&at) = by_ends.get(&(reply.source, reply.destination)) {
            if (reply.source, reply.destination) != (original.destination, original.source)
                && let Some(connection) = connections.get_mut(at)
            {
                *connection =
                    connection.arrived_as(original.source.ip(), original.destination.port());
            }
        } else if progress != TrackedState::None
            && !original.source.ip().is_loopback()
            && !own.contains(&original.source.ip())
            && !reply.source.ip().is_loopback()
            && !own.contains(&reply.source.ip())
        {
            forwarded.push(entry);
        }
    }
    (connections, forwarded)
}

/// Without a link-local address's interface, which connection tracking does not know.
fn plain(end: SocketAddr) -> SocketAddr {
    SocketAddr::new(end.ip(), end.port())
}

#[cfg(test)]
mod tests {
    use super::super::TcpState;
    use super::*;

    fn entry(original: (&str, &str), reply: (&str, &str)) -> Entry {
        let ends = |(source, destination): (&str, &str)| Ends {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
        };
        Entry {
            original: ends(original),
            reply: ends(reply),
            progress: TrackedState::Open,
            zone: 0,
            id: None,
        }
    }

    fn own() -> HashSet<IpAddr> {
        HashSet::from(["198.51.100.1".parse().unwrap()])
    }

    #[test]
    fn forwarded_entries_are_judged_by_the_original_source_and_port() {
        let dnat = entry(
            ("10.66.0.1:40000", "198.51.100.1:5432"),
            ("172.17.0.2:9000", "172.17.0.1:50000"),
        );
        let (_, forwarded) = assign(vec![], vec![dnat], &own());
        let session = Session::Forwarded(Forwarded(forwarded[0]));
        assert_eq!(session.source(), "10.66.0.1".parse::<IpAddr>().unwrap());
        assert_eq!(session.port(), 5432);
        assert!(session.is_connected() && session.is_forwarded());
        let (server, client) = Forwarded(forwarded[0]).socket();
        assert_eq!(server, "172.17.0.2:9000".parse().unwrap());
        assert_eq!(client, "172.17.0.1:50000".parse().unwrap());
    }

    #[test]
    fn outgoing_own_and_ended_entries_are_not_forwarded() {
        let outgoing = entry(
            ("198.51.100.1:40000", "203.0.113.1:443"),
            ("203.0.113.1:443", "198.51.100.1:40000"),
        );
        let own_and_gone = entry(
            ("10.66.0.1:40000", "198.51.100.1:5432"),
            ("198.51.100.1:5432", "10.66.0.1:40000"),
        );
        let ended = Entry {
            progress: TrackedState::None,
            ..entry(
                ("10.66.0.1:40000", "198.51.100.1:5432"),
                ("172.17.0.2:5432", "10.66.0.1:40000"),
            )
        };
        let entries = vec![outgoing, own_and_gone, ended];
        assert_eq!(assign(vec![], entries, &own()).1, []);
    }

    #[test]
    fn redirected_connection_is_judged_by_the_port_that_it_arrived_at() {
        let local = "198.51.100.1:6432".parse().unwrap();
        let remote = "10.66.0.1:40000".parse().unwrap();
        let connection = Connection::made_up(local, remote, TcpState::Established);
        let redirected = entry(
            ("10.66.0.1:40000", "198.51.100.1:5432"),
            ("198.51.100.1:6432", "10.66.0.1:40000"),
        );
        let (connections, forwarded) = assign(vec![connection], vec![redirected], &own());
        assert_eq!(forwarded, []);
        assert_eq!(connections[0].port(), 5432);
        assert_eq!(connections[0].local, local);
    }
}
