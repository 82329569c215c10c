//! Who takes part, and what the example policy means for them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::attempt::Expected;

/// The port of the service that the policy protects.
pub(super) const DATABASE: u16 = 5432;

/// A port of no service.
pub(super) const WEB: u16 = 8080;

/// The database host's addresses.
pub(super) const HOST: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xd, 0, 0, 0, 0, 0x10)),
];

/// A client: a namespace of its own, and an address of each family.
#[derive(Debug)]
pub(super) struct Client {
    /// Its name, and that of its namespace.
    pub(super) name: &'static str,
    /// IPv4, then IPv6.
    pub(super) addresses: [IpAddr; 2],
    /// What the example policy does to its attempts on the database.
    pub(super) expected: Expected,
    /// Why.
    pub(super) why: &'static str,
}

/// The clients of the demonstration. All addresses are of the ranges reserved for
/// documentation (RFC 5737, RFC 3849).
pub(super) const CLIENTS: [Client; 3] = [
    Client {
        name: "office",
        addresses: [
            IpAddr::V4(Ipv4Addr::new(203, 0, 113, 10)),
            IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 0x10)),
        ],
        expected: Expected::Connects,
        why: "in an allowed network",
    },
    Client {
        name: "blocked",
        addresses: [
            IpAddr::V4(Ipv4Addr::new(203, 0, 113, 66)),
            IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 0x66)),
        ],
        expected: Expected::TimesOut,
        why: "blocked, though in an allowed network",
    },
    Client {
        name: "stranger",
        addresses: [
            IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)),
            IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xb, 0, 0, 0, 0, 0x7)),
        ],
        expected: Expected::TimesOut,
        why: "on no list",
    },
];

impl Client {
    /// From each of its addresses, where the host is in that family.
    pub(super) fn ways(&self, port: u16) -> impl Iterator<Item = (IpAddr, SocketAddr)> {
        self.addresses
            .into_iter()
            .zip(HOST.map(|host| SocketAddr::new(host, port)))
    }
}
