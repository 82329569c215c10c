//! Connections between a site's clients and its host.

use std::net::{SocketAddr, TcpListener, TcpStream};

use netpolicy_tests::packet::HOST_V4;

use super::site::Site;

/// A listener on the host, at a port that the kernel chooses.
pub(super) fn listen(site: &Site) -> (TcpListener, SocketAddr) {
    let listener = site.db().run(|| TcpListener::bind((HOST_V4, 0)));
    let listener = listener.expect("listen on the host");
    let address = listener.local_addr().expect("the listener's address");
    (listener, address)
}

/// So many connections, without delay of small segments: the clients' end and the host's.
pub(super) fn open(site: &Site, count: usize) -> Vec<(TcpStream, TcpStream)> {
    let (listener, to) = listen(site);
    let clients = site.clients().run(|| {
        let connect = |_| TcpStream::connect(to).expect("connect to the host");
        (0..count).map(connect).collect::<Vec<_>>()
    });
    let sessions = clients.into_iter().map(|client| {
        let (server, _) = listener.accept().expect("accept a connection");
        for socket in [&client, &server] {
            socket.set_nodelay(true).expect("set TCP_NODELAY");
        }
        (client, server)
    });
    sessions.collect()
}
