//! Bypasses in the kernel, which lets them expire by its own clock.

use std::{collections::BTreeMap, time::Duration};

use aya::{
    Pod,
    maps::{LpmTrie, MapData, MapError, lpm_trie::Key},
};
use ipnet::IpNet;
use netpolicy_common::ScopeId;

use super::{
    DatapathError,
    maps::Maps,
    retry::while_out_of_memory,
    trie_key::{key_v4, key_v6},
};
use crate::{
    clock::since_boot,
    compiler::{Prefix4, Prefix6},
};

/// What the maps hold of a family (`BYPASSES` in the program).
const MAX: usize = 4096;

/// One bypass, as the kernel is to hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BypassEntry {
    /// The host (with everything on it) or one service.
    pub scope: ScopeId,
    /// Who is exempt.
    pub source: IpNet,
    /// For how long from now.
    pub remaining: Duration,
}

/// Makes the maps hold just these bypasses.
///
/// The kernel finds the longest prefix only, so each entry lasts as long as the
/// longest-lived one that covers it: a narrow one that has expired does not hide a wide
/// unexpired one. Entries appear before others disappear; a source that is exempt
/// before and after is exempt throughout.
pub(super) fn set(maps: &mut Maps, entries: &[BypassEntry]) -> Result<(), DatapathError> {
    let now = since_boot();
    let mut v4 = BTreeMap::new();
    let mut v6 = BTreeMap::new();
    for entry in entries {
        let remaining = entries
            .iter()
            .filter(|other| other.scope == entry.scope && other.source.contains(&entry.source))
            .map(|other| other.remaining)
            .max()
            .unwrap_or(entry.remaining);
        let expiry = u64::try_from((now + remaining).as_nanos()).unwrap_or(u64::MAX);
        match entry.source {
            IpNet::V4(net) => {
                let prefix = Prefix4 {
                    addr: net.network().into(),
                    len: net.prefix_len(),
                };
                insert(&mut v4, key_v4(entry.scope, prefix), expiry);
            }
            IpNet::V6(net) => {
                let prefix = Prefix6 {
                    addr: net.network().into(),
                    len: net.prefix_len(),
                };
                insert(&mut v6, key_v6(entry.scope, prefix), expiry);
            }
        }
    }
    for count in [v4.len(), v6.len()] {
        if count > MAX {
            return Err(DatapathError::TooManyBypasses { count, max: MAX });
        }
    }
    // Before the entries, so that none is there without being looked up. A source in
    // none of them passes by what the lists say, whatever the count.
    let count = u32::try_from(v4.len() + v6.len()).unwrap_or(u32::MAX);
    if count > 0 {
        maps.control.set_bypasses(count);
    }
    replace(&mut maps.bypass_v4, "BYPASS_V4", &v4)?;
    replace(&mut maps.bypass_v6, "BYPASS_V6", &v6)?;
    maps.control.set_bypasses(count);
    Ok(())
}

/// By prefix length and data, since keys are not ordered.
type Wanted<K> = BTreeMap<(u32, K), [u8; 8]>;

fn insert<K: Pod + Ord>(wanted: &mut Wanted<K>, key: Key<K>, expiry: u64) {
    wanted.insert((key.prefix_len(), key.data()), expiry.to_ne_bytes());
}

fn replace<K: Pod + Ord>(
    map: &mut LpmTrie<MapData, K, [u8; 8]>,
    name: &'static str,
    wanted: &Wanted<K>,
) -> Result<(), DatapathError> {
    let held = map
        .keys()
        .collect::<Result<Vec<_>, _>>()
        .map_err(DatapathError::map("list", name))?;
    let stale: Vec<_> = held
        .into_iter()
        .filter(|key| !wanted.contains_key(&(key.prefix_len(), key.data())))
        .collect();
    // A full map has no room for new entries next to the stale ones.
    let stale_first = stale.len() + wanted.len() > MAX;
    if stale_first {
        remove(map, name, &stale)?;
    }
    for ((len, data), expiry) in wanted {
        let key = Key::new(*len, *data);
        while_out_of_memory(|| map.insert(&key, expiry, 0))
            .map_err(DatapathError::map("add to", name))?;
    }
    if !stale_first {
        remove(map, name, &stale)?;
    }
    Ok(())
}

fn remove<K: Pod>(
    map: &mut LpmTrie<MapData, K, [u8; 8]>,
    name: &'static str,
    keys: &[Key<K>],
) -> Result<(), DatapathError> {
    for key in keys {
        match map.remove(key) {
            Ok(()) | Err(MapError::KeyNotFound) => {}
            Err(source) => return Err(DatapathError::map("remove from", name)(source)),
        }
    }
    Ok(())
}
