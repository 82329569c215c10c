//! What pinned maps take of the kernel's memory.

use std::{collections::BTreeMap, fs, os::fd::AsRawFd, path::Path};

use aya::maps::{ArrayOfMaps, Map, MapData, MapType};

/// Bytes of all maps pinned in a directory, the maps inside of maps included, each
/// counted once: as the kernel itself reckons (`memlock` in a map's fdinfo).
pub(crate) fn of(dir: &Path) -> u64 {
    let mut bytes = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("list the pins").flatten() {
        // The program is pinned here too.
        let Ok(map) = MapData::from_pin(entry.path()) else {
            continue;
        };
        let is_outer = add(&map, &mut bytes);
        if is_outer {
            let outer: ArrayOfMaps<_> =
                ArrayOfMaps::try_from(Map::ArrayOfMaps(map)).expect("an array of maps");
            for index in 0..outer.len() {
                // A slot may be empty.
                if let Ok(inner) = outer.get(&index, 0) {
                    add(&inner, &mut bytes);
                }
            }
        }
    }
    assert!(!bytes.is_empty(), "no maps are pinned in {}", dir.display());
    bytes.values().sum()
}

/// Counts a map, and tells whether it holds others.
fn add(map: &MapData, bytes: &mut BTreeMap<u32, u64>) -> bool {
    use std::os::fd::AsFd as _;

    let info = map.info().expect("ask about a map");
    let fdinfo = format!("/proc/self/fdinfo/{}", map.fd().as_fd().as_raw_fd());
    let text = fs::read_to_string(fdinfo).expect("read a map's fdinfo");
    let memlock = text
        .lines()
        .find_map(|line| line.strip_prefix("memlock:")?.trim().parse().ok())
        .expect("memlock in a map's fdinfo");
    bytes.insert(info.id(), memlock);
    info.map_type()
        .is_ok_and(|kind| kind == MapType::ArrayOfMaps)
}
