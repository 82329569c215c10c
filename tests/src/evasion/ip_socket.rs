//! Packets of a device without Ethernet header.

use crate::NetNs;
use crate::traffic::RawSocket;

/// Sends and receives IP packets by a device without Ethernet header. Some of these (gre, ppp)
/// do not look into a packet for its IP version, and want to be told.
#[derive(Debug)]
pub struct IpSocket {
    all: RawSocket,
    v4: RawSocket,
    v6: RawSocket,
}

impl IpSocket {
    /// On an interface of a namespace.
    #[must_use]
    pub fn new(ns: &NetNs, interface: &str) -> Self {
        Self {
            all: RawSocket::new(ns, interface),
            v4: RawSocket::with_protocol(ns, interface, libc::ETH_P_IP),
            v6: RawSocket::with_protocol(ns, interface, libc::ETH_P_IPV6),
        }
    }

    /// Sends a packet as one of the IP version that it begins with. `false`: the device does
    /// not take such a one.
    #[must_use]
    pub fn send(&self, packet: &[u8]) -> bool {
        match packet.first().map(|first| first >> 4) {
            Some(6) => self.v6.try_send(packet),
            _ => self.v4.try_send(packet),
        }
    }

    /// Receives a packet; `None` when none comes within 50 ms.
    #[must_use]
    pub fn receive<'b>(&self, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        self.all.receive(buffer)
    }
}
