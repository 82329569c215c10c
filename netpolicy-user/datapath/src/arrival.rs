//! The interface on which a source's connection attempts arrive, and whether the program
//! sees them there.
//!
//! Asks the kernel (`rtnetlink(7)`) for the route to the source and for all devices, in
//! the network namespace of the calling thread. What is attached where is given by the
//! caller. Changes nothing.

use std::net::IpAddr;

use crate::api::Arrival;
use crate::netdev::{Device, Netdevs, Route};

/// Devices that stand on one another at most; the kernel allows 8
/// (`MAX_NEST_DEV` in `include/linux/netdevice.h`).
const DEEPEST: usize = 8;

/// Why the kernel does not say where a source arrives.
#[derive(Debug, thiserror::Error)]
pub enum ArrivalError {
    /// The caller named an interface that does not exist.
    #[error("interface '{}' does not exist", .0.escape_debug())]
    UnknownInterface(String),
    /// The kernel cannot be queried.
    #[error("the kernel's routes and devices cannot be read: {0}")]
    Netlink(String),
}

/// Where a source's attempts arrive, and the devices of the network namespace.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The index of the interface; `None`: no route leads to the source.
    interface: Option<u32>,
    /// Whether the caller named it.
    is_named: bool,
    /// Whether the source is an address of the host itself.
    own: bool,
    links: Vec<ArrivalLink>,
}

/// A network device, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrivalLink {
    /// Its index in its namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether it is the loopback device.
    pub is_loopback: bool,
    /// The device that it stands on: its frames arrive there first.
    pub lower: Option<u32>,
    /// The bridge, bond or team that it is a port of.
    pub master: Option<u32>,
    /// Whether its own frames arrive by ports.
    pub has_ports: bool,
}

/// What an attempt meets where it arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filtering {
    /// The interface; `None`: any filtered one.
    pub interface: Option<String>,
    /// How it was chosen.
    pub arrival: Arrival,
    /// Why no program judges it there; `None`: one does.
    pub unfiltered: Option<String>,
}

/// Asks where attempts of `source` arrive: on the interface that the caller names, else
/// on the one by which the kernel routes its answers.
///
/// # Errors
/// There is no such interface, or the kernel cannot be queried.
pub fn origin(source: IpAddr, interface: Option<&str>) -> Result<Origin, ArrivalError> {
    let failed = |error: std::io::Error| ArrivalError::Netlink(error.to_string());
    let mut netdevs = Netdevs::open().map_err(failed)?;
    let links = netdevs.links().map_err(failed)?;
    let mut origin = Origin {
        links: links.iter().map(ArrivalLink::of).collect(),
        ..Origin::default()
    };
    if let Some(name) = interface {
        let found = origin.links.iter().find(|link| link.name == name);
        let found = found.ok_or_else(|| ArrivalError::UnknownInterface(name.to_owned()))?;
        origin.interface = Some(found.index);
        origin.is_named = true;
    } else if let Ok(Some(route)) = netdevs.route_to(source) {
        // Where no route leads the kernel answers with an error, whatever the cause.
        origin.take(route);
    }
    Ok(origin)
}

impl Origin {
    const fn take(&mut self, route: Route) {
        self.own = route.is_local;
        self.interface = route.interface;
    }

    /// Whether one of the interfaces that the program is attached to, by their indices,
    /// sees attempts of the source.
    #[must_use]
    pub fn filtering(&self, attached: &[u32]) -> Filtering {
        let link = self.interface.and_then(|index| self.link(index));
        let arrival = match link {
            _ if self.is_named => Arrival::Asked,
            Some(_) => Arrival::Route,
            None => Arrival::AnyFiltered,
        };
        let unfiltered = match link {
            Some(link) if self.own || link.is_loopback => Some(if self.own {
                "the source is an address of this host, whose own connections use the loopback \
                 interface, which is never filtered"
                    .to_owned()
            } else {
                "the loopback interface is never filtered".to_owned()
            }),
            Some(link) => self.gap(link, attached),
            None if attached.is_empty() => Some("no interface is filtered".to_owned()),
            None => None,
        };
        Filtering {
            interface: link.map(|link| link.name.clone()),
            arrival,
            unfiltered,
        }
    }

    /// Why attempts on an interface are not all seen.
    fn gap(&self, link: &ArrivalLink, attached: &[u32]) -> Option<String> {
        let mut open = Vec::new();
        self.open_below(link, attached, DEEPEST, &mut open);
        match open.as_slice() {
            [] => None,
            [one] if *one == link.name => Some(format!(
                "interface {} is not filtered{}",
                link.name,
                self.filtered_in_words(attached)
            )),
            open => Some(format!(
                "frames for {} also arrive on {}, not filtered{}",
                link.name,
                open.join(", "),
                self.filtered_in_words(attached)
            )),
        }
    }

    /// The devices by which frames for one arrive unseen.
    fn open_below(
        &self,
        link: &ArrivalLink,
        attached: &[u32],
        depth: usize,
        open: &mut Vec<String>,
    ) {
        if attached.contains(&link.index) {
            return;
        }
        let lower = link.lower.and_then(|index| self.link(index));
        let ports = self
            .links
            .iter()
            .filter(|port| link.has_ports && port.master == Some(link.index));
        let below: Vec<&ArrivalLink> = lower.into_iter().chain(ports).collect();
        if below.is_empty() || depth == 0 {
            open.push(link.name.clone());
        }
        for one in below.into_iter().take_while(|_| depth > 0) {
            self.open_below(one, attached, depth - 1, open);
        }
    }

