//! Bans in the LPM engine: a trie for each family, changed entry by entry while it is in force.
//!
//! Additions come before removals, so that a source that is banned before and after is banned
//! throughout.

use std::{collections::HashSet, hash::Hash, sync::Arc};

use aya::{
    Pod,
    maps::{LpmTrie, MapData, MapError, lpm_trie::Key},
};
use netpolicy_common::{KeyV4, KeyV6, ScopeId};

use super::BanLists;
use crate::{
    compiler::PrefixSet,
    datapath::{
        DatapathError,
        maps::Maps,
        retry::while_out_of_memory,
        trie_key::{key_v4, key_v6},
    },
};

/// The value of every entry: only its presence counts.
const BANNED: u8 = 1;

/// See the module.
#[derive(Default)]
pub(super) struct LpmBans {
    /// What the tries hold; `None`: not known.
    held: Option<Arc<BanLists>>,
    /// What they held before what is prepared; `None`: not known.
    before: Option<Arc<BanLists>>,
    /// What they are to hold without what is to go.
    target: Arc<BanLists>,
}

impl LpmBans {
    pub(super) fn forget(&mut self) {
        self.held = None;
        self.before = None;
    }

    /// Adds what is new.
    pub(super) fn prepare(
        &mut self,
        maps: &mut Maps,
        target: &Arc<BanLists>,
    ) -> Result<(), DatapathError> {
        // After a failure, or if this is abandoned, the tries hold more than is known.
        self.before = None;
        let held = self.held.take();
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        match &held {
            Some(held) => each_difference(held, target, &mut v4, &mut v6, true),
            None => each_difference(&BanLists::default(), target, &mut v4, &mut v6, true),
        }
        if !target.is_empty() {
            // Before the entries, so that none is there without being looked up.
            maps.control.set_ban_set(1);
        }
        for key in &v4 {
            put(&mut maps.ban_v4, "BAN_V4", key)?;
        }
        for key in &v6 {
            put(&mut maps.ban_v6, "BAN_V6", key)?;
        }
        self.before = held;
        self.target = Arc::clone(target);
        Ok(())
    }

    /// Removes what is to go.
    pub(super) fn commit(&mut self, maps: &mut Maps) -> Result<(), DatapathError> {
        let target = Arc::clone(&self.target);
        match self.before.take() {
            Some(held) => {
                let (mut v4, mut v6) = (Vec::new(), Vec::new());
                each_difference(&held, &target, &mut v4, &mut v6, false);
                for key in &v4 {
                    remove(&mut maps.ban_v4, "BAN_V4", key)?;
                }
                for key in &v6 {
                    remove(&mut maps.ban_v6, "BAN_V6", key)?;
                }
            }
            None => {
                let (v4, v6) = wanted(&target);
                remove_others(&mut maps.ban_v4, "BAN_V4", &v4)?;
                remove_others(&mut maps.ban_v6, "BAN_V6", &v6)?;
            }
        }
        maps.control.set_ban_set(u32::from(!target.is_empty()));
        self.held = Some(target);
        Ok(())
    }
}

/// Keys by prefix length and data, since keys have no order.
type Keys<K> = HashSet<(u32, K)>;

fn wanted(lists: &BanLists) -> (Keys<KeyV4>, Keys<KeyV6>) {
    let (mut v4, mut v6) = (Keys::new(), Keys::new());
    for (scope, set) in lists.scopes() {
        v4.extend(set.v4.iter().map(|prefix| parts(&key_v4(scope, *prefix))));
        v6.extend(set.v6.iter().map(|prefix| parts(&key_v6(scope, *prefix))));
    }
    (v4, v6)
}

fn parts<K: Pod>(key: &Key<K>) -> (u32, K) {
    (key.prefix_len(), key.data())
}

/// The keys that only the new lists have, or only the old ones.
fn each_difference(
    old: &BanLists,
    new: &BanLists,
    v4: &mut Vec<Key<KeyV4>>,
    v6: &mut Vec<Key<KeyV6>>,
    is_wanted_new: bool,
) {
    let nothing = PrefixSet::default();
    let mut ids: Vec<ScopeId> = old.scopes().chain(new.scopes()).map(|(id, _)| id).collect();
    ids.sort_unstable();
    ids.dedup();
    for id in ids {
        let old = old.of_scope(id).unwrap_or(&nothing);
        let new = new.of_scope(id).unwrap_or(&nothing);
        old.v4.differences(&new.v4, |prefix, is_new| {
            if is_new == is_wanted_new {
                v4.push(key_v4(id, prefix));
            }
        });
        old.v6.differences(&new.v6, |prefix, is_new| {
            if is_new == is_wanted_new {
                v6.push(key_v6(id, prefix));
            }
        });
    }
}

fn put<K: Pod>(
    trie: &mut LpmTrie<MapData, K, u8>,
    name: &'static str,
    key: &Key<K>,
) -> Result<(), DatapathError> {
    while_out_of_memory(|| trie.insert(key, BANNED, 0)).map_err(DatapathError::map("add to", name))
}

fn remove<K: Pod>(
    trie: &mut LpmTrie<MapData, K, u8>,
    name: &'static str,
    key: &Key<K>,
) -> Result<(), DatapathError> {
    match while_out_of_memory(|| trie.remove(key)) {
        // Gone already: that is what was wanted.
        Err(MapError::KeyNotFound) => Ok(()),
        done => done.map_err(DatapathError::map("remove from", name)),
    }
}

fn remove_others<K: Pod + Eq + Hash>(
    trie: &mut LpmTrie<MapData, K, u8>,
    name: &'static str,
    wanted: &Keys<K>,
) -> Result<(), DatapathError> {
    let held = trie
        .keys()
        .collect::<Result<Vec<_>, _>>()
        .map_err(DatapathError::map("list", name))?;
    let others = held.iter().filter(|key| !wanted.contains(&parts(key)));
    for key in others {
        remove(trie, name, key)?;
    }
    Ok(())
}

/// Names what the tries lack and what they have too much.
pub(super) fn differences(maps: &Maps, expected: &BanLists) -> Result<Vec<String>, DatapathError> {
    let (v4, v6) = wanted(expected);
    let mut found = Vec::new();
    compare(&maps.ban_v4, "BAN_V4", v4, &mut found)?;
    compare(&maps.ban_v6, "BAN_V6", v6, &mut found)?;
    Ok(found)
}

fn compare<K: Pod + Eq + Hash>(
    trie: &LpmTrie<MapData, K, u8>,
    name: &'static str,
    mut wanted: Keys<K>,
    found: &mut Vec<String>,
) -> Result<(), DatapathError> {
    let mut too_many = 0;
    for key in trie.keys() {
        let key = key.map_err(DatapathError::map("list", name))?;
        too_many += u64::from(!wanted.remove(&parts(&key)));
    }
    if too_many > 0 {
        found.push(format!("bans: {too_many} entries too many in {name}"));
    }
    if !wanted.is_empty() {
        found.push(format!(
            "bans: {} entries are missing in {name}",
            wanted.len()
        ));
    }
    Ok(())
}
