//! Sets of addresses as sorted, disjoint prefixes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// An IPv4 prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix4 {
    /// Host order; bits past `len` are zero.
    pub addr: u32,
    /// 0 to 32.
    pub len: u8,
}

/// An IPv6 prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix6 {
    /// Host order; bits past `len` are zero.
    pub addr: u128,
    /// 0 to 128.
    pub len: u8,
}

impl Prefix4 {
    /// Whether `address` (host order) is in it.
    #[must_use]
    pub fn contains(self, address: u32) -> bool {
        let mask = u32::MAX.checked_shl(32 - u32::from(self.len)).unwrap_or(0);
        address & mask == self.addr
    }
}

impl Prefix6 {
    /// Whether `address` (host order) is in it.
    #[must_use]
    pub fn contains(self, address: u128) -> bool {
        let mask = u128::MAX
            .checked_shl(128 - u32::from(self.len))
            .unwrap_or(0);
        address & mask == self.addr
    }
}

/// A set of addresses of both families: prefixes sorted by address, none inside
/// another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrefixSet {
    /// The IPv4 part.
    pub v4: Vec<Prefix4>,
    /// The IPv6 part.
    pub v6: Vec<Prefix6>,
}

impl PrefixSet {
    /// Whether `address` is in one of the prefixes. An IPv4-mapped IPv6 address is
    /// looked up as the IPv6 address that it is.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        // Prefixes are disjoint: only the last that begins at or below the address
        // can hold it.
        match address {
            IpAddr::V4(address) => {
                let address = u32::from(address);
                let after = self.v4.partition_point(|prefix| prefix.addr <= address);
                after > 0 && self.v4[after - 1].contains(address)
            }
            IpAddr::V6(address) => {
                let address = u128::from(address);
                let after = self.v6.partition_point(|prefix| prefix.addr <= address);
                after > 0 && self.v6[after - 1].contains(address)
            }
        }
    }

    /// Prefixes of both families.
    #[must_use]
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The prefixes as networks, IPv4 first.
    pub fn nets(&self) -> impl Iterator<Item = IpNet> + '_ {
        let v4 = self.v4.iter().filter_map(|prefix| {
            Some(IpNet::V4(
                Ipv4Net::new(Ipv4Addr::from(prefix.addr), prefix.len).ok()?,
            ))
        });
        let v6 = self.v6.iter().filter_map(|prefix| {
            Some(IpNet::V6(
                Ipv6Net::new(Ipv6Addr::from(prefix.addr), prefix.len).ok()?,
            ))
        });
        v4.chain(v6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn membership_at_the_edges() {
        let set = PrefixSet {
            v4: vec![
                Prefix4 {
                    addr: 0x0a00_0000,
                    len: 8,
                },
                Prefix4 {
                    addr: u32::MAX,
                    len: 32,
                },
            ],
            v6: vec![Prefix6 { addr: 0, len: 0 }],
        };
        for (address, expected) in [
            ("9.255.255.255", false),
            ("10.0.0.0", true),
            ("10.255.255.255", true),
            ("11.0.0.0", false),
            ("255.255.255.254", false),
            ("255.255.255.255", true),
            ("::", true),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true),
        ] {
            assert_eq!(
                set.contains(address.parse().unwrap()),
                expected,
                "{address}"
            );
        }
        assert!(!PrefixSet::default().contains("::".parse().unwrap()));
        assert_eq!(set.nets().count(), set.len());
    }
}
