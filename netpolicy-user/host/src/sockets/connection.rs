//! One connection: its ends, its state, and what names it to the kernel.
//!
//! Pure translation between netlink messages and [`Connection`].

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use netlink_packet_sock_diag::constants::{
    AF_INET, AF_INET6, IPPROTO_TCP, TCP_CLOSE_WAIT, TCP_CLOSING, TCP_ESTABLISHED, TCP_FIN_WAIT1,
    TCP_FIN_WAIT2, TCP_LAST_ACK, TCP_SYN_RECV,
};
use netlink_packet_sock_diag::inet::nlas::Nla;
use netlink_packet_sock_diag::inet::{
    ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags,
};

use super::mptcp;

/// How far a connection is (RFC 9293, 3.3.2): every state in which something may still
/// travel between peer and host.
///
/// Left out are TIME_WAIT (both sides have ended), SYN_SENT (never inbound), and
/// FIN_WAIT2 of a socket that no process holds any more: what the peer sends there is
/// answered with a reset. CLOSING and LAST_ACK are in: the rest of what the
/// host had to send may still be on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TcpState {
    /// The handshake is under way; filtering its SYN comes too late.
    SynRecv,
    /// Open.
    Established,
    /// The host has ended its side, unacknowledged yet; the peer may still send.
    FinWait1,
    /// The host has ended its side; the peer may still send.
    FinWait2,
    /// The peer has ended its side; the host may still send.
    CloseWait,
    /// Both have ended at once; the host's rest may be under way.
    Closing,
    /// Both have ended, the peer first; the host's rest may be under way.
    LastAck,
}

impl TcpState {
    /// Whether a client is connected: the handshake is done, and not both sides have
    /// ended. Only these count as clients; the others are being opened or closed.
    #[must_use]
    pub fn is_connected(self) -> bool {
        matches!(
            self,
            Self::Established | Self::FinWait1 | Self::FinWait2 | Self::CloseWait
        )
    }

    /// As `ss(8)` names it: "ESTAB" and "SYN-RECV" are "established" and "syn-recv" here.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SynRecv => "syn-recv",
            Self::Established => "established",
            Self::FinWait1 => "fin-wait-1",
            Self::FinWait2 => "fin-wait-2",
            Self::CloseWait => "close-wait",
            Self::Closing => "closing",
            Self::LastAck => "last-ack",
        }
    }

    /// What to ask the kernel for.
    pub(super) fn all() -> StateFlags {
        StateFlags::SYN_RECV
            | StateFlags::ESTABLISHED
            | StateFlags::FIN_WAIT1
            | StateFlags::FIN_WAIT2
            | StateFlags::CLOSE_WAIT
            | StateFlags::CLOSING
            | StateFlags::LAST_ACK
    }

    fn read(header: &InetResponseHeader) -> Option<Self> {
        // A socket that waits to be accepted has no inode either, but cannot be in
        // FIN_WAIT2: no process can have ended the host's side.
        let orphan = header.inode == 0;
        Some(match header.state {
            TCP_SYN_RECV => Self::SynRecv,
            TCP_ESTABLISHED => Self::Established,
            TCP_FIN_WAIT1 => Self::FinWait1,
            TCP_FIN_WAIT2 if !orphan => Self::FinWait2,
            TCP_CLOSE_WAIT => Self::CloseWait,
            TCP_CLOSING => Self::Closing,
            TCP_LAST_ACK => Self::LastAck,
            _ => return None,
        })
    }
}

impl fmt::Display for TcpState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A TCP connection of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Connection {
    /// The host's end. IPv4-mapped addresses are IPv4 here, and in `remote`.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
    /// How far it is.
    pub state: TcpState,
    /// `AF_INET6` for an IPv4 connection of a dual-stack listener, too.
    family: u8,
    /// The interface it is bound to, 0 for none.
    interface: u32,
    /// The kernel's name for the socket, never used twice while the machine runs
    /// (`__sock_gen_cookie`). So a later connection with the same ends is never
    /// taken for this one, nor the listener that the kernel looks up instead of a
    /// connection that is gone.
    cookie: [u8; 8],
    /// The local token of the MPTCP connection that it is a subflow of.
    mptcp: Option<u32>,
    /// Of the socket that a process holds, an MPTCP connection's where it is a subflow;
    /// 0: not accepted yet, or held by no process any more.
    inode: u32,
    /// The source and the port that its packets come in with, where NAT changed them.
    arrived: Option<(IpAddr, u16)>,
}

