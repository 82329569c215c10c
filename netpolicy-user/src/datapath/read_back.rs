//! What is in force, read out of the kernel as rules: when no state says what it should be.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use aya::Pod;
use aya::maps::{LpmTrie, MapData};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netpolicy_common::{
    Engine, FAILSAFE_SCOPE, HOST_SCOPE, SCOPE_BITS, ScopeConfig, ScopeId, list_slot_of, slot_of,
};

use super::DatapathError;
use super::chunks::{Chunks, HALF};
use super::lpm::Tries;
use super::maps::Maps;
use super::slots::first_chunk;
use crate::clock::since_boot;
use crate::compiler::flat::{Roots, lists_in};
use crate::compiler::{
    Prefix, Prefix4, Prefix6, PrefixSet, Prefixes, Ruleset, ScopeRules, aggregate,
};

/// The rules and exemptions in force.
#[derive(Clone, Debug)]
pub struct EnforcedRules {
    /// The rules; services are named by their scopes.
    pub rules: Ruleset,
    /// Unexpired bypasses: their scopes and sources.
    pub bypasses: Vec<(ScopeId, IpNet)>,
}

/// Reads everything: about a second for some millions of prefixes.
pub(super) fn read(maps: &Maps, engine: Engine) -> Result<EnforcedRules, DatapathError> {
    Ok(EnforcedRules {
        rules: rules(maps, engine)?,
        bypasses: bypasses(maps)?,
    })
}

fn rules(maps: &Maps, engine: Engine) -> Result<Ruleset, DatapathError> {
    let slot = slot_of(maps.control.generation());
    let info = maps.slot_info.get(&slot, 0);
    let info = info.map_err(DatapathError::map("read", "SLOT_INFO"))?;
    let damaged = |what| DatapathError::Unreadable { what };
    let held = maps.governance.get(slot as usize);
    let held = held.ok_or_else(|| damaged("ports and scopes"))?;
    let mut ids: Vec<ScopeId> = held.scope_of_port.to_vec();
    ids.push(HOST_SCOPE);
    ids.sort_unstable();
    ids.dedup();
    ids.retain(|id| *id != FAILSAFE_SCOPE);
    let mut lists: BTreeMap<ScopeId, (PrefixSet, PrefixSet)> = match engine {
        Engine::Lpm => of_tries(maps, slot)?,
        Engine::Flat => {
            let first = first_chunk(maps, slot)?;
            let chunks = Chunks::open(maps, first..first + HALF);
            let page = |number: u32| chunks.page(number);
            let mut lists = BTreeMap::new();
            for id in &ids {
                let Some(config) = held.scopes.get(usize::from(*id)) else {
                    return Err(damaged("ports and scopes"));
                };
                let roots = Roots {
                    v4: config.root_v4,
                    v6: config.root_v6,
                };
                let read = lists_in(roots, info.entries, &page);
                lists.insert(*id, read.ok_or_else(|| damaged("lists"))?);
            }
            lists
        }
    };
    let scopes = ids.into_iter().map(|id| {
        let (block, allow) = lists.remove(&id).unwrap_or_default();
        let flags = held.scopes.get(usize::from(id)).map(|scope| scope.flags);
        ScopeRules {
            id,
            name: match id {
                HOST_SCOPE => "host".to_owned(),
                id => format!("number {id}"),
            },
            config: ScopeConfig {
                flags: flags.unwrap_or_default(),
                ..ScopeConfig::default()
            },
            block,
            allow,
        }
    });
    Ok(Ruleset {
        ports: Arc::new(held.scope_of_port),
        scopes: scopes.collect(),
    })
}

/// Prefixes of each scope.
type ByScope<P> = BTreeMap<ScopeId, Vec<P>>;

fn of_tries(
    maps: &Maps,
    slot: u32,
) -> Result<BTreeMap<ScopeId, (PrefixSet, PrefixSet)>, DatapathError> {
    let Some(tries) = Tries::of_slot(maps, list_slot_of(slot)) else {
        return Err(DatapathError::Unreadable { what: "lists" });
    };
    let mut lists: BTreeMap<ScopeId, (PrefixSet, PrefixSet)> = BTreeMap::new();
    for (scope, nets) in prefixes(&tries.block_v4, v4)? {
        lists.entry(scope).or_default().0.v4 = whole(&nets);
    }
    for (scope, nets) in prefixes(&tries.block_v6, v6)? {
        lists.entry(scope).or_default().0.v6 = whole(&nets);
    }
    for (scope, nets) in prefixes(&tries.allow_v4, v4)? {
        lists.entry(scope).or_default().1.v4 = whole(&nets);
    }
    for (scope, nets) in prefixes(&tries.allow_v6, v6)? {
        lists.entry(scope).or_default().1.v6 = whole(&nets);
    }
    Ok(lists)
}

fn whole<P: Prefix>(nets: &[P]) -> Prefixes<P> {
    aggregate(nets.iter().map(|net| (net.first(), net.last())).collect())
}

fn prefixes<K: Pod, P>(
    trie: &LpmTrie<MapData, K, u8>,
    prefix: fn(K, u32) -> (ScopeId, P),
) -> Result<ByScope<P>, DatapathError> {
    let mut found = ByScope::new();
    for key in trie.keys() {
        let key = key.map_err(DatapathError::map("read", "a list"))?;
        let (scope, prefix) = prefix(key.data(), key.prefix_len());
        found.entry(scope).or_default().push(prefix);
    }
    Ok(found)
}

fn bypasses(maps: &Maps) -> Result<Vec<(ScopeId, IpNet)>, DatapathError> {
    let now = u64::try_from(since_boot().as_nanos()).unwrap_or(u64::MAX);
    let mut found = Vec::new();
    for entry in maps.bypass_v4.iter() {
        let (key, expiry) = entry.map_err(DatapathError::map("list", "BYPASS_V4"))?;
        let (scope, prefix) = v4(key.data(), key.prefix_len());
        let net = Ipv4Net::new(Ipv4Addr::from(prefix.addr), prefix.len);
        let live = u64::from_ne_bytes(expiry) > now;
        found.extend(net.ok().filter(|_| live).map(|net| (scope, net.into())));
    }
    for entry in maps.bypass_v6.iter() {
        let (key, expiry) = entry.map_err(DatapathError::map("list", "BYPASS_V6"))?;
        let (scope, prefix) = v6(key.data(), key.prefix_len());
        let net = Ipv6Net::new(Ipv6Addr::from(prefix.addr), prefix.len);
        let live = u64::from_ne_bytes(expiry) > now;
        found.extend(net.ok().filter(|_| live).map(|net| (scope, net.into())));
    }
    Ok(found)
}

/// Scope and prefix of a key; see `netpolicy_common::key`.
fn v4(key: [u8; 8], len: u32) -> (ScopeId, Prefix4) {
    let [_, _, s0, s1, a, b, c, d] = key;
    let addr = u32::from_be_bytes([a, b, c, d]);
    let len = cidr(len, 32);
    (ScopeId::from_be_bytes([s0, s1]), Prefix4 { addr, len })
}

fn v6(key: [u8; 20], len: u32) -> (ScopeId, Prefix6) {
    let mut address = [0; 16];
    address.copy_from_slice(&key[4..]);
    let addr = u128::from_be_bytes(address);
    let len = cidr(len, 128);
    (
        ScopeId::from_be_bytes([key[2], key[3]]),
        Prefix6 { addr, len },
    )
}

fn cidr(len: u32, most: u8) -> u8 {
    let len = u8::try_from(len.saturating_sub(SCOPE_BITS));
    len.map_or(most, |len| len.min(most))
}
