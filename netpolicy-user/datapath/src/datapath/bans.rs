//! Bans in the kernel: lists of their own next to those of policies, so that neither is written
//! when the other changes.
//!
//! Which bans there are, and when they end, is the agent's affair. Here are the addresses that
//! are banned now, as lists in either engine. A set of them comes into force by one store, as a
//! generation does, and without touching the generation.

mod lpm;

use std::sync::Arc;

use ipnet::IpNet;
use netpolicy_common::{Engine, Overrides, ScopeId};

use self::lpm::LpmBans;
use super::{DatapathError, flat::FlatBans, maps::Maps};
use crate::compiler::{Extent, Prefix4, Prefix6, PrefixSet, Prefixes};

/// The addresses that are banned: on the whole host, or for single services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BanLists {
    /// Ascending by scope, without empty ones; of the host those that deny in every scope.
    scopes: Vec<(ScopeId, PrefixSet)>,
}

impl BanLists {
    /// Sets by scope; empty ones are left out.
    #[must_use]
    pub fn new(sets: impl IntoIterator<Item = (ScopeId, PrefixSet)>) -> Self {
        let mut scopes: Vec<_> = sets
            .into_iter()
            .filter(|(_, set)| !set.is_empty())
            .collect();
        scopes.sort_by_key(|(scope, _)| *scope);
        Self { scopes }
    }

    /// Lists of networks in any order, which may repeat and overlap.
    #[must_use]
    pub fn of(bans: impl IntoIterator<Item = (ScopeId, IpNet)>) -> Self {
        let mut v4: Vec<(ScopeId, Prefix4)> = Vec::new();
        let mut v6: Vec<(ScopeId, Prefix6)> = Vec::new();
        for (scope, net) in bans {
            match net.trunc() {
                IpNet::V4(net) => {
                    let (addr, len) = (net.network().into(), net.prefix_len());
                    v4.push((scope, Prefix4 { addr, len }));
                }
                IpNet::V6(net) => {
                    let (addr, len) = (net.network().into(), net.prefix_len());
                    v6.push((scope, Prefix6 { addr, len }));
                }
            }
        }
        v4.sort_unstable();
        v6.sort_unstable();
        let mut ids: Vec<ScopeId> = v4.iter().map(|(scope, _)| *scope).collect();
        ids.extend(v6.iter().map(|(scope, _)| *scope));
        ids.sort_unstable();
        ids.dedup();
        Self::new(ids.into_iter().map(|id| {
            let set = PrefixSet {
                v4: outermost(v4.iter().filter(|(scope, _)| *scope == id).map(|(_, p)| *p)),
                v6: outermost(v6.iter().filter(|(scope, _)| *scope == id).map(|(_, p)| *p)),
            };
            (id, set)
        }))
    }

    /// Prefixes in all lists together.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.scopes.iter().map(|(_, set)| set.len() as u64).sum()
    }

    /// Whether nothing is banned.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.scopes.is_empty()
    }

    /// The lists, by scope.
    pub fn scopes(&self) -> impl Iterator<Item = (ScopeId, &PrefixSet)> {
        self.scopes.iter().map(|(scope, set)| (*scope, set))
    }

    /// The list of a scope.
    #[must_use]
    pub fn of_scope(&self, id: ScopeId) -> Option<&PrefixSet> {
        let mut scopes = self.scopes();
        scopes.find(|(scope, _)| *scope == id).map(|(_, set)| set)
    }
}

/// Of sorted prefixes those that lie in no other.
fn outermost<P: netpolicy_prefixes::Prefix>(sorted: impl Iterator<Item = P>) -> Prefixes<P> {
    let mut last: Option<P> = None;
    let mut kept = Vec::new();
    for prefix in sorted {
        if last.is_some_and(|last| prefix.first() <= last.last()) {
            continue;
        }
        last = Some(prefix);
        kept.push(prefix);
    }
    Prefixes::default().edit(&[], &kept)
}

/// Bans that are ready in the kernel. Nothing is different in force yet; dropping it abandons it.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "nothing is in force until it is committed"]
pub struct PreparedBans {
    serial: u64,
}

