//! How tables of hosts hold addresses: IPv4 as tags, IPv6 as they are.

use netpolicy_prefixes::Address;

use super::bits::words_of;
use crate::layout::{ADDRESSES_PER_UNIT, Hosts, Lanes, UNITS_PER_PAGE, mix, mix_v6, unmix};

/// An address as a table holds it.
pub(super) trait Key: Address {
    /// Buckets for so many hosts: so many that few find no place.
    fn buckets(count: usize) -> u32;

    /// The buckets in which this address may stand, both on one page: its own, and another
    /// if there is a choice.
    fn pair(self, hosts: Hosts) -> (u32, u32);

    /// Places of a bucket.
    fn per_bucket(hosts: Hosts) -> u32;

    /// What stands at a place of a bucket, to be compared with [`Key::stored`].
    fn stored_at(words: &[u64], hosts: Hosts, place: u32) -> Self::Stored;

    /// Stores to a place of a bucket.
    fn store_at(words: &mut [u64], hosts: Hosts, place: u32, stored: Self::Stored);

    /// What stands for this address in its bucket.
    fn stored(self, hosts: Hosts) -> Self::Stored;

    /// What stands where nothing is, in a bucket: nothing that stands for an address there.
    fn empty(hosts: Hosts, bucket: u32) -> Self::Stored;

    /// The address that stands in a bucket as this.
    fn address(hosts: Hosts, bucket: u32, stored: Self::Stored) -> Self;

    /// A tag, or an address.
    type Stored: Copy + Eq;
}

impl Key for u32 {
    type Stored = u32;

    fn buckets(count: usize) -> u32 {
        // Tags of fewer bits take less memory, but need more buckets to be told apart. Of
        // the kinds of lanes the one with the fewest buckets, which is the least memory. So
        // full that one host in a hundred, or in fifty, finds no place: how many have a bucket
        // follows Poisson's law.
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let with = |lanes: Lanes, hosts_a_bucket: u32| {
            let buckets = count / hosts_a_bucket + 1;
            buckets.max(lanes.fewest_buckets())
        };
        let (two, three, four) = (
            with(Lanes::Two, 4),
            with(Lanes::Three, 8),
            with(Lanes::Four, 12),
        );
        // What `Lanes::of` makes of a number of buckets must be what it was chosen for.
        let two = (two < 1 << 12).then_some(two);
        let three = (three < 1 << 17).then_some(three);
        [two, three].into_iter().flatten().fold(four, u32::min)
    }

    fn pair(self, hosts: Hosts) -> (u32, u32) {
        let (bucket, _) = hosts.place(mix(self));
        (bucket, bucket)
    }

    fn per_bucket(hosts: Hosts) -> u32 {
        Lanes::of(hosts.shift).per_bucket()
    }

    fn stored_at(words: &[u64], hosts: Hosts, place: u32) -> u32 {
        let (word, shift, mask) = lane(hosts, place);
        u32::try_from(words[word] >> shift & mask).unwrap_or(u32::MAX)
    }

    fn store_at(words: &mut [u64], hosts: Hosts, place: u32, stored: u32) {
        let (word, shift, mask) = lane(hosts, place);
        words[word] = words[word] & !(mask << shift) | u64::from(stored) << shift;
    }

    fn stored(self, hosts: Hosts) -> u32 {
        hosts.place(mix(self)).1
    }

    fn empty(hosts: Hosts, bucket: u32) -> u32 {
        hosts.no_tag(bucket)
    }

    fn address(hosts: Hosts, bucket: u32, tag: u32) -> u32 {
        // The smallest number that has this bucket and tag when it is multiplied.
        let least = u64::from(bucket) << 32 | u64::from(tag) << hosts.shift;
        let mixed = least.div_ceil(u64::from(hosts.buckets));
        unmix(u32::try_from(mixed).unwrap_or(u32::MAX))
    }
}

/// Word, shift and mask of a lane.
fn lane(hosts: Hosts, place: u32) -> (usize, u32, u64) {
    let lanes = Lanes::of(hosts.shift);
    let word = (place / lanes.per_word()) as usize;
    let shift = place % lanes.per_word() * lanes.width();
    (word, shift, (1 << lanes.width()) - 1)
}

impl Key for u128 {
    type Stored = u128;

    fn buckets(count: usize) -> u32 {
        // Whole pages, since an address has two buckets of one. Buckets of two can be filled
        // to 229 of 256 places, and with 196 in use on the average, one page in a hundred has
        // more than that, by the spread of hosts over pages alone.
        (u32::try_from(count).unwrap_or(u32::MAX) / 196 + 1) * UNITS_PER_PAGE
    }

    fn pair(self, hosts: Hosts) -> (u32, u32) {
        let [high, low] = words_of(self);
        hosts.pair(mix_v6(high, low))
    }

    fn per_bucket(_: Hosts) -> u32 {
        ADDRESSES_PER_UNIT
    }

    fn stored_at(words: &[u64], _: Hosts, place: u32) -> u128 {
        let at = place as usize * 2;
        u128::from(words[at]) << 64 | u128::from(words[at + 1])
    }

    fn store_at(words: &mut [u64], _: Hosts, place: u32, stored: u128) {
        let at = place as usize * 2;
        words[at..at + 2].copy_from_slice(&words_of(stored));
    }

    fn stored(self, _: Hosts) -> u128 {
        self
    }

    /// An address that belongs elsewhere.
    fn empty(hosts: Hosts, bucket: u32) -> u128 {
        let belongs_here = |address: &u128| {
            let (own, other) = address.pair(hosts);
            own == bucket || other == bucket
        };
        (0..).find(|address| !belongs_here(address)).unwrap_or(0)
    }

    fn address(_: Hosts, _: u32, stored: u128) -> u128 {
        stored
    }
}
