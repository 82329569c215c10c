//! Sets of addresses as sorted, disjoint prefixes.
//!
//! Owns how millions of prefixes are held so that versions share what they have in
//! common; which prefixes there are is decided elsewhere.

mod chunk;
mod compare;
mod extent;
pub mod intervals;
mod sequence;
mod splice;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

pub use self::chunk::Chunk;
pub use self::compare::extend;
pub use self::extent::{Extent, Part, SAMPLE};
pub use self::intervals::Address;
pub use self::sequence::{Iter, Prefixes, PrefixesBuilder};

/// A prefix of one of the families.
pub trait Prefix: Copy + Ord + std::fmt::Debug + Send + Sync + 'static {
    /// `u32` or `u128`.
    type Address: Address;

    /// The prefix of `len` bits that begins at `addr`, whose other bits are zero.
    fn new(addr: Self::Address, len: u8) -> Self;

    /// Its first address.
    fn first(self) -> Self::Address;

    /// Bits that count.
    fn length(self) -> u8;

    /// Its last address.
    #[inline]
    fn last(self) -> Self::Address {
        self.first().fill(Self::Address::WIDTH - self.length())
    }

    /// A hash that is quick rather than strong.
    fn mix(self) -> u64;

    /// Appends what a digest is to depend on: the same bytes on every machine.
    fn put(self, bytes: &mut Vec<u8>);
}

/// An IPv4 prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix4 {
    /// Host order; bits past `len` are zero.
    pub addr: u32,
    /// 0 to 32.
    pub len: u8,
}

/// An IPv6 prefix. Packed: 24 bytes instead of 32, of which a host may hold millions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(Rust, packed(8))]
pub struct Prefix6 {
    /// Host order; bits past `len` are zero.
    pub addr: u128,
    /// 0 to 128.
    pub len: u8,
}

impl Prefix4 {
    /// Whether `address` (host order) is in it.
    #[inline]
    #[must_use]
    pub fn contains(self, address: u32) -> bool {
        let mask = u32::MAX.checked_shl(32 - u32::from(self.len)).unwrap_or(0);
        address & mask == self.addr
    }
}

impl Prefix6 {
    /// Whether `address` (host order) is in it.
    #[inline]
    #[must_use]
    pub fn contains(self, address: u128) -> bool {
        let mask = u128::MAX
            .checked_shl(128 - u32::from(self.len))
            .unwrap_or(0);
        address & mask == self.addr
    }
}

/// SplitMix64's finaliser (Steele, Lea, Flood 2014).
#[inline]
fn finish(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

impl Prefix for Prefix4 {
    type Address = u32;

    #[inline]
    fn new(addr: u32, len: u8) -> Self {
        Self { addr, len }
    }

    #[inline]
    fn first(self) -> u32 {
        self.addr
    }

    #[inline]
    fn length(self) -> u8 {
        self.len
    }

    #[inline]
    fn mix(self) -> u64 {
        finish(u64::from(self.addr) << 8 | u64::from(self.len))
    }

    #[inline]
    fn put(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.addr.to_le_bytes());
        bytes.push(self.len);
    }
}

impl Prefix for Prefix6 {
    type Address = u128;

    #[inline]
    fn new(addr: u128, len: u8) -> Self {
        Self { addr, len }
    }

    #[inline]
    fn first(self) -> u128 {
        self.addr
    }

    #[inline]
    fn length(self) -> u8 {
        self.len
    }

    #[inline]
    fn mix(self) -> u64 {
        let [high, low] = [self.addr >> 64, self.addr]
            .map(|half| u64::try_from(half & u128::from(u64::MAX)).unwrap_or(0));
        finish(finish(high ^ u64::from(self.len)) ^ low)
    }

    #[inline]
    fn put(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.addr.to_le_bytes());
        bytes.push(self.len);
    }
}

/// A set of addresses of both families: prefixes sorted by address, none inside
/// another. Cloning shares them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrefixSet {
    /// The IPv4 part.
    pub v4: Prefixes<Prefix4>,
    /// The IPv6 part.
    pub v6: Prefixes<Prefix6>,
}

impl PrefixSet {
    /// Whether `address` is in one of the prefixes. An IPv4-mapped IPv6 address is
    /// looked up as the IPv6 address that it is.
    #[inline]
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.covering(u32::from(address)).is_some(),
            IpAddr::V6(address) => self.v6.covering(u128::from(address)).is_some(),
        }
    }

    /// Prefixes of both families.
    #[inline]
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
