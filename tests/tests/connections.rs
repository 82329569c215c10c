//! The host's connections: listed as they are, and ended one by one.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use netpolicy_tests::NetNs;
use netpolicy_tests::netns::{End, join};
use netpolicy_tests::packet::{CLIENT_MAC, HOST_MAC, HOST_V4, HOST_V6, Packet};
use netpolicy_tests::traffic::RawSocket;
use netpolicy_user::sockets::{Connection, Destroyed, SocketsError, Survey, TcpState, destroy};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket, sockopt,
};
use rustix::thread::CapabilitySet;

const NIC: &str = "nic0";
const CLIENT_V4: &str = "198.51.100.2";
const CLIENT_V6: &str = "2001:db8:ff::2";
/// On all of IPv4, on all of IPv6 only, on both by one socket.
const PORT_V4: u16 = 5432;
const PORT_V6: u16 = 5433;
const PORT_DUAL: u16 = 5434;

/// Both ends of a connection.
struct Pair {
    client: TcpStream,
    server: TcpStream,
}

impl Pair {
    fn open(clients: &NetNs, listener: &TcpListener, to: SocketAddr) -> Self {
        let client = clients.run(|| TcpStream::connect(to).unwrap());
        let (server, _) = listener.accept().unwrap();
        for stream in [&client, &server] {
            let wait = Some(Duration::from_secs(5));
            stream.set_read_timeout(wait).unwrap();
        }
        Self { client, server }
    }

    /// Local and remote, as the server's host sees them.
    fn ends(&self) -> (SocketAddr, SocketAddr) {
        let plain = |a: SocketAddr| SocketAddr::new(a.ip().to_canonical(), a.port());
        (
            plain(self.client.peer_addr().unwrap()),
            plain(self.client.local_addr().unwrap()),
        )
    }

    fn lives(&mut self) {
        let mut answer = [0; 4];
        self.client.write_all(b"ping").unwrap();
        self.server.read_exact(&mut answer).unwrap();
        self.server.write_all(&answer).unwrap();
        self.client.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"ping");
    }

    /// Both sides learn of it without sending anything.
    fn is_cut(&mut self) {
        let client = self.client.read(&mut [0; 4]).unwrap_err();
        assert_eq!(client.kind(), ErrorKind::ConnectionReset, "{client}");
        let server = self.server.read(&mut [0; 4]).unwrap_err();
        assert_eq!(server.kind(), ErrorKind::ConnectionAborted, "{server}");
    }
}

fn namespaces() -> (NetNs, NetNs) {
    let (host, clients) = (NetNs::new(), NetNs::new());
    let mac = |m: [u8; 6]| m.map(|b| format!("{b:02x}")).join(":");
    let (host_mac, client_mac) = (mac(HOST_MAC), mac(CLIENT_MAC));
    let end = |ns, mac| End {
        ns,
        interface: NIC,
        mac,
    };
    join(end(&host, &host_mac), end(&clients, &client_mac));
    for (ns, v4, v6) in [(&host, HOST_V4, HOST_V6), (&clients, CLIENT_V4, CLIENT_V6)] {
        ns.add_address(NIC, &format!("{v4}/24"));
        ns.add_address(NIC, &format!("{v6}/64"));
    }
    (host, clients)
}

fn to(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), port)
}

fn listen(ns: &NetNs, address: &str, port: u16) -> TcpListener {
    ns.run(|| {
        let family = if address.contains(':') {
            AddressFamily::Inet6
        } else {
            AddressFamily::Inet
        };
        let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        setsockopt(&socket, sockopt::ReuseAddr, &true).unwrap();
        if address == "::" {
            setsockopt(&socket, sockopt::Ipv6V6Only, &(port == PORT_V6)).unwrap();
        }
        bind(
            socket.as_raw_fd(),
            &SockaddrStorage::from(to(address, port)),
        )
        .unwrap();
        nix::sys::socket::listen(&socket, nix::sys::socket::Backlog::new(1024).unwrap()).unwrap();
        TcpListener::from(socket)
    })
}

