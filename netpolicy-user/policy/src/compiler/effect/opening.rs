//! What a change opens to every source: the effects that need consent.
//!
//! Exact, but for changes of more pieces of address space than are looked at: of these
//! the share of the sources that become allowed is judged by the pieces looked at.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use ipnet::IpNet;
use jiff::Timestamp;
use netpolicy_common::{FAILSAFE_SCOPE, HOST_SCOPE, ScopeId};
use netpolicy_prefixes::intervals::{Interval, aggregate};

use super::sweep::{sweep, sweep_while};
use super::view::{FamilyOf, View};
use super::{BOUNDS, pairs, scope_of};
use crate::compiler::{Address, Prefix, Prefix4, Prefix6, PrefixSet, Prefixes, Ruleset};
use crate::model::effect::{OpenTo, Opening};
use crate::model::{Bypass, State};

/// From this share of a family's addresses on, in percent, an opening requires consent.
const CONSENT_FROM: u8 = 25;

/// The sources that are exempt from the rules, in the host's scope and in services'.
#[derive(Clone, Debug, Default)]
pub struct Exempt {
    host: PrefixSet,
    /// With the host's: those exempt there are exempt everywhere.
    services: BTreeMap<ScopeId, PrefixSet>,
}

impl Exempt {
    /// From networks and the scopes in which they are exempt.
    #[must_use]
    pub fn new(bypasses: &[(ScopeId, IpNet)]) -> Self {
        let of = |wanted: ScopeId| {
            let covers = |scope: ScopeId| scope == HOST_SCOPE || scope == wanted;
            let nets = bypasses.iter().filter(|(scope, _)| covers(*scope));
            set(nets.map(|(_, net)| *net))
        };
        let services = bypasses.iter().map(|(scope, _)| *scope);
        let services = services.filter(|&scope| scope != HOST_SCOPE);
        Self {
            host: of(HOST_SCOPE),
            services: services.map(|scope| (scope, of(scope))).collect(),
        }
    }

    /// The sources that unexpired bypasses exempt at a time.
    #[must_use]
    pub fn at(bypasses: &[Bypass], state: &State, time: Timestamp) -> Self {
        let unexpired = bypasses.iter().filter(|bypass| time < bypass.expires);
        let nets = unexpired.filter_map(|bypass| {
            let scope = match &bypass.service {
                None => HOST_SCOPE,
                Some(name) => state.service(name.as_str())?.id,
            };
            Some((scope, bypass.source))
        });
        Self::new(&nets.collect::<Vec<_>>())
    }

    /// Whether no source is exempt.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.host.is_empty() && self.services.is_empty()
    }

    fn of(&self, scope: ScopeId) -> &PrefixSet {
        self.services.get(&scope).unwrap_or(&self.host)
    }
}

/// What decides on sources: rules, and who is exempt from them.
#[derive(Clone, Copy)]
pub struct Doors<'a> {
    /// The rules.
    pub rules: &'a Ruleset,
    /// Who is exempt from them.
    pub exempt: &'a Exempt,
}

/// The scopes that are open to every source of a family with `new` and were not with
/// `old`, and those in which at least a quarter of a family's addresses were dropped with
/// `old` and pass with `new`.
///
/// Observe mode, failsafe ports and exemptions let a source pass as an allow list does.
#[must_use]
pub fn openings(old: Doors<'_>, new: Doors<'_>) -> Vec<Opening> {
    let mut budget = BOUNDS.pieces;
    // Services that the host governs have its lists: looked at once.
    let mut known: Vec<(
        FamilyViews<'_, Prefix4>,
        FamilyViews<'_, Prefix6>,
        FoundOpenings,
    )> = Vec::new();
    let mut openings = Vec::new();
    for (pair, ports) in pairs(old.rules, new.rules) {
        let v4 = FamilyViews::<Prefix4>::of(old, new, pair, |set| &set.v4);
        let v6 = FamilyViews::<Prefix6>::of(old, new, pair, |set| &set.v6);
        let like = known.iter().find(|(a, b, _)| a.same(&v4) && b.same(&v6));
        let found = match like {
            Some((_, _, found)) => found.clone(),
            None => {
                let (of_v4, of_v6) = (v4.opens(&mut budget), v6.opens(&mut budget));
                let found: FoundOpenings = match (of_v4, of_v6) {
                    (Some(v4), Some(v6)) if v4 == v6 => vec![(OpenTo::Every, v4)],
                    (v4, v6) => {
                        let v4 = v4.map(|percent| (OpenTo::Ipv4, percent));
                        let v6 = v6.map(|percent| (OpenTo::Ipv6, percent));
                        v4.into_iter().chain(v6).collect()
                    }
                };
                known.push((v4, v6, found.clone()));
                found
            }
        };
        let (_, scope) = scope_of(old.rules, new.rules, pair);
        openings.extend(found.into_iter().map(|(sources, percent)| Opening {
            scope: scope.clone(),
            ports: ports.clone(),
            sources,
            percent,
        }));
    }
    openings
}

/// To which families a scope is opened, and to how many percent of their addresses.
type FoundOpenings = Vec<(OpenTo, u8)>;

/// What decides on one family's sources in one scope, before and after.
struct FamilyViews<'a, P: Prefix> {
    old: View<'a, P>,
    new: View<'a, P>,
    old_exempt: &'a Prefixes<P>,
    new_exempt: &'a Prefixes<P>,
}

