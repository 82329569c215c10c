//! All bans, in memory: what is banned, until when, by what; and what of it the kernel is to
//! hold. Pure: it neither reads a clock nor writes anywhere.

use std::collections::HashMap;

use ipnet::IpNet;
use netpolicy_common::ScopeId;
use netpolicy_prefixes::{Prefix4, Prefix6};

use super::ends::{BanEnds, NEVER, NotedBan};
use super::entry::BanEntry;
use super::family::Family;
use super::nets::{net_v4, net_v6, prefix_v4, prefix_v6};
use super::others::OtherBans;
use super::texts::{TextId, Texts};
use crate::datapath::BanLists;
use crate::model::Name;
use crate::store::{BanEdit, BanRow};

/// The bans of a scope.
#[derive(Debug, Default)]
pub(in crate::agent) struct ScopeBans {
    /// `None`: the whole host.
    pub(in crate::agent) service: Option<Name>,
    pub(in crate::agent) v4: Family<Prefix4>,
    pub(in crate::agent) v6: Family<Prefix6>,
}

/// See the module.
#[derive(Debug)]
pub struct BanTable {
    /// The host's first, then services' in the order in which they came.
    scopes: Vec<ScopeBans>,
    /// Shorter bans of sources that several origins ban.
    pub(super) others: OtherBans,
    texts: Texts,
    ends: BanEnds,
    /// How many bans each origin has; those that have none are left out.
    origins: HashMap<TextId, usize>,
    /// Counts changes.
    version: u64,
}

/// What a change that was made replaced.
#[derive(Debug)]
pub(in crate::agent) struct ReplacedBan {
    scope: usize,
    net: IpNet,
    before: Option<BanEntry>,
}

impl Default for BanTable {
    fn default() -> Self {
        Self {
            scopes: vec![ScopeBans::default()],
            others: OtherBans::default(),
            texts: Texts::default(),
            ends: BanEnds::default(),
            origins: HashMap::new(),
            version: 0,
        }
    }
}

impl BanTable {
    /// How many bans there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.scopes.iter().map(ScopeBans::len).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Changes whenever a ban does.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// When bans are to be looked at next for those that are due, in milliseconds.
    #[must_use]
    pub fn next_end(&self) -> Option<i64> {
        self.ends.next()
    }

    /// See [`BanEnds::earliest`].
    pub(super) fn earliest_end(&self) -> Option<i64> {
        self.ends.earliest(|ban| ban.until(&self.scopes))
    }

    pub(in crate::agent) fn scopes(&self) -> &[ScopeBans] {
        &self.scopes
    }

    pub(super) fn scopes_mut(&mut self) -> &mut [ScopeBans] {
        &mut self.scopes
    }

    /// The text of an entry.
    pub(in crate::agent) fn texts(&self) -> &Texts {
        &self.texts
    }

    /// What is known of a ban.
    pub(in crate::agent) fn get(&self, service: Option<&Name>, net: IpNet) -> Option<BanEntry> {
        let scope = self.place(service)?;
        self.scopes[scope].get(net)
    }

    /// Takes what the store has, change by change. Those whose names are none are left out.
    pub(in crate::agent) fn load(&mut self, edit: BanEdit<'_>) {
        let service = match edit {
            BanEdit::Put(row) | BanEdit::Also(row) => row.service,
            BanEdit::Remove { service, .. } => service,
        };
        let Ok(service) = service.map(Name::exact).transpose() else {
            return;
        };
        let replaced = match edit {
            BanEdit::Put(row) => self.put(service.as_ref(), &row),
            BanEdit::Also(row) => self.put_also(service.as_ref(), &row),
            BanEdit::Remove { source, .. } => match self.remove(service.as_ref(), source) {
                Some(replaced) => replaced,
                None => return,
            },
        };
        self.keep([replaced]);
    }

    /// Sets a ban, the only one of its source.
    fn put(&mut self, service: Option<&Name>, row: &BanRow<'_>) -> ReplacedBan {
        let scope = self.place_for(service);
        let entry = self.entry_of(row);
        self.set_others(scope, row.source, Vec::new());
        self.set(scope, row.source, Some(entry))
    }

    /// Where the bans of a service, or of the host, are or will be.
    pub(super) fn place_for(&mut self, service: Option<&Name>) -> usize {
        self.place(service).unwrap_or_else(|| {
            self.scopes.push(ScopeBans {
                service: service.cloned(),
                ..ScopeBans::default()
            });
            self.scopes.len() - 1
        })
    }

    /// What is known of a ban, whose texts count as held from now on.
    pub(super) fn entry_of(&mut self, row: &BanRow<'_>) -> BanEntry {
        BanEntry {
            until: row.until.unwrap_or(NEVER),
            since: row.since,
            by: self.texts.take(row.by),
            reason: self.texts.take(row.reason),
        }
    }

