//! Which interfaces the configuration selects, of those that there are.
//!
//! A name selects its interface, there or not. A pattern selects what it matches, less what
//! needs no filter of its own: loopback and dummy interfaces; ports of a bridge, bond or team
//! that is selected or excluded itself, for it receives their packets; and interfaces whose
//! packets pass a selected one first, as those of a VLAN do. Where the other one is not filtered,
//! they need one for as long. What `!` excludes is neither filtered nor missed.

use std::io;

use crate::config::{Config, InterfacePattern};
use crate::netdev::{Cover, Device, Netdevs, cover, taking_all};

/// What a configuration selects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Names of the interfaces to filter.
    pub names: Vec<String>,
    /// Patterns that match no interface.
    pub unmatched: Vec<String>,
    /// Interfaces that a pattern matches and whose packets are judged at others: the names of
    /// those, which are in [`Self::names`].
    pub covered: Vec<(String, Vec<String>)>,
    /// Ports that a pattern matches, of a bridge, bond or team that is excluded.
    pub excluded: Vec<ExcludedPort>,
}

/// A port that a pattern matches, of a bridge, bond or team that another one excludes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExcludedPort {
    /// Its name.
    pub name: String,
    /// The name of what excludes it.
    pub master: String,
    /// Whether it leads to a container or a virtual machine: whoever excludes the bridge means
    /// those. Of another port, such as a NIC, the exclusion may be a mistake.
    pub is_guest: bool,
}

impl Selection {
    /// The interfaces to filter, ports that are not because of an exclusion, and patterns that
    /// match none.
    #[must_use]
    pub fn configured(&self) -> Vec<String> {
        let missed = self.missed().map(|port| port.name.clone());
        let names = self.names.iter().chain(&self.unmatched).cloned();
        names.chain(missed).collect()
    }

    /// Ports that are not filtered because of an exclusion, which is a fault.
    pub fn missed(&self) -> impl Iterator<Item = &ExcludedPort> {
        self.excluded.iter().filter(|port| !port.is_guest)
    }

    /// Covered interfaces whose packets are judged nowhere, since the others are not filtered, or
    /// not yet. They have to be filtered themselves until that is so.
    #[must_use]
    pub fn uncovered(&self, is_filtered: impl Fn(&str) -> bool) -> Vec<String> {
        let open = |(_, by): &&(String, Vec<String>)| !by.iter().all(|name| is_filtered(name));
        let uncovered = self.covered.iter().filter(open);
        uncovered.map(|(name, _)| name.clone()).collect()
    }

    /// The same, of names that are not filtered.
    #[must_use]
    pub fn instead_of(&self, unfiltered: &[String]) -> Vec<String> {
        self.uncovered(|name| !unfiltered.iter().any(|one| one == name))
    }

    /// Makes what is covered by something that is covered itself name those that are filtered.
    fn resolve(&mut self) {
        for _ in 0..self.covered.len() {
            let before = self.covered.clone();
            let mut is_same = true;
            for (_, by) in &mut self.covered {
                let next = by.iter().flat_map(|name| {
                    let through = before.iter().find(|(covered, _)| covered == name);
                    through.map_or_else(|| vec![name.clone()], |(_, by)| by.clone())
                });
                let mut next: Vec<String> = next.collect();
                next.sort_unstable();
                next.dedup();
                is_same &= next == *by;
                *by = next;
            }
            if is_same {
                return;
            }
        }
    }
}

/// The entries of `interfaces`.
#[derive(Clone, Debug, Default)]
pub struct Patterns(Vec<InterfacePattern>);

impl Patterns {
    /// Of texts that the configuration has accepted; another one is a name.
    #[must_use]
    pub fn new(texts: &[String]) -> Self {
        let read = |text: &String| {
            InterfacePattern::read(text).unwrap_or_else(|_| InterfacePattern::of_name(text))
        };
        Self(texts.iter().map(read).collect())
    }

