//! Reading a slot back and comparing it with what it should hold.

use std::collections::HashSet;

use aya::{
    Pod,
    maps::{LpmTrie, MapData, lpm_trie::Key},
};
use netpolicy_common::{MAX_SCOPES, ScopeId};

use super::{
    DatapathError,
    engine::Lists,
    lpm::{Tries, key_v4, key_v6},
    maps::Maps,
};
use crate::compiler::{PrefixSet, Ruleset, ScopeRules};

/// Above this, a list is not listed but asked for a sample of what it should hold:
/// listing a trie takes microseconds an entry.
const FULL: usize = 200_000;
const SAMPLE: usize = 20_000;

/// Differences between a slot and `expected`, in words.
pub(super) fn differences(
    maps: &Maps,
    lists: &dyn Lists,
    slot: u32,
    expected: &Ruleset,
) -> Result<Vec<String>, DatapathError> {
    let mut found = Vec::new();
    let wrong = wrong_ports(maps, slot, expected)?;
    if wrong > 0 {
        found.push(format!("{wrong} ports belong to other scopes"));
    }
    for id in 0..MAX_SCOPES {
        let held = maps
            .scopes
            .get(&(slot * MAX_SCOPES + id), 0)
            .map_err(DatapathError::map("read", "SCOPES"))?;
        let rules = expected
            .scopes
            .iter()
            .find(|scope| u32::from(scope.id) == id);
        if held.flags != rules.map(|scope| scope.config.flags).unwrap_or_default() {
            found.push(format!("scope {id} is governed otherwise"));
        }
    }
    lists.differences(maps, slot, expected, &mut found)?;
    Ok(found)
}

/// Differences between a slot's LPM tries and `expected`.
pub(super) fn tries(
    maps: &Maps,
    slot: u32,
    expected: &Ruleset,
    found: &mut Vec<String>,
) -> Result<(), DatapathError> {
    let Some(tries) = Tries::of_slot(maps, slot) else {
        found.push("lists are missing".to_owned());
        return Ok(());
    };
    let block: fn(&ScopeRules) -> &PrefixSet = |scope| &scope.block;
    let allow: fn(&ScopeRules) -> &PrefixSet = |scope| &scope.allow;
    compare(
        &tries.block_v4,
        "block list, IPv4",
        keys_v4(expected, block),
        found,
    )?;
    compare(
        &tries.allow_v4,
        "allow list, IPv4",
        keys_v4(expected, allow),
        found,
    )?;
    compare(
        &tries.block_v6,
        "block list, IPv6",
        keys_v6(expected, block),
        found,
    )?;
    compare(
        &tries.allow_v6,
        "allow list, IPv6",
        keys_v6(expected, allow),
        found,
    )?;
    Ok(())
}

/// Stack for reading a table of 128 KiB, which unoptimised builds copy more often
/// than the 2 MiB of an ordinary thread allow.
const PORTS_STACK: usize = 16 << 20;

fn wrong_ports(maps: &Maps, slot: u32, expected: &Ruleset) -> Result<usize, DatapathError> {
    let count = || {
        let ports = maps
            .ports
            .get(&slot, 0)
            .map_err(DatapathError::map("read", "PORTS"))?;
        let pairs = ports.iter().zip(expected.ports.iter());
        Ok(pairs.filter(|(a, b)| a != b).count())
    };
    std::thread::scope(|scope| {
        let reader = std::thread::Builder::new().stack_size(PORTS_STACK);
        let reader = reader
            .spawn_scoped(scope, count)
            .map_err(|source| DatapathError::System {
                call: "start of a thread",
                source,
            })?;
        reader
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

type Keys<K> = Vec<Key<K>>;

fn keys_v4(expected: &Ruleset, list: fn(&ScopeRules) -> &PrefixSet) -> Keys<[u8; 8]> {
    let of = |scope: &ScopeRules| -> Keys<[u8; 8]> {
        let id: ScopeId = scope.id;
        list(scope)
            .v4
            .iter()
            .map(|prefix| key_v4(id, *prefix))
            .collect()
    };
    expected.scopes.iter().flat_map(of).collect()
}

fn keys_v6(expected: &Ruleset, list: fn(&ScopeRules) -> &PrefixSet) -> Keys<[u8; 20]> {
    let of = |scope: &ScopeRules| -> Keys<[u8; 20]> {
        let id: ScopeId = scope.id;
        list(scope)
            .v6
            .iter()
            .map(|prefix| key_v6(id, *prefix))
            .collect()
    };
    expected.scopes.iter().flat_map(of).collect()
}

fn compare<K: Pod + Eq + std::hash::Hash>(
    trie: &LpmTrie<MapData, K, u8>,
    name: &'static str,
    expected: Keys<K>,
    found: &mut Vec<String>,
) -> Result<(), DatapathError> {
    let failed = || DatapathError::map("read", "a list");
    if expected.len() > FULL {
        let step = expected.len() / SAMPLE;
        let missing = expected
            .iter()
            .step_by(step)
            .filter(|key| trie.get(key, 0).is_err())
            .count();
        if missing > 0 {
            found.push(format!(
                "{name}: {missing} of {SAMPLE} sampled entries are missing"
            ));
        }
        return Ok(());
    }
    let mut missing: HashSet<(u32, K)> = expected
        .into_iter()
        .map(|key| (key.prefix_len(), key.data()))
        .collect();
    let mut extra = 0;
    for key in trie.keys() {
        let key = key.map_err(failed())?;
        if !missing.remove(&(key.prefix_len(), key.data())) {
            extra += 1;
        }
    }
    if extra > 0 {
        found.push(format!("{name}: {extra} entries too many"));
    }
    if !missing.is_empty() {
        found.push(format!("{name}: {} entries are missing", missing.len()));
    }
    Ok(())
}
