//! The effect of a change: which sources are dropped from now on, and which pass.
//!
//! Compares two rulesets and nothing else; knows no connections, and bypasses only as
//! exempt sources ([`openings`]). Only what differs is looked at, so that a small change
//! of large lists is judged at once.

mod opening;
mod sweep;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netpolicy_common::{Action, FAILSAFE_SCOPE, HOST_SCOPE, ScopeId};

pub use self::opening::{Doors, Exempt, openings};
use self::sweep::{Tally, sweep};
use self::view::{FamilyOf, View};
use super::{Address, Prefix, Prefix4, Prefix6, Ruleset};
use crate::model::effect::{Becomes, Effect, Sources, SourcesKind};
use crate::model::rule::canonical;

/// Networks that an [`Effect`] lists; the others are counted.
pub const LISTED: usize = 10;

/// How much is looked at.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Networks listed.
    listed: usize,
    /// Prefixes of a list that may differ before all of it is looked at, from the lowest
    /// address on.
    differing: usize,
    /// Pieces of address space looked at, for all scopes together: some 20 ns each.
    pieces: usize,
    /// Pieces looked at in each scope and family even if none are left for all together.
    at_least: usize,
}

const BOUNDS: Bounds = Bounds {
    listed: LISTED,
    differing: 32_768,
    pieces: 1_000_000,
    at_least: 4_096,
};

/// What a change does, as far as it was compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// What was found, scope by scope; denials first.
    pub found: Vec<Effect>,
    /// Whether the comparison stopped at a bound: others may be denied or allowed as well,
    /// also where nothing was found.
    pub is_cut: bool,
}

impl Effects {
    /// Whether any source may become denied.
    #[must_use]
    pub fn may_deny(&self) -> bool {
        self.may(Becomes::Denied)
    }

    /// Whether any source may become allowed.
    #[must_use]
    pub fn may_allow(&self) -> bool {
        self.may(Becomes::Allowed)
    }

    fn may(&self, becomes: Becomes) -> bool {
        self.is_cut || self.found.iter().any(|effect| effect.becomes == becomes)
    }
}

/// Whose attempts are dropped with `new` that passed with `old`, and the reverse.
///
/// Takes time in proportion to the change, and to the number of chunks of lists in which
/// the rulesets differ; after some bound it stops looking and says so.
#[must_use]
pub fn effects(old: &Ruleset, new: &Ruleset) -> Effects {
    effects_within(old, new, BOUNDS)
}

/// Whether an attempt from `source` at `port` passed with `old` and is dropped with `new`.
#[must_use]
pub fn denied_newly(old: &Ruleset, new: &Ruleset, port: u16, source: IpAddr) -> bool {
    let drops = |rules: &Ruleset| rules.judge_port(port, source).1.action() == Action::Drop;
    !drops(old) && drops(new)
}

fn effects_within(old: &Ruleset, new: &Ruleset, bounds: Bounds) -> Effects {
    let mut is_cut = false;
    let mut budget = bounds.pieces;
    // Services that the host governs have its lists: looked at once.
    let mut known: Vec<KnownLists<'_>> = Vec::new();
    let mut effects = Vec::new();
    for (pair, ports) in pairs(old, new) {
        let lists = ComparedLists::of(old, new, pair);
        let found = match known.iter().find(|known| known.lists.same(&lists)) {
            Some(known) => known.found.clone(),
            None => {
                let (found, stopped) = lists.compare(bounds, &mut budget);
                is_cut |= stopped;
                known.push(KnownLists {
                    lists,
                    found: found.clone(),
                });
                found
            }
        };
        let (scope, scope_name) = scope_of(old, new, pair);
        effects.extend(found.into_iter().map(|(becomes, sources)| Effect {
            scope,
            scope_name: scope_name.clone(),
            ports: ports.clone(),
            becomes,
            sources,
        }));
    }
    Effects {
        found: effects,
        is_cut,
    }
}

/// The scope of some ports before and after.
type ScopePair = (ScopeId, ScopeId);

/// What becomes of which sources.
type FoundEffects = Vec<(Becomes, Sources)>;

