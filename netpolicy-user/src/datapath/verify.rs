//! Reading a slot back and comparing it with what it should hold.

use std::collections::HashSet;

use aya::{
    Pod,
    maps::{LpmTrie, MapData, lpm_trie::Key},
};
use netpolicy_common::ScopeId;

use super::{
    DatapathError,
    lpm::{Tries, key_v4, key_v6},
    maps::Maps,
    slots,
};
use crate::compiler::{Extent, Prefix, PrefixSet, Prefixes, Ruleset, ScopeRules};

/// A trie of at most so many prefixes is always listed; of others a sample is asked for,
/// for listing takes microseconds an entry. What is too much in them only [`Extent::Full`]
/// finds.
const LISTED: usize = 200_000;

/// Differences between a slot and `expected`, in words; those of its lists are added by
/// `lists`.
pub(super) fn differences(
    maps: &Maps,
    slot: u32,
    expected: &Ruleset,
    lists: impl FnOnce(&mut Vec<String>) -> Result<(), DatapathError>,
) -> Result<Vec<String>, DatapathError> {
    let mut found = Vec::new();
    let Some(held) = maps.governance.get(slot as usize) else {
        return Ok(vec!["ports and scopes are missing".to_owned()]);
    };
    let pairs = held.scope_of_port.iter().zip(expected.ports.iter());
    let wrong = pairs.filter(|(a, b)| a != b).count();
    if wrong > 0 {
        found.push(format!("ports that belong to other scopes: {wrong}"));
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
    lists(&mut found)?;
    Ok(found)
}

/// Differences between a slot's LPM tries and `expected`, as far as the extent goes.
pub(super) fn tries(
    maps: &Maps,
    slot: u32,
    expected: &Ruleset,
    extent: Extent,
    found: &mut Vec<String>,
) -> Result<(), DatapathError> {
    let Some(tries) = Tries::of_slot(maps, slot) else {
        found.push("lists are missing".to_owned());
        return Ok(());
    };
    let block: fn(&ScopeRules) -> &PrefixSet = |scope| &scope.block;
    let allow: fn(&ScopeRules) -> &PrefixSet = |scope| &scope.allow;
    let v4 = |list| keys(expected, list, |set| &set.v4, key_v4, extent);
    let v6 = |list| keys(expected, list, |set| &set.v6, key_v6, extent);
    compare(&tries.block_v4, "block list, IPv4", v4(block), found)?;
    compare(&tries.allow_v4, "allow list, IPv4", v4(allow), found)?;
    compare(&tries.block_v6, "block list, IPv6", v6(block), found)?;
    compare(&tries.allow_v6, "allow list, IPv6", v6(allow), found)
}

/// What a trie should hold.
enum Expected<K: Pod> {
    /// This, and nothing else.
    All(Vec<Key<K>>),
    /// This as well.
    Sample(Vec<Key<K>>),
}

fn keys<P: Prefix, K: Pod>(
    expected: &Ruleset,
    list: fn(&ScopeRules) -> &PrefixSet,
    family: fn(&PrefixSet) -> &Prefixes<P>,
    key: fn(ScopeId, P) -> Key<K>,
    extent: Extent,
) -> Expected<K> {
    let lists = || {
        let scopes = expected.scopes.iter();
        scopes.map(|scope| (scope.id, family(list(scope))))
    };
    let count: usize = lists().map(|(_, list)| list.len()).sum();
    let extent = if count > LISTED { extent } else { Extent::Full };
    let keys = lists().flat_map(|(scope, list)| {
        let part = extent.part(&[list]);
        let prefixes = list.range(part.first..=part.last);
        prefixes.map(move |prefix| key(scope, prefix))
    });
    match extent {
        Extent::Full => Expected::All(keys.collect()),
        Extent::Sample(_) => Expected::Sample(keys.collect()),
    }
}

fn compare<K: Pod + Eq + std::hash::Hash>(
    trie: &LpmTrie<MapData, K, u8>,
    name: &'static str,
    expected: Expected<K>,
    found: &mut Vec<String>,
) -> Result<(), DatapathError> {
    let failed = || DatapathError::map("read", "a list");
    let expected = match expected {
        Expected::All(keys) => keys,
        Expected::Sample(keys) => {
            let missing = keys.iter().filter(|key| trie.get(key, 0).is_err());
            match missing.count() {
                0 => {}
                missing => found.push(format!(
                    "{name}: entries that are missing: {missing} of {} sampled",
                    keys.len()
                )),
            }
            return Ok(());
        }
    };
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
        found.push(format!("{name}: entries that are too many: {extra}"));
    }
    if !missing.is_empty() {
        found.push(format!(
            "{name}: entries that are missing: {}",
            missing.len()
        ));
    }
    Ok(())
}