/// From an address and port of one's own, which others may have used.
fn connect_from(ns: &NetNs, source: SocketAddr, to: SocketAddr) -> TcpStream {
    ns.run(|| {
        let family = AddressFamily::Inet;
        let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        setsockopt(&socket, sockopt::ReuseAddr, &true).unwrap();
        setsockopt(&socket, sockopt::ReusePort, &true).unwrap();
        bind(socket.as_raw_fd(), &SockaddrStorage::from(source)).unwrap();
        connect(socket.as_raw_fd(), &SockaddrStorage::from(to)).unwrap();
        TcpStream::from(socket)
    })
}

fn survey(ns: &NetNs) -> Vec<Connection> {
    ns.run(|| Survey::take(|_| false).unwrap().connections)
}

/// The connections of a port, once it has as many: what the client knows as connected
/// is the server's a moment later.
fn survey_until(ns: &NetNs, port: u16, count: usize) -> Vec<Connection> {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let mut found = survey(ns);
        found.retain(|c| c.local.port() == port);
        if found.len() == count || Instant::now() > deadline {
            assert_eq!(found.len(), count, "{found:?}");
            return found;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn of<'a>(all: &'a [Connection], pair: &Pair) -> &'a Connection {
    let ends = pair.ends();
    let mut found = all.iter().filter(|c| (c.local, c.remote) == ends);
    let connection = found.next().expect("it is listed");
    assert!(found.next().is_none(), "{ends:?} is listed twice");
    connection
}

#[test]
fn inbound_connections_are_listed_and_ended_whatever_their_family() {
    let (host, clients) = namespaces();
    let v4 = listen(&host, "0.0.0.0", PORT_V4);
    let v6 = listen(&host, "::", PORT_V6);
    let dual = listen(&host, "::", PORT_DUAL);
    let open = || {
        [
            Pair::open(&clients, &v4, to(HOST_V4, PORT_V4)),
            Pair::open(&clients, &v6, to(HOST_V6, PORT_V6)),
            Pair::open(&clients, &dual, to(HOST_V4, PORT_DUAL)),
            Pair::open(&clients, &dual, to(HOST_V6, PORT_DUAL)),
        ]
    };
    let (mut cut, mut kept) = (open(), open());

    let taken = host.run(|| Survey::take(|_| false).unwrap());
    assert_eq!(
        taken.listening.iter().copied().collect::<Vec<_>>(),
        [PORT_V4, PORT_V6, PORT_DUAL]
    );
    assert_eq!(taken.connections.len(), cut.len() + kept.len());
    let condemned: Vec<_> = cut.iter().map(|p| *of(&taken.connections, p)).collect();
    for pair in &kept {
        assert_eq!(of(&taken.connections, pair).state, TcpState::Established);
    }

    let all = condemned.len();
    let done = host.run(|| destroy(&condemned).unwrap());
    assert_eq!(
        done,
        Destroyed {
            closed: all,
            gone: 0
        }
    );
    for pair in &mut cut {
        pair.is_cut();
    }
    for pair in &mut kept {
        pair.lives();
    }
    // A closed connection is not listed, and its listener does not stand for it.
    let done = host.run(|| destroy(&condemned).unwrap());
    assert_eq!(
        done,
        Destroyed {
            closed: 0,
            gone: all
        }
    );
    assert_eq!(survey(&host).len(), kept.len());
    for pair in &mut open() {
        pair.lives();
    }
}

#[test]
fn neither_listeners_nor_outgoing_nor_local_connections_are_listed() {
    let (host, clients) = namespaces();
    let own = listen(&host, "::", PORT_DUAL);
    let theirs = listen(&clients, "::", PORT_DUAL);
    let outgoing = Pair::open(&host, &theirs, to(CLIENT_V4, PORT_DUAL));
    let outgoing6 = Pair::open(&host, &theirs, to(CLIENT_V6, PORT_DUAL));
    let local = ["127.0.0.1", "::1", HOST_V4, HOST_V6]
        .map(|address| Pair::open(&host, &own, to(address, PORT_DUAL)));
    assert_eq!(survey(&host), []);

    // From the listener's port, but from another address than it listens on.
    let narrow = listen(&host, "127.0.0.1", PORT_V4);
    let same_port = connect_from(&host, to(HOST_V4, PORT_V4), to(CLIENT_V4, PORT_DUAL));
    assert_eq!(survey(&host), []);

    // The other namespace sees the same connections from its side, as inbound.
    let listed = survey_until(&clients, PORT_DUAL, 3);
    for pair in [&outgoing, &outgoing6] {
        of(&listed, pair);
    }
    drop((local, narrow, same_port));
}

