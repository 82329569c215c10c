//! Changes of bans that are judged and not made yet: no reader sees them, and nothing has to be
//! undone where store or kernel refuse them.

use ipnet::IpNet;
use netpolicy_common::{HOST_SCOPE, ScopeId};
use netpolicy_prefixes::{Prefix4, Prefix6};

use super::entry::{BanEntry, StagedBan, StagedFamily};
use super::nets::{net_v4, net_v6, prefix_v4, prefix_v6};
use super::others::{OriginBans, OtherBans};
use super::table::BanTable;
use super::texts::OriginFilter;
use crate::compiler::PrefixSet;
use crate::datapath::BanLists;
use crate::model::Name;
use crate::store::{BanEdit, BanRow};

/// The changes of one scope.
#[derive(Debug, Default)]
pub(super) struct StagedScope {
    pub(super) v4: StagedFamily<Prefix4>,
    pub(super) v6: StagedFamily<Prefix6>,
}

/// See the module.
#[derive(Debug, Default)]
pub(in crate::agent) struct StagedBans {
    /// In the order of the table's scopes.
    scopes: Vec<StagedScope>,
    /// Bans that come and are not there yet.
    coming: usize,
    /// Bans that are there and go.
    going: usize,
    /// What is to become of shorter bans of other origins; of sources that have or get some.
    pub(super) others: OtherBans,
    /// The table's shorter bans of those sources, which are no more then.
    pub(super) replaced_others: usize,
}

/// What the kernel is to hold of each scope of the table, once changes are made.
#[derive(Debug)]
pub(in crate::agent) struct SettledBans(Vec<PrefixSet>);

/// What is known of a source before a line of a request is carried out.
#[derive(Clone, Copy, Debug)]
pub(in crate::agent) struct KnownBan {
    pub(super) net: IpNet,
    pub(super) scope: Option<usize>,
    held: Option<BanEntry>,
    staged: Option<StagedBan>,
}

impl KnownBan {
    /// The ban that there will be without that line.
    pub(in crate::agent) fn entry(self) -> Option<BanEntry> {
        self.staged.map_or(self.held, |ban| ban.now)
    }
}

impl StagedBans {
    /// How many there are.
    pub(in crate::agent) fn len(&self) -> usize {
        let scopes = self.scopes.iter();
        scopes.map(|scope| scope.v4.len() + scope.v6.len()).sum()
    }

    pub(in crate::agent) fn is_empty(&self) -> bool {
        let mut scopes = self.scopes.iter();
        scopes.all(|scope| scope.v4.is_empty() && scope.v6.is_empty())
    }

    fn get(&self, scope: usize, net: IpNet) -> Option<StagedBan> {
        let scope = self.scopes.get(scope)?;
        match net {
            IpNet::V4(net) => scope.v4.get(&prefix_v4(net)).copied(),
            IpNet::V6(net) => scope.v6.get(&prefix_v6(net)).copied(),
        }
    }

    fn set(&mut self, scope: usize, net: IpNet, ban: StagedBan) {
        while self.scopes.len() <= scope {
            self.scopes.push(StagedScope::default());
        }
        let scope = &mut self.scopes[scope];
        let before = match net {
            IpNet::V4(net) => scope.v4.insert(prefix_v4(net), ban),
            IpNet::V6(net) => scope.v6.insert(prefix_v6(net), ban),
        };
        if let Some(before) = before {
            self.count(before, false);
        }
        self.count(ban, true);
    }

    fn count(&mut self, ban: StagedBan, is_more: bool) {
        let count = match (ban.before.is_some(), ban.now.is_some()) {
            (false, true) => &mut self.coming,
            (true, false) => &mut self.going,
            _ => return,
        };
        *count = if is_more { *count + 1 } else { *count - 1 };
    }

    fn nets(&self) -> impl Iterator<Item = (usize, IpNet, StagedBan)> + '_ {
        self.scopes.iter().enumerate().flat_map(|(at, scope)| {
            let v4 = scope
                .v4
                .iter()
                .map(move |(net, ban)| (at, net_v4(*net), *ban));
            let v6 = scope
                .v6
                .iter()
                .map(move |(net, ban)| (at, net_v6(*net), *ban));
            v4.chain(v6)
        })
    }
}

impl BanTable {
    /// How many bans there will be.
    pub(in crate::agent) fn len_with(&self, staged: &StagedBans) -> usize {
        (self.len() + staged.coming).saturating_sub(staged.going)
    }

    /// How many bans there are, with those of several origins.
    pub(in crate::agent) fn count(&self) -> usize {
        self.len() + self.others.count()
    }

    /// The same of what there will be.
    pub(in crate::agent) fn count_with(&self, staged: &StagedBans) -> usize {
        let others = self.others.count() + staged.others.count();
        self.len_with(staged) + others.saturating_sub(staged.replaced_others)
    }

    /// What is known of a source and what is staged of it.
    pub(in crate::agent) fn known(
        &self,
        staged: &StagedBans,
        service: Option<&Name>,
        net: IpNet,
    ) -> KnownBan {
        let scope = self.place(service);
        let ban = scope.and_then(|scope| staged.get(scope, net));
        let held = match ban {
            Some(ban) => ban.before,
            None => scope.and_then(|scope| self.scopes()[scope].get(net)),
        };
        KnownBan {
            net,
            scope,
            held,
            staged: ban,
        }
    }

    /// Stages a ban of the source that is known.
    pub(in crate::agent) fn stage(
        &mut self,
        staged: &mut StagedBans,
        known: KnownBan,
        service: Option<&Name>,
        row: &BanRow<'_>,
    ) {
        let scope = known.scope.unwrap_or_else(|| self.place_for(service));
        let now = Some(self.entry_of(row));
        self.stage_entry(staged, scope, known, now);
    }