    fn filtered_in_words(&self, attached: &[u32]) -> String {
        let names = attached.iter().filter_map(|&index| self.link(index));
        let names: Vec<&str> = names.map(|link| link.name.as_str()).collect();
        match names.as_slice() {
            [] => "; no other is either".to_owned(),
            names => format!(" (filtered: {})", names.join(", ")),
        }
    }

    fn link(&self, index: u32) -> Option<&ArrivalLink> {
        self.links.iter().find(|link| link.index == index)
    }

    /// A source to which no route leads.
    #[doc(hidden)]
    #[must_use]
    pub fn nowhere() -> Self {
        Self::default()
    }

    /// A source that arrives on the first of some devices.
    #[doc(hidden)]
    #[must_use]
    pub fn on(links: Vec<ArrivalLink>, is_named: bool) -> Self {
        Self {
            interface: links.first().map(|link| link.index),
            is_named,
            own: false,
            links,
        }
    }
}

impl ArrivalLink {
    fn of(device: &Device) -> Self {
        let kind = device.kind.as_deref().unwrap_or_default();
        // Of other kinds (tunnels, a veth's peer) the lower device is none on which the same
        // frames arrive.
        let stands_on_it = ["vlan", "macvlan", "ipvlan"].contains(&kind);
        Self {
            index: device.index,
            name: device.name.clone(),
            is_loopback: device.is_loopback,
            lower: device.lower.filter(|_| stands_on_it),
            master: device.master,
            has_ports: ["bridge", "bond", "team"].contains(&kind),
        }
    }

    #[doc(hidden)]
    #[must_use]
    pub fn plain(index: u32, name: &str) -> Self {
        Self {
            index,
            name: name.to_owned(),
            is_loopback: false,
            lower: None,
            master: None,
            has_ports: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unfiltered(links: Vec<ArrivalLink>, attached: &[u32]) -> Option<String> {
        Origin::on(links, false).filtering(attached).unfiltered
    }

    #[test]
    fn verdict_depends_only_on_the_interface_of_arrival() {
        let links = || vec![ArrivalLink::plain(2, "eth0"), ArrivalLink::plain(3, "eth1")];
        assert_eq!(unfiltered(links(), &[2]), None);
        assert_eq!(
            unfiltered(links(), &[3]).unwrap(),
            "interface eth0 is not filtered (filtered: eth1)"
        );
        assert_eq!(
            unfiltered(links(), &[]).unwrap(),
            "interface eth0 is not filtered; no other is either"
        );
    }

    #[test]
    fn stacked_device_is_filtered_where_its_frames_arrive() {
        let vlan = ArrivalLink {
            lower: Some(2),
            ..ArrivalLink::plain(9, "eth0.7")
        };
        let links = || vec![vlan.clone(), ArrivalLink::plain(2, "eth0")];
        assert_eq!(unfiltered(links(), &[2]), None);
        assert!(
            unfiltered(links(), &[5])
                .unwrap()
                .contains("eth0, not filtered")
        );

        let bridge = ArrivalLink {
            has_ports: true,
            ..ArrivalLink::plain(9, "br0")
        };
        let port = |index, name| ArrivalLink {
            master: Some(9),
            ..ArrivalLink::plain(index, name)
        };
        let links = || vec![bridge.clone(), port(2, "eth0"), port(3, "eth1")];
        assert_eq!(unfiltered(links(), &[2, 3]), None);
        assert_eq!(unfiltered(links(), &[9]), None);
        assert_eq!(
            unfiltered(links(), &[2]).unwrap(),
            "frames for br0 also arrive on eth1, not filtered (filtered: eth0)"
        );
    }

    #[test]
    fn source_without_a_route_arrives_on_any_filtered_interface() {
        let filtering = Origin::nowhere().filtering(&[2]);
        assert_eq!(filtering.arrival, Arrival::AnyFiltered);
        assert_eq!((filtering.interface, filtering.unfiltered), (None, None));
        let none = Origin::nowhere().filtering(&[]).unfiltered;
        assert_eq!(none.unwrap(), "no interface is filtered");
    }

    #[test]
    fn loopback_and_own_addresses_are_never_filtered() {
        for source in ["127.0.0.1", "127.9.9.9", "::1"] {
            let origin = origin(source.parse().unwrap(), None).unwrap();
            let filtering = origin.filtering(&[1, 2, 3]);
            let why = filtering.unfiltered.unwrap_or_default();
            assert!(
                why.contains("loopback"),
                "{source}: {filtering:?}",
                filtering = filtering.interface
            );
        }
        let named = origin("10.0.0.1".parse().unwrap(), Some("lo")).unwrap();
        let filtering = named.filtering(&[2]);
        assert_eq!(filtering.arrival, Arrival::Asked);
        assert_eq!(filtering.interface.as_deref(), Some("lo"));
        assert!(filtering.unfiltered.unwrap().contains("never filtered"));
    }

    #[test]
    fn unknown_interface_is_refused() {
        let error = origin("10.0.0.1".parse().unwrap(), Some("nope\u{202e}"));
        assert_eq!(
            error.unwrap_err().to_string(),
            "interface 'nope\\u{202e}' does not exist"
        );
    }
}
