//! The table's bans of several origins: taken from the store and handed to it, staged, listed.

use ipnet::IpNet;

use super::entry::BanEntry;
use super::others::OriginBans;
use super::staged::{KnownBan, StagedBans};
use super::table::{BanTable, ReplacedBan, ScopeBans};
use super::texts::TextId;
use crate::model::Name;
use crate::store::{BanEdit, BanRow};

impl BanTable {
    /// The bans of a source that is known, by their origins.
    pub(in crate::agent) fn origins_of(&self, staged: &StagedBans, known: KnownBan) -> OriginBans {
        let others = match known.scope {
            Some(scope) if staged.others.knows(scope, known.net) => {
                staged.others.get(scope, known.net)
            }
            Some(scope) => self.others.get(scope, known.net),
            None => &[],
        };
        OriginBans::of(known.entry(), others)
    }

    /// Stages these bans, in place of those of a source that is known and has some.
    pub(in crate::agent) fn stage_bans(
        &mut self,
        staged: &mut StagedBans,
        known: KnownBan,
        bans: &OriginBans,
    ) {
        let Some(scope) = known.scope.filter(|_| known.entry().is_some()) else {
            return;
        };
        bans.entries().iter().for_each(|ban| self.hold(*ban));
        let is_known = staged.others.knows(scope, known.net)
            || self.others.knows(scope, known.net)
            || !bans.others().is_empty();
        if is_known {
            if !staged.others.knows(scope, known.net) {
                staged.replaced_others += self.others.get(scope, known.net).len();
            }
            let others = bans.others().to_vec();
            let overtaken = staged.others.set(scope, known.net, others);
            overtaken.into_iter().for_each(|ban| self.release(ban));
        }
        self.stage_entry(staged, scope, known, bans.first());
    }

    /// Stages the ban of an origin next to those of others; the one that will be in force.
    /// `bans`: those of a source that is known and has some.
    pub(in crate::agent) fn stage_next_to(
        &mut self,
        staged: &mut StagedBans,
        known: KnownBan,
        mut bans: OriginBans,
        row: &BanRow<'_>,
    ) -> Option<BanEntry> {
        let ban = self.entry_of(row);
        bans.put(ban);
        self.stage_bans(staged, known, &bans);
        self.release(ban);
        bans.first()
    }

    /// Sets the ban of one more origin. A reboot may have changed which one ends last.
    pub(super) fn put_also(&mut self, service: Option<&Name>, row: &BanRow<'_>) -> ReplacedBan {
        let scope = self.place_for(service);
        let entry = self.entry_of(row);
        let first = self.scopes()[scope].get(row.source);
        let mut bans = OriginBans::of(first, self.others.get(scope, row.source));
        bans.put(entry);
        bans.entries().iter().for_each(|ban| self.hold(*ban));
        self.release(entry);
        self.set_others(scope, row.source, bans.others().to_vec());
        self.set(scope, row.source, bans.first())
    }

    /// Sets the shorter bans of a source, whose texts count as held.
    pub(super) fn set_others(&mut self, scope: usize, net: IpNet, others: Vec<BanEntry>) {
        let before = match others.is_empty() {
            true => self.others.take(scope, net),
            false => self.others.set(scope, net, others),
        };
        before.into_iter().for_each(|ban| self.release(ban));
    }

    /// All bans, as the store is to have them.
    pub(in crate::agent) fn all_edits(&self) -> impl Iterator<Item = BanEdit<'_>> {
        let scopes = self.scopes().iter().enumerate();
        scopes.flat_map(move |(at, scope)| {
            let nets = scope.entries();
            nets.flat_map(move |(net, entry)| self.edits_with(at, net, entry))
        })
    }

    /// The bans of a source, as the store is to have them.
    pub(in crate::agent) fn edits_of(
        &self,
        service: Option<&Name>,
        net: IpNet,
    ) -> impl Iterator<Item = BanEdit<'_>> {
        let held = self.place(service).and_then(|at| {
            let entry = self.scopes()[at].get(net)?;
            Some(self.edits_with(at, net, entry))
        });
        held.into_iter().flatten()
    }

    fn edits_with(
        &self,
        scope: usize,
        net: IpNet,
        entry: BanEntry,
    ) -> impl Iterator<Item = BanEdit<'_>> {
        let service = self.scopes()[scope].service.as_ref().map(Name::as_str);
        let others = self.others.get(scope, net).iter();
        let others = others.map(move |ban| BanEdit::Also(self.row(service, net, *ban)));
        std::iter::once(BanEdit::Put(self.row(service, net, entry))).chain(others)
    }

    /// The shorter bans of a source by other origins.
    pub(super) fn others_of(
        &self,
        service: Option<&str>,
        net: IpNet,
    ) -> impl Iterator<Item = BanRow<'_>> {
        let is_of = |scope: &ScopeBans| scope.service.as_ref().map(Name::as_str) == service;
        let at = match self.others.is_empty() {
            true => None,
            false => self.scopes().iter().position(is_of),
        };
        let others = at.map_or(&[][..], |at| self.others.get(at, net)).iter();
        others.map(move |ban| self.row(None, net, *ban))
    }

    /// Whether one of these origins bans a source for less long than another.
    pub(super) fn is_also_by(&self, scope: usize, net: IpNet, origins: &[TextId]) -> bool {
        let others = self.others.get(scope, net);
        others.iter().any(|ban| origins.contains(&ban.by))
    }

    /// The bans in force, as the store has them.
    #[cfg(test)]
    pub(in crate::agent) fn rows(&self) -> impl Iterator<Item = BanRow<'_>> {
        self.scopes().iter().flat_map(move |scope| {
            let service = scope.service.as_ref().map(Name::as_str);
            let entries = scope.entries();
            entries.map(move |(net, entry)| self.row(service, net, entry))
        })
    }
}