    /// Removes a ban; `None`: there is none.
    fn remove(&mut self, service: Option<&Name>, net: IpNet) -> Option<ReplacedBan> {
        let scope = self.place(service)?;
        self.scopes[scope].get(net)?;
        Some(self.set(scope, net, None))
    }

    pub(super) fn set(&mut self, scope: usize, net: IpNet, entry: Option<BanEntry>) -> ReplacedBan {
        self.version += 1;
        if let Some(entry) = entry {
            self.ends.note(entry.until, noted(scope, net));
        }
        let before = self.scopes[scope].set(net, entry);
        if entry.is_none() {
            // None ends later than the one that ended.
            self.set_others(scope, net, Vec::new());
        }
        if let Some(now) = entry {
            *self.origins.entry(now.by).or_insert(0) += 1;
        }
        if let Some(before) = before
            && let Some(count) = self.origins.get_mut(&before.by)
        {
            *count -= 1;
            if *count == 0 {
                self.origins.remove(&before.by);
            }
        }
        ReplacedBan { scope, net, before }
    }

    /// How many bans each origin has; `None`: they name none.
    pub fn by_origin(&self) -> impl Iterator<Item = (Option<&str>, usize)> {
        let origins = self.origins.iter();
        origins.map(|(by, count)| (self.texts.get(*by), *count))
    }

    /// Forgets what changes replaced.
    pub(in crate::agent) fn keep(&mut self, made: impl IntoIterator<Item = ReplacedBan>) {
        for replaced in made {
            self.release_replaced(&replaced);
        }
        self.note_ends_if_unfit();
    }

    pub(super) fn release_replaced(&mut self, replaced: &ReplacedBan) {
        if let Some(before) = replaced.before {
            self.release(before);
        }
    }

    /// One more has the texts of an entry.
    pub(super) fn hold(&mut self, entry: BanEntry) {
        self.texts.keep(entry.by);
        self.texts.keep(entry.reason);
    }

    pub(super) fn release(&mut self, entry: BanEntry) {
        self.texts.release(entry.by);
        self.texts.release(entry.reason);
    }

    pub(super) fn note_ends_if_unfit(&mut self) {
        let count = self.len();
        if self.ends.is_unfit(count) {
            self.note_again();
        }
    }

    fn note_again(&mut self) {
        self.ends.clear();
        for (at, scope) in self.scopes.iter().enumerate() {
            for (net, entry) in scope.v4.from(None) {
                self.ends.note(entry.until, NotedBan::V4(index(at), net));
            }
            for (net, entry) in scope.v6.from(None) {
                self.ends.note(entry.until, NotedBan::V6(index(at), net));
            }
        }
    }

    /// Removes the bans that have ended at `now`, and returns them.
    pub(in crate::agent) fn expire(&mut self, now: i64) -> Vec<ReplacedBan> {
        let due = self.ends.due(now, |ban| ban.until(&self.scopes));
        let mut expired = Vec::new();
        for ban in due {
            let (scope, net) = of_noted(ban);
            let Some(entry) = self.scopes[scope].get(net) else {
                continue;
            };
            if entry.until <= now {
                expired.push(self.set(scope, net, None));
            } else {
                self.ends.note(entry.until, ban);
            }
        }
        expired
    }

    /// The service and network of a change.
    pub(in crate::agent) fn place_of(&self, replaced: &ReplacedBan) -> (Option<&str>, IpNet) {
        let service = self
            .scopes
            .get(replaced.scope)
            .and_then(|scope| scope.service.as_ref());
        (service.map(Name::as_str), replaced.net)
    }

    /// Removes the bans of services for which `keep` says no.
    pub(in crate::agent) fn forget_services(
        &mut self,
        keep: impl Fn(&Name) -> bool,
    ) -> Vec<ReplacedBan> {
        let mut gone = Vec::new();
        for scope in 0..self.scopes.len() {
            let service = self.scopes[scope].service.as_ref();
            if service.is_none_or(&keep) {
                continue;
            }
            let bans = &self.scopes[scope];
            let nets: Vec<IpNet> = bans.nets().collect();
            gone.extend(nets.into_iter().map(|net| self.set(scope, net, None)));
        }
        gone
    }

    /// What the kernel is to hold. `id`: the scope of a service; `None`: it has none.
    pub(in crate::agent) fn lists(&mut self, id: impl Fn(&Name) -> Option<ScopeId>) -> BanLists {
        let settled = self.settle();
        self.lists_of(&settled, id)
    }

