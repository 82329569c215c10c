//! Sources that are remembered: as many as there is room for.
//!
//! Where there is no room, those with the fewest reported attempts go, the oldest of them first.
//! Denied and allowed sources have room of their own, so that a flood of denied ones displaces
//! none that got in.

use std::collections::HashMap;
use std::net::IpAddr;

use netpolicy_common::Reason;

use super::deciders::DeciderId;
use super::models::{ModelId, NO_MODEL};
use super::names::NameId;
use super::period::Period;
use super::rows::{PackedKey, Row, SourceRows};
use super::source_record::{Judgement, SourceKey, SourceRecord};

/// Addresses of an IPv6 /64 that are remembered apart, in each scope with each verdict; others
/// are remembered together.
const V6_APART: u8 = 16;

/// Of the sources of a verdict, one in so many goes at once.
const GO_AT_ONCE: usize = 10;

/// A source's attempts that were judged alike.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged {
    pub(super) source: IpAddr,
    pub(super) scope: NameId,
    pub(super) judgement: Judgement,
    pub(super) reason: u8,
    pub(super) decider: DeciderId,
    pub(super) generation: u64,
    pub(super) model: ModelId,
    pub(super) reported: u32,
    pub(super) attempts: u64,
    pub(super) span: Period,
}

/// The sources that are remembered.
#[derive(Debug, Default)]
pub(super) struct SourceTable {
    rows: SourceRows,
    /// How many there are of each verdict: allowed, denied or observed.
    count: [usize; 2],
    /// Addresses of each IPv6 /64 that are remembered apart.
    apart: HashMap<PackedKey, u8>,
    /// Removed, and still kept by the store.
    removed: Vec<PackedKey>,
    /// How many made room for others.
    pub(super) displaced: u64,
}

