//! The flat engine's memory in the kernel.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{net::Ipv4Addr, sync::Arc};

use aya::maps::{ArrayOfMaps, Map, MapData};
use netpolicy_flat::layout::MAX_CHUNKS;
use netpolicy_tests::rules::{self, Loaded};
use netpolicy_user::{compiler::Ruleset, config::EngineChoice};

/// A ruleset that blocks so many networks, all over the address space.
fn blocking(networks: u32) -> Arc<Ruleset> {
    let networks: Vec<String> = (1..=networks)
        .map(|i| format!("{}/26", Ipv4Addr::from(i.wrapping_mul(0x9e37_79b1) & !63)))
        .collect();
    let networks: Vec<&str> = networks.iter().map(String::as_str).collect();
    rules::ruleset(&[rules::policy("many", None, &networks, &[])])
}

/// Chunks that the kernel holds.
fn chunks(loaded: &Loaded) -> usize {
    let pin = loaded.bpffs_dir().join("live/ARENA");
    let map = Map::ArrayOfMaps(MapData::from_pin(pin).unwrap());
    let arena: ArrayOfMaps<MapData, MapData> = map.try_into().unwrap();
    let is_there = |number: &u32| arena.get(number, 0).is_ok();
    (0..MAX_CHUNKS).filter(is_there).count()
}

/// New memory makes the kernel wait for running programs, some tens of milliseconds: what
/// the changes after a large one need was provided with that.
#[test]
fn small_changes_wait_for_no_new_memory() {
    // A chunk holds these, and not what a change of them copies.
    const NETWORKS: u32 = 76_000;
    let mut loaded = Loaded::with_engine(EngineChoice::Flat, &blocking(NETWORKS));
    let before = chunks(&loaded);
    for round in 0..4 {
        loaded.apply(&blocking(NETWORKS + 1 + round % 2));
        assert_eq!(chunks(&loaded), before, "change {round}");
    }
}