/// Which scope of `old` is to be compared with which one of `new`, and for which ports;
/// no ports: all of a scope that is the same before and after.
fn pairs(old: &Ruleset, new: &Ruleset) -> BTreeMap<ScopePair, Option<String>> {
    if old.ports == new.ports {
        let both = old.scopes.iter().chain(&new.scopes);
        return both.map(|scope| ((scope.id, scope.id), None)).collect();
    }
    // What has no port is judged in the host's scope.
    let mut ranges: BTreeMap<ScopePair, Vec<(u16, u16)>> =
        BTreeMap::from([((HOST_SCOPE, HOST_SCOPE), Vec::new())]);
    let scopes = old.ports.iter().zip(new.ports.iter());
    for (port, (&old, &new)) in (0..=u16::MAX).zip(scopes) {
        let ranges = ranges.entry((old, new)).or_default();
        match ranges.last_mut() {
            Some(range) if old == new || range.1.checked_add(1) == Some(port) => range.1 = port,
            _ => ranges.push((port, port)),
        }
    }
    let in_words = |ranges: Vec<(u16, u16)>| {
        let ranges = ranges.into_iter().map(|(first, last)| match first {
            _ if first == last => first.to_string(),
            _ => format!("{first}-{last}"),
        });
        ranges.collect::<Vec<_>>().join(",")
    };
    ranges
        .into_iter()
        .filter(|(pair, _)| *pair != (FAILSAFE_SCOPE, FAILSAFE_SCOPE))
        .map(|(pair, ranges)| (pair, (pair.0 != pair.1).then(|| in_words(ranges))))
        .collect()
}

/// The scope of which an effect is reported: the service that there will be, else the one that
/// there was, else the host.
fn scope_of(old: &Ruleset, new: &Ruleset, pair: ScopePair) -> (ScopeId, String) {
    let is_service = |id: &ScopeId| ![HOST_SCOPE, FAILSAFE_SCOPE].contains(id);
    let after = Some((new, pair.1)).filter(|(_, id)| is_service(id));
    let before = Some((old, pair.0)).filter(|(_, id)| is_service(id));
    match after.or(before) {
        Some((rules, id)) => {
            let name = rules.scope(id).map(|scope| scope.name.clone());
            (id, name.unwrap_or_else(|| format!("scope {id}")))
        }
        None => (HOST_SCOPE, "host".to_owned()),
    }
}

/// What decides in a scope before and after.
struct ComparedLists<'a> {
    v4: (View<'a, Prefix4>, View<'a, Prefix4>),
    v6: (View<'a, Prefix6>, View<'a, Prefix6>),
}

/// Lists that were compared.
struct KnownLists<'a> {
    lists: ComparedLists<'a>,
    found: FoundEffects,
}

impl<'a> ComparedLists<'a> {
    fn of(old: &'a Ruleset, new: &'a Ruleset, pair: ScopePair) -> Self {
        let (v4, v6): (FamilyOf<Prefix4>, FamilyOf<Prefix6>) = (|set| &set.v4, |set| &set.v6);
        Self {
            v4: (View::new(old, pair.0, v4), View::new(new, pair.1, v4)),
            v6: (View::new(old, pair.0, v6), View::new(new, pair.1, v6)),
        }
    }

    fn same(&self, other: &Self) -> bool {
        self.v4.0.same(&other.v4.0)
            && self.v4.1.same(&other.v4.1)
            && self.v6.0.same(&other.v6.0)
            && self.v6.1.same(&other.v6.1)
    }

    /// What was found, and whether the comparison stopped before the end.
    fn compare(&self, bounds: Bounds, budget: &mut usize) -> (FoundEffects, bool) {
        let v4 = compare(&self.v4.0, &self.v4.1, bounds, budget);
        let v6 = compare(&self.v6.0, &self.v6.1, bounds, budget);
        let is_cut = v4.is_cut || v6.is_cut;
        let denied = [(Becomes::Denied, v4.denied, v6.denied)];
        let found = denied
            .into_iter()
            .chain([(Becomes::Allowed, v4.allowed, v6.allowed)])
            .flat_map(|(becomes, v4, v6)| {
                let sources = together(v4, v6, bounds.listed);
                sources.into_iter().map(move |sources| (becomes, sources))
            });
        (found.collect(), is_cut)
    }
}

/// What becomes of the sources of one family.
struct FamilyOutcome {
    denied: FamilySources,
    allowed: FamilySources,
    /// Whether the comparison stopped before the end.
    is_cut: bool,
}

/// Sources of one family.
struct FamilySources {
    /// Whether it is all but the networks.
    all_but: bool,
    networks: Vec<IpNet>,
    count: u64,
    at_least: bool,
    already: u64,
}

