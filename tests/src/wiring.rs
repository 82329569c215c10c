//! The wire between a database host and its clients.

use crate::NetNs;
use crate::netns::{End, join};
use crate::packet::{CLIENT_MAC, HOST_MAC, HOST_V4, HOST_V6};

/// The filtered interface.
pub const NIC: &str = "nic0";
/// Where the clients' addresses are, all of them: any address in here is a client's.
pub const CLIENT_NETS: [&str; 4] = ["10.0.0.0/8", "192.168.0.0/16", "203.0.113.0/24", "fd00::/8"];

/// The address of the clients' interface.
pub const CLIENT_V4: &str = "198.51.100.2";
const CLIENT_V6: &str = "2001:db8:ff::2";

/// Joins host and clients, so that any address of [`CLIENT_NETS`] can be a source.
pub(crate) fn wire(db: &NetNs, clients: &NetNs) {
    let (db_mac, client_mac) = (text(HOST_MAC), text(CLIENT_MAC));
    join(
        End {
            ns: db,
            interface: NIC,
            mac: &db_mac,
        },
        End {
            ns: clients,
            interface: NIC,
            mac: &client_mac,
        },
    );
    address(db, NIC, clients, true);
}

/// Gives the two ends of a link their addresses, neighbours and routes. The host's are on
/// `interface`, the clients' on [`NIC`].
///
/// # Panics
/// When the kernel refuses one.
pub fn address(db: &NetNs, interface: &str, clients: &NetNs, has_neighbours: bool) {
    let (db_mac, client_mac) = (text(HOST_MAC), text(CLIENT_MAC));
    for (ns, interface, v4, v6) in [
        (db, interface, HOST_V4, HOST_V6),
        (clients, NIC, CLIENT_V4, CLIENT_V6),
    ] {
        ns.add_address(interface, &format!("{v4}/24"));
        ns.add_address(interface, &format!("{v6}/64"));
    }
    // No test is to wait for ARP or ND.
    if has_neighbours {
        for address in [CLIENT_V4, CLIENT_V6] {
            db.add_neighbour(interface, address.parse().expect("an address"), &client_mac);
        }
        for address in [HOST_V4, HOST_V6] {
            clients.add_neighbour(NIC, address.parse().expect("an address"), &db_mac);
        }
    }
    for (family, via) in [("-4", CLIENT_V4), ("-6", CLIENT_V6)] {
        db.ip(&[
            family, "route", "replace", "default", "via", via, "dev", interface,
        ]);
    }
    // IPv6 binds only to assigned addresses, unless told otherwise. The file is that
    // of the namespace that the thread is in.
    let nonlocal = "/proc/sys/net/ipv6/ip_nonlocal_bind";
    clients.run(|| std::fs::write(nonlocal, "1").expect("let any address be a source"));
    for net in CLIENT_NETS {
        // A local route makes every address of the network one's own.
        let family = if net.contains(':') { "-6" } else { "-4" };
        clients.ip(&[family, "route", "replace", "local", net, "dev", "lo"]);
    }
}

/// A MAC address as `ip` reads it.
#[must_use]
pub fn text(mac: [u8; 6]) -> String {
    mac.map(|b| format!("{b:02x}")).join(":")
}
