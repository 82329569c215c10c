//! Which interfaces of the host are not filtered, in data and in words.
//!
//! Puts together what interfaces say of themselves and where the program is attached. Asks
//! nothing and changes nothing.

use ipnet::IpNet;

use crate::{
    api::{Attachment, Interface, OtherInterface},
    datapath::{AttachedInterface, Hook},
    netdev::{Cover, Device, covers},
};

/// The interfaces that are up or carry an address, and are neither configured nor filtered
/// themselves. `is_accepted`: whether one may stay unfiltered.
#[must_use]
pub fn others(
    devices: &[Device],
    attached: &[AttachedInterface],
    configured: &[String],
    is_accepted: impl Fn(&Device) -> bool,
) -> Vec<OtherInterface> {
    let is_filtered = |device: &Device| {
        attached
            .iter()
            .any(|i| i.is_here && i.index == device.index)
    };
    let covers = covers(devices, is_filtered);
    let other = |(device, cover): (&Device, Cover)| {
        let covered_by = match cover {
            Cover::Filtered | Cover::Silent | Cover::PortOf(_) => return None,
            Cover::By(names) => names,
            Cover::Open => Vec::new(),
        };
        let is_idle = !device.is_up && device.addresses.is_empty();
        if is_idle || configured.contains(&device.name) {
            return None;
        }
        Some(OtherInterface {
            name: device.name.clone(),
            index: device.index,
            kind: device.kind.clone(),
            addresses: device.addresses.clone(),
            covered_by,
            accepted: is_accepted(device),
        })
    };
    devices.iter().zip(covers).filter_map(other).collect()
}

/// What is wrong with those: one that carries an address, is not filtered, and is not
/// accepted as such.
#[must_use]
pub fn faults(others: &[OtherInterface]) -> Vec<String> {
    let line = |other: &OtherInterface| {
        format!(
            "interface {} is not filtered and not configured: any source may connect through it; \
             add it to `interfaces`, or to `unfiltered_interfaces` if that is intended",
            described(other)
        )
    };
    others.iter().filter(|o| is_open(o)).map(line).collect()
}

/// Whether it carries an address, is not filtered and is not accepted as such.
#[must_use]
pub fn is_open(other: &OtherInterface) -> bool {
    other.covered_by.is_empty() && !other.accepted && !other.addresses.is_empty()
}

/// "eth1 (198.51.100.7)"
#[must_use]
pub fn described(other: &OtherInterface) -> String {
    let addresses: Vec<_> = other.addresses.iter().map(ToString::to_string).collect();
    let what = match (&other.kind, addresses.is_empty()) {
        (Some(kind), true) => format!("{kind}, no address"),
        (None, true) => "no address".to_owned(),
        (Some(kind), false) => format!("{kind}, {}", addresses.join(", ")),
        (None, false) => addresses.join(", "),
    };
    format!("{} ({what})", other.name)
}

/// Interfaces that run a program by netpolicy's name, as they say. `programs`: the programs of
/// an interface.
#[must_use]
pub fn running(
    devices: &[Device],
    programs: impl Fn(&Device) -> Vec<(Hook, u32)>,
    is_ours: impl Fn(u32) -> bool,
) -> Vec<(Interface, u32)> {
    let mut found = Vec::new();
    for device in devices {
        let mut running = programs(device).into_iter();
        if let Some((hook, program)) = running.find(|(_, program)| is_ours(*program)) {
            let interface = Interface::new(&device.name, device.index, hook.into());
            found.push((interface, program));
        }
    }
    found
}

/// The networks that the host's interfaces are in, each with its interface's name; without
/// loopback.
#[must_use]
pub fn own_networks(devices: &[Device]) -> Vec<(IpNet, String)> {
    let devices = devices.iter().filter(|device| !device.is_loopback);
    let networks = devices.flat_map(|device| {
        let of_device = device.networks.iter();
        of_device.map(|network| (*network, device.name.clone()))
    });
    networks.collect()
}

/// In the API's words.
#[must_use]
pub fn interface(attached: AttachedInterface) -> Interface {
    Interface {
        reason: Some(attached.reason).filter(|reason| !reason.is_empty()),
        ahead: attached.ahead,
        offloads: attached.offloads,
        unanswered: attached.unanswered.map(str::to_owned),
        elsewhere: !attached.is_here,
        ..Interface::new(&attached.name, attached.index, attached.hook.into())
    }
}

/// Where other programs stand before netpolicy's.
#[must_use]
pub fn overtaken<'a>(interfaces: impl IntoIterator<Item = &'a Interface>) -> Vec<String> {
    let behind = interfaces.into_iter().filter(|i| !i.ahead.is_empty());
    let line = |i: &Interface| {
        format!(
            "interface {}: {} runs before netpolicy at tc ingress: what it accepts is not \
             judged; attach it after netpolicy, or run `netpolicy detach` and `netpolicy attach` \
             to put netpolicy first",
            i.name,
            i.ahead.join(", ")
        )
    };
    behind.map(line).collect()
}

/// Whether any interface of this namespace is filtered.
#[must_use]
pub fn is_filtered(interface: &Interface) -> bool {
    !interface.elsewhere
        && matches!(
            interface.attachment,
            Attachment::Native | Attachment::Generic | Attachment::Tcx | Attachment::Clsact
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(index: u32, name: &str, address: Option<&str>) -> Device {
        Device {
            name: name.to_owned(),
            index,
            is_up: true,
            is_loopback: name == "lo",
            addresses: address.map(|a| a.parse().unwrap()).into_iter().collect(),
            ..Device::default()
        }
    }

    fn attached(index: u32, name: &str, is_here: bool) -> AttachedInterface {
        AttachedInterface {
            name: name.to_owned(),
            index,
            is_here,
            hook: Hook::Native,
            program: 1,
            ahead: Vec::new(),
            link_layer: None,
            reason: String::new(),
            offloads: Vec::new(),
            unanswered: None,
        }
    }

    #[test]
    fn a_second_nic_with_an_address_is_a_fault_unless_accepted() {
        let devices = [
            device(1, "lo", Some("127.0.0.1")),
            device(2, "eth0", Some("192.0.2.1")),
            device(3, "eth1", Some("198.51.100.7")),
            device(4, "eth2", None),
            device(5, "docker0", Some("172.17.0.1")),
        ];
        let eth0 = [attached(2, "eth0", true)];
        let others = others(&devices, &eth0, &["eth0".into()], |d| d.name == "docker0");
        let names: Vec<_> = others.iter().map(|o| o.name.as_str()).collect();
        assert_eq!(names, ["eth1", "eth2", "docker0"]);
        let faults = faults(&others);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with("interface eth1 (198.51.100.7) is not filtered"));
        assert_eq!(described(&others[1]), "eth2 (no address)");
    }

    #[test]
    fn a_configured_interface_and_one_that_is_down_are_not_among_the_others() {
        let mut down = device(3, "eth1", None);
        down.is_up = false;
        let devices = [device(2, "eth0", Some("192.0.2.1")), down];
        assert_eq!(others(&devices, &[], &["eth0".into()], |_| false), []);
    }

    #[test]
    fn link_of_another_namespace_covers_nothing() {
        let devices = [device(2, "eth0", Some("192.0.2.1"))];
        let elsewhere = [attached(2, "index 2 of another network namespace", false)];
        assert_eq!(others(&devices, &elsewhere, &[], |_| false).len(), 1);
    }
}
