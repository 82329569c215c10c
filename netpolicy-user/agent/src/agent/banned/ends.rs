//! When bans end: which are due, without a look at all of them.
//!
//! Bans are noted in buckets of a quarter of a second, those that end later than in a minute in
//! buckets of a minute first. A ban whose end was moved stays in the bucket of the
//! former end until that comes, and is then looked at for nothing.

use std::collections::BTreeMap;

use netpolicy_prefixes::{Prefix4, Prefix6};

/// The end of a ban that has none.
pub(in crate::agent) const NEVER: i64 = i64::MAX;

/// Milliseconds of a bucket.
const FINE: i64 = 250;

/// Milliseconds of a bucket of bans that end later.
const COARSE: i64 = 60_000;

/// The most bans that are looked at for the earliest end.
const SEARCHED: usize = 1 << 16;

/// A ban: its scope's place in the table, and its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::agent) enum NotedBan {
    V4(u16, Prefix4),
    V6(u16, Prefix6),
}

/// Bans of a bucket, by family, side by side: so they take as little room as can be.
#[derive(Debug, Default)]
struct Bucket {
    v4: Vec<NotedEnd<u32>>,
    v6: Vec<NotedEnd<u128>>,
}

/// A network's address and length, and its scope's place.
#[derive(Clone, Copy, Debug)]
struct NotedEnd<A> {
    addr: A,
    scope: u16,
    len: u8,
}

impl Bucket {
    fn push(&mut self, ban: NotedBan) {
        match ban {
            NotedBan::V4(scope, Prefix4 { addr, len }) => {
                push(&mut self.v4, NotedEnd { addr, scope, len });
            }
            NotedBan::V6(scope, Prefix6 { addr, len }) => {
                push(&mut self.v6, NotedEnd { addr, scope, len });
            }
        }
    }

    fn bans(&self) -> impl Iterator<Item = NotedBan> {
        let v4 = self
            .v4
            .iter()
            .map(|&NotedEnd { addr, scope, len }| NotedBan::V4(scope, Prefix4 { addr, len }));
        let v6 = self
            .v6
            .iter()
            .map(|&NotedEnd { addr, scope, len }| NotedBan::V6(scope, Prefix6 { addr, len }));
        v4.chain(v6)
    }

    fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }
}

/// Appends, with room for a quarter more where there is none: twice as much would mostly stay
/// empty.
fn push<T>(list: &mut Vec<T>, one: T) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len() / 4 + 4);
    }
    list.push(one);
}

/// See the module.
#[derive(Debug, Default)]
pub(in crate::agent) struct BanEnds {
    soon: BTreeMap<i64, Bucket>,
    later: BTreeMap<i64, Bucket>,
    /// Up to where coarse buckets were opened.
    opened: i64,
    noted: usize,
}

impl BanEnds {
    /// Notes when a ban ends, in milliseconds.
    pub(in crate::agent) fn note(&mut self, until: i64, ban: NotedBan) {
        if until == NEVER {
            return;
        }
        self.noted += 1;
        let coarse = until.div_euclid(COARSE);
        if coarse < self.opened {
            // The end of its bucket: when that has come, all in it are due.
            self.soon
                .entry(until.div_euclid(FINE) + 1)
                .or_default()
                .push(ban);
        } else {
            self.later.entry(coarse).or_default().push(ban);
        }
    }

    /// Bans that may be due at `now`: they are noted no longer, and are noted again if they are
    /// not. `until`: when a ban ends.
    pub(in crate::agent) fn due(
        &mut self,
        now: i64,
        until: impl Fn(NotedBan) -> Option<i64>,
    ) -> Vec<NotedBan> {
        let coarse = now.div_euclid(COARSE) + 1;
        if coarse > self.opened {
            self.opened = coarse;
            let later = self.later.split_off(&coarse);
            for bucket in std::mem::replace(&mut self.later, later).into_values() {
                self.noted -= bucket.len();
                for ban in bucket.bans() {
                    if let Some(end) = until(ban) {
                        self.note(end, ban);
                    }
                }
            }
        }
        let fine = now.div_euclid(FINE);
        let mut due = Vec::new();
        while let Some(first) = self.soon.first_entry()
            && *first.key() <= fine
        {
            let bucket = first.remove();
            self.noted -= bucket.len();
            due.extend(bucket.bans());
        }
        due
    }