#[test]
fn a_server_that_no_longer_listens_is_found_by_its_port() {
    let (host, clients) = namespaces();
    let listener = listen(&host, "0.0.0.0", PORT_V4);
    let mut pair = Pair::open(&clients, &listener, to(HOST_V4, PORT_V4));
    drop(listener);
    assert_eq!(survey(&host), []);
    let found = host.run(|| Survey::take(|port| port == PORT_V4).unwrap());
    assert!(found.listening.is_empty());
    let connection = *of(&found.connections, &pair);
    host.run(|| destroy(&[connection]).unwrap());
    pair.is_cut();
}

#[test]
fn every_state_in_which_something_may_travel_is_listed() {
    let (host, clients) = namespaces();
    let listener = listen(&host, "0.0.0.0", PORT_V4);
    let open = || Pair::open(&clients, &listener, to(HOST_V4, PORT_V4));

    let mut host_ended = open();
    host_ended.server.shutdown(Shutdown::Write).unwrap();
    assert_eq!(host_ended.client.read(&mut [0; 1]).unwrap(), 0);
    let peer_ended = open();
    peer_ended.client.shutdown(Shutdown::Write).unwrap();
    assert_eq!((&peer_ended.server).read(&mut [0; 1]).unwrap(), 0);
    // No process on the host holds it: what comes is answered with a reset.
    let left = open();
    drop(left.server);
    // Last, since it is not accepted: the server's process has not asked for it yet.
    let waiting = clients.run(|| TcpStream::connect(to(HOST_V4, PORT_V4)).unwrap());

    let listed = survey_until(&host, PORT_V4, 3);
    assert_eq!(of(&listed, &host_ended).state, TcpState::FinWait2);
    assert_eq!(of(&listed, &peer_ended).state, TcpState::CloseWait);
    let unaccepted = listed
        .iter()
        .find(|c| c.remote == waiting.local_addr().unwrap());
    assert_eq!(unaccepted.unwrap().state, TcpState::Established);

    let done = host.run(|| destroy(&listed).unwrap());
    assert_eq!(done, Destroyed { closed: 3, gone: 0 });
    let mut waiting = waiting;
    waiting
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let error = waiting.read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    assert_eq!(survey(&host), []);
}

#[test]
fn a_handshake_under_way_is_listed_and_ended() {
    let (host, clients) = namespaces();
    let _listener = listen(&host, "::", PORT_DUAL);
    // No host has these addresses, so that no client continues the handshake.
    let (v4, v6) = ("198.51.100.77", "2001:db8:ff::77");
    let mac = CLIENT_MAC.map(|b| format!("{b:02x}")).join(":");
    let wire = RawSocket::new(&clients, NIC);
    for source in [v4, v6] {
        host.add_neighbour(NIC, source.parse().unwrap(), &mac);
        wire.send(&Packet::syn(source, PORT_DUAL).build());
    }
    let listed = survey_until(&host, PORT_DUAL, 2);
    let peers: Vec<IpAddr> = listed.iter().map(|c| c.remote.ip()).collect();
    assert_eq!(peers, [v4.parse::<IpAddr>().unwrap(), v6.parse().unwrap()]);
    for connection in &listed {
        assert_eq!(connection.state, TcpState::SynRecv);
        assert!(!connection.state.is_connected());
    }
    let done = host.run(|| destroy(&listed).unwrap());
    assert_eq!(done, Destroyed { closed: 2, gone: 0 });
    assert_eq!(survey(&host), []);
}

#[test]
fn a_later_connection_with_the_same_ends_is_not_ended() {
    let (host, clients) = namespaces();
    let listener = listen(&host, "0.0.0.0", PORT_V4);
    let source = to(CLIENT_V4, 45_678);
    let first = connect_from(&clients, source, to(HOST_V4, PORT_V4));
    let (_first_server, _) = listener.accept().unwrap();
    let stale = survey_until(&host, PORT_V4, 1);
    host.run(|| destroy(&stale).unwrap());
    drop(first);

    let client = connect_from(&clients, source, to(HOST_V4, PORT_V4));
    let (server, _) = listener.accept().unwrap();
    let mut second = Pair { client, server };
    let fresh = survey_until(&host, PORT_V4, 1);
    assert_eq!((fresh[0].local, fresh[0].remote), second.ends());
    assert_ne!(fresh, stale);
    let done = host.run(|| destroy(&stale).unwrap());
    assert_eq!(done, Destroyed { closed: 0, gone: 1 });
    second.lives();
}