    /// Whether nothing is selected by them.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names, if there is nothing but names: no interface has to be looked at then.
    #[must_use]
    pub fn names(&self) -> Option<Vec<String>> {
        let names = self
            .0
            .iter()
            .map(|pattern| pattern.name().map(str::to_owned));
        names.collect()
    }

    /// Whether one of them excludes an interface.
    #[must_use]
    pub fn excludes(&self, device: &Device) -> bool {
        let mut excluding = self.0.iter().filter(|pattern| pattern.is_excluding());
        excluding.any(|pattern| is_match(pattern, device))
    }

    /// What they select of these, which are all of a network namespace.
    #[must_use]
    pub fn select(&self, devices: &[Device]) -> Selection {
        let mut names: Vec<String> = Vec::new();
        for name in self.0.iter().filter_map(InterfacePattern::name) {
            names.push(name.to_owned());
        }
        let patterns = || {
            let selecting = self.0.iter().filter(|pattern| !pattern.is_excluding());
            selecting.filter(|pattern| pattern.name().is_none())
        };
        let is_candidate = |device: &Device| {
            !device.is_loopback && device.kind.as_deref() != Some("dummy") && !self.excludes(device)
        };
        let candidates: Vec<&Device> = devices.iter().filter(|d| is_candidate(d)).collect();
        let matched =
            |pattern: &InterfacePattern| candidates.iter().any(|device| is_match(pattern, device));
        let unmatched = patterns().filter(|pattern| !matched(pattern));
        let unmatched = unmatched.map(|pattern| pattern.text().to_owned()).collect();

        let is_named = |device: &Device| names.contains(&device.name);
        let is_matched = |device: &Device| {
            is_candidate(device) && patterns().any(|pattern| is_match(pattern, device))
        };
        let (mut covered, mut excluded) = (Vec::new(), Vec::new());
        let mut selected: Vec<&Device> = Vec::new();
        let excluding = |device| {
            let mut at: &Device = device;
            for _ in 0..devices.len() {
                let master = taking_all(at, devices)?;
                if self.excludes(master) {
                    return Some(master);
                }
                if is_named(master) || !is_matched(master) {
                    return None;
                }
                at = master;
            }
            None
        };
        for device in devices {
            let name = || device.name.clone();
            if is_named(device) {
                selected.push(device);
            } else if !is_matched(device) {
            } else if let Some(master) = excluding(device) {
                excluded.push(ExcludedPort {
                    name: name(),
                    master: master.name.clone(),
                    is_guest: is_guest(device, master),
                });
            } else if let Some(master) = taking_all(device, devices)
                && (is_named(master) || is_matched(master))
            {
                covered.push((name(), vec![master.name.clone()]));
            } else {
                selected.push(device);
            }
        }
        // What is stacked on others came after them.
        for at in (0..selected.len()).rev() {
            let device = selected[at];
            if is_named(device) {
                continue;
            }
            let is_filtered = |other: &Device| {
                other.index != device.index && selected.iter().any(|s| s.index == other.index)
            };
            if let Cover::By(by) = cover(device, devices, is_filtered) {
                covered.push((device.name.clone(), by));
                selected.remove(at);
            }
        }
        let others = selected.iter().filter(|device| !is_named(device));
        let others: Vec<_> = others.map(|device| device.name.clone()).collect();
        names.extend(others);
        let mut selection = Selection {
            names,
            unmatched,
            covered,
            excluded,
        };
        selection.resolve();
        selection
    }
}

/// What the configuration's `interfaces` select in the network namespace of this thread.
///
/// # Errors
/// The interfaces cannot be listed.
pub fn selected(interfaces: &[String]) -> io::Result<Selection> {
    let patterns = Patterns::new(interfaces);
    if let Some(names) = patterns.names() {
        return Ok(Selection {
            names,
            ..Selection::default()
        });
    }
    let devices = Netdevs::open()?.all()?;
    Ok(patterns.select(&devices))
}