impl Connection {
    /// `None`: in none of the states.
    pub(super) fn read(header: &InetResponseHeader, nlas: &[Nla]) -> Option<Self> {
        let id = &header.socket_id;
        let end = |address, port| end(address, port, id.interface_id);
        Some(Self {
            local: end(id.source_address, id.source_port),
            remote: end(id.destination_address, id.destination_port),
            state: TcpState::read(header)?,
            family: header.family,
            interface: id.interface_id,
            cookie: id.cookie,
            mptcp: mptcp::token(nlas),
            inode: header.inode,
            arrived: None,
        })
    }

    /// The same, with the source and the port that its packets had before NAT.
    pub(super) fn arrived_as(self, source: IpAddr, port: u16) -> Self {
        Self {
            arrived: Some((source, port)),
            ..self
        }
    }

    /// The address that its packets come from, as the filter sees them.
    #[must_use]
    pub fn source(&self) -> IpAddr {
        self.arrived.map_or(self.remote.ip(), |(source, _)| source)
    }

    /// The port that its packets come to, as the filter sees them.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.arrived.map_or(self.local.port(), |(_, port)| port)
    }

    /// The token of the MPTCP connection that it is a subflow of. All subflows of one
    /// connection have the same, and no other connection of the network namespace has it.
    #[must_use]
    pub fn mptcp(&self) -> Option<u32> {
        self.mptcp
    }

    /// The number of the socket that a process holds.
    pub(super) fn inode(&self) -> Option<u64> {
        (self.inode != 0).then_some(self.inode.into())
    }

    /// The kernel's name for the socket.
    pub(super) fn cookie(&self) -> [u8; 8] {
        self.cookie
    }

    /// What names it in a request.
    pub(super) fn request(&self) -> InetRequest {
        let address = |end: SocketAddr| match end.ip() {
            IpAddr::V4(v4) if self.family == AF_INET6 => IpAddr::V6(v4.to_ipv6_mapped()),
            ip => ip,
        };
        InetRequest {
            family: self.family,
            protocol: IPPROTO_TCP,
            extensions: ExtensionFlags::empty(),
            states: StateFlags::empty(),
            socket_id: SocketId {
                source_port: self.local.port(),
                destination_port: self.remote.port(),
                source_address: address(self.local),
                destination_address: address(self.remote),
                interface_id: self.interface,
                cookie: self.cookie,
            },
        }
    }

    /// One that exists nowhere: the kernel never gives a socket the cookie 0.
    #[doc(hidden)]
    pub fn made_up(local: SocketAddr, remote: SocketAddr, state: TcpState) -> Self {
        Self {
            local,
            remote,
            state,
            family: if local.is_ipv4() { AF_INET } else { AF_INET6 },
            interface: 0,
            cookie: [0; 8],
            mptcp: None,
            inode: 0,
            arrived: None,
        }
    }

    /// One that is a subflow.
    #[doc(hidden)]
    pub fn of_mptcp(self, token: u32) -> Self {
        Self {
            mptcp: Some(token),
            ..self
        }
    }
}

/// What asks for the connection with these ends, whichever it is.
pub(super) fn between(local: SocketAddr, remote: SocketAddr) -> InetRequest {
    /// `INET_DIAG_NOCOOKIE` in `linux/inet_diag.h`.
    const ANY: [u8; 8] = [0xff; 8];
    InetRequest {
        family: if local.is_ipv4() { AF_INET } else { AF_INET6 },
        protocol: IPPROTO_TCP,
        // With it comes the connection that it is a subflow of.
        extensions: ExtensionFlags::INFO,
        states: StateFlags::all(),
        socket_id: SocketId {
            source_port: local.port(),
            destination_port: remote.port(),
            source_address: local.ip(),
            destination_address: remote.ip(),
            interface_id: 0,
            cookie: ANY,
        },
    }
}

/// The request that names no socket at all: no connection has port 0.
pub(super) fn no_socket() -> InetRequest {
    InetRequest {
        family: AF_INET,
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states: StateFlags::empty(),
        socket_id: SocketId::new_v4(),
    }
}

