//! One interface: what its `RTM_NEWLINK` message says, as far as filtering is concerned.
//!
//! Attributes that are not needed are not read, so that those of newer kernels do no harm.
//! Numbers are those of the kernel's `include/uapi/linux/if_link.h`.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::NlasIterator;

/// `struct ifinfomsg`.
const HEADER: usize = 16;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_XDP: u16 = 43;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_MACVLAN_MODE: u16 = 1;
const IFLA_XDP_ATTACHED: u16 = 2;
const IFLA_XDP_PROG_ID: u16 = 4;
const IFLA_XDP_DRV_PROG_ID: u16 = 5;
const IFLA_XDP_SKB_PROG_ID: u16 = 6;
const IFLA_XDP_HW_PROG_ID: u16 = 7;

/// `XDP_ATTACHED_SKB`: the generic hook.
const ATTACHED_SKB: u8 = 2;

const IFF_UP: u32 = 1;
const IFF_LOOPBACK: u32 = 1 << 3;

/// The hook of an XDP program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the driver, or in the device itself.
    Native,
    /// In the kernel's generic hook.
    Generic,
}

/// An XDP program of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Xdp {
    /// Its id.
    pub program: u32,
    /// Where it is attached.
    pub mode: Mode,
}

/// An interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// What `ip -details link` calls it: "vlan", "bridge"; a NIC has none.
    pub kind: Option<String>,
    /// Its driver: the kind of a virtual device, else what the driver says; `None`: that was not
    /// requested, or is not told.
    pub driver: Option<String>,
    /// Its MTU, bytes.
    pub mtu: u32,
    /// Its link-layer address, if it has one of Ethernet.
    pub link_address: Option<[u8; 6]>,
    /// Its hardware type, an `ARPHRD_*` of `linux/if_arp.h`.
    pub hardware_type: u16,
    /// Whether it is up (`IFF_UP`).
    pub is_up: bool,
    /// Whether it is a loopback interface.
    pub is_loopback: bool,
    /// The interface of this namespace that it is stacked on, by index.
    pub lower: Option<u32>,
    /// The interface that it is a port of, by index.
    pub master: Option<u32>,
    /// A macvlan's mode (`enum macvlan_mode`).
    pub macvlan_mode: Option<u32>,
    /// Its XDP programs: none, one, or one in each hook.
    pub xdp: Vec<Xdp>,
    /// Its addresses, if they were requested.
    pub addresses: Vec<IpAddr>,
    /// The networks that are reached on it without a gateway, if its addresses were requested.
    pub networks: Vec<IpNet>,
}

impl Device {
    /// How the program with this id is attached to it, if it is.
    #[must_use]
    pub fn runs(&self, program: u32) -> Option<Mode> {
        let found = self.xdp.iter().find(|xdp| xdp.program == program);
        found.map(|xdp| xdp.mode)
    }

    /// Reads a message's payload; `None` if it is none of a link.
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        let mut device = Self {
            index: u32_at(payload, 4)?,
            hardware_type: u16_at(payload, 2)?,
            ..Self::default()
        };
        let flags = u32_at(payload, 8)?;
        device.is_up = flags & IFF_UP != 0;
        device.is_loopback = flags & IFF_LOOPBACK != 0;
        let mut is_lower_elsewhere = false;
        for nla in NlasIterator::new(payload.get(HEADER..)?) {
            let nla = nla.ok()?;
            let value = nla.value();
            match nla.kind() {
                IFLA_ADDRESS => device.link_address = value.try_into().ok(),
                IFLA_IFNAME => device.name = text(value),
                IFLA_MTU => device.mtu = u32_at(value, 0).unwrap_or_default(),
                IFLA_LINK => device.lower = u32_at(value, 0).filter(|&index| index != 0),
                IFLA_MASTER => device.master = u32_at(value, 0).filter(|&index| index != 0),
                IFLA_LINK_NETNSID => is_lower_elsewhere = true,
                IFLA_LINKINFO => device.read_info(value),
                IFLA_XDP => device.read_xdp(value),
                _ => {}
            }
        }
        if is_lower_elsewhere {
            // An index of another namespace.
            device.lower = None;
        }
        (!device.name.is_empty()).then_some(device)
    }

    fn read_info(&mut self, value: &[u8]) {
        let mut mode = None;
        for nla in NlasIterator::new(value).flatten() {
            match nla.kind() {
                IFLA_INFO_KIND => self.kind = Some(text(nla.value())),
                IFLA_INFO_DATA => {
                    let data = NlasIterator::new(nla.value()).flatten();
                    mode = data
                        .filter(|nla| nla.kind() == IFLA_MACVLAN_MODE)
                        .find_map(|nla| u32_at(nla.value(), 0));
                }
                _ => {}
            }
        }
        if self.kind.as_deref() == Some("macvlan") {
            self.macvlan_mode = mode;
        }
    }

    fn read_xdp(&mut self, value: &[u8]) {
        let (mut attached, mut only, mut each) = (0, None, Vec::new());
        for nla in NlasIterator::new(value).flatten() {
            let value = nla.value();
            let Some(program) = u32_at(value, 0) else {
                if nla.kind() == IFLA_XDP_ATTACHED {
                    attached = value.first().copied().unwrap_or_default();
                }
                continue;
            };
            let mode = match nla.kind() {
                IFLA_XDP_PROG_ID => {
                    only = Some(program);
                    continue;
                }
                IFLA_XDP_SKB_PROG_ID => Mode::Generic,
                IFLA_XDP_DRV_PROG_ID | IFLA_XDP_HW_PROG_ID => Mode::Native,
                _ => continue,
            };
            each.push(Xdp { program, mode });
        }
        if each.is_empty()
            && let Some(program) = only
        {
            let mode = if attached == ATTACHED_SKB {
                Mode::Generic
            } else {
                Mode::Native
            };
            each.push(Xdp { program, mode });
        }
        self.xdp = each;
    }
}

pub(super) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|&b| b == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

/// A number in the machine's byte order.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at + 2)?.try_into().ok()?;
    Some(u16::from_ne_bytes(bytes))
}

/// A number in the machine's byte order.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_ne_bytes(bytes))
}
