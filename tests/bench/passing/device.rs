//! The devices between a database host and its clients.

use netpolicy_tests::{
    DatabaseHost, NetNs,
    host::NIC,
    packet::{CLIENT_MAC, HOST_MAC},
    wiring,
};

use super::relay::{Layer, Relay};

/// The bridge that has the filtered interface as a port.
const BRIDGE: &str = "br0";

/// A kind of device, of which one is filtered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Device {
    /// A veth pair.
    Veth,
    /// A veth pair whose end at the host is the port of a bridge that has the addresses.
    BridgePort,
    /// Two tap devices and a relay.
    Tap,
    /// Two tun devices and a relay.
    Tun,
}

impl Device {
    pub(crate) const ALL: [Self; 4] = [Self::Veth, Self::BridgePort, Self::Tap, Self::Tun];

    /// "bridge port".
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Veth => "veth",
            Self::BridgePort => "bridge port",
            Self::Tap => "tap",
            Self::Tun => "tun",
        }
    }

    /// The interface that iptables sees packets come in by.
    pub(super) fn interface_of_packets(self) -> &'static str {
        match self {
            Self::BridgePort => BRIDGE,
            _ => NIC,
        }
    }

    /// Puts the device in place of the veth pair that a host is made with.
    pub(super) fn wire(self, host: &DatabaseHost) -> Option<Relay> {
        let (db, clients) = (host.db(), host.clients());
        match self {
            Self::Veth => None,
            Self::BridgePort => {
                for ns in [db, clients] {
                    ns.ip(&["address", "flush", "dev", NIC]);
                }
                let mac = wiring::text(HOST_MAC);
                db.ip(&["link", "add", BRIDGE, "address", &mac, "type", "bridge"]);
                db.ip(&["link", "set", NIC, "master", BRIDGE]);
                db.ip(&["link", "set", BRIDGE, "up"]);
                db.wait_up(BRIDGE);
                wiring::address(db, BRIDGE, clients, true);
                None
            }
            Self::Tap => Some(relayed(Layer::Ethernet, host)),
            Self::Tun => Some(relayed(Layer::Ip, host)),
        }
    }
}

/// Deletes the devices that a relay reads, so that it ends.
pub(super) fn unwire(host: &DatabaseHost, mut relay: Relay) {
    for ns in [host.db(), host.clients()] {
        delete(ns);
    }
    relay.join();
}

/// Never fails: it is called while a failure unwinds.
fn delete(ns: &NetNs) {
    let _ = std::process::Command::new("ip")
        .args(["-n", ns.name(), "link", "del", NIC])
        .status();
}

fn relayed(layer: Layer, host: &DatabaseHost) -> Relay {
    let (db, clients) = (host.db(), host.clients());
    host.remove_nic();
    let relay = Relay::new(layer, NIC, [db, clients]);
    let has_neighbours = layer == Layer::Ethernet;
    for (ns, mac) in [(db, HOST_MAC), (clients, CLIENT_MAC)] {
        if has_neighbours {
            ns.ip(&["link", "set", NIC, "address", &wiring::text(mac)]);
        }
        ns.ip(&["link", "set", NIC, "up"]);
        ns.wait_up(NIC);
    }
    wiring::address(db, NIC, clients, has_neighbours);
    relay
}
