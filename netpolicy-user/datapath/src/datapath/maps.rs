//! The program's maps, opened from their pins and typed.

use std::{io, path::Path};

use aya::{
    maps::{
        Array, ArrayOfMaps, HashMap, LpmTrie, Map, MapData, MapError, MapInfo, MapType, RingBuf,
    },
    programs::ProgramInfo,
};
use netpolicy_common::{
    Answering, BAN_SLOTS, BanScopes, Build, CpuState, Engine, Governance, Head, KeyV4, KeyV6,
    SLOTS, SlotInfo,
};

use super::{
    DatapathError,
    sys::{ControlPage, Element, Mapped},
};

/// A trie of IPv4 prefixes.
pub(super) type TrieV4 = LpmTrie<MapData, KeyV4, u8>;
/// A trie of IPv6 prefixes.
pub(super) type TrieV6 = LpmTrie<MapData, KeyV6, u8>;

/// What is in force, and what most packets need of it: a map that is memory-mapped here, and a
/// variable of this name in the program.
pub(super) const CONTROL: &str = "CONTROL";

/// Where the program can answer.
pub(super) const ANSWERING: &str = "ANSWERING";

/// `BPF_MAP_TYPE_ARRAY` and `BPF_F_MMAPABLE` of `linux/bpf.h`.
pub(super) const ARRAY: u32 = 2;
pub(super) const MMAPABLE: u32 = 1 << 10;

/// The section of the program's object file that holds this variable alone: to a loader the
/// name of the map.
pub(super) const CONTROL_SECTION: &str = ".bss.CONTROL";

/// Every map that is pinned: its name in the program, and its type.
pub(super) const PINNED: &[(&str, MapType)] = &[
    ("BUILD", MapType::Array),
    (CONTROL, MapType::Array),
    ("SLOT_INFO", MapType::Array),
    ("GOVERNANCE", MapType::Array),
    ("BLOCK_V4", MapType::ArrayOfMaps),
    ("BLOCK_V6", MapType::ArrayOfMaps),
    ("ALLOW_V4", MapType::ArrayOfMaps),
    ("ALLOW_V6", MapType::ArrayOfMaps),
    ("ARENA", MapType::ArrayOfMaps),
    ("BYPASS_V4", MapType::LpmTrie),
    ("BYPASS_V6", MapType::LpmTrie),
    ("BANS", MapType::Array),
    ("BAN_V4", MapType::LpmTrie),
    ("BAN_V6", MapType::LpmTrie),
    (ANSWERING, MapType::Hash),
    ("CPUS", MapType::Array),
    ("EVENTS", MapType::RingBuf),
];

/// The maps of one program.
pub(super) struct Maps {
    pub(super) build: Array<MapData, Build>,
    pub(super) control: ControlPage,
    pub(super) slot_info: Array<MapData, SlotInfo>,
    pub(super) governance: Mapped<Governance>,
    pub(super) block_v4: ArrayOfMaps<MapData, TrieV4>,
    pub(super) block_v6: ArrayOfMaps<MapData, TrieV6>,
    pub(super) allow_v4: ArrayOfMaps<MapData, TrieV4>,
    pub(super) allow_v6: ArrayOfMaps<MapData, TrieV6>,
    /// The map behind `allow_v6`, for system calls.
    pub(super) allow_v6_outer: MapData,
    pub(super) arena: ArrayOfMaps<MapData, MapData>,
    /// The map behind `arena`, for system calls.
    pub(super) arena_outer: MapData,
    pub(super) bypass_v4: LpmTrie<MapData, KeyV4, [u8; 8]>,
    pub(super) bypass_v6: LpmTrie<MapData, KeyV6, [u8; 8]>,
    pub(super) bans: Mapped<BanScopes>,
    pub(super) ban_v4: TrieV4,
    pub(super) ban_v6: TrieV6,
    pub(super) cpus: Mapped<CpuState>,
    /// Ids of all of them, by name; none where they are only read.
    ids: Vec<(&'static str, u32)>,
}

impl Maps {
    /// Opens the pins in `dir`. A pin that holds another kind of map, or one of
    /// another shape, is refused: the kernel would take it without a word.
    pub(super) fn open(dir: &Path, writable: bool) -> Result<Self, DatapathError> {
        let control = control(dir, writable)?;
        let governance = mapped(dir, "GOVERNANCE", SLOTS, writable)?;
        let maps = Self {
            build: typed(dir, "BUILD")?,
            control,
            slot_info: typed(dir, "SLOT_INFO")?,
            governance,
            block_v4: typed(dir, "BLOCK_V4")?,
            block_v6: typed(dir, "BLOCK_V6")?,
            allow_v4: typed(dir, "ALLOW_V4")?,
            allow_v6: typed(dir, "ALLOW_V6")?,
            allow_v6_outer: data(dir, "ALLOW_V6")?,
            arena: typed(dir, "ARENA")?,
            arena_outer: data(dir, "ARENA")?,
            bypass_v4: typed(dir, "BYPASS_V4")?,
            bypass_v6: typed(dir, "BYPASS_V6")?,
            bans: mapped(dir, "BANS", BAN_SLOTS, writable)?,
            ban_v4: typed(dir, "BAN_V4")?,
            ban_v6: typed(dir, "BAN_V6")?,
            cpus: cpus(dir, writable)?,
            ids: if writable { ids(dir)? } else { Vec::new() },
        };
        if maps.slot_info.len() != SLOTS {
            let found = format!("{} elements, not {SLOTS}", maps.slot_info.len());
            return Err(foreign(dir, "SLOT_INFO", found));
        }
        Ok(maps)
    }