/// Whether an interface may stay unfiltered: `unfiltered_interfaces` names it, or `interfaces`
/// excludes it.
#[must_use]
pub fn may_be_unfiltered(config: &Config, device: &Device) -> bool {
    let accepted = Patterns::new(&config.unfiltered_interfaces);
    accepted.0.iter().any(|pattern| is_match(pattern, device))
        || Patterns::new(&config.interfaces).excludes(device)
}

/// Whether a port of a bridge leads to a container or a virtual machine. All that a port of a bond
/// or team receives is the host's.
fn is_guest(port: &Device, master: &Device) -> bool {
    let kind = port.kind.as_deref().unwrap_or_default();
    master.kind.as_deref() == Some("bridge") && ["veth", "tun"].contains(&kind)
}

fn is_match(pattern: &InterfacePattern, device: &Device) -> bool {
    pattern.matches(&device.name, device.driver.as_deref(), &device.addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(index: u32, name: &str, kind: &str) -> Device {
        Device {
            index,
            name: name.to_owned(),
            kind: Some(kind.to_owned()).filter(|kind| !kind.is_empty()),
            driver: Some(if kind.is_empty() { "ixgbe" } else { kind }.to_owned()),
            is_loopback: name == "lo",
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

    /// A host with two NICs in a bond, a VLAN on it, a third NIC, and Docker.
    fn host() -> Vec<Device> {
        vec![
            device(1, "lo", ""),
            port(5, device(2, "eth0", "")),
            port(5, device(3, "eth1", "")),
            device(4, "eth2", ""),
            device(5, "bond0", "bond"),
            on(5, device(6, "bond0.7", "vlan")),
            device(7, "docker0", "bridge"),
            port(7, device(8, "veth1", "veth")),
            device(9, "dummy0", "dummy"),
            on(4, device(10, "eth2.9", "vlan")),
        ]
    }

    fn select(patterns: &[&str]) -> Selection {
        let texts: Vec<_> = patterns.iter().map(ToString::to_string).collect();
        Patterns::new(&texts).select(&host())
    }

    #[test]
    fn star_selects_each_interface_that_is_judged_nowhere_else() {
        let all = select(&["*"]);
        assert_eq!(all.names, ["eth2", "bond0", "docker0"]);
        assert_eq!(all.unmatched, Vec::<String>::new());
        let covered = all
            .covered
            .iter()
            .map(|(name, by)| (name.as_str(), by[0].as_str()));
        let mut covered: Vec<_> = covered.collect();
        covered.sort_unstable();
        assert_eq!(
            covered,
            [
                ("bond0.7", "bond0"),
                ("eth0", "bond0"),
                ("eth1", "bond0"),
                ("eth2.9", "eth2"),
                ("veth1", "docker0")
            ]
        );
    }

    #[test]
    fn exclusion_of_a_bridge_excludes_its_ports() {
        let selection = select(&["*", "!lo", "!docker*"]);
        assert_eq!(selection.names, ["eth2", "bond0"]);
        let excluded = |name: &str, master: &str, is_guest| ExcludedPort {
            name: name.to_owned(),
            master: master.to_owned(),
            is_guest,
        };
        assert_eq!(selection.excluded, [excluded("veth1", "docker0", true)]);
        assert_eq!(selection.configured(), ["eth2", "bond0"]);
        // NICs that a pattern matches are missed: the host's own packets arrive there.
        let selection = select(&["*", "!bond0", "!docker0"]);
        assert_eq!(selection.names, ["eth2", "bond0.7"]);
        assert_eq!(
            selection.excluded[..2],
            [
                excluded("eth0", "bond0", false),
                excluded("eth1", "bond0", false)
            ]
        );
        assert_eq!(selection.configured(), ["eth2", "bond0.7", "eth0", "eth1"]);
        let selection = select(&["*", "!bond0", "!eth0", "!eth1"]);
        assert_eq!(selection.missed().count(), 0);
    }

    #[test]
    fn covered_interfaces_are_to_be_filtered_while_the_others_are_not() {
        let all = select(&["*"]);
        let mut uncovered = all.uncovered(|name| name != "bond0");
        uncovered.sort_unstable();
        assert_eq!(uncovered, ["bond0.7", "eth0", "eth1"]);
        assert_eq!(all.uncovered(|_| true), Vec::<String>::new());
    }

    #[test]
    fn interfaces_are_covered_by_those_that_are_filtered_through_others() {
        let mut devices = host();
        // The bond is a port of a bridge, and a VLAN stands on the VLAN.
        devices.push(device(11, "br0", "bridge"));
        devices[4].master = Some(11);
        devices.push(on(10, device(12, "eth2.9.1", "vlan")));
        let all = Patterns::new(&["*".to_owned()]).select(&devices);
        let by = |name: &str| {
            let found = all.covered.iter().find(|(covered, _)| covered == name);
            found.map(|(_, by)| by.join(" ")).unwrap_or_default()
        };
        assert_eq!(all.names, ["eth2", "bond0.7", "docker0", "br0"]);
        for (name, expected) in [("bond0", "br0"), ("eth0", "br0"), ("eth2.9.1", "eth2")] {
            assert_eq!(by(name), expected, "{name}: {:?}", all.covered);
        }
        let patterns = ["*".to_owned(), "!br0".to_owned()];
        let excluded = Patterns::new(&patterns).select(&devices).excluded;
        let names: Vec<_> = excluded.iter().map(|port| port.name.as_str()).collect();
        assert_eq!(names, ["eth0", "eth1", "bond0"]);
    }

    #[test]
    fn ports_are_selected_where_their_bond_is_not() {
        assert_eq!(select(&["eth*"]).names, ["eth0", "eth1", "eth2"]);
        // A bridge or bond is no lower device whose filter sees each packet of its VLANs alone.
        assert_eq!(
            select(&["eth*", "bond0.7"]).names,
            ["bond0.7", "eth0", "eth1", "eth2"]
        );
    }

    #[test]
    fn named_interfaces_are_selected_wherever_they_are_judged_too() {
        assert_eq!(
            select(&["*", "!docker0", "eth2.9", "eth9"]).names,
            ["eth2.9", "eth9", "eth2", "bond0"]
        );
    }

    #[test]
    fn drivers_select_and_patterns_without_a_match_are_told() {
        let selection = select(&["driver:ixgbe", "wlan*", "address:any", "!nothing*"]);
        assert_eq!(selection.names, ["eth0", "eth1", "eth2"]);
        assert_eq!(selection.unmatched, ["wlan*", "address:any"]);
        // All that it matches is excluded.
        assert_eq!(select(&["docker*", "!docker0"]).unmatched, ["docker*"]);
    }

    #[test]
    fn names_alone_need_no_look_at_interfaces() {
        let patterns = |texts: &[&str]| {
            let texts: Vec<_> = texts.iter().map(ToString::to_string).collect();
            Patterns::new(&texts).names()
        };
        assert_eq!(
            patterns(&["eth0", "eth9"]),
            Some(vec!["eth0".into(), "eth9".into()])
        );
        assert_eq!(patterns(&["eth0", "eth*"]), None);
        assert_eq!(patterns(&["eth0", "!eth1"]), None);
    }

    #[test]
    fn excluded_and_accepted_interfaces_may_be_unfiltered() {
        let config = Config {
            interfaces: vec!["*".into(), "!docker*".into()],
            unfiltered_interfaces: vec!["driver:vlan".into()],
            ..Config::default()
        };
        let may: Vec<_> = host()
            .iter()
            .filter(|device| may_be_unfiltered(&config, device))
            .map(|device| device.name.clone())
            .collect();
        assert_eq!(may, ["bond0.7", "docker0", "eth2.9"]);
    }
}
