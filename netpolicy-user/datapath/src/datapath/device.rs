//! What the frames of an interface begin with: what the program must know at attach.
//!
//! Told by the interface's hardware type, as netlink says it, and not by `/sys`, which belongs
//! to a mount namespace. It asks nothing and does not attach anything.

use super::DatapathError;
use crate::netdev::Device;

/// What the program sees at the beginning of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkLayer {
    /// An Ethernet header.
    Ethernet,
    /// An IP header: tun, `WireGuard`, ipip, sit, gre and the like have none before it.
    None,
}

// linux/if_arp.h.
const ARPHRD_ETHER: u16 = 1;
const ARPHRD_PPP: u16 = 512;
const ARPHRD_RAWIP: u16 = 519;
const ARPHRD_TUNNEL: u16 = 768;
const ARPHRD_TUNNEL6: u16 = 769;
const ARPHRD_SIT: u16 = 776;
const ARPHRD_IPGRE: u16 = 778;
const ARPHRD_IP6GRE: u16 = 823;
const ARPHRD_NONE: u16 = 0xfffe;

impl LinkLayer {
    /// Of interfaces of a hardware type; `None` of a type whose frames the program does not
    /// read.
    const fn of(hardware_type: u16) -> Option<Self> {
        match hardware_type {
            ARPHRD_ETHER => Some(Self::Ethernet),
            ARPHRD_PPP | ARPHRD_RAWIP | ARPHRD_TUNNEL | ARPHRD_TUNNEL6 | ARPHRD_SIT
            | ARPHRD_IPGRE | ARPHRD_IP6GRE | ARPHRD_NONE => Some(Self::None),
            _ => None,
        }
    }
}

/// The link layer of an interface.
///
/// # Errors
/// It is one whose frames the program does not read.
pub(super) fn link_layer(device: &Device) -> Result<LinkLayer, DatapathError> {
    LinkLayer::of(device.hardware_type).ok_or_else(|| DatapathError::UnknownLinkLayer {
        name: device.name.clone(),
        hardware_type: device.hardware_type,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ethernet_and_ip_devices_are_distinguished_and_others_refused() {
        assert_eq!(LinkLayer::of(1), Some(LinkLayer::Ethernet));
        for ip in [512, 519, 768, 769, 776, 778, 823, 65534] {
            assert_eq!(LinkLayer::of(ip), Some(LinkLayer::None), "{ip}");
        }
        // InfiniBand, IEEE 802.11 with radiotap, netlink, CAN.
        for other in [32, 803, 824, 280] {
            assert_eq!(LinkLayer::of(other), None, "{other}");
        }
    }
}
