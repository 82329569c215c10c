//! Rows of sources: packed, and found by an index of four bytes each.
//!
//! Hundreds of thousands are held for months, so what one takes counts: a row has 64 bytes, and
//! there is no spare room but what a vector grows by.

use std::cmp::Ordering;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hashbrown::HashTable;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::deciders::DeciderId;
use super::models::ModelId;
use super::names::NameId;
use super::source_record::{Judgement, SourceKey, SourceRecord};

/// Bits of [`Row::flags`].
const SAMPLED: u8 = 1;
const DIRTY: u8 = 2;

/// Prefix lengths that are remembered.
const V4: u8 = 32;
const V6_TOGETHER: u8 = 64;
const V6: u8 = 128;

/// A [`SourceKey`] in 20 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct PackedKey {
    /// An IPv6 address, or an IPv4 address and zeros.
    address: [u8; 16],
    pub(super) scope: NameId,
    /// [`V4`], [`V6_TOGETHER`] or [`V6`].
    length: u8,
    pub(super) judgement: Judgement,
}

impl PackedKey {
    /// Of an address.
    pub(super) fn of(source: IpAddr, scope: NameId, judgement: Judgement) -> Self {
        let (address, length) = match source {
            IpAddr::V4(source) => {
                let [a, b, c, d] = source.octets();
                ([a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], V4)
            }
            IpAddr::V6(source) => (source.octets(), V6),
        };
        Self {
            address,
            scope,
            length,
            judgement,
        }
    }

    /// `None`: a network that is not remembered as one.
    pub(super) fn read(key: &SourceKey) -> Option<Self> {
        let of_address = Self::of(key.net.addr(), key.scope, key.judgement);
        match (key.net, key.net.prefix_len()) {
            (IpNet::V4(_), V4) | (IpNet::V6(_), V6) => Some(of_address),
            (IpNet::V6(_), V6_TOGETHER) => of_address.together(),
            _ => None,
        }
    }

    /// The /64 that an IPv6 address is remembered in when there are many of it.
    pub(super) fn together(self) -> Option<Self> {
        let mut address = self.address;
        address.iter_mut().skip(8).for_each(|byte| *byte = 0);
        (self.length == V6).then_some(Self {
            address,
            length: V6_TOGETHER,
            ..self
        })
    }

    /// An address, or an IPv6 /64.
    pub(super) fn net(&self) -> IpNet {
        let [a, b, c, d, ..] = self.address;
        match self.length {
            V4 => Ipv4Net::from(Ipv4Addr::new(a, b, c, d)).into(),
            length => {
                let address = Ipv6Addr::from(self.address);
                Ipv6Net::new(address, length)
                    .unwrap_or_else(|_| address.into())
                    .into()
            }
        }
    }

    /// The same as the store keeps it.
    pub(super) fn unpacked(&self) -> SourceKey {
        SourceKey {
            net: self.net(),
            scope: self.scope,
            judgement: self.judgement,
        }
    }
}

impl Ord for PackedKey {
    fn cmp(&self, other: &Self) -> Ordering {
        let place = |key: &Self| {
            let is_v6 = key.length != V4;
            (is_v6, key.address, key.length, key.scope, key.judgement)
        };
        place(self).cmp(&place(other))
    }
}

impl PartialOrd for PackedKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What is remembered of a source: a [`SourceRecord`] and its key, packed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) key: PackedKey,
    /// How many attempts were reported one by one, up to the most that it holds.
    pub(super) reported: u16,
    /// The number of the last one's reason.
    pub(super) reason: u8,
    flags: u8,
    pub(super) decider: DeciderId,
    /// By which rules the last attempt was attributed.
    pub(super) model: ModelId,
    /// Milliseconds since 1970.
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) attempts: u64,
    pub(super) generation: u64,
}

impl Row {
    /// One that the store does not keep.
    pub(super) fn new(key: PackedKey, record: &SourceRecord, model: ModelId) -> Self {
        Self {
            key,
            reported: u16::try_from(record.reported).unwrap_or(u16::MAX),
            reason: record.reason,
            flags: DIRTY | if record.is_sampled { SAMPLED } else { 0 },
            decider: record.decider,
            model,
            first: record.first,
            last: record.last,
            attempts: record.attempts,
            generation: record.generation,
        }
    }

    /// What the store keeps of it.
    pub(super) fn record(&self) -> SourceRecord {
        SourceRecord {
            first: self.first,
            last: self.last,
            attempts: self.attempts,
            reported: self.reported.into(),
            is_sampled: self.is_sampled(),
            reason: self.reason,
            decider: self.decider,
            generation: self.generation,
        }
    }

    /// Whether attempts are estimated.
    pub(super) fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Marks its attempts as estimated.
    pub(super) fn mark_sampled(&mut self) {
        self.flags |= SAMPLED;
    }

    /// Whether the store does not keep it as it is.
    pub(super) fn is_dirty(&self) -> bool {
        self.flags & DIRTY != 0
    }

    pub(super) fn set_dirty(&mut self, is_dirty: bool) {
        match is_dirty {
            true => self.flags |= DIRTY,
            false => self.flags &= !DIRTY,
        }
    }
}

/// All rows, each once by its key.
#[derive(Debug, Default)]
pub(super) struct SourceRows {
    rows: Vec<Row>,
    /// Places in `rows`.
    index: HashTable<u32>,
    /// With a key of its own: who sends attempts chooses the addresses.
    hasher: RandomState,
}

