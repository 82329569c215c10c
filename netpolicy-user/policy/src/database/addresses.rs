//! Sets of addresses of both families, as ascending, disjoint intervals.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netpolicy_common::{HOST_SCOPE, ScopeFlags, ScopeId};
use netpolicy_prefixes::intervals::{self, Interval};
use netpolicy_prefixes::{Address, Prefix, Prefixes};

use crate::compiler::{Ruleset, ScopeRules, compile};
use crate::model::{Binding, Mode, Policy, State};

/// A set of addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressSet {
    v4: Vec<Interval<u32>>,
    v6: Vec<Interval<u128>>,
}

impl AddressSet {
    /// Every address.
    #[must_use]
    pub fn all() -> Self {
        Self {
            v4: vec![(u32::MIN, u32::MAX)],
            v6: vec![(u128::MIN, u128::MAX)],
        }
    }

    /// The loopback addresses, which no packet filter sees.
    #[must_use]
    pub fn loopback() -> Self {
        Self {
            v4: vec![(0x7f00_0000, 0x7fff_ffff)],
            v6: vec![(1, 1)],
        }
    }

    /// The addresses of networks.
    #[must_use]
    pub fn of(nets: &[IpNet]) -> Self {
        let mut set = Self::default();
        for net in nets {
            match net {
                IpNet::V4(net) => set.v4.push((net.network().into(), net.broadcast().into())),
                IpNet::V6(net) => set.v6.push((net.network().into(), net.broadcast().into())),
            }
        }
        intervals::merge(&mut set.v4);
        intervals::merge(&mut set.v6);
        set
    }

    /// What policies let through together, were they to govern a scope alone.
    #[must_use]
    pub fn allowed_by<'a>(state: &State, policies: impl Iterator<Item = &'a Policy>) -> Self {
        let policies = policies.map(|policy| Policy {
            bindings: [Binding::Host].into(),
            active: true,
            mode: Mode::Enforce,
            ..policy.clone()
        });
        let alone = State {
            lists: state.lists.clone(),
            policies: policies.collect(),
            ..State::empty()
        };
        Self::reaching(&compile(&alone), HOST_SCOPE)
    }

    /// What reaches a compiled scope's ports: what its own lists and the host's let through, as far
    /// as they count there and drop. Of a scope that is not there: what reaches the host's.
    #[must_use]
    pub fn reaching(ruleset: &Ruleset, id: ScopeId) -> Self {
        let host = ruleset.scopes.first();
        let scope = ruleset.scopes.iter().find(|scope| scope.id == id);
        let Some(scope) = scope.or(host) else {
            return Self::all();
        };
        let flags = scope.config.flags;
        let mut reaching = Self::all();
        if flags.has(ScopeFlags::OWN_LISTS) && flags.own_drops() {
            reaching = Self::passing(scope, flags.has(ScopeFlags::OWN_ONLY));
        }
        if let Some(host) = host.filter(|_| flags.has(ScopeFlags::HOST_LISTS))
            && flags.host_drops()
        {
            let by_host = Self::passing(host, flags.has(ScopeFlags::HOST_ONLY));
            reaching = reaching.without(&Self::all().without(&by_host));
        }
        reaching
    }

    fn passing(scope: &ScopeRules, only: bool) -> Self {
        let passing = match only {
            true => Self {
                v4: ranges(&scope.allow.v4),
                v6: ranges(&scope.allow.v6),
            },
            false => Self::all(),
        };
        passing.without(&Self {
            v4: ranges(&scope.block.v4),
            v6: ranges(&scope.block.v6),
        })
    }

    /// Both together.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        Self {
            v4: joined(&self.v4, &other.v4),
            v6: joined(&self.v6, &other.v6),
        }
    }

    /// What is in this one and not in the other.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self {
            v4: left(&self.v4, &other.v4),
            v6: left(&self.v6, &other.v6),
        }
    }

    /// Whether it has no address.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Whether it has an IPv4 address.
    #[must_use]
    pub fn has_v4(&self) -> bool {
        !self.v4.is_empty()
    }

    /// Whether an address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => meets(&self.v4, (address.into(), address.into())),
            IpAddr::V6(address) => meets(&self.v6, (address.into(), address.into())),
        }
    }

    /// The fewest networks that have every address of `needed` which is not in this set, and none
    /// of this set. At most `limit` and one more.
    #[must_use]
    pub fn around(&self, needed: &Self, limit: usize) -> Vec<IpNet> {
        let mut found = Vec::new();
        let all = Self::all();
        networks(
            &left(&all.v4, &self.v4),
            &needed.v4,
            limit,
            &mut |first, length| {
                found.extend(Ipv4Net::new(first.into(), length).map(IpNet::V4));
            },
        );
        let limit = limit.saturating_sub(found.len());
        networks(
            &left(&all.v6, &self.v6),
            &needed.v6,
            limit,
            &mut |first, length| {
                found.extend(Ipv6Net::new(first.into(), length).map(IpNet::V6));
            },
        );
        found
    }
}

fn ranges<P: Prefix>(prefixes: &Prefixes<P>) -> Vec<Interval<P::Address>> {
    let mut ranges: Vec<_> = prefixes
        .iter()
        .map(|prefix| (prefix.first(), prefix.last()))
        .collect();
    intervals::merge(&mut ranges);
    ranges
}

fn joined<A: Address>(one: &[Interval<A>], other: &[Interval<A>]) -> Vec<Interval<A>> {
    let mut all = [one, other].concat();
    intervals::merge(&mut all);
    all
}

/// What of some intervals is in none of others. Both ascend and are disjoint.
fn left<A: Address>(these: &[Interval<A>], others: &[Interval<A>]) -> Vec<Interval<A>> {
    let mut found = Vec::new();
    let mut at = 0;
    for &(first, last) in these {
        let mut start = Some(first);
        while let Some(&(from, to)) = others.get(at) {
            if to < first {
                at += 1;
                continue;
            }
            if from > last {
                break;
            }
            if let (Some(begin), Some(end)) = (start, from.previous())
                && begin <= end
            {
                found.push((begin, end));
            }
            start = to.next();
            if to >= last {
                break;
            }
            at += 1;
        }
        if let Some(begin) = start
            && begin <= last
        {
            found.push((begin, last));
        }
    }
    found
}

/// Whether any of the intervals, which ascend, has an address of this one.
fn meets<A: Address>(intervals: &[Interval<A>], (first, last): Interval<A>) -> bool {
    let at = intervals.partition_point(|(_, to)| *to < first);
    intervals.get(at).is_some_and(|(from, _)| *from <= last)
}

/// The largest networks within `free` that have an address of `needed`, `limit` of them and one
/// more at most.
fn networks<A: Address>(
    free: &[Interval<A>],
    needed: &[Interval<A>],
    limit: usize,
    emit: &mut impl FnMut(A, u8),
) {
    let mut found = 0;
    for &range in free {
        if found > limit {
            return;
        }
        if !meets(needed, range) {
            continue;
        }
        intervals::prefixes(range, |first, length| {
            let last = first.fill(A::WIDTH - length);
            if found <= limit && meets(needed, (first, last)) {
                emit(first, length);
                found += 1;
            }
        });
    }
}