impl PreparedBans {
    /// One for tests of those who only hand it on.
    pub fn made_up(serial: u64) -> Self {
        Self { serial }
    }
}

/// What keeps bans in the kernel.
pub(super) struct BanSets {
    engine: BanEngine,
    /// Prepared last.
    target: Arc<BanLists>,
    /// Counts what was prepared, so that what another overtook is known.
    serial: u64,
}

enum BanEngine {
    Flat(Box<FlatBans>),
    Lpm(LpmBans),
}

impl BanSets {
    /// The bans as they are found in the kernel, perhaps none.
    pub(super) fn adopted(engine: Engine, maps: &Maps) -> Result<Self, DatapathError> {
        let engine = match engine {
            Engine::Flat => BanEngine::Flat(Box::new(FlatBans::adopted(maps)?)),
            Engine::Lpm => BanEngine::Lpm(LpmBans::default()),
        };
        Ok(Self {
            engine,
            target: Arc::default(),
            serial: 0,
        })
    }

    /// Relies no longer on what the kernel was known to hold.
    pub(super) fn forget(&mut self) {
        match &mut self.engine {
            BanEngine::Flat(flat) => flat.forget(),
            BanEngine::Lpm(lpm) => lpm.forget(),
        }
    }

    /// Makes these bans ready. With the LPM engine, whose entries are of single sources, those
    /// that are new are in force at once.
    pub(super) fn prepare(
        &mut self,
        maps: &mut Maps,
        target: &Arc<BanLists>,
    ) -> Result<PreparedBans, DatapathError> {
        self.serial += 1;
        match &mut self.engine {
            BanEngine::Flat(flat) => flat.prepare(maps, target)?,
            BanEngine::Lpm(lpm) => lpm.prepare(maps, target)?,
        }
        self.target = Arc::clone(target);
        Ok(PreparedBans {
            serial: self.serial,
        })
    }

    /// Puts what was prepared in force.
    ///
    /// # Panics
    /// When something else was prepared or committed since.
    pub(super) fn commit(
        &mut self,
        maps: &mut Maps,
        prepared: &PreparedBans,
    ) -> Result<(), DatapathError> {
        assert!(
            prepared.serial == self.serial,
            "prepared bans were overtaken by others"
        );
        match &mut self.engine {
            BanEngine::Flat(flat) => {
                flat.commit(maps);
                Ok(())
            }
            BanEngine::Lpm(lpm) => lpm.commit(maps),
        }
    }

    /// Names the differences between what is in force and `expected`.
    pub(super) fn verify(
        &self,
        maps: &Maps,
        expected: &BanLists,
        extent: Extent,
    ) -> Result<Vec<String>, DatapathError> {
        match &self.engine {
            BanEngine::Flat(flat) => Ok(flat.differences(maps, expected, extent)),
            BanEngine::Lpm(_) => lpm::differences(maps, expected),
        }
    }
}

/// The number that follows on a set's, of which 0 is none.
pub(super) fn next_set(overrides: Overrides) -> u32 {
    overrides.ban_set().wrapping_add(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_inside_others_are_left_out() {
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        let lists = BanLists::of([
            (3, net("2001:db8::1/128")),
            (0, net("10.1.2.3/32")),
            (0, net("10.0.0.0/8")),
            (0, net("192.0.2.7/24")),
            (0, net("192.0.2.0/24")),
            (0, net("11.0.0.0/32")),
        ]);
        let host: Vec<String> = lists
            .of_scope(0)
            .unwrap()
            .nets()
            .map(|net| net.to_string())
            .collect();
        assert_eq!(host, ["10.0.0.0/8", "11.0.0.0/32", "192.0.2.0/24"]);
        assert_eq!(lists.of_scope(3).unwrap().len(), 1);
        assert_eq!(lists.entries(), 4);
        assert!(BanLists::of([]).is_empty());
    }

    #[test]
    fn no_set_has_the_number_of_none() {
        for number in [0, 1, u32::MAX] {
            assert_ne!(next_set(Overrides::new(7, number)), 0);
        }
    }
}