#[test]
fn a_link_local_connection_is_named_with_its_interface() {
    let (host, clients) = namespaces();
    for (ns, address) in [(&host, "fe80::1/64"), (&clients, "fe80::2/64")] {
        ns.add_address(NIC, address);
    }
    let listener = listen(&host, "::", PORT_V6);
    let index = |ns: &NetNs| ns.run(|| nix::net::if_::if_nametoindex(NIC).unwrap());
    let target = format!("[fe80::1%{}]:{PORT_V6}", index(&clients));
    let mut pair = Pair::open(&clients, &listener, target.parse().unwrap());
    let listed = survey_until(&host, PORT_V6, 1);
    let SocketAddr::V6(remote) = listed[0].remote else {
        panic!("{listed:?}");
    };
    assert_eq!(remote.scope_id(), index(&host));
    let done = host.run(|| destroy(&listed).unwrap());
    assert_eq!(done, Destroyed { closed: 1, gone: 0 });
    pair.is_cut();
}

#[test]
fn thousands_are_listed_whole_and_ended_while_others_live() {
    const COUNT: usize = 4000;
    let (host, clients) = namespaces();
    let listener = listen(&host, "::", PORT_DUAL);
    let mut pairs: Vec<Pair> = (0..COUNT)
        .map(|i| {
            let address = if i % 2 == 0 { HOST_V4 } else { HOST_V6 };
            Pair::open(&clients, &listener, to(address, PORT_DUAL))
        })
        .collect();
    let begin = Instant::now();
    let listed = survey_until(&host, PORT_DUAL, COUNT);
    println!("{COUNT} listed in {:?}", begin.elapsed());

    let condemned: Vec<_> = pairs
        .iter()
        .map(Pair::ends)
        .enumerate()
        .filter(|(i, _)| i % 3 != 0)
        .map(|(_, ends)| {
            let at = listed.binary_search_by_key(&(ends.1, ends.0), |c| (c.remote, c.local));
            listed[at.expect("it is listed, by peer in order")]
        })
        .collect();
    let begin = Instant::now();
    let done = host.run(|| destroy(&condemned).unwrap());
    println!("{} ended in {:?}", condemned.len(), begin.elapsed());
    let closed = condemned.len();
    assert_eq!(done, Destroyed { closed, gone: 0 });
    for (i, pair) in pairs.iter_mut().enumerate() {
        if i % 3 == 0 {
            pair.lives();
        } else {
            pair.is_cut();
        }
    }
    assert_eq!(survey(&host).len(), COUNT - closed);
}

#[test]
fn without_the_right_nothing_is_ended_and_it_is_said() {
    let (host, clients) = namespaces();
    let listener = listen(&host, "0.0.0.0", PORT_V4);
    let mut pair = Pair::open(&clients, &listener, to(HOST_V4, PORT_V4));
    let error = host.run(|| {
        let mut sets = rustix::thread::capabilities(None).unwrap();
        sets.effective.remove(CapabilitySet::NET_ADMIN);
        rustix::thread::set_capabilities(None, sets).unwrap();
        // Listing needs no privilege.
        let listed = Survey::take(|_| false).unwrap().connections;
        destroy(&[*of(&listed, &pair)]).unwrap_err()
    });
    assert!(matches!(error, SocketsError::NotPermitted), "{error:?}");
    pair.lives();
}

#[test]
fn this_kernel_can_and_ends_nothing_by_being_asked() {
    let (host, clients) = namespaces();
    let listener = listen(&host, "0.0.0.0", PORT_V4);
    let mut pair = Pair::open(&clients, &listener, to(HOST_V4, PORT_V4));
    assert!(host.run(|| netpolicy_user::sockets::can_destroy().unwrap()));
    assert_eq!(host.run(|| destroy(&[]).unwrap()), Destroyed::default());
    pair.lives();
}
