//! What is in force, read out of the kernel as rules: when no state says what it should be.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netpolicy_common::{Engine, FAILSAFE_SCOPE, HOST_SCOPE, ScopeConfig, ScopeId, slot_of};

use super::maps::Maps;
use super::trie_key::{of_key_v4, of_key_v6};
use super::{DatapathError, flat, lpm};
use crate::clock::since_boot;
use crate::compiler::{Ruleset, ScopeRules};

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
    let held = maps.governance.get(slot as usize);
    let held = held.ok_or(DatapathError::Unreadable {
        what: "ports and scopes",
    })?;
    let mut ids: Vec<ScopeId> = held.scope_of_port.to_vec();
    ids.push(HOST_SCOPE);
    ids.sort_unstable();
    ids.dedup();
    ids.retain(|id| *id != FAILSAFE_SCOPE);
    let mut lists = match engine {
        Engine::Lpm => lpm::contents(maps, slot)?,
        Engine::Flat => flat::contents(maps, slot, held, &ids)?,
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

fn bypasses(maps: &Maps) -> Result<Vec<(ScopeId, IpNet)>, DatapathError> {
    let now = u64::try_from(since_boot().as_nanos()).unwrap_or(u64::MAX);
    let mut found = Vec::new();
    for entry in maps.bypass_v4.iter() {
        let (key, expiry) = entry.map_err(DatapathError::map("list", "BYPASS_V4"))?;
        let (scope, prefix) = of_key_v4(key.data(), key.prefix_len());
        let net = Ipv4Net::new(Ipv4Addr::from(prefix.addr), prefix.len);
        let live = u64::from_ne_bytes(expiry) > now;
        found.extend(net.ok().filter(|_| live).map(|net| (scope, net.into())));
    }
    for entry in maps.bypass_v6.iter() {
        let (key, expiry) = entry.map_err(DatapathError::map("list", "BYPASS_V6"))?;
        let (scope, prefix) = of_key_v6(key.data(), key.prefix_len());
        let net = Ipv6Net::new(Ipv6Addr::from(prefix.addr), prefix.len);
        let live = u64::from_ne_bytes(expiry) > now;
        found.extend(net.ok().filter(|_| live).map(|net| (scope, net.into())));
    }
    Ok(found)
}
