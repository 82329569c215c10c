//! Bans of one source by several origins. The one that ends last is in force, and is all that
//! most of the table knows; the shorter ones are here, and come back where an origin ends its own.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::entry::BanEntry;
use super::texts::TextId;

/// Origins of a source whose bans are told apart; of more, those that end last.
const MOST_OF_A_SOURCE: usize = 16;

/// The bans of one source, each of another origin, the last to end first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::agent) struct OriginBans(Vec<BanEntry>);

impl OriginBans {
    /// The ban in force, and shorter ones.
    pub(super) fn of(first: Option<BanEntry>, others: &[BanEntry]) -> Self {
        Self(first.into_iter().chain(others.iter().copied()).collect())
    }

    /// The one in force.
    pub(in crate::agent) fn first(&self) -> Option<BanEntry> {
        self.0.first().copied()
    }

    /// That of an origin.
    pub(in crate::agent) fn by(&self, origin: TextId) -> Option<BanEntry> {
        self.0.iter().find(|ban| ban.by == origin).copied()
    }

    /// Sets the ban of its origin. Of equal ends the one that was there first stays in front.
    pub(in crate::agent) fn put(&mut self, ban: BanEntry) {
        self.remove(ban.by);
        let at = self.0.partition_point(|other| other.until >= ban.until);
        self.0.insert(at, ban);
        self.0.truncate(MOST_OF_A_SOURCE);
    }

    /// Removes the ban of an origin.
    pub(in crate::agent) fn remove(&mut self, origin: TextId) {
        self.0.retain(|ban| ban.by != origin);
    }

    /// Removes the bans of these origins; whether there are any.
    pub(in crate::agent) fn remove_all(&mut self, is_gone: impl Fn(TextId) -> bool) -> bool {
        let before = self.0.len();
        self.0.retain(|ban| !is_gone(ban.by));
        self.0.len() < before
    }

    /// Whether it is the ban of this origin alone.
    pub(in crate::agent) fn is_only_by(&self, origin: TextId) -> bool {
        self.0.iter().all(|ban| ban.by == origin)
    }

    /// Without those that have ended.
    pub(in crate::agent) fn unexpired(mut self, now: i64) -> Self {
        self.0.retain(|ban| ban.until > now);
        self
    }

    /// All of them.
    pub(super) fn entries(&self) -> &[BanEntry] {
        &self.0
    }

    /// The shorter ones.
    pub(super) fn others(&self) -> &[BanEntry] {
        self.0.get(1..).unwrap_or_default()
    }
}

/// Shorter bans by scope and source; sources that have none take no room.
#[derive(Debug, Default)]
pub(super) struct OtherBans {
    by_source: BTreeMap<(usize, IpNet), Vec<BanEntry>>,
    count: usize,
}

impl OtherBans {
    pub(super) fn is_empty(&self) -> bool {
        self.by_source.is_empty()
    }

    /// How many there are, of all sources.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn get(&self, scope: usize, net: IpNet) -> &[BanEntry] {
        match self.by_source.is_empty() {
            true => &[],
            false => self.by_source.get(&(scope, net)).map_or(&[], Vec::as_slice),
        }
    }

    /// Whether anything is noted of a source, if only that it has none.
    pub(super) fn knows(&self, scope: usize, net: IpNet) -> bool {
        !self.by_source.is_empty() && self.by_source.contains_key(&(scope, net))
    }

    /// Sets those of a source, and returns what was there.
    pub(super) fn set(&mut self, scope: usize, net: IpNet, bans: Vec<BanEntry>) -> Vec<BanEntry> {
        self.count += bans.len();
        let before = self.by_source.insert((scope, net), bans);
        let before = before.unwrap_or_default();
        self.count -= before.len();
        before
    }

    /// Forgets those of a source, and returns them.
    pub(super) fn take(&mut self, scope: usize, net: IpNet) -> Vec<BanEntry> {
        if self.by_source.is_empty() {
            return Vec::new();
        }
        let taken = self.by_source.remove(&(scope, net)).unwrap_or_default();
        self.count -= taken.len();
        taken
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, IpNet, &[BanEntry])> {
        let sources = self.by_source.iter();
        sources.map(|((scope, net), bans)| (*scope, *net, bans.as_slice()))
    }

    /// The same, to be moved elsewhere.
    pub(super) fn into_sources(self) -> impl Iterator<Item = ((usize, IpNet), Vec<BanEntry>)> {
        self.by_source.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ban(by: TextId, until: i64) -> BanEntry {
        BanEntry {
            until,
            since: 0,
            by,
            reason: 0,
        }
    }

    #[test]
    fn ban_that_ends_last_is_first_and_an_origin_has_one() {
        let mut bans = OriginBans::of(Some(ban(1, 10)), &[]);
        bans.put(ban(2, 10));
        assert_eq!(bans.first(), Some(ban(1, 10)), "it was there first");
        bans.put(ban(3, 20));
        bans.put(ban(2, 5));
        assert_eq!(bans.entries(), [ban(3, 20), ban(1, 10), ban(2, 5)]);
        assert_eq!(bans.by(2), Some(ban(2, 5)));
        bans.remove(3);
        assert_eq!(bans.first(), Some(ban(1, 10)));
        assert_eq!(bans.clone().unexpired(5).entries(), [ban(1, 10)]);
        assert_eq!(bans.unexpired(10).first(), None);
    }

    #[test]
    fn of_many_origins_those_that_end_last_are_told_apart() {
        let mut bans = OriginBans::default();
        for by in 1..100 {
            bans.put(ban(by, i64::from(by)));
        }
        bans.put(ban(100, 1));
        assert_eq!(bans.entries().len(), MOST_OF_A_SOURCE);
        assert_eq!(bans.first(), Some(ban(99, 99)));
        assert_eq!(bans.by(100), None);
    }
}
