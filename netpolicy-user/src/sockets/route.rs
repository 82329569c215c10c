//! By which interface a source's packets come in, as far as the routes say.
//!
//! Asks the routing table of the calling thread's network namespace; changes nothing.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST};
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::constants::NETLINK_ROUTE;

use super::error::SocketsError;
use super::netlink::Netlink;

/// Whether sources are behind certain interfaces.
pub(super) struct Routes {
    netlink: Netlink,
    /// The interfaces, and those on top of them: bridges, bonds, VLANs.
    behind: HashSet<u32>,
    known: HashMap<IpAddr, bool>,
}

impl Routes {
    /// Knows the interfaces by their names; those that do not exist lead nowhere.
    pub(super) fn through(interfaces: &[String]) -> Result<Self, SocketsError> {
        let mut netlink = Netlink::open(NETLINK_ROUTE)?.ok_or(SocketsError::NoRoutes)?;
        let mut links = Vec::new();
        let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
        netlink.ask(NLM_F_REQUEST | NLM_F_DUMP, request, |message| {
            if let RouteNetlinkMessage::NewLink(link) = message {
                links.push(Link::read(&link));
            }
        })?;
        Ok(Self {
            netlink,
            behind: with_uppers(&links, interfaces),
            known: HashMap::new(),
        })
    }

    /// Whether answers to this source leave by one of the interfaces. Also where the
    /// routes do not say.
    pub(super) fn lead_to(&mut self, source: IpAddr) -> Result<bool, SocketsError> {
        if let Some(&known) = self.known.get(&source) {
            return Ok(known);
        }
        let mut request = RouteMessage::default();
        (
            request.header.address_family,
            request.header.destination_prefix_length,
        ) = match source {
            IpAddr::V4(_) => (AddressFamily::Inet, 32),
            IpAddr::V6(_) => (AddressFamily::Inet6, 128),
        };
        let destination = RouteAttribute::Destination(RouteAddress::from(source));
        request.attributes.push(destination);
        let mut interface = None;
        let request = RouteNetlinkMessage::GetRoute(request);
        self.netlink
            .ask(NLM_F_REQUEST | NLM_F_ACK, request, |message| {
                if let RouteNetlinkMessage::NewRoute(route) = message {
                    interface = route.attributes.iter().find_map(|a| match a {
                        RouteAttribute::Oif(interface) => Some(*interface),
                        _ => None,
                    });
                }
            })?;
        let leads = interface.is_none_or(|interface| self.behind.contains(&interface));
        self.known.insert(source, leads);
        Ok(leads)
    }
}

/// An interface, and what it has to do with others.
struct Link {
    index: u32,
    name: String,
    /// The bridge or bond that it is in.
    upper: Option<u32>,
    /// What it is on top of: a VLAN's device.
    lower: Option<u32>,
}

impl Link {
    fn read(link: &LinkMessage) -> Self {
        let mut read = Self {
            index: link.header.index,
            name: String::new(),
            upper: None,
            lower: None,
        };
        let mut is_elsewhere = false;
        for attribute in &link.attributes {
            match attribute {
                LinkAttribute::IfName(name) => read.name.clone_from(name),
                LinkAttribute::Controller(upper) => read.upper = Some(*upper),
                LinkAttribute::Link(lower) => read.lower = Some(*lower),
                // A veth's peer is in another namespace, where indices mean others.
                LinkAttribute::LinkNetNsId(_) => is_elsewhere = true,
                _ => {}
            }
        }
        if is_elsewhere {
            read.lower = None;
        }
        read
    }
}

fn with_uppers(links: &[Link], names: &[String]) -> HashSet<u32> {
    let named = links.iter().filter(|link| names.contains(&link.name));
    let mut found: HashSet<u32> = named.map(|link| link.index).collect();
    loop {
        let before = found.len();
        for link in links {
            if link.lower.is_some_and(|lower| found.contains(&lower)) {
                found.insert(link.index);
            }
            if found.contains(&link.index) {
                found.extend(link.upper);
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_on_top_of_filtered_ones_belong_to_them() {
        let link = |index, name: &str, upper, lower| Link {
            index,
            name: name.to_owned(),
            upper,
            lower,
        };
        let links = [
            link(1, "lo", None, None),
            link(5, "vlan7", None, Some(4)),
            link(2, "eth0", Some(4), None),
            link(3, "eth1", None, None),
            link(4, "bond0", None, None),
            link(6, "docker0", None, None),
            link(7, "veth0", Some(6), None),
        ];
        let found = with_uppers(&links, &["eth0".to_owned(), "gone".to_owned()]);
        assert_eq!(found, HashSet::from([2, 4, 5]));
    }
}