impl SourceRows {
    pub(super) fn get(&self, key: &PackedKey) -> Option<&Row> {
        let rows = &self.rows;
        let is_it = |place: &u32| is_at(rows, *place, key);
        let place = self.index.find(self.hasher.hash_one(key), is_it)?;
        rows.get(*place as usize)
    }

    pub(super) fn get_mut(&mut self, key: &PackedKey) -> Option<&mut Row> {
        let rows = &mut self.rows;
        let is_it = |place: &u32| is_at(rows, *place, key);
        let place = *self.index.find(self.hasher.hash_one(key), is_it)?;
        rows.get_mut(place as usize)
    }

    pub(super) fn contains(&self, key: &PackedKey) -> bool {
        self.get(key).is_some()
    }

    /// Puts a row in whose key none has.
    pub(super) fn insert(&mut self, row: Row) {
        let Self {
            rows,
            index,
            hasher,
        } = self;
        let Ok(place) = u32::try_from(rows.len()) else {
            return;
        };
        rows.push(row);
        index.insert_unique(hasher.hash_one(row.key), place, |place| {
            let row = rows.get(*place as usize);
            row.map_or(0, |row| hasher.hash_one(row.key))
        });
    }

    /// Takes the row of a key out.
    pub(super) fn remove(&mut self, key: &PackedKey) -> Option<Row> {
        let Self {
            rows,
            index,
            hasher,
        } = self;
        let found = index.find_entry(hasher.hash_one(key), |place| is_at(rows, *place, key));
        let (place, _) = found.ok()?.remove();
        let removed = rows.swap_remove(place as usize);
        // The last one is in its place now.
        let last = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        if let Some(moved) = rows.get(place as usize)
            && let Some(of_moved) = index.find_mut(hasher.hash_one(moved.key), |at| *at == last)
        {
            *of_moved = place;
        }
        Some(removed)
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Row> {
        self.rows.iter()
    }

    pub(super) fn iter_mut(&mut self) -> std::slice::IterMut<'_, Row> {
        self.rows.iter_mut()
    }

    /// Gives room back that is not needed for long.
    pub(super) fn give_back(&mut self) {
        let Self {
            rows,
            index,
            hasher,
        } = self;
        let most = (rows.len() * 2).max(1024);
        if rows.capacity() > most * 2 {
            rows.shrink_to(most);
            index.shrink_to(most, |place| {
                let row = rows.get(*place as usize);
                row.map_or(0, |row| hasher.hash_one(row.key))
            });
        }
    }
}

fn is_at(rows: &[Row], place: u32, key: &PackedKey) -> bool {
    rows.get(place as usize).is_some_and(|row| row.key == *key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: u32) -> Row {
        let source = Ipv4Addr::from(number).into();
        let record = SourceRecord {
            first: 1,
            last: number.into(),
            attempts: 3,
            reported: 100_000,
            is_sampled: number.is_multiple_of(2),
            reason: 10,
            decider: 7,
            generation: 9,
        };
        Row::new(PackedKey::of(source, 1, Judgement::Denied), &record, 2)
    }

    #[test]
    fn row_has_64_bytes_and_keeps_what_it_is_made_of() {
        assert_eq!((size_of::<Row>(), size_of::<PackedKey>()), (64, 20));
        let mut one = row(4);
        assert!(one.is_dirty() && one.is_sampled());
        one.set_dirty(false);
        assert!(!one.is_dirty() && one.is_sampled());
        let record = one.record();
        assert_eq!((record.last, record.reported), (4, u32::from(u16::MAX)));
        for (net, is_kept) in [
            ("192.0.2.1/32", true),
            ("2001:db8::1/128", true),
            ("2001:db8::/64", true),
            ("192.0.2.0/24", false),
            ("2001:db8::/48", false),
        ] {
            let key = SourceKey {
                net: net.parse().unwrap(),
                scope: 3,
                judgement: Judgement::Observed,
            };
            let packed = PackedKey::read(&key);
            assert_eq!(packed.map(|key| key.unpacked()), is_kept.then_some(key));
        }
    }

    #[test]
    fn keys_are_in_the_order_of_their_networks() {
        let nets = [
            "9.0.0.0/32",
            "192.0.2.1/32",
            "2001:db8::/64",
            "2001:db8::/128",
        ];
        let keys = nets.map(|net| {
            let key = SourceKey {
                net: net.parse().unwrap(),
                scope: 1,
                judgement: Judgement::Allowed,
            };
            PackedKey::read(&key).unwrap()
        });
        assert!(keys.is_sorted());
    }

    #[test]
    fn rows_are_found_while_others_come_and_go() {
        let mut rows = SourceRows::default();
        let key = |number| row(number).key;
        for number in 0..3000 {
            rows.insert(row(number));
        }
        for number in (0..3000).filter(|number| number % 3 != 0) {
            assert!(rows.remove(&key(number)).is_some());
            assert!(rows.remove(&key(number)).is_none());
        }
        for number in 0..3000 {
            let found = rows.get(&key(number)).map(|row| row.last);
            let expected = number.is_multiple_of(3).then_some(i64::from(number));
            assert_eq!(found, expected);
            assert_eq!(rows.get_mut(&key(number)).is_some(), expected.is_some());
        }
        assert_eq!(rows.iter().count(), 1000);
        for number in 10..3000 {
            rows.remove(&key(number));
        }
        rows.give_back();
        assert!(rows.rows.capacity() < 2000 && rows.contains(&key(9)));
    }
}