impl<'a, P: Measured> FamilyViews<'a, P> {
    fn of(old: Doors<'a>, new: Doors<'a>, pair: (ScopeId, ScopeId), of: FamilyOf<P>) -> Self {
        // On failsafe ports nothing is dropped, exempt or not.
        let exempt = |doors: Doors<'a>, scope| match scope {
            FAILSAFE_SCOPE => of(&doors.exempt.host),
            scope => of(doors.exempt.of(scope)),
        };
        Self {
            old: View::new(old.rules, pair.0, of),
            new: View::new(new.rules, pair.1, of),
            old_exempt: exempt(old, pair.0),
            new_exempt: exempt(new, pair.1),
        }
    }

    fn same(&self, other: &Self) -> bool {
        self.old.same(&other.old)
            && self.new.same(&other.new)
            && self.old_exempt == other.old_exempt
            && self.new_exempt == other.new_exempt
    }

    /// Percent of the addresses to which it is opened; `None`: to few or none.
    fn opens(&self, budget: &mut usize) -> Option<u8> {
        let same_exemptions = self.old_exempt == self.new_exempt;
        if same_exemptions && self.old.same(&self.new) {
            return None;
        }
        if is_open(&self.new, self.new_exempt) {
            return (!is_open(&self.old, self.old_exempt)).then_some(100);
        }
        let ranges = match (same_exemptions, self.old.same(&self.new)) {
            (true, _) => self.old.changed(&self.new, BOUNDS.differing),
            // Only who is exempt may begin to pass.
            (false, true) => {
                let prefixes = self.new_exempt.iter();
                prefixes.map(|p| (p.first(), p.last())).collect()
            }
            (false, false) => vec![(P::Address::LOWEST, P::Address::HIGHEST)],
        };
        *budget = (*budget).max(BOUNDS.at_least);
        self.begin_to_pass(&ranges, budget)
    }

    /// Percent of the addresses that begin to pass, rounded to the nearest: less than 100,
    /// since some do not pass. `None`: too few to require consent.
    fn begin_to_pass(&self, ranges: &[Interval<P::Address>], budget: &mut usize) -> Option<u8> {
        let mut lists = Vec::new();
        let (old, new) = (self.old.judge(&mut lists), self.new.judge(&mut lists));
        let mut exempt = |list| {
            lists.push(list);
            1 << (lists.len() - 1)
        };
        let old_exempt = exempt(self.old_exempt);
        let new_exempt = exempt(self.new_exempt);
        let mut begin_to_pass = 0_u128;
        let stopped = sweep(&lists, ranges, budget, |range, on| {
            let dropped = old.drops(on) && on & old_exempt == 0;
            let drops = new.drops(on) && on & new_exempt == 0;
            if dropped && !drops {
                begin_to_pass = begin_to_pass.saturating_add(P::measure(range));
            }
        });
        let whole = (P::Address::LOWEST, stopped.unwrap_or(P::Address::HIGHEST));
        let hundredth = (P::measure(whole) / 100).max(1);
        if begin_to_pass / hundredth < CONSENT_FROM.into() {
            return None;
        }
        let nearest = (begin_to_pass + hundredth / 2) / hundredth;
        Some(u8::try_from(nearest.min(99)).unwrap_or(99))
    }
}

/// Whether no source is dropped.
fn is_open<P: Prefix>(view: &View<'_, P>, exempt: &Prefixes<P>) -> bool {
    let everything = (P::Address::LOWEST, P::Address::HIGHEST);
    if view.is_nothing() || exempt.iter().any(|prefix| prefix.length() == 0) {
        return true;
    }
    let mut lists = Vec::new();
    let judge = view.judge(&mut lists);
    lists.push(exempt);
    let exempt = 1 << (lists.len() - 1);
    let (mut open, mut unbounded) = (true, usize::MAX);
    sweep_while(&lists, &[everything], &mut unbounded, |_, on| {
        open = !judge.drops(on) || on & exempt != 0;
        match open {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    });
    open
}

/// A family whose addresses are counted as far as they are in use.
trait Measured: Prefix {
    /// How many addresses of a range are in use, in some unit.
    fn measure(range: Interval<Self::Address>) -> u128;
}

impl Measured for Prefix4 {
    fn measure((first, last): Interval<u32>) -> u128 {
        u128::from(last - first) + 1
    }
}

impl Measured for Prefix6 {
    /// Those of 2000::/3, the only global unicast addresses that there are (RFC 4291
    /// section 2.4, IANA's registry of IPv6 address space).
    fn measure((first, last): Interval<u128>) -> u128 {
        const GLOBAL: Interval<u128> = (0x2000 << 112, (0x4000 << 112) - 1);
        let (first, last) = (first.max(GLOBAL.0), last.min(GLOBAL.1));
        last.checked_sub(first).map_or(0, |more| more + 1)
    }
}

/// Networks as the fewest prefixes.
fn set(nets: impl Iterator<Item = IpNet>) -> PrefixSet {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for net in nets {
        match net {
            IpNet::V4(net) => v4.push((u32::from(net.network()), u32::from(net.broadcast()))),
            IpNet::V6(net) => v6.push((u128::from(net.network()), u128::from(net.broadcast()))),
        }
    }
    PrefixSet {
        v4: aggregate(v4),
        v6: aggregate(v6),
    }
}

#[cfg(test)]
mod tests;
