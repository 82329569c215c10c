//! By which interface packets to an address leave, as far as the routes say.
//!
//! Asks the routing table of the calling thread's network namespace; changes nothing.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use libc::{AF_INET, AF_INET6, RTA_DST, RTA_OIF, RTM_GETROUTE, RTM_NEWROUTE};
use netlink_sys::constants::NETLINK_ROUTE;

use super::error::SocketsError;
use super::link::{NetworkLink, namespaces_behind, with_uppers};
use super::netlink::Netlink;
use super::rtnetlink::{RouteMessage, number};

/// Bytes of `struct rtmsg`.
const HEADER: usize = 12;

/// The interfaces, and a conversation about routes.
pub(super) struct Routes {
    pub(super) netlink: Netlink,
    links: Vec<NetworkLink>,
}

impl Routes {
    pub(super) fn open() -> Result<Self, SocketsError> {
        let mut netlink = Netlink::open(NETLINK_ROUTE)?.ok_or(SocketsError::NoRoutes)?;
        let links = NetworkLink::all(&mut netlink)?;
        Ok(Self { netlink, links })
    }

    /// Of these sources those to which answers leave by one of the interfaces, by what is on
    /// top of one, or by a route that is not known. Interfaces that do not exist lead
    /// nowhere. Takes some microseconds for each source.
    pub(super) fn behind(
        &mut self,
        sources: HashSet<IpAddr>,
        interfaces: &[String],
    ) -> Result<HashSet<IpAddr>, SocketsError> {
        let behind = with_uppers(&self.links, interfaces);
        let mut found = self.outgoing(sources)?;
        found.retain(|_, interface| interface.is_none_or(|it| behind.contains(&it)));
        Ok(found.into_keys().collect())
    }

    /// The network namespaces to which packets to these addresses leave, by this
    /// namespace's numbers for them.
    pub(super) fn namespaces(
        &mut self,
        addresses: HashSet<IpAddr>,
    ) -> Result<HashMap<IpAddr, HashSet<i32>>, SocketsError> {
        let outgoing = self.outgoing(addresses)?;
        let mut behind: HashMap<u32, HashSet<i32>> = HashMap::new();
        for &interface in outgoing.values().flatten() {
            let namespaces = || namespaces_behind(&self.links, interface);
            behind.entry(interface).or_insert_with(namespaces);
        }
        let of = |interface: Option<u32>| behind.get(&interface?).cloned();
        let namespaces = outgoing.into_iter();
        Ok(namespaces
            .map(|(address, interface)| (address, of(interface).unwrap_or_default()))
            .collect())
    }

    /// By which interface packets to each address leave; `None`: the routes do not say.
    fn outgoing(
        &mut self,
        addresses: HashSet<IpAddr>,
    ) -> Result<HashMap<IpAddr, Option<u32>>, SocketsError> {
        let addresses: Vec<_> = addresses.into_iter().collect();
        let mut found: HashMap<_, _> = addresses.iter().map(|&it| (it, None)).collect();
        let requests = addresses.iter().map(|&it| request(it));
        self.netlink.ask_each(requests, |at, answer| {
            if let Some(address) = addresses.get(at) {
                found.insert(*address, answer.and_then(|route| interface(&route)));
            }
        })?;
        Ok(found)
    }
}

fn request(address: IpAddr) -> RouteMessage {
    let (family, octets) = match address {
        IpAddr::V4(v4) => (AF_INET, v4.octets().to_vec()),
        IpAddr::V6(v6) => (AF_INET6, v6.octets().to_vec()),
    };
    let mut fixed = [0; HEADER];
    // Numbers below 256.
    fixed[0] = u8::try_from(family).unwrap_or_default();
    fixed[1] = u8::try_from(octets.len() * 8).unwrap_or_default();
    RouteMessage::new(RTM_GETROUTE, &fixed, &[(RTA_DST, &octets)])
}

fn interface(route: &RouteMessage) -> Option<u32> {
    let mut attributes = route.attributes(HEADER);
    let (_, interface) = attributes.find(|(name, _)| *name == RTA_OIF)?;
    number(interface).filter(|_| route.kind == RTM_NEWROUTE)
}
