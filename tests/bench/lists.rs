//! Lists to measure with: the same for every run.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::random::Random;

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

    /// A random unicast address: IPv4 1.0.0.0 to 223.255.255.255; IPv6 in 65,536
    /// networks of /32, as registries hand them out.
    pub(crate) fn address(self, random: &mut Random) -> u128 {
        match self {
            Self::V4 => u128::from(0x0100_0000 + random.next() % 0xdf00_0000),
            Self::V6 => (0x2000 << 112) | (random.wide() & (u128::MAX >> 16)),
        }
    }

    /// How many addresses [`Self::address`] picks from: 223 networks of /8; 2^112.
    pub(crate) fn addresses(self) -> f64 {
        match self {
            Self::V4 => f64::from(0xdf00_0000u32),
            Self::V6 => 112f64.exp2(),
        }
    }

    /// The network of this length around an address.
    pub(crate) fn net(self, address: u128, len: u8) -> IpNet {
        let net = match self {
            Self::V4 => Ipv4Net::new(Ipv4Addr::from(address as u32), len).map(IpNet::from),
            Self::V6 => Ipv6Net::new(Ipv6Addr::from(address), len).map(IpNet::from),
        };
        net.expect("a prefix length in range").trunc()
    }
}

/// What kind of list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A blocklist as they are found: nine in ten entries are hosts, the rest networks
    /// (IPv4 /16 to /28, IPv6 /32 to /64).
    Mix,
    /// The networks of a country (IPv4 /10 to /24, IPv6 /29 to /48).
    Country,
    /// Hosts alone.
    Hosts,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mix => "mix",
            Self::Country => "country",
            Self::Hosts => "hosts",
        }
    }
}

/// How often a prefix length is, from the shortest on. Short networks are rare, as in
/// real lists: evenly spread over the lengths, some ten thousand would be the whole
/// address space, and swallow the hosts of a large list.
struct Lengths {
    shortest: u8,
    weights: &'static [u16],
}

/// Twice as many with every bit up to /24, then evenly.
const MIX_V4: Lengths = Lengths {
    shortest: 16,
    weights: &[1, 2, 4, 8, 16, 32, 64, 128, 256, 128, 128, 128, 128],
};
/// Mostly /48 and /64, which is what a site and a link have.
const MIX_V6: Lengths = Lengths {
    shortest: 32,
    weights: &[
        1, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 8, 0, 0, 0, 64, 1, 1, 1, 4, 1, 1, 1, 16, 1, 1, 1, 8, 1,
        1, 1, 128,
    ],
};
/// Half as many again with every bit: some 40,000 make a fifth of the address space.
const COUNTRY_V4: Lengths = Lengths {
    shortest: 10,
    weights: &[2, 3, 5, 7, 10, 15, 23, 34, 51, 77, 115, 173, 259, 389, 584],
};
/// Mostly /29 and /32, which registries hand out, and /48.
const COUNTRY_V6: Lengths = Lengths {
    shortest: 29,
    weights: &[
        24, 4, 4, 96, 2, 2, 2, 8, 2, 2, 2, 16, 2, 2, 2, 16, 2, 2, 4, 64,
    ],
};

impl Lengths {
    fn pick(&self, random: &mut Random) -> u8 {
        let total = self.weights.iter().map(|w| usize::from(*w)).sum();
        let mut left = random.below(total);
        for (len, weight) in (self.shortest..).zip(self.weights) {
            let weight = usize::from(*weight);
            if left < weight {
                return len;
            }
            left -= weight;
        }
        self.shortest
    }
}

/// A list of this many entries, sorted, each once. Networks may contain others.
pub(crate) fn list(kind: Kind, family: Family, entries: usize, random: &mut Random) -> Vec<IpNet> {
    let mut nets: Vec<IpNet> = Vec::with_capacity(entries + entries / 16);
    while nets.len() < entries {
        for _ in nets.len()..entries {
            let len = length(kind, family, random);
            nets.push(family.net(family.address(random), len));
        }
        nets.sort_unstable();
        nets.dedup();
    }
    nets
}

fn length(kind: Kind, family: Family, random: &mut Random) -> u8 {
    let host = match family {
        Family::V4 => 32,
        Family::V6 => 128,
    };
    let lengths = match (kind, family) {
        (Kind::Hosts, _) => return host,
        (Kind::Mix, _) if random.below(10) != 0 => return host,
        (Kind::Mix, Family::V4) => MIX_V4,
        (Kind::Mix, Family::V6) => MIX_V6,
        (Kind::Country, Family::V4) => COUNTRY_V4,
        (Kind::Country, Family::V6) => COUNTRY_V6,
    };
    lengths.pick(random)
}
