//! The program's maps, opened from their pins and typed.

use std::path::Path;

use aya::maps::{
    Array, ArrayOfMaps, LpmTrie, Map, MapData, MapError, MapInfo, MapType, PerCpuArray, RingBuf,
};
use netpolicy_common::{
    Build, EventStats, KeyV4, KeyV6, MAX_SCOPES, Reason, SLOTS, ScopeConfig, ScopeId, SlotInfo,
};

use super::{DatapathError, sys::ControlPage};

/// A trie of IPv4 prefixes.
pub(super) type TrieV4 = LpmTrie<MapData, KeyV4, u8>;
/// A trie of IPv6 prefixes.
pub(super) type TrieV6 = LpmTrie<MapData, KeyV6, u8>;

/// Every map that is pinned: its name in the program, and its type.
pub(super) const PINNED: &[(&str, MapType)] = &[
    ("BUILD", MapType::Array),
    ("CONTROL", MapType::Array),
    ("SLOT_INFO", MapType::Array),
    ("PORTS", MapType::Array),
    ("SCOPES", MapType::Array),
    ("BLOCK_V4", MapType::ArrayOfMaps),
    ("BLOCK_V6", MapType::ArrayOfMaps),
    ("ALLOW_V4", MapType::ArrayOfMaps),
    ("ALLOW_V6", MapType::ArrayOfMaps),
    ("ARENA", MapType::ArrayOfMaps),
    ("BYPASS_V4", MapType::LpmTrie),
    ("BYPASS_V6", MapType::LpmTrie),
    ("COUNTERS", MapType::PerCpuArray),
    ("EVENTS", MapType::RingBuf),
    ("EVENT_ALLOWANCE", MapType::PerCpuArray),
    ("EVENT_STATS", MapType::PerCpuArray),
];

/// The maps of one program.
pub(super) struct Maps {
    pub(super) build: Array<MapData, Build>,
    pub(super) control: ControlPage,
    pub(super) slot_info: Array<MapData, SlotInfo>,
    pub(super) ports: Array<MapData, [ScopeId; 65536]>,
    pub(super) scopes: Array<MapData, ScopeConfig>,
    pub(super) block_v4: ArrayOfMaps<MapData, TrieV4>,
    pub(super) block_v6: ArrayOfMaps<MapData, TrieV6>,
    pub(super) allow_v4: ArrayOfMaps<MapData, TrieV4>,
    pub(super) allow_v6: ArrayOfMaps<MapData, TrieV6>,
    pub(super) arena: ArrayOfMaps<MapData, MapData>,
    pub(super) bypass_v4: LpmTrie<MapData, KeyV4, [u8; 8]>,
    pub(super) bypass_v6: LpmTrie<MapData, KeyV6, [u8; 8]>,
    pub(super) counters: PerCpuArray<MapData, u64>,
    pub(super) event_stats: PerCpuArray<MapData, EventStats>,
}

impl Maps {
    /// Opens the pins in `dir`. A pin that holds another kind of map, or one of
    /// another shape, is refused: the kernel would take it without a word.
    pub(super) fn open(dir: &Path, writable: bool) -> Result<Self, DatapathError> {
        let control = open_map(dir, "CONTROL")?;
        let Map::Array(control) = &control else {
            return Err(foreign(dir, "CONTROL", "not an array".into()));
        };
        let control =
            ControlPage::map(control.fd(), writable).map_err(|source| DatapathError::System {
                call: "mmap of the control map",
                source,
            })?;
        let maps = Self {
            build: typed(dir, "BUILD")?,
            control,
            slot_info: typed(dir, "SLOT_INFO")?,
            ports: typed(dir, "PORTS")?,
            scopes: typed(dir, "SCOPES")?,
            block_v4: typed(dir, "BLOCK_V4")?,
            block_v6: typed(dir, "BLOCK_V6")?,
            allow_v4: typed(dir, "ALLOW_V4")?,
            allow_v6: typed(dir, "ALLOW_V6")?,
            arena: typed(dir, "ARENA")?,
            bypass_v4: typed(dir, "BYPASS_V4")?,
            bypass_v6: typed(dir, "BYPASS_V6")?,
            counters: typed(dir, "COUNTERS")?,
            event_stats: typed(dir, "EVENT_STATS")?,
        };
        let sized = [
            ("SLOT_INFO", maps.slot_info.len(), SLOTS),
            ("PORTS", maps.ports.len(), SLOTS),
            ("SCOPES", maps.scopes.len(), SLOTS * MAX_SCOPES),
            ("COUNTERS", maps.counters.len(), MAX_SCOPES * Reason::SLOTS),
        ];
        for (name, found, expected) in sized {
            if found != expected {
                return Err(foreign(
                    dir,
                    name,
                    format!("{found} elements, not {expected}"),
                ));
            }
        }
        Ok(maps)
    }
}

impl Maps {
    /// Makes `arena` the memory of a slot, and waits for all running programs.
    pub(super) fn set_arena(&mut self, slot: u32, arena: &MapData) -> Result<(), DatapathError> {
        self.arena
            .set(slot, arena, 0)
            .map_err(DatapathError::map("set", "ARENA"))
    }
}

/// Opens the events' ring buffer and what each CPU may write to it. Not part of
/// [`Maps`], since they are read elsewhere.
pub(super) fn open_events(
    dir: &Path,
) -> Result<(RingBuf<MapData>, PerCpuArray<MapData, u64>), DatapathError> {
    Ok((typed(dir, "EVENTS")?, typed(dir, "EVENT_ALLOWANCE")?))
}

/// Whether every pin is there.
pub(super) fn are_pinned(dir: &Path) -> bool {
    let names = PINNED.iter().map(|(name, _)| *name);
    names
        .chain([super::pins::PROGRAM])
        .all(|name| dir.join(name).exists())
}

/// Who made the pins in `dir`; `None` if there are none, or none that tell.
pub(super) fn read_build(dir: &Path) -> Option<Build> {
    let map: Array<MapData, Build> = Array::try_from(open_map(dir, "BUILD").ok()?).ok()?;
    map.get(&0, 0).ok()
}

fn typed<T: TryFrom<Map, Error = MapError>>(
    dir: &Path,
    name: &'static str,
) -> Result<T, DatapathError> {
    T::try_from(open_map(dir, name)?).map_err(|error| foreign(dir, name, error.to_string()))
}

fn open_map(dir: &Path, name: &'static str) -> Result<Map, DatapathError> {
    let expected = PINNED
        .iter()
        .find(|(pinned, _)| *pinned == name)
        .map(|(_, kind)| *kind);
    let path = dir.join(name);
    if !path.exists() {
        return Err(foreign(dir, name, "it is missing".to_owned()));
    }
    let info = MapInfo::from_pin(&path).map_err(DatapathError::map("open", name))?;
    let found = info
        .map_type()
        .map_err(DatapathError::map("inspect", name))?;
    if Some(found) != expected {
        return Err(foreign(dir, name, format!("a map of type {found:?}")));
    }
    let data = MapData::from_pin(&path).map_err(DatapathError::map("open", name))?;
    Map::from_map_data(data).map_err(DatapathError::map("open", name))
}

fn foreign(dir: &Path, name: &str, what: String) -> DatapathError {
    DatapathError::ForeignPin {
        path: dir.join(name),
        what,
    }
}
