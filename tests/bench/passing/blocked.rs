//! The list that every filter blocks, and the sources that it does and does not hold.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use netpolicy_tests::{packet::HOST_V4, wiring::CLIENT_V4};

use crate::{
    filters::{Content, Sense},
    frame::Packets,
    lists::{self, Family, Kind},
    random::Random,
    sources::{self, Cover, Sources},
};

/// A source on the list that the clients' namespace can bind to.
pub(super) const LISTED: Ipv4Addr = Ipv4Addr::new(10, 66, 0, 1);

/// A mix of hosts and networks that holds neither host nor clients.
pub(super) struct Blocked {
    pub(super) nets: Vec<IpNet>,
    cover: Cover,
}

impl Blocked {
    /// So many entries, give or take some.
    pub(super) fn new(entries: usize) -> Self {
        let mut random = Random(entries as u64);
        let mut nets = lists::list(Kind::Mix, Family::V4, entries, &mut random);
        let own: [IpAddr; 2] = [HOST_V4, CLIENT_V4].map(|a| a.parse().expect("an address"));
        nets.retain(|net| !own.iter().any(|address| net.contains(address)));
        nets.push(IpNet::from(IpAddr::V4(LISTED)));
        nets.sort_unstable();
        nets.dedup();
        let cover = Cover::new(Family::V4, &nets);
        Self { nets, cover }
    }

    /// What filters enforce: attempts of listed sources are dropped, and nothing else.
    pub(super) fn content(&self) -> Content<'_> {
        Content {
            family: Family::V4,
            sense: Sense::Block,
            nets: &self.nets,
            packets: Packets::Established,
        }
    }

    /// Sources inside random entries.
    pub(super) fn listed(&self, count: u32) -> Vec<IpAddr> {
        let listed = Sources::Listed;
        let mut random = Random(1);
        sources::pick(
            listed,
            &self.nets,
            &self.cover,
            count,
            |_| true,
            &mut random,
        )
    }

    /// Clients' addresses that no entry holds.
    pub(super) fn allowed(&self, count: usize) -> Vec<Ipv4Addr> {
        let mut random = Random(2);
        std::iter::repeat_with(|| 0x0a00_0001 | (random.next() as u32 & 0x00ff_ffff))
            .filter(|address| !self.cover.holds(u128::from(*address)))
            .map(Ipv4Addr::from)
            .take(count)
            .collect()
    }
}