    /// Refuses a program over other maps than these: it would never see what is written here.
    /// This happens when a process removed or replaced a pin, before a loader opened it or since.
    pub(super) fn check_used_by(
        &self,
        program: &ProgramInfo,
        engine: Engine,
        dir: &Path,
    ) -> Result<(), DatapathError> {
        let Some(used) = program.map_ids().map_err(DatapathError::Verify)? else {
            return Ok(());
        };
        let is_other = |(name, id): &&(&str, u32)| must_use(engine, name) && !used.contains(id);
        match self.ids.iter().find(is_other) {
            Some((name, _)) => Err(foreign(dir, name, "the program uses another".to_owned())),
            None => Ok(()),
        }
    }
}

/// Whether a program of this engine reads what is written to this map here.
fn must_use(engine: Engine, name: &str) -> bool {
    match name {
        CONTROL | "GOVERNANCE" | "CPUS" | "BYPASS_V4" | "BYPASS_V6" | ANSWERING => true,
        "ARENA" | "BANS" => engine == Engine::Flat,
        "BLOCK_V4" | "BLOCK_V6" | "ALLOW_V4" | "ALLOW_V6" | "BAN_V4" | "BAN_V6" => {
            engine == Engine::Lpm
        }
        _ => false,
    }
}

fn ids(dir: &Path) -> Result<Vec<(&'static str, u32)>, DatapathError> {
    let id = |(name, _): &(&'static str, MapType)| Ok((*name, checked(dir, name)?.id()));
    PINNED.iter().map(id).collect()
}

/// What says which ruleset is in force.
pub(super) type EnforcedMaps = (ControlPage, Array<MapData, SlotInfo>, Array<MapData, Build>);

/// Opens what says which ruleset is in force, to read.
pub(super) fn open_enforced(dir: &Path) -> Result<EnforcedMaps, DatapathError> {
    Ok((
        control(dir, false)?,
        typed(dir, "SLOT_INFO")?,
        typed(dir, "BUILD")?,
    ))
}

/// Opens what is counted, to read.
pub(super) fn open_counters(dir: &Path) -> Result<(ControlPage, Mapped<CpuState>), DatapathError> {
    Ok((control(dir, false)?, cpus(dir, false)?))
}

/// What belongs to the events: their ring buffer, what tells how many each CPU may write to it,
/// and what is counted of all that is judged.
pub(super) type EventMaps = (RingBuf<MapData>, ControlPage, Mapped<CpuState>);

/// Opens what belongs to the events. Not part of [`Maps`], since they are read elsewhere.
pub(super) fn open_events(dir: &Path) -> Result<EventMaps, DatapathError> {
    Ok((
        typed(dir, "EVENTS")?,
        control(dir, true)?,
        cpus(dir, false)?,
    ))
}

/// Opens what tells the program where it can answer. Not part of [`Maps`] either: it is written
/// by who attaches.
pub(super) fn open_answering(
    dir: &Path,
) -> Result<HashMap<MapData, u32, Answering>, DatapathError> {
    typed(dir, ANSWERING)
}

/// Bytes of the control map.
#[expect(clippy::cast_possible_truncation, reason = "some 70,000")]
const HEAD_BYTES: u32 = size_of::<Head>() as u32;

/// Makes the control map and pins it, unless it is there: a loader would make one that cannot
/// be mapped.
pub(super) fn make_control(dir: &Path) -> Result<(), DatapathError> {
    let pin = dir.join(CONTROL);
    if pin.exists() {
        return Ok(());
    }
    let shape = aya_obj::Map::new_from_params(ARRAY, 4, HEAD_BYTES, 1, MMAPABLE);
    let map =
        MapData::create(shape, CONTROL, None).map_err(DatapathError::map("create", CONTROL))?;
    map.pin(&pin)
        .map_err(|source| DatapathError::Pin { path: pin, source })
}

/// The name of the pin of a map that is called so in the object file; `None`: it has none.
pub(super) fn pin_of(name: &str) -> Option<&'static str> {
    if name == CONTROL_SECTION {
        return Some(CONTROL);
    }
    let mut pinned = PINNED.iter().map(|(pin, _)| *pin);
    pinned.find(|pin| *pin == name)
}

fn control(dir: &Path, writable: bool) -> Result<ControlPage, DatapathError> {
    let map = shaped::<Head>(dir, CONTROL, 1)?;
    ControlPage::map(map.fd(), writable).map_err(|source| DatapathError::System {
        call: "mmap of the control map",
        source,
    })
}

/// CPUs that the kernel may ever run.
pub(super) fn possible_cpus() -> Result<u32, DatapathError> {
    let cpus = aya::util::nr_cpus().map_err(|(_, source)| DatapathError::System {
        call: "counting CPUs",
        source,
    })?;
    Ok(u32::try_from(cpus).unwrap_or(u32::MAX))
}

fn cpus(dir: &Path, writable: bool) -> Result<Mapped<CpuState>, DatapathError> {
    mapped(dir, "CPUS", possible_cpus()?, writable)
}

/// Maps the elements of a pinned array; see [`shaped`].
fn mapped<T: Element>(
    dir: &Path,
    name: &'static str,
    len: u32,
    writable: bool,
) -> Result<Mapped<T>, DatapathError> {
    let map = shaped::<T>(dir, name, len)?;
    Mapped::map(map.fd(), len as usize, writable).map_err(|source| DatapathError::System {
        call: "mmap of a map",
        source,
    })
}

/// Opens a pinned array that can be mapped, of which there must be so many elements of this
/// size.
fn shaped<T>(dir: &Path, name: &'static str, len: u32) -> Result<MapData, DatapathError> {
    checked(dir, name)?;
    let map = data(dir, name)?;
    let info = map.info().map_err(DatapathError::map("inspect", name))?;
    let (found, bytes) = (info.max_entries(), info.value_size() as usize);
    if found != len || bytes != size_of::<T>() {
        let what = format!(
            "{found} elements of {bytes} bytes, not {len} of {}",
            size_of::<T>()
        );
        return Err(foreign(dir, name, what));
    }
    if info.map_flags() & MMAPABLE == 0 {
        return Err(foreign(dir, name, "it cannot be mapped".to_owned()));
    }
    Ok(map)
}

/// Who made the pins in `dir`; `None` if there are none, or none that tell.
pub(super) fn read_build(dir: &Path) -> Option<Build> {
    // A lack of memory or descriptors may pass, and is not to be taken for pins that are gone.
    build(dir).or_else(|_| build(dir)).ok()
}

/// The same, with why it cannot be read.
pub(super) fn build(dir: &Path) -> Result<Build, DatapathError> {
    let map: Array<MapData, Build> = typed(dir, "BUILD")?;
    map.get(&0, 0).map_err(DatapathError::map("read", "BUILD"))
}

/// Whether anything is pinned in `dir`.
///
/// # Errors
/// It cannot be looked at.
pub(super) fn is_there(dir: &Path) -> io::Result<bool> {
    dir.join("BUILD").try_exists()
}

fn typed<T: TryFrom<Map, Error = MapError>>(
    dir: &Path,
    name: &'static str,
) -> Result<T, DatapathError> {
    T::try_from(open_map(dir, name)?).map_err(|error| foreign(dir, name, error.to_string()))
}

fn open_map(dir: &Path, name: &'static str) -> Result<Map, DatapathError> {
    checked(dir, name)?;
    Map::from_map_data(data(dir, name)?).map_err(DatapathError::map("open", name))
}

/// What is pinned by this name. Refuses a pin that is not there, or of another kind of map.
fn checked(dir: &Path, name: &'static str) -> Result<MapInfo, DatapathError> {
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
    Ok(info)
}

fn data(dir: &Path, name: &'static str) -> Result<MapData, DatapathError> {
    MapData::from_pin(dir.join(name)).map_err(DatapathError::map("open", name))
}

fn foreign(dir: &Path, name: &str, what: String) -> DatapathError {
    DatapathError::ForeignPin {
        path: dir.join(name),
        what,
    }
}
