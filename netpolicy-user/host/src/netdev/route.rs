//! By which interface the kernel sends to an address.

use std::io;
use std::net::IpAddr;

use libc::{
    AF_INET, AF_INET6, RTA_DST, RTA_OIF, RTM_GETROUTE, RTM_NEWROUTE, RTN_BLACKHOLE, RTN_LOCAL,
    RTN_PROHIBIT, RTN_UNREACHABLE,
};
use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST, NlasIterator};

use super::device::u32_at;
use super::netlink::{Netdevs, push_attribute};

/// Bytes of `struct rtmsg`, and where in it the route's type is.
const HEADER: usize = 12;
const TYPE_AT: usize = 7;

/// How the kernel sends to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Whether it is the host's own.
    pub is_local: bool,
    /// The interface, by index; `None`: what is sent there goes nowhere.
    pub interface: Option<u32>,
}

impl Netdevs {
    /// How the kernel sends to an address; `None`: no route leads there.
    ///
    /// # Errors
    /// The system calls'. Where no route leads, kernels answer with several errors.
    pub fn route_to(&mut self, address: IpAddr) -> io::Result<Option<Route>> {
        self.send(RTM_GETROUTE, NLM_F_REQUEST | NLM_F_ACK, &request(address))?;
        let mut route = None;
        self.answer(RTM_NEWROUTE, |payload| route = parse(payload))?;
        Ok(route)
    }
}

fn request(address: IpAddr) -> Vec<u8> {
    let (family, octets) = match address {
        IpAddr::V4(v4) => (AF_INET, v4.octets().to_vec()),
        IpAddr::V6(v6) => (AF_INET6, v6.octets().to_vec()),
    };
    let mut body = vec![0; HEADER];
    // Numbers below 256.
    body[0] = u8::try_from(family).unwrap_or_default();
    body[1] = u8::try_from(octets.len() * 8).unwrap_or_default();
    push_attribute(&mut body, RTA_DST, &octets);
    body
}

fn parse(payload: &[u8]) -> Option<Route> {
    let kind = *payload.get(TYPE_AT)?;
    let attributes = NlasIterator::new(payload.get(HEADER..)?).map_while(Result::ok);
    let mut outgoing = attributes.filter(|attribute| attribute.kind() == RTA_OIF);
    let interface = outgoing.find_map(|attribute| u32_at(attribute.value(), 0));
    let is_nowhere = [RTN_BLACKHOLE, RTN_PROHIBIT, RTN_UNREACHABLE].contains(&kind);
    Some(Route {
        is_local: kind == RTN_LOCAL,
        interface: interface.filter(|_| !is_nowhere),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_addresses_are_local_and_leave_by_loopback() {
        let mut netdevs = Netdevs::open().unwrap();
        let loopback = netdevs.by_name("lo").unwrap().unwrap().index;
        for address in ["127.0.0.1", "127.9.9.9", "::1"] {
            let route = netdevs.route_to(address.parse().unwrap()).unwrap();
            let expected = Route {
                is_local: true,
                interface: Some(loopback),
            };
            assert_eq!(route, Some(expected), "{address}");
        }
    }

    #[test]
    fn routes_that_lead_nowhere_have_no_interface() {
        let message = |kind: u8| {
            let mut payload = vec![0; HEADER];
            payload[TYPE_AT] = kind;
            push_attribute(&mut payload, RTA_OIF, &5_u32.to_ne_bytes());
            payload
        };
        let unicast = 1;
        assert_eq!(parse(&message(unicast)).unwrap().interface, Some(5));
        assert_eq!(parse(&message(RTN_BLACKHOLE)).unwrap().interface, None);
        assert_eq!(parse(&message(unicast)[..5]), None);
    }
}