impl SourceTable {
    /// What is remembered of an address.
    pub(super) fn get(&self, source: IpAddr, scope: NameId, judgement: Judgement) -> Option<&Row> {
        self.rows.get(&PackedKey::of(source, scope, judgement))
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Row> + Clone {
        self.rows.iter()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.count.iter().sum()
    }

    /// Remembers attempts, with room for `most` sources of each verdict.
    pub(super) fn add(&mut self, judged: &Judged, most: usize) {
        let key = self.key(judged);
        let is_sampled = judged.attempts != u64::from(judged.reported);
        if let Some(row) = self.rows.get_mut(&key) {
            row.set_dirty(true);
            row.first = row.first.min(judged.span.first);
            row.attempts += judged.attempts;
            let reported = u16::try_from(judged.reported).unwrap_or(u16::MAX);
            row.reported = row.reported.saturating_add(reported);
            if is_sampled {
                row.mark_sampled();
            }
            if judged.span.last >= row.last {
                row.last = judged.span.last;
                row.reason = judged.reason;
                row.decider = judged.decider;
                row.generation = judged.generation;
                row.model = judged.model;
            }
            return;
        }
        let record = SourceRecord {
            first: judged.span.first,
            last: judged.span.last,
            attempts: judged.attempts,
            reported: judged.reported,
            is_sampled,
            reason: judged.reason,
            decider: judged.decider,
            generation: judged.generation,
        };
        self.insert(Row::new(key, &record, judged.model));
        self.make_room(judged.judgement.is_denial(), most);
    }

    /// What a source is remembered as.
    fn key(&self, judged: &Judged) -> PackedKey {
        let key = PackedKey::of(judged.source, judged.scope, judged.judgement);
        let Some(together) = key.together() else {
            return key;
        };
        let apart = self.apart.get(&together).copied().unwrap_or(0);
        match apart < V6_APART || self.rows.contains(&key) {
            true => key,
            false => together,
        }
    }

    fn insert(&mut self, row: Row) {
        if let Some(together) = row.key.together() {
            *self.apart.entry(together).or_default() += 1;
        }
        self.count[usize::from(row.key.judgement.is_denial())] += 1;
        self.rows.insert(row);
    }

    fn remove(&mut self, key: &PackedKey) {
        if self.rows.remove(key).is_none() {
            return;
        }
        self.count[usize::from(key.judgement.is_denial())] -= 1;
        if let Some(together) = key.together()
            && let Some(apart) = self.apart.get_mut(&together)
        {
            *apart -= 1;
            if *apart == 0 {
                self.apart.remove(&together);
            }
        }
        self.removed.push(*key);
    }

    /// Removes sources of a verdict until there are no more than `most`, and some more, so that
    /// this is not done for each new one.
    pub(super) fn make_room(&mut self, is_denied: bool, most: usize) {
        let count = self.count[usize::from(is_denied)];
        if count <= most {
            return;
        }
        let rows = self.rows.iter();
        let mut worth: Vec<_> = rows
            .filter(|row| row.key.judgement.is_denial() == is_denied)
            .map(|row| (row.reported.checked_ilog2().unwrap_or(0), row.last, row.key))
            .collect();
        let go = (count - most + most / GO_AT_ONCE).min(worth.len());
        if go == 0 {
            return;
        }
        worth.select_nth_unstable(go - 1);
        for (_, _, key) in worth.iter().take(go) {
            self.remove(key);
        }
        self.displaced += go as u64;
    }

    /// Removes half of the sources of a verdict.
    pub(super) fn halve(&mut self, is_denied: bool) {
        self.make_room(is_denied, self.count[usize::from(is_denied)] / 2);
    }

    /// Removes sources that did not come since a time, milliseconds since 1970.
    pub(super) fn expire(&mut self, oldest: i64) {
        let old = self.rows.iter().filter(|row| row.last < oldest);
        let old: Vec<_> = old.map(|row| row.key).collect();
        for key in &old {
            self.remove(key);
        }
        self.rows.give_back();
    }

    /// What the store does not keep as it is, and what it is no longer to keep.
    pub(super) fn take_changes(&mut self) -> (Vec<Row>, Vec<PackedKey>) {
        let mut removed = std::mem::take(&mut self.removed);
        // What came back since is written again.
        removed.retain(|key| !self.rows.contains(key));
        let count = self.rows.iter().filter(|row| row.is_dirty()).count();
        let mut changed = Vec::with_capacity(count);
        for row in self.rows.iter_mut().filter(|row| row.is_dirty()) {
            row.set_dirty(false);
            changed.push(*row);
        }
        (changed, removed)
    }

    /// The store keeps nothing: all is to be written.
    pub(super) fn all_dirty(&mut self) {
        self.removed.clear();
        for row in self.rows.iter_mut() {
            row.set_dirty(true);
        }
    }

    /// Puts in what the store kept. By which rules it was attributed is not known. `None`: it is
    /// nothing that is kept.
    pub(super) fn restore(&mut self, kept: SourceKey, record: &SourceRecord) -> Option<()> {
        let judgement = Reason::from_u8(record.reason).map_or(kept.judgement, Judgement::of);
        let key = match kept.judgement.is_denial() == judgement.is_denial() {
            // Earlier versions kept what was only observed as denied.
            true => SourceKey { judgement, ..kept },
            false => kept,
        };
        let (kept, key) = (PackedKey::read(&kept)?, PackedKey::read(&key)?);
        if key != kept {
            self.removed.push(kept);
        }
        if !self.rows.contains(&key) {
            let mut row = Row::new(key, record, NO_MODEL);
            row.set_dirty(key != kept);
            self.insert(row);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::Judgement::{Allowed, Denied};
    use super::*;

    fn judged(source: &str, judgement: Judgement, attempts: u64, last: i64) -> Judged {
        Judged {
            source: source.parse().unwrap(),
            scope: 1,
            judgement,
            reason: 10,
            decider: 0,
            generation: 3,
            model: 1,
            reported: u32::try_from(attempts).unwrap(),
            attempts,
            span: Period { first: last, last },
        }
    }

    #[test]
    fn a_source_is_remembered_with_first_and_last_attempt() {
        let mut table = SourceTable::default();
        table.add(&judged("10.0.0.1", Denied, 3, 500), 10);
        table.add(&judged("10.0.0.1", Denied, 2, 400), 10);
        let row = *table.get("10.0.0.1".parse().unwrap(), 1, Denied).unwrap();
        assert_eq!((row.first, row.last, row.attempts), (400, 500, 5));
        assert!(!row.is_sampled());
        let mut estimated = judged("10.0.0.1", Denied, 2, 600);
        estimated.attempts = 90;
        table.add(&estimated, 10);
        let row = table.get("10.0.0.1".parse().unwrap(), 1, Denied).unwrap();
        assert!(row.is_sampled() && row.attempts == 95 && row.reported == 7);
    }

    #[test]
    fn flood_displaces_single_denied_attempts_and_no_allowed_source() {
        let mut table = SourceTable::default();
        for n in 0..50 {
            table.add(&judged(&format!("192.0.2.{n}"), Allowed, 1, 0), 50);
        }
        table.add(&judged("203.0.113.9", Denied, 40, 0), 50);
        for n in 0..10_000_u32 {
            let source = format!("10.1.{}.{}", n / 256, n % 256);
            table.add(&judged(&source, Denied, 1, i64::from(n)), 50);
        }
        assert!((45..=50).contains(&table.count[1]), "{:?}", table.count);
        assert_eq!(table.count[0], 50);
        assert!(table.displaced >= 9_950);
        let find = |source: &str| table.get(source.parse().unwrap(), 1, Denied);
        assert!(find("203.0.113.9").is_some(), "it came more often");
        assert!(find("10.1.39.15").is_some(), "the newest");
    }

    #[test]
    fn many_addresses_of_an_ipv6_network_are_remembered_together() {
        let mut table = SourceTable::default();
        for n in 0..1000 {
            table.add(&judged(&format!("2001:db8::{n:x}"), Denied, 1, n), 100);
        }
        let nets: Vec<_> = table.iter().map(|row| row.key.net().to_string()).collect();
        assert_eq!(nets.len(), usize::from(V6_APART) + 1);
        let together = table.iter().find(|row| row.key.net().prefix_len() == 64);
        assert_eq!(together.unwrap().attempts, 1000 - u64::from(V6_APART));
        // One that is remembered goes on being it.
        table.add(&judged("2001:db8::1", Denied, 5, 2000), 100);
        let one = table.get("2001:db8::1".parse().unwrap(), 1, Denied);
        assert_eq!(one.unwrap().attempts, 6);
    }

    #[test]
    fn store_learns_of_changes_once() {
        let mut table = SourceTable::default();
        table.add(&judged("10.0.0.1", Denied, 1, 100), 10);
        table.add(&judged("10.0.0.2", Denied, 1, 900), 10);
        assert_eq!(table.take_changes().0.len(), 2);
        assert!(table.take_changes().0.is_empty());
        table.expire(500);
        let (dirty, removed) = table.take_changes();
        assert_eq!((dirty.len(), removed.len()), (0, 1));
        assert_eq!(removed[0].net().to_string(), "10.0.0.1/32");
    }
}
