//! The flat engine's memory in the kernel, and the agent's own.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    net::Ipv4Addr,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use aya::maps::{ArrayOfMaps, Map, MapData};
use netpolicy_flat::layout::MAX_CHUNKS;
use netpolicy_tests::{
    DatabaseHost,
    rules::{self, Loaded},
};
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

/// KiB of a process's memory, without what it shares with files and the kernel.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mut lines = status.lines();
    let line = lines
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Left to itself the allocator keeps what large requests took, in each thread that had one.
#[test]
fn agent_gives_back_the_memory_of_large_requests() {
    const BANS: u32 = 80_000;
    const MOST_KIB: u64 = 16 << 10;
    let mut host = DatabaseHost::start();
    let pid = host.agent().pid();
    let sources = (0..BANS).map(|at| Ipv4Addr::from(0x0b00_0000 + 2 * at).to_string() + "\n");
    host.write("bans.txt", sources.collect::<String>());
    let before = resident(pid);
    for _ in 0..2 {
        host.ok("ban --file bans.txt --for 1h --by test");
        host.ok("unban --all --by test");
    }
    let begin = Instant::now();
    let mut more = resident(pid).saturating_sub(before);
    while more > MOST_KIB && begin.elapsed() < Duration::from_secs(15) {
        thread::sleep(Duration::from_millis(100));
        more = resident(pid).saturating_sub(before);
    }
    assert!(more <= MOST_KIB, "{more} KiB more than before");
}
