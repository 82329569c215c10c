//! The tries of a slot.

use aya::{
    Pod,
    maps::{LpmTrie, MapData},
};

use crate::datapath::{
    DatapathError,
    maps::{Maps, TrieV4, TrieV6},
    retry::while_out_of_memory,
};

/// A trie allocates nodes as it grows; this only bounds it.
const MAX_ENTRIES: u32 = 1 << 26;
/// `BPF_F_NO_PREALLOC`, which the kernel demands for LPM tries.
const NO_PREALLOC: u32 = 1;

/// The tries of one slot.
pub(super) struct Tries {
    pub(super) block_v4: TrieV4,
    pub(super) block_v6: TrieV6,
    pub(super) allow_v4: TrieV4,
    pub(super) allow_v6: TrieV6,
}

impl Tries {
    /// The tries that `slot` holds; `None` if any is missing, as before the first fill.
    pub(super) fn of_slot(maps: &Maps, slot: u32) -> Option<Self> {
        Some(Self {
            block_v4: maps.block_v4.get(&slot, 0).ok()?,
            block_v6: maps.block_v6.get(&slot, 0).ok()?,
            allow_v4: maps.allow_v4.get(&slot, 0).ok()?,
            allow_v6: maps.allow_v6.get(&slot, 0).ok()?,
        })
    }

    pub(super) fn create() -> Result<Self, DatapathError> {
        fn trie<K: Pod>(name: &'static str) -> Result<LpmTrie<MapData, K, u8>, DatapathError> {
            while_out_of_memory(|| LpmTrie::create(MAX_ENTRIES, NO_PREALLOC))
                .map_err(DatapathError::map("create", name))
        }
        Ok(Self {
            block_v4: trie("BLOCK_V4")?,
            block_v6: trie("BLOCK_V6")?,
            allow_v4: trie("ALLOW_V4")?,
            allow_v6: trie("ALLOW_V6")?,
        })
    }

    pub(super) fn install(&self, maps: &mut Maps, slot: u32) -> Result<(), DatapathError> {
        let set = DatapathError::map;
        maps.block_v4
            .set(slot, &self.block_v4, 0)
            .map_err(set("set", "BLOCK_V4"))?;
        maps.block_v6
            .set(slot, &self.block_v6, 0)
            .map_err(set("set", "BLOCK_V6"))?;
        maps.allow_v4
            .set(slot, &self.allow_v4, 0)
            .map_err(set("set", "ALLOW_V4"))?;
        maps.allow_v6
            .set(slot, &self.allow_v6, 0)
            .map_err(set("set", "ALLOW_V6"))
    }
}
