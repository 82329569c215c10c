//! Lists to measure with: the same for every run.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        }
    }
}

/// A blocklist as they are found: nine in ten entries are hosts, the rest networks
/// (IPv4 /16 to /28, IPv6 /32 to /64).
pub(crate) fn blocklist(family: Family, entries: usize, random: &mut Random) -> Vec<IpNet> {
    let mut nets: Vec<IpNet> = Vec::with_capacity(entries + entries / 16);
    while nets.len() < entries {
        for _ in nets.len()..entries {
            nets.push(entry(family, random));
        }
        nets.sort_unstable();
        nets.dedup();
    }
    nets
}

fn entry(family: Family, random: &mut Random) -> IpNet {
    let host = random.below(10) != 0;
    let net = match family {
        Family::V4 => {
            // 1.0.0.0 to 223.255.255.255: unicast.
            let address = 0x0100_0000 + (random.next() % 0xdf00_0000) as u32;
            let len = if host {
                32
            } else {
                16 + random.below(13) as u8
            };
            Ipv4Net::new(Ipv4Addr::from(address), len).map(IpNet::from)
        }
        Family::V6 => {
            let bits = u128::from(random.next()) << 64 | u128::from(random.next());
            // 2000::/3: global unicast, within it 64 Ki networks of /32, as registries hand out.
            let address = (0x2000 << 112) | (bits & (u128::MAX >> 16));
            let len = if host {
                128
            } else {
                32 + random.below(33) as u8
            };
            Ipv6Net::new(Ipv6Addr::from(address), len).map(IpNet::from)
        }
    };
    net.expect("a prefix length in range").trunc()
}

/// Addresses inside random entries of a list.
pub(crate) fn listed(nets: &[IpNet], count: usize, random: &mut Random) -> Vec<IpAddr> {
    (0..count)
        .map(|_| inside(&nets[random.below(nets.len())], random))
        .collect()
}

fn inside(net: &IpNet, random: &mut Random) -> IpAddr {
    match net {
        IpNet::V4(net) => {
            let host = (random.next() as u32) & u32::from(net.hostmask());
            Ipv4Addr::from(u32::from(net.network()) | host).into()
        }
        IpNet::V6(net) => {
            let bits = u128::from(random.next()) << 64 | u128::from(random.next());
            Ipv6Addr::from(u128::from(net.network()) | (bits & u128::from(net.hostmask()))).into()
        }
    }
}
