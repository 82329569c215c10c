//! Reading a slot back and comparing it with what it should hold.

use std::collections::HashSet;

use aya::{
    Pod,
    maps::{LpmTrie, MapData, lpm_trie::Key},
};
use netpolicy_common::ScopeId;

use super::{
    DatapathError,
    engine::Lists,
    lpm::{Tries, key_v4, key_v6},
    maps::Maps,
    slots,
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
    let Some(held) = maps.governance.get(slot as usize) else {
        return Ok(vec!["ports and scopes are missing".to_owned()]);
    };
    let pairs = held.scope_of_port.iter().zip(expected.ports.iter());
    let wrong = pairs.filter(|(a, b)| a != b).count();
    if wrong > 0 {
        found.push(format!("{wrong} ports belong to other scopes"));
    }
    let head = maps.control.slot(slot);
    if head != slots::head_of(held) {
        found.push("the host's head differs from its ports and scopes".to_owned());
    }
    for (id, held) in held.scopes.iter().enumerate() {
        let mut scopes = expected.scopes.iter();
        let rules = scopes.find(|scope| usize::from(scope.id) == id);
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
