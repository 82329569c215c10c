//! The network interfaces of the calling thread's network namespace, and how they are stacked.

use std::collections::HashSet;

use libc::{IFLA_IFNAME, IFLA_LINK, IFLA_LINK_NETNSID, IFLA_MASTER, RTM_GETLINK, RTM_NEWLINK};
use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST};

use super::error::SocketsError;
use super::netlink::Netlink;
use super::rtnetlink::{RouteMessage, number};

/// Bytes of `struct ifinfomsg`.
const HEADER: usize = 16;

/// How often a dump is tried that is interrupted by changes.
const ATTEMPTS: u32 = 5;

/// An interface, and what it has to do with others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NetworkLink {
    pub(super) index: u32,
    pub(super) name: String,
    /// The bridge or bond that it is a port of.
    pub(super) upper: Option<u32>,
    /// The interface that it is on top of: a VLAN's device.
    pub(super) lower: Option<u32>,
    /// The network namespace of its other end, by this namespace's number for it: where a
    /// veth's peer is.
    pub(super) peer_namespace: Option<i32>,
}

impl NetworkLink {
    /// All interfaces.
    pub(super) fn all(netlink: &mut Netlink) -> Result<Vec<Self>, SocketsError> {
        for _ in 0..ATTEMPTS {
            let mut links = Vec::new();
            let request = RouteMessage::new(RTM_GETLINK, &[0; HEADER], &[]);
            let answer = netlink.ask(NLM_F_REQUEST | NLM_F_DUMP, request, |message| {
                links.extend(Self::read(&message));
            })?;
            match answer.errno {
                Some(source) => {
                    return Err(SocketsError::Refused {
                        what: "list network interfaces",
                        source,
                    });
                }
                None if answer.interrupted => {}
                None => return Ok(links),
            }
        }
        Err(SocketsError::System {
            what: "list network interfaces, which change all the time",
            source: std::io::ErrorKind::Interrupted.into(),
        })
    }

    /// `None`: the message is none of a link.
    fn read(message: &RouteMessage) -> Option<Self> {
        let fixed: &[u8; HEADER] = message.fixed()?;
        let mut read = Self {
            index: number(fixed.get(4..)?)?,
            ..Self::default()
        };
        if message.kind != RTM_NEWLINK {
            return None;
        }
        for (name, value) in message.attributes(HEADER) {
            match name {
                IFLA_IFNAME => {
                    let text = value.strip_suffix(&[0]).unwrap_or(value);
                    read.name = String::from_utf8_lossy(text).into_owned();
                }
                IFLA_MASTER => read.upper = number(value),
                IFLA_LINK => read.lower = number(value),
                IFLA_LINK_NETNSID => read.peer_namespace = number(value).map(u32::cast_signed),
                _ => {}
            }
        }
        // A veth's peer is in another namespace, where indices mean others.
        if read.peer_namespace.is_some() {
            read.lower = None;
        }
        Some(read)
    }
}

/// The named interfaces, and those on top of them: bridges, bonds, VLANs.
pub(super) fn with_uppers(links: &[NetworkLink], names: &[String]) -> HashSet<u32> {
    let named = links.iter().filter(|link| names.contains(&link.name));
    grow(named.map(|link| link.index).collect(), |found| {
        for link in links {
            if link.lower.is_some_and(|lower| found.contains(&lower)) {
                found.insert(link.index);
            }
            if found.contains(&link.index) {
                found.extend(link.upper);
            }
        }
    })
}

/// The network namespaces at the other ends of an interface, of what it is on top of, and
/// of its ports, by this namespace's numbers for them.
pub(super) fn namespaces_behind(links: &[NetworkLink], interface: u32) -> HashSet<i32> {
    let found = grow(HashSet::from([interface]), |found| {
        for link in links {
            if link.upper.is_some_and(|upper| found.contains(&upper)) {
                found.insert(link.index);
            }
            if found.contains(&link.index) {
                found.extend(link.lower);
            }
        }
    });
    let behind = links.iter().filter(|link| found.contains(&link.index));
    behind.filter_map(|link| link.peer_namespace).collect()
}

/// Repeats until nothing is added.
fn grow(mut found: HashSet<u32>, step: impl Fn(&mut HashSet<u32>)) -> HashSet<u32> {
    loop {
        let before = found.len();
        step(&mut found);
        if found.len() == before {
            return found;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, name: &str, upper: Option<u32>, lower: Option<u32>) -> NetworkLink {
        NetworkLink {
            index,
            name: name.to_owned(),
            upper,
            lower,
            peer_namespace: None,
        }
    }

    #[test]
    fn interfaces_on_top_of_filtered_ones_belong_to_them() {
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

    #[test]
    fn bridge_leads_to_the_namespaces_of_its_ports_and_of_no_other_bridge() {
        let veth = |index, upper, namespace| NetworkLink {
            peer_namespace: Some(namespace),
            ..link(index, "veth", upper, None)
        };
        let links = [
            link(2, "eth0", None, None),
            link(3, "docker0", None, None),
            link(4, "br1", None, None),
            veth(5, Some(3), 10),
            veth(6, Some(3), 11),
            veth(7, Some(4), 12),
            veth(8, None, 13),
            link(9, "docker0.5", None, Some(3)),
        ];
        assert_eq!(namespaces_behind(&links, 3), HashSet::from([10, 11]));
        assert_eq!(namespaces_behind(&links, 9), HashSet::from([10, 11]));
        assert_eq!(namespaces_behind(&links, 8), HashSet::from([13]));
        assert_eq!(namespaces_behind(&links, 2), HashSet::new());
    }
}