/// Compares what two views drop.
fn compare<P: Network>(
    old: &View<'_, P>,
    new: &View<'_, P>,
    bounds: Bounds,
    budget: &mut usize,
) -> FamilyOutcome {
    let everything = [(P::Address::LOWEST, P::Address::HIGHEST)];
    let ranges = if old.same(new) {
        Vec::new()
    } else {
        old.changed(new, bounds.differing)
    };
    let mut lists = Vec::new();
    let (old, new) = (old.judge(&mut lists), new.judge(&mut lists));
    let tally = || Tally::new(bounds.listed);
    let (mut denied, mut allowed) = (tally(), tally());
    *budget = (*budget).max(bounds.at_least);
    let mut again = *budget;
    let stopped = sweep(&lists, &ranges, budget, |range, on| {
        match (old.drops(on), new.drops(on)) {
            (false, true) => denied.add(range),
            (true, false) => allowed.add(range),
            _ => {}
        }
    });
    let (denied, allowed) = (denied.finish(), allowed.finish());
    let looked_at = stopped.unwrap_or(P::Address::HIGHEST).wide();
    let most = |tally: &Tally<P::Address>| tally.addresses > looked_at / 2;
    let mut outcome = FamilyOutcome {
        denied: FamilySources::of::<P>(&denied, stopped.is_some()),
        allowed: FamilySources::of::<P>(&allowed, stopped.is_some()),
        is_cut: stopped.is_some(),
    };
    if !(most(&denied) || most(&allowed)) {
        return outcome;
    }
    // Sources that do not become what most become are reported more shortly.
    let (mut drops, mut passes, mut stay) = (tally(), tally(), tally());
    let stopped = sweep(&lists, &everything, &mut again, |range, on| {
        let dropped = new.drops(on);
        if dropped { &mut drops } else { &mut passes }.add(range);
        if old.drops(on) == dropped && dropped == most(&denied) {
            stay.add(range);
        }
    });
    let (part, others, whole) = if most(&denied) {
        (&mut outcome.denied, passes.finish(), denied)
    } else {
        (&mut outcome.allowed, drops.finish(), allowed)
    };
    if others.networks <= whole.networks {
        *part = FamilySources {
            all_but: true,
            already: stay.finish().networks,
            ..FamilySources::of::<P>(&others, stopped.is_some())
        };
    }
    outcome
}

impl FamilySources {
    fn of<P: Network>(tally: &Tally<P::Address>, at_least: bool) -> Self {
        let networks = tally.first.iter();
        Self {
            all_but: false,
            networks: networks
                .filter_map(|&(address, length)| P::net(address, length))
                .collect(),
            count: tally.networks,
            // Of nothing it is not said that there may be more.
            at_least: at_least && tally.networks > 0,
            already: 0,
        }
    }

    fn is_nothing(&self) -> bool {
        !self.all_but && self.count == 0
    }

    fn into_sources(self, kind: SourcesKind) -> Sources {
        Sources {
            more: self.count.saturating_sub(self.networks.len() as u64),
            networks: self.networks.iter().map(canonical).collect(),
            kind,
            at_least: self.at_least,
            already: self.already,
        }
    }
}

/// Both families' sources in as few descriptions as say it.
fn together(mut v4: FamilySources, v6: FamilySources, listed: usize) -> Vec<Sources> {
    if v4.all_but != v6.all_but {
        let kind = |part: &FamilySources, all| match part.all_but {
            true => all,
            false => SourcesKind::Networks,
        };
        let kinds = (
            kind(&v4, SourcesKind::AllIpv4),
            kind(&v6, SourcesKind::AllIpv6),
        );
        let parts = [(v4, kinds.0), (v6, kinds.1)];
        let parts = parts.into_iter().filter(|(part, _)| !part.is_nothing());
        return parts.map(|(part, kind)| part.into_sources(kind)).collect();
    }
    if v4.is_nothing() && v6.is_nothing() {
        return Vec::new();
    }
    let kind = match v4.all_but {
        true => SourcesKind::All,
        false => SourcesKind::Networks,
    };
    v4.networks.extend(v6.networks);
    v4.networks.truncate(listed);
    v4.count = v4.count.saturating_add(v6.count);
    v4.at_least |= v6.at_least;
    v4.already = v4.already.saturating_add(v6.already);
    vec![v4.into_sources(kind)]
}

/// A prefix that can be written as a network.
trait Network: Prefix {
    fn net(address: Self::Address, length: u8) -> Option<IpNet>;
}

impl Network for Prefix4 {
    fn net(address: u32, length: u8) -> Option<IpNet> {
        IpNet::new(Ipv4Addr::from(address).into(), length).ok()
    }
}

impl Network for Prefix6 {
    fn net(address: u128, length: u8) -> Option<IpNet> {
        IpNet::new(Ipv6Addr::from(address).into(), length).ok()
    }
}
