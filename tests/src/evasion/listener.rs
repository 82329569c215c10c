//! A listening socket that tells whose connections it accepted.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv6Addr, TcpListener};

use nix::sys::socket::{setsockopt, sockopt};

use crate::NetNs;

/// A listening socket, on all addresses of both families.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
}

impl Listener {
    /// Listens on a port in a namespace.
    ///
    /// # Errors
    /// What the kernel has against it.
    pub fn new(ns: &NetNs, port: u16) -> std::io::Result<Self> {
        let socket = ns.run(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)))?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket })
    }

    /// The addresses and ports of those that were accepted since the last call. Their
    /// connections are reset.
    ///
    /// # Panics
    /// When `accept` fails otherwise than for a peer at port 0, whose address Linux does not
    /// tell (`inet_getname`): it is accepted, and the caller gets ECONNABORTED.
    #[must_use]
    pub fn accepted(&self) -> Vec<(IpAddr, u16)> {
        let mut peers = Vec::new();
        loop {
            let (stream, peer) = match self.socket.accept() {
                Ok(accepted) => accepted,
                Err(e) if e.kind() == ErrorKind::ConnectionAborted => continue,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return peers,
                Err(e) => panic!("accept: {e}"),
            };
            peers.push((peer.ip().to_canonical(), peer.port()));
            let reset = libc::linger {
                l_onoff: 1,
                l_linger: 0,
            };
            setsockopt(&stream, sockopt::Linger, &reset).expect("set SO_LINGER");
        }
    }
}
