//! Reading tries back: compared with the lists that they should hold, or as lists.

use std::collections::{BTreeMap, HashSet};

use aya::{
    Pod,
    maps::{LpmTrie, MapData, lpm_trie::Key},
};
use netpolicy_common::{ScopeId, list_slot_of};

use super::tries::Tries;
use crate::compiler::{Extent, Prefix, PrefixSet, Prefixes, Ruleset, ScopeRules, aggregate};
use crate::datapath::{
    DatapathError,
    engine::ScopeContents,
    maps::Maps,
    trie_key::{key_v4, key_v6, of_key_v4, of_key_v6},
};

/// A trie of at most so many prefixes is always listed; of others a sample is asked for,
/// for listing takes microseconds an entry. What is too much in them only [`Extent::Full`]
/// finds.
const LISTED: usize = 200_000;

/// Differences between a slot's LPM tries and `expected`, as far as the extent goes.
pub(in crate::datapath) fn differences(
    maps: &Maps,
    slot: u32,
    expected: &Ruleset,
    extent: Extent,
    found: &mut Vec<String>,
) -> Result<(), DatapathError> {
    let Some(tries) = Tries::of_slot(maps, list_slot_of(slot)) else {
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

/// Prefixes of each scope.
type ByScope<P> = BTreeMap<ScopeId, Vec<P>>;

/// The lists that a slot's tries hold.
pub(in crate::datapath) fn contents(
    maps: &Maps,
    slot: u32,
) -> Result<ScopeContents, DatapathError> {
    let Some(tries) = Tries::of_slot(maps, list_slot_of(slot)) else {
        return Err(DatapathError::Unreadable { what: "lists" });
    };
    let mut lists = ScopeContents::new();
    for (scope, nets) in prefixes(&tries.block_v4, of_key_v4)? {
        lists.entry(scope).or_default().0.v4 = whole(&nets);
    }
    for (scope, nets) in prefixes(&tries.block_v6, of_key_v6)? {
        lists.entry(scope).or_default().0.v6 = whole(&nets);
    }
    for (scope, nets) in prefixes(&tries.allow_v4, of_key_v4)? {
        lists.entry(scope).or_default().1.v4 = whole(&nets);
    }
    for (scope, nets) in prefixes(&tries.allow_v6, of_key_v6)? {
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
