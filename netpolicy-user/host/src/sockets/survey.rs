//! Connected clients: all inbound TCP connections of a network namespace at a time.
//!
//! Decides which connections are inbound; applies no policy.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::thread;

use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP, TCP_LISTEN};
use netlink_packet_sock_diag::inet::nlas::Nla;
use netlink_packet_sock_diag::inet::{
    ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags,
};
use nix::ifaddrs::getifaddrs;

use super::connection::{Connection, TcpState};
use super::diag::{Diag, Dumped};
use super::error::SocketsError;

/// How often a dump is tried that is interrupted by changes.
const ATTEMPTS: u32 = 5;

/// Inbound connections, and the ports that are listened on.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// By local port, then by peer.
    pub connections: Vec<Connection>,
    /// The ports with a listening socket.
    pub listening: BTreeSet<u16>,
}

impl Survey {
    /// Looks at the calling thread's network namespace.
    ///
    /// A connection is inbound when a socket listens on its local address and port, or
    /// when `covered` says so of its port: a server that no longer listens may still
    /// serve, and one behind TPROXY listens on another port. So `covered` should say yes
    /// to the ports of services and no to all others: outgoing connections have ports of
    /// their own, and nothing else tells them apart. (One that a process makes from the
    /// very address and port that it listens on counts as inbound.)
    ///
    /// Left out is what never comes through an interface: peers with a loopback address
    /// or an address of the host itself.
    ///
    /// It is no snapshot: the kernel walks its tables by and by. What is open from
    /// before the call until after it is in; one that opens or ends meanwhile may be
    /// in or not. Takes about a microsecond and 200 bytes for each TCP socket of the
    /// namespace, of all users, and one to some milliseconds for the kernel's table
    /// (`tcp_diag_dump` in `net/ipv4/tcp_diag.c`).
    ///
    /// # Errors
    /// The kernel does not list sockets, or cannot be asked.
    pub fn take(covered: impl Fn(u16) -> bool) -> Result<Self, SocketsError> {
        let own = own_addresses()?;
        let FoundSockets {
            mut connections,
            listeners,
        } = FoundSockets::all()?;
        let mut seen = HashSet::with_capacity(connections.len());
        connections.retain(|connection| {
            let peer = connection.remote.ip();
            let local = connection.local;
            !peer.is_loopback()
                && !own.contains(&peer)
                && (covered(local.port()) || is_listened_on(&listeners, local))
                // The kernel finds its place in a table again by counting, and so may
                // tell of a socket twice.
                && seen.insert(connection.cookie())
        });
        connections.sort_unstable_by_key(|c| (c.local.port(), c.remote, c.local));
        Ok(Self {
            connections,
            listening: listeners.into_keys().collect(),
        })
    }
}

/// What a socket listens on.
#[derive(Clone, Copy, Debug)]
struct Listener {
    address: IpAddr,
    only_v6: bool,
}

impl Listener {
    fn takes(self, address: IpAddr) -> bool {
        match self.address {
            IpAddr::V4(own) if own.is_unspecified() => address.is_ipv4(),
            IpAddr::V6(own) if own.is_unspecified() => address.is_ipv6() || !self.only_v6,
            own => own == address,
        }
    }
}

type Listeners = HashMap<u16, Vec<Listener>>;

fn is_listened_on(listeners: &Listeners, local: SocketAddr) -> bool {
    listeners
        .get(&local.port())
        .is_some_and(|all| all.iter().any(|l| l.takes(local.ip())))
}

/// Every socket of interest, outgoing ones too.
#[derive(Default)]
struct FoundSockets {
    connections: Vec<Connection>,
    listeners: Listeners,
}

impl FoundSockets {
    /// Both families.
    fn all() -> Result<Self, SocketsError> {
        // For each family the kernel walks all of its table of connections, which may have
        // half a million buckets: some milliseconds in any case. So they are
        // walked side by side; a thread begins in the namespace of the one that makes it.
        let extensions = extensions()?;
        Self::all_by(thread::Builder::new(), |family| {
            Self::all_of(family, &extensions)
        })
    }

    /// One family on a thread of its own, or after the other where no thread can start.
    fn all_by(
        thread: thread::Builder,
        of: impl Fn(u8) -> Result<Self, SocketsError> + Sync,
    ) -> Result<Self, SocketsError> {
        let (v4, v6) = thread::scope(|scope| {
            let v6 = thread.spawn_scoped(scope, || of(AF_INET6));
            (of(AF_INET), v6.map(thread::ScopedJoinHandle::join))
        });
        let v6 = match v6 {
            Ok(joined) => joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(_) => of(AF_INET6),
        };
        Ok(v4?.and(v6?))
    }