    /// A ban, as the store has it.
    pub(in crate::agent) fn row_of<'a>(
        &'a self,
        service: Option<&'a Name>,
        net: IpNet,
    ) -> Option<BanRow<'a>> {
        let entry = self.get(service, net)?;
        Some(self.row(service.map(Name::as_str), net, entry))
    }

    pub(super) fn row<'a>(
        &'a self,
        service: Option<&'a str>,
        source: IpNet,
        entry: BanEntry,
    ) -> BanRow<'a> {
        BanRow {
            source,
            service,
            since: entry.since,
            until: (entry.until != NEVER).then_some(entry.until),
            by: self.texts.get(entry.by),
            reason: self.texts.get(entry.reason),
        }
    }

    /// The ban that an attempt of a source in the scope of a service meets, the widest first:
    /// one of the host, then one of the service.
    pub(in crate::agent) fn ban_of(
        &self,
        source: IpNet,
        service: Option<&Name>,
    ) -> Option<BanRow<'_>> {
        let of = |scope: usize| {
            let bans = &self.scopes[scope];
            let (net, entry) = bans.covering(source).next()?;
            Some(self.row(bans.service.as_ref().map(Name::as_str), net, entry))
        };
        of(0).or_else(|| of(self.place(Some(service?))?))
    }

    /// Where the bans of a service, or of the host, are.
    pub(super) fn place(&self, service: Option<&Name>) -> Option<usize> {
        let mut scopes = self.scopes.iter();
        scopes.position(|scope| scope.service.as_ref() == service)
    }
}

impl ScopeBans {
    pub(in crate::agent) fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    pub(in crate::agent) fn entries(&self) -> impl Iterator<Item = (IpNet, BanEntry)> {
        let v4 = self.v4.from(None).map(|(net, entry)| (net_v4(net), entry));
        let v6 = self.v6.from(None).map(|(net, entry)| (net_v6(net), entry));
        v4.chain(v6)
    }

    fn nets(&self) -> impl Iterator<Item = IpNet> {
        self.entries().map(|(net, _)| net)
    }

    pub(super) fn get(&self, net: IpNet) -> Option<BanEntry> {
        match net {
            IpNet::V4(net) => self.v4.get(prefix_v4(net)),
            IpNet::V6(net) => self.v6.get(prefix_v6(net)),
        }
    }

    fn set(&mut self, net: IpNet, entry: Option<BanEntry>) -> Option<BanEntry> {
        match net {
            IpNet::V4(net) => self.v4.set(prefix_v4(net), entry),
            IpNet::V6(net) => self.v6.set(prefix_v6(net), entry),
        }
    }

    /// The banned networks in a network, in order; those that follow one of them.
    pub(in crate::agent) fn within(
        &self,
        net: IpNet,
        after: Option<IpNet>,
    ) -> Box<dyn Iterator<Item = IpNet> + '_> {
        let is_in = move |one: &IpNet| net.contains(one);
        let is_next = move |one: &IpNet| Some(*one) != after;
        match after.unwrap_or(net) {
            IpNet::V4(first) => {
                let nets = self.v4.from(Some(prefix_v4(first)));
                let nets = nets.map(|(net, _)| net_v4(net));
                Box::new(nets.take_while(is_in).filter(is_next))
            }
            IpNet::V6(first) => {
                let nets = self.v6.from(Some(prefix_v6(first)));
                let nets = nets.map(|(net, _)| net_v6(net));
                Box::new(nets.take_while(is_in).filter(is_next))
            }
        }
    }

    /// The bans that cover a network, the widest first.
    pub(in crate::agent) fn covering(
        &self,
        net: IpNet,
    ) -> Box<dyn Iterator<Item = (IpNet, BanEntry)> + '_> {
        match net {
            IpNet::V4(net) => {
                let covering = self.v4.covering(prefix_v4(net));
                Box::new(covering.map(|(net, entry)| (net_v4(net), entry)))
            }
            IpNet::V6(net) => {
                let covering = self.v6.covering(prefix_v6(net));
                Box::new(covering.map(|(net, entry)| (net_v6(net), entry)))
            }
        }
    }
}

/// A scope's place in so many bits: there are 256 scopes at the most.
fn index(scope: usize) -> u16 {
    u16::try_from(scope).unwrap_or(u16::MAX)
}

impl NotedBan {
    /// When it ends; `None`: it is no more.
    pub(super) fn until(self, scopes: &[ScopeBans]) -> Option<i64> {
        let entry = match self {
            Self::V4(scope, net) => scopes[usize::from(scope)].v4.get(net)?,
            Self::V6(scope, net) => scopes[usize::from(scope)].v6.get(net)?,
        };
        Some(entry.until)
    }
}

fn noted(scope: usize, net: IpNet) -> NotedBan {
    match net {
        IpNet::V4(net) => NotedBan::V4(index(scope), prefix_v4(net)),
        IpNet::V6(net) => NotedBan::V6(index(scope), prefix_v6(net)),
    }
}

fn of_noted(ban: NotedBan) -> (usize, IpNet) {
    match ban {
        NotedBan::V4(scope, net) => (scope.into(), net_v4(net)),
        NotedBan::V6(scope, net) => (scope.into(), net_v6(net)),
    }
}

#[cfg(test)]
mod tests;