    /// Stages the end of all bans of a source that is known; whether there is one.
    pub(in crate::agent) fn stage_removal(
        &mut self,
        staged: &mut StagedBans,
        known: KnownBan,
    ) -> bool {
        let is_there = known.entry().is_some();
        self.stage_bans(staged, known, &OriginBans::default());
        is_there
    }

    pub(super) fn stage_entry(
        &mut self,
        staged: &mut StagedBans,
        scope: usize,
        known: KnownBan,
        now: Option<BanEntry>,
    ) {
        // An earlier line's comes to nothing.
        if let Some(entry) = known.staged.and_then(|ban| ban.now) {
            self.release(entry);
        }
        let before = known.held;
        staged.set(scope, known.net, StagedBan { before, now });
    }

    /// All bans of origins, as they will be.
    pub(in crate::agent) fn of_origin_with(
        &self,
        staged: &StagedBans,
        by: OriginFilter<'_>,
    ) -> Vec<(Option<Name>, IpNet)> {
        let by = self.texts().of_origin(by);
        if by.is_empty() {
            return Vec::new();
        }
        let service = |at: usize| self.scopes()[at].service.clone();
        let is_of = |entry: &BanEntry| by.contains(&entry.by);
        let has = |bans: &[BanEntry]| bans.iter().any(is_of);
        let scopes = self.scopes().iter().enumerate();
        let first = scopes.flat_map(|(at, scope)| {
            let entries = scope.entries().filter(|(_, entry)| is_of(entry));
            entries.map(move |(net, _)| (at, net))
        });
        let others = self.others.iter().filter(|(_, _, bans)| has(bans));
        let held = first.chain(others.map(|(at, net, _)| (at, net)));
        let unchanged = held.filter(|(at, net)| staged.get(*at, *net).is_none());
        let is_staged = |(at, net, ban): &(usize, IpNet, StagedBan)| {
            ban.now.is_some_and(|entry| is_of(&entry)) || has(staged.others.get(*at, *net))
        };
        let changed = staged.nets().filter(is_staged);
        let all = unchanged.chain(changed.map(|(at, net, _)| (at, net)));
        all.map(|(at, net)| (service(at), net)).collect()
    }

    /// What the kernel is to hold once staged changes are made.
    pub(in crate::agent) fn settled(&self, staged: &StagedBans) -> SettledBans {
        let none = StagedScope::default();
        let sets = self.scopes().iter().enumerate().map(|(at, scope)| {
            let staged = staged.scopes.get(at).unwrap_or(&none);
            PrefixSet {
                v4: scope.v4.settled(&staged.v4),
                v6: scope.v6.settled(&staged.v6),
            }
        });
        SettledBans(sets.collect())
    }

    /// The same as lists of scopes. `id`: the scope of a service; `None`: it has none.
    pub(in crate::agent) fn lists_of(
        &self,
        settled: &SettledBans,
        id: impl Fn(&Name) -> Option<ScopeId>,
    ) -> BanLists {
        let scopes = self.scopes().iter().zip(&settled.0);
        BanLists::new(scopes.filter_map(|(scope, set)| {
            let id = match &scope.service {
                None => HOST_SCOPE,
                Some(name) => id(name)?,
            };
            Some((id, set.clone()))
        }))
    }

    /// Staged changes as the store takes them, in order.
    pub(in crate::agent) fn edits<'a>(
        &'a self,
        staged: &'a StagedBans,
    ) -> impl Iterator<Item = BanEdit<'a>> {
        staged.nets().flat_map(move |(scope, source, ban)| {
            let service = self.scopes()[scope].service.as_ref().map(Name::as_str);
            let first = match ban.now {
                Some(entry) => BanEdit::Put(self.row(service, source, entry)),
                None => BanEdit::Remove { source, service },
            };
            let others = staged.others.get(scope, source).iter();
            let others = others.map(move |entry| BanEdit::Also(self.row(service, source, *entry)));
            std::iter::once(first).chain(others)
        })
    }

    /// Makes staged changes.
    pub(in crate::agent) fn make(&mut self, staged: StagedBans, settled: SettledBans) {
        for (at, scope) in staged.scopes.into_iter().enumerate() {
            for (net, ban) in scope.v4 {
                self.make_one(at, net_v4(net), ban);
            }
            for (net, ban) in scope.v6 {
                self.make_one(at, net_v6(net), ban);
            }
        }
        for ((at, net), others) in staged.others.into_sources() {
            self.set_others(at, net, others);
        }
        self.take_settled(settled);
        self.note_ends_if_unfit();
    }

    fn make_one(&mut self, scope: usize, net: IpNet, ban: StagedBan) {
        if ban.before.is_some() || ban.now.is_some() {
            let replaced = self.set(scope, net, ban.now);
            self.release_replaced(&replaced);
        }
    }

    /// Drops staged changes: nothing is different.
    pub(in crate::agent) fn discard(&mut self, staged: &StagedBans) {
        for entry in staged.nets().filter_map(|(_, _, ban)| ban.now) {
            self.release(entry);
        }
        for (_, _, others) in staged.others.iter() {
            others.iter().for_each(|entry| self.release(*entry));
        }
    }

    /// Settles changes that were made directly.
    pub(in crate::agent) fn settle(&mut self) -> SettledBans {
        let settled = self.settled(&StagedBans::default());
        let sets = settled.0.clone();
        self.take_settled(settled);
        SettledBans(sets)
    }

    fn take_settled(&mut self, settled: SettledBans) {
        for (scope, set) in self.scopes_mut().iter_mut().zip(settled.0) {
            scope.v4.take_settled(set.v4);
            scope.v6.take_settled(set.v6);
        }
    }
}