    /// All of a family, where IPv4 connections of dual-stack listeners are IPv6's.
    fn all_of(family: u8, extensions: &ExtensionFlags) -> Result<Self, SocketsError> {
        let mut diag = Diag::open()?;
        for _ in 0..ATTEMPTS {
            let mut found = Self::default();
            match diag.dump(everything(family, extensions.clone()), |response| {
                found.read(response);
            })? {
                Dumped::Whole => return Ok(found),
                Dumped::Interrupted => {}
            }
        }
        Err(SocketsError::Changing { attempts: ATTEMPTS })
    }

    fn and(mut self, other: Self) -> Self {
        self.connections.extend(other.connections);
        for (port, listeners) in other.listeners {
            self.listeners.entry(port).or_default().extend(listeners);
        }
        self
    }

    fn read(&mut self, response: &InetResponse) {
        let header = &response.header;
        if header.state == TCP_LISTEN {
            let id = &header.socket_id;
            let listener = Listener {
                address: id.source_address.to_canonical(),
                only_v6: response.nlas.contains(&Nla::SkV6Only(true)),
            };
            self.listeners
                .entry(id.source_port)
                .or_default()
                .push(listener);
        } else if let Some(connection) = Connection::read(header, &response.nlas) {
            self.connections.push(connection);
        }
    }
}

/// All connections of the calling thread's network namespace, outgoing ones too.
pub(super) fn all_connections() -> Result<Vec<Connection>, SocketsError> {
    Ok(FoundSockets::all()?.connections)
}

/// What to ask for: the kernel says of a subflow to which MPTCP connection it belongs only
/// together with `tcp_info`, which costs time and space for each socket (`inet_sk_diag_fill`).
fn extensions() -> Result<ExtensionFlags, SocketsError> {
    let tokens = Diag::open()?.mptcp_tokens()?;
    Ok(match tokens {
        Some(tokens) if tokens.is_empty() => ExtensionFlags::empty(),
        _ => ExtensionFlags::INFO,
    })
}

/// Asks for connections and listeners of a family.
pub(super) fn everything(family: u8, extensions: ExtensionFlags) -> InetRequest {
    InetRequest {
        family,
        protocol: IPPROTO_TCP,
        extensions,
        states: TcpState::all() | StateFlags::LISTEN,
        // Ports and addresses are looked at in dumps only together with a filter.
        socket_id: if family == AF_INET {
            SocketId::new_v4()
        } else {
            SocketId::new_v6()
        },
    }
}

/// The addresses of all interfaces: who comes from there comes over loopback.
pub(super) fn own_addresses() -> Result<HashSet<IpAddr>, SocketsError> {
    let all = getifaddrs().map_err(|source| SocketsError::System {
        what: "list the host's own addresses",
        source: source.into(),
    })?;
    let ip = |address: nix::sys::socket::SockaddrStorage| {
        let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
    };
    Ok(all.filter_map(|i| i.address.and_then(ip)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_are_found_where_no_thread_can_start() {
        let of = |family| {
            Ok(FoundSockets {
                listeners: HashMap::from([(u16::from(family), vec![])]),
                ..FoundSockets::default()
            })
        };
        for stack in [64 << 10, usize::MAX / 4] {
            let thread = thread::Builder::new().stack_size(stack);
            let found = FoundSockets::all_by(thread, of).unwrap();
            let families: BTreeSet<_> = found.listeners.into_keys().collect();
            assert_eq!(families, BTreeSet::from([2, 10]));
        }
    }

    #[test]
    fn a_listener_takes_what_the_kernel_would_give_it() {
        let listener = |address: &str, only_v6| Listener {
            address: address.parse().unwrap(),
            only_v6,
        };
        let v4: IpAddr = "10.0.0.1".parse().unwrap();
        let v6: IpAddr = "fd00::1".parse().unwrap();
        let cases = [
            (listener("0.0.0.0", false), true, false),
            (listener("::", false), true, true),
            (listener("::", true), false, true),
            (listener("10.0.0.1", false), true, false),
            (listener("10.0.0.2", false), false, false),
            (listener("fd00::1", false), false, true),
        ];
        for (listener, takes_v4, takes_v6) in cases {
            assert_eq!(listener.takes(v4), takes_v4, "{listener:?}");
            assert_eq!(listener.takes(v6), takes_v6, "{listener:?}");
        }
    }
}
