//! Whose packets are sent: listed sources, others, or both.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::{lists::Family, random::Random};

/// Whose packets are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sources {
    /// Addresses inside random entries of the list.
    Listed,
    /// Random addresses that no entry holds.
    Unlisted,
    /// Of both kinds half, in random order.
    Mixed,
}

impl Sources {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Listed => "listed",
            Self::Unlisted => "unlisted",
            Self::Mixed => "mixed",
        }
    }
}

/// What a list covers: disjoint ranges in order.
pub(crate) struct Cover {
    family: Family,
    ranges: Vec<(u128, u128)>,
}

impl Cover {
    /// Of a sorted list, in which a network stands before those that it contains.
    pub(crate) fn new(family: Family, nets: &[IpNet]) -> Self {
        let ranges = outermost(nets).map(bounds).collect();
        Self { family, ranges }
    }

    pub(crate) fn holds(&self, address: u128) -> bool {
        let behind = self.ranges.partition_point(|(first, _)| *first <= address);
        behind > 0 && address <= self.ranges[behind - 1].1
    }

    fn outside(&self, random: &mut Random) -> u128 {
        loop {
            let address = self.family.address(random);
            if !self.holds(address) {
                return address;
            }
        }
    }
}

/// The entries of a sorted list that lie in no other.
pub(crate) fn outermost(nets: &[IpNet]) -> impl Iterator<Item = &IpNet> {
    let mut end = None;
    nets.iter().filter(move |net| {
        let (_, last) = bounds(net);
        let is_outside = end.is_none_or(|end| last > end);
        if is_outside {
            end = Some(last);
        }
        is_outside
    })
}

fn bounds(net: &IpNet) -> (u128, u128) {
    match net {
        IpNet::V4(net) => (
            u128::from(u32::from(net.network())),
            u128::from(u32::from(net.broadcast())),
        ),
        IpNet::V6(net) => (net.network().into(), net.broadcast().into()),
    }
}

/// Sources to send from, `is_listed` deciding by index where they are mixed.
pub(crate) fn pick(
    sources: Sources,
    nets: &[IpNet],
    cover: &Cover,
    count: u32,
    is_listed: impl Fn(u32) -> bool,
    random: &mut Random,
) -> Vec<IpAddr> {
    (0..count)
        .map(|index| {
            let listed = match sources {
                Sources::Listed => true,
                Sources::Unlisted => false,
                Sources::Mixed => is_listed(index),
            };
            let address = if listed {
                inside(&nets[random.below(nets.len())], random)
            } else {
                cover.outside(random)
            };
            match cover.family {
                Family::V4 => Ipv4Addr::from(address as u32).into(),
                Family::V6 => Ipv6Addr::from(address).into(),
            }
        })
        .collect()
}

fn inside(net: &IpNet, random: &mut Random) -> u128 {
    let (first, last) = bounds(net);
    // A range of an IPv6 /0 would not fit; no list here has one.
    first + random.wide() % (last - first + 1)
}