fn end(address: IpAddr, port: u16, interface: u32) -> SocketAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => SocketAddr::V4(SocketAddrV4::new(v4, port)),
        IpAddr::V6(v6) => SocketAddr::V6(SocketAddrV6::new(v6, port, 0, zone(v6, interface))),
    }
}

/// A link-local address means something only with its interface, to which such sockets
/// are bound.
fn zone(address: Ipv6Addr, interface: u32) -> u32 {
    if address.is_unicast_link_local() {
        interface
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(family: u8, state: u8, inode: u32, local: &str, remote: &str) -> InetResponseHeader {
        InetResponseHeader {
            family,
            state,
            timer: None,
            socket_id: SocketId {
                source_port: 5432,
                destination_port: 40_000,
                source_address: local.parse().unwrap(),
                destination_address: remote.parse().unwrap(),
                interface_id: 7,
                cookie: [1, 2, 3, 4, 5, 6, 7, 8],
            },
            recv_queue: 0,
            send_queue: 0,
            uid: 0,
            inode,
        }
    }

    #[test]
    fn a_mapped_address_is_ipv4_and_is_asked_for_as_it_was() {
        let told = header(
            AF_INET6,
            TCP_ESTABLISHED,
            1,
            "::ffff:10.0.0.1",
            "::ffff:10.0.0.2",
        );
        let connection = Connection::read(&told, &[]).unwrap();
        assert_eq!(connection.local, "10.0.0.1:5432".parse().unwrap());
        assert_eq!(connection.remote, "10.0.0.2:40000".parse().unwrap());
        let request = connection.request();
        assert_eq!(request.family, AF_INET6);
        assert_eq!(request.socket_id, told.socket_id);
    }

    #[test]
    fn plain_addresses_come_back_as_they_were() {
        for (family, local, remote) in [
            (AF_INET, "10.0.0.1", "10.0.0.2"),
            (AF_INET6, "fd00::1", "fd00::2"),
            (AF_INET6, "fe80::1", "fe80::2"),
        ] {
            let told = header(family, TCP_CLOSE_WAIT, 0, local, remote);
            let connection = Connection::read(&told, &[]).unwrap();
            assert_eq!(connection.request().socket_id, told.socket_id);
            assert_eq!(connection.request().family, family);
        }
    }

    #[test]
    fn a_link_local_peer_keeps_its_interface() {
        let told = header(AF_INET6, TCP_ESTABLISHED, 1, "fe80::1", "fe80::2");
        let connection = Connection::read(&told, &[]).unwrap();
        assert_eq!(connection.remote.to_string(), "[fe80::2%7]:40000");
    }

    #[test]
    fn one_that_is_made_up_names_no_socket() {
        let local = "[fd00::1]:5432".parse().unwrap();
        let remote = "[fd00::2]:40000".parse().unwrap();
        let request = Connection::made_up(local, remote, TcpState::Established).request();
        assert_eq!(request.family, AF_INET6);
        assert_eq!(request.socket_id.destination_address, remote.ip());
        assert_eq!(request.socket_id.cookie, [0; 8]);
    }

    #[test]
    fn states_without_a_client_are_no_connection() {
        use netlink_packet_sock_diag::constants::{
            TCP_CLOSE, TCP_LISTEN, TCP_SYN_SENT, TCP_TIME_WAIT,
        };
        for state in [
            TCP_CLOSE,
            TCP_LISTEN,
            TCP_SYN_SENT,
            TCP_TIME_WAIT,
            12,
            13,
            255,
        ] {
            let told = header(AF_INET, state, 1, "10.0.0.1", "10.0.0.2");
            assert_eq!(Connection::read(&told, &[]), None, "{state}");
        }
        let held = header(AF_INET, TCP_FIN_WAIT2, 1, "10.0.0.1", "10.0.0.2");
        assert_eq!(
            Connection::read(&held, &[]).unwrap().state,
            TcpState::FinWait2
        );
        let orphan = header(AF_INET, TCP_FIN_WAIT2, 0, "10.0.0.1", "10.0.0.2");
        assert_eq!(Connection::read(&orphan, &[]), None);
        let unaccepted = header(AF_INET, TCP_ESTABLISHED, 0, "10.0.0.1", "10.0.0.2");
        assert!(Connection::read(&unaccepted, &[]).is_some());
    }
}