    /// When it is worth a look again: no ban ends before.
    pub(in crate::agent) fn next(&self) -> Option<i64> {
        let soon = self.soon.first_key_value().map(|(key, _)| key * FINE);
        let later = self.later.first_key_value().map(|(key, _)| key * COARSE);
        match (soon, later) {
            (Some(soon), Some(later)) => Some(soon.min(later)),
            (soon, later) => soon.or(later),
        }
    }

    /// The earliest end of a ban; `None`: none ends, or so many ends were moved that a short
    /// search does not find it. `until`: when a ban ends.
    pub(in crate::agent) fn earliest(
        &self,
        until: impl Fn(NotedBan) -> Option<i64>,
    ) -> Option<i64> {
        let soon = self.soon.iter();
        let soon = soon.map(|(key, bucket)| (key * FINE, bucket));
        let later = self.later.iter();
        let later = later.map(|(key, bucket)| ((key + 1) * COARSE, bucket));
        let (mut earliest, mut left) = (None, SEARCHED);
        for (end, bucket) in soon.chain(later) {
            left = left.checked_sub(bucket.len())?;
            let ends = bucket.bans().filter_map(&until).filter(|end| *end != NEVER);
            earliest = ends.chain(earliest).min();
            // What is noted for later ends no earlier.
            if earliest.is_some_and(|earliest| earliest < end) {
                break;
            }
        }
        earliest
    }

    /// Whether it notes many more than there are: then they are to be noted again.
    pub(in crate::agent) fn is_unfit(&self, bans: usize) -> bool {
        self.noted > 2 * bans + 4096
    }

    /// Forgets all.
    pub(in crate::agent) fn clear(&mut self) {
        self.soon.clear();
        self.later.clear();
        self.noted = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ban(address: u32) -> NotedBan {
        NotedBan::V4(
            0,
            Prefix4 {
                addr: address,
                len: 32,
            },
        )
    }

    #[test]
    fn bans_are_due_within_a_quarter_of_a_second_of_their_end() {
        let mut ends = BanEnds::default();
        let until = |end: i64| move |_| Some(end);
        for end in [1_000, 700_000, 10 * COARSE + 17] {
            ends.note(end, ban(7));
            let start = (end - 2 * COARSE).max(0);
            assert_eq!(ends.due(start, until(end)), []);
            assert_eq!(ends.due(end - 1, until(end)), []);
            assert!(ends.next().unwrap() <= end + FINE);
            assert_eq!(ends.due(end + FINE, until(end)), [ban(7)]);
            assert_eq!(ends.next(), None);
        }
        ends.note(NEVER, ban(7));
        assert_eq!(ends.next(), None);
    }

    #[test]
    fn moved_ends_are_looked_at_when_the_former_comes() {
        let mut ends = BanEnds::default();
        ends.note(5 * COARSE, ban(1));
        // It ends an hour later by then.
        let later = 11 * COARSE;
        assert_eq!(ends.due(6 * COARSE, |_| Some(later)), []);
        assert_eq!(ends.due(later + FINE, |_| Some(later)), [ban(1)]);
        ends.note(5, ban(2));
        assert!(!ends.is_unfit(0));
        ends.note(9 * COARSE, ban(3));
        // The second was extended to a later time than the third's end.
        let until = |noted| {
            Some(if noted == ban(2) {
                2 * later
            } else {
                9 * COARSE + 7
            })
        };
        assert_eq!(ends.earliest(until), Some(9 * COARSE + 7));
        ends.clear();
        assert_eq!(ends.next(), None);
    }

    #[test]
    fn noted_ipv4_ban_has_8_bytes() {
        assert_eq!(size_of::<NotedEnd<u32>>(), 8);
        let mut list = Vec::new();
        for at in 0..60_000 {
            push(&mut list, at);
        }
        assert!(list.capacity() < 80_000, "{}", list.capacity());
    }
}
