//! How tables of hosts hold addresses: IPv4 as tags, IPv6 as they are.

use netpolicy_common::flat::{
    ADDRESSES_PER_LINE, Hosts, LINES_PER_PAGE, Lanes, mix, mix_v6, unmix,
};

use super::build::words_of;
use crate::compiler::Address;

/// An address as a table holds it.
pub(super) trait Key: Address {
    /// Buckets, which are lines, for so many hosts: so many that few find no place.
    fn buckets(count: usize) -> u32;

    /// The lines in which this address may stand, both on one page: its bucket, and another
    /// if there is a choice.
    fn lines(self, hosts: Hosts) -> (u32, u32);

    /// Places of a line.
    fn per_line(hosts: Hosts) -> u32;

    /// What stands at a place of a line, to be compared with [`Key::stored`].
    fn stored_at(line: &[u64], hosts: Hosts, place: u32) -> Self::Stored;

    /// Stores to a place of a line.
    fn store_at(line: &mut [u64], hosts: Hosts, place: u32, stored: Self::Stored);

    /// What stands for this address in its line.
    fn stored(self, hosts: Hosts) -> Self::Stored;

    /// Whether that tells it from an empty place.
    fn is_told_from_empty(self) -> bool;

    /// What stands where nothing is, in a line.
    fn empty(hosts: Hosts, line: u32) -> Self::Stored;

    /// The address that stands in a line as this.
    fn address(hosts: Hosts, line: u32, stored: Self::Stored) -> Self;

    /// A tag, or an address.
    type Stored: Copy + Eq;
}

impl Key for u32 {
    type Stored = u32;

    fn buckets(count: usize) -> u32 {
        // Tags of fewer bits take less memory, but need more buckets to be told apart. Of
        // the kinds of lanes the one with the fewest buckets, which is the least memory. Where
        // half a line has room for 8, few find none only if it is half full.
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let with = |lanes: Lanes, hosts_a_line: u32| {
            let buckets = count / hosts_a_line + 1;
            buckets.max(lanes.fewest_buckets())
        };
        let (two, three, four) = (
            with(Lanes::Two, 4),
            with(Lanes::Three, 19),
            with(Lanes::Four, 27),
        );
        // What `Lanes::of` makes of a number of buckets must be what it was chosen for.
        let two = (two < 1 << 12).then_some(two);
        let three = (three < 1 << 17).then_some(three);
        [two, three].into_iter().flatten().fold(four, u32::min)
    }

    fn lines(self, hosts: Hosts) -> (u32, u32) {
        let (bucket, _) = hosts.place(mix(self));
        (bucket, bucket)
    }

    fn per_line(hosts: Hosts) -> u32 {
        Lanes::of(hosts.shift).per_line()
    }

    fn stored_at(line: &[u64], hosts: Hosts, place: u32) -> u32 {
        let (word, shift, mask) = lane(hosts, place);
        u32::try_from(line[word] >> shift & mask).unwrap_or(u32::MAX)
    }

    fn store_at(line: &mut [u64], hosts: Hosts, place: u32, stored: u32) {
        let (word, shift, mask) = lane(hosts, place);
        line[word] = line[word] & !(mask << shift) | u64::from(stored) << shift;
    }

    fn stored(self, hosts: Hosts) -> u32 {
        hosts.place(mix(self)).1
    }

    fn is_told_from_empty(self) -> bool {
        true
    }

    fn empty(hosts: Hosts, line: u32) -> u32 {
        hosts.no_tag(line)
    }

    fn address(hosts: Hosts, line: u32, tag: u32) -> u32 {
        // The smallest number that has this bucket and tag when it is multiplied.
        let least = u64::from(line) << 32 | u64::from(tag) << hosts.shift;
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
        // Whole pages, since an address has two lines of one. With 218 of 256 places in use,
        // one page in two hundred has more than it has room for, by the spread of hosts over
        // pages alone.
        (u32::try_from(count).unwrap_or(u32::MAX) / 218 + 1) * LINES_PER_PAGE
    }

    fn lines(self, hosts: Hosts) -> (u32, u32) {
        let [high, low] = words_of(self);
        hosts.lines(mix_v6(high, low))
    }

    fn per_line(_: Hosts) -> u32 {
        u32::try_from(ADDRESSES_PER_LINE).unwrap_or(4)
    }

    fn stored_at(line: &[u64], _: Hosts, place: u32) -> u128 {
        let at = place as usize * 2;
        u128::from(line[at]) << 64 | u128::from(line[at + 1])
    }

    fn store_at(line: &mut [u64], _: Hosts, place: u32, stored: u128) {
        let at = place as usize * 2;
        line[at..at + 2].copy_from_slice(&words_of(stored));
    }

    fn stored(self, _: Hosts) -> u128 {
        self
    }

    fn is_told_from_empty(self) -> bool {
        self != 0
    }

    /// The unspecified address, which is never put into a table.
    fn empty(_: Hosts, _: u32) -> u128 {
        0
    }

    fn address(_: Hosts, _: u32, stored: u128) -> u128 {
        stored
    }
}
