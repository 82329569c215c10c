//! Which interfaces' packets are judged, at the interface or at one that they pass first.
//!
//! Pure. Says that an interface is covered only where every packet that it can receive has
//! passed a filtered one; `tests/tests/unfiltered.rs` sends packets to show each rule.

use super::device::Device;

/// `MACVLAN_MODE_BRIDGE` and `_SOURCE`: others on the same parent send to it directly.
const DIRECT_MACVLAN: [u32; 2] = [4, 16];

/// Interfaces that are stacked deeper are not followed.
const DEPTH: usize = 8;

/// How an interface's packets are judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cover {
    /// At the interface.
    Filtered,
    /// At these interfaces, by name, one of which every packet passes first.
    By(Vec<String>),
    /// It receives no packets from outside: loopback, dummy.
    Silent,
    /// It hands every packet to this interface, by name, which is a bridge, bond or team and
    /// is judged for it.
    PortOf(String),
    /// Not at all.
    Open,
}

/// How the packets of each of these interfaces are judged, in their order. `devices` are
/// all of a network namespace; `filtered` says which of them run the program.
pub fn covers(devices: &[Device], filtered: impl Fn(&Device) -> bool) -> Vec<Cover> {
    let stack = Stack {
        devices,
        filtered: &filtered,
    };
    devices.iter().map(|device| stack.cover(device)).collect()
}

/// How the packets of one of them are judged.
pub fn cover(device: &Device, devices: &[Device], filtered: impl Fn(&Device) -> bool) -> Cover {
    let stack = Stack {
        devices,
        filtered: &filtered,
    };
    stack.cover(device)
}

/// The interface that receives all packets of its port. A VRF does not: its ports keep their
/// addresses.
pub fn taking_all<'d>(device: &Device, devices: &'d [Device]) -> Option<&'d Device> {
    let master = device.master?;
    let master = devices.iter().find(|device| device.index == master)?;
    let kind = master.kind.as_deref()?;
    ["bridge", "bond", "team"].contains(&kind).then_some(master)
}

struct Stack<'a> {
    devices: &'a [Device],
    filtered: &'a dyn Fn(&Device) -> bool,
}

impl Stack<'_> {
    fn cover(&self, device: &Device) -> Cover {
        if device.is_loopback || device.kind.as_deref() == Some("dummy") {
            return Cover::Silent;
        }
        if (self.filtered)(device) {
            return Cover::Filtered;
        }
        if let Some(master) = taking_all(device, self.devices) {
            return Cover::PortOf(master.name.clone());
        }
        match self.judges(device, DEPTH) {
            Some(names) => Cover::By(names),
            None => Cover::Open,
        }
    }

    /// The interfaces at which all that this one receives is judged, itself perhaps.
    fn judges(&self, device: &Device, depth: usize) -> Option<Vec<String>> {
        if (self.filtered)(device) {
            return Some(vec![device.name.clone()]);
        }
        let below: Vec<&Device> = match device.kind.as_deref()? {
            "vlan" => vec![self.device(device.lower?)?],
            "macvlan" if !DIRECT_MACVLAN.contains(&device.macvlan_mode?) => {
                vec![self.device(device.lower?)?]
            }
            "bridge" => {
                let is_port = |port: &&Device| port.master == Some(device.index);
                self.devices.iter().filter(is_port).collect()
            }
            _ => return None,
        };
        if below.is_empty() || depth == 0 {
            return None;
        }
        let mut names = Vec::new();
        for lower in below {
            for name in self.judges(lower, depth - 1)? {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        Some(names)
    }

    fn device(&self, index: u32) -> Option<&Device> {
        self.devices.iter().find(|device| device.index == index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `eth0` is filtered, `eth1` is not.
    fn cover(others: &[Device]) -> Vec<Cover> {
        let mut devices = vec![device(1, "eth0", ""), device(2, "eth1", "")];
        devices.extend(others.iter().cloned());
        covers(&devices, |device| device.name == "eth0").split_off(2)
    }

    fn device(index: u32, name: &str, kind: &str) -> Device {
        Device {
            index,
            name: name.to_owned(),
            kind: (!kind.is_empty()).then(|| kind.to_owned()),
            ..Device::default()
        }
    }

    fn on(lower: u32, device: Device) -> Device {
        Device {
            lower: Some(lower),
            ..device
        }
    }

    fn port(master: u32, device: Device) -> Device {
        Device {
            master: Some(master),
            ..device
        }
    }

    fn by(name: &str) -> Cover {
        Cover::By(vec![name.to_owned()])
    }

    #[test]
    fn stacked_interfaces_are_covered_by_their_lower_devices() {
        let stacked = [
            on(1, device(3, "eth0.7", "vlan")),
            on(3, device(4, "eth0.7.8", "vlan")),
            on(2, device(5, "eth1.7", "vlan")),
            device(6, "elsewhere.7", "vlan"),
            on(1, device(7, "vxlan0", "vxlan")),
        ];
        assert_eq!(
            cover(&stacked),
            [
                by("eth0"),
                by("eth0"),
                Cover::Open,
                Cover::Open,
                Cover::Open
            ]
        );
    }

    #[test]
    fn macvlan_in_bridge_mode_is_not_covered() {
        let macvlan = |index, mode| Device {
            macvlan_mode: mode,
            ..on(1, device(index, "mac0", "macvlan"))
        };
        let modes = [Some(1), Some(2), Some(4), Some(8), Some(16), None];
        let devices: Vec<_> = (3..).zip(modes).map(|(i, mode)| macvlan(i, mode)).collect();
        assert_eq!(
            cover(&devices),
            [
                by("eth0"),
                by("eth0"),
                Cover::Open,
                by("eth0"),
                Cover::Open,
                Cover::Open
            ]
        );
    }

    #[test]
    fn a_bridge_is_covered_only_if_all_its_ports_are() {
        let devices = [
            device(3, "br0", "bridge"),
            port(3, on(1, device(4, "eth0.7", "vlan"))),
            device(5, "br1", "bridge"),
            port(5, on(1, device(6, "eth0.8", "vlan"))),
            port(5, device(7, "tap0", "tun")),
            device(8, "br2", "bridge"),
        ];
        let port_of = |name: &str| Cover::PortOf(name.to_owned());
        assert_eq!(
            cover(&devices),
            [
                by("eth0"),
                port_of("br0"),
                Cover::Open,
                port_of("br1"),
                port_of("br1"),
                Cover::Open
            ]
        );
    }

    #[test]
    fn ports_of_bridge_and_bond_are_ports_and_those_of_a_vrf_are_not() {
        let devices = [
            device(1, "bond0", "bond"),
            port(1, device(2, "eth1", "")),
            device(3, "vrf0", "vrf"),
            port(3, device(4, "eth2", "")),
            device(5, "dummy0", "dummy"),
        ];
        assert_eq!(
            covers(&devices, |device| device.name == "bond0"),
            [
                Cover::Filtered,
                Cover::PortOf("bond0".to_owned()),
                Cover::Open,
                Cover::Open,
                Cover::Silent
            ]
        );
        // That all ports are filtered is nothing that is known to cover a bond.
        assert_eq!(
            covers(&devices, |device| device.name == "eth1")[..2],
            [Cover::Open, Cover::Filtered]
        );
    }
}
