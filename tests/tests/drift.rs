//! Changes by other processes to what the agent owns are found and repaired.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aya::maps::lpm_trie::Key;
use aya::maps::{Array, ArrayOfMaps, LpmTrie, Map, MapData};
use netpolicy_common::{
    Build, CpuState, Engine, Governance, HOST_SCOPE, Head, KeyV4, LIST_SLOTS, Reason, SCOPE_BITS,
    SLOTS, SlotHead, key,
};
use netpolicy_flat::layout::{CHUNK_PAGES, LIST_CHUNKS, PAGE_WORDS};
use netpolicy_tests::packet::Packet;
use netpolicy_tests::rules::{self, Loaded};
use netpolicy_tests::traffic::SynStream;
use netpolicy_tests::{DatabaseHost, Options, Outcome, host, pins};
use netpolicy_user::compiler::Ruleset;
use netpolicy_user::config::{EngineChoice, HookChoice};
use netpolicy_user::datapath::{self, Datapath, Opened};
use nix::sys::signal::Signal;

const ALLOWED: &str = "10.0.0.1";
const BLOCKED: &str = "10.66.0.1";
const POLICY: &str = "policy create office --allow 10.0.0.0/8 --block 10.66.0.0/16";

fn host(verify_interval: &str) -> DatabaseHost {
    host_with(verify_interval, POLICY)
}

fn host_with(verify_interval: &str, policy: &str) -> DatabaseHost {
    let config = format!("verify_interval = \"{verify_interval}\"\n");
    let host = DatabaseHost::with(&Options {
        config,
        agent: true,
    });
    host.ok(policy);
    host.assert_times_out(&[(BLOCKED, 5432)]);
    host
}

/// A pinned array, opened past the agent.
fn array<V: aya::Pod>(bpffs_dir: &Path, name: &str) -> Array<MapData, V> {
    let path = bpffs_dir.join("live").join(name);
    Map::Array(MapData::from_pin(path).unwrap())
        .try_into()
        .unwrap()
}

/// Pretends that the pins are of another build, or of another version.
fn alter_build(bpffs_dir: &Path, alter: impl Fn(&mut Build)) {
    let mut map = array::<Build>(bpffs_dir, "BUILD");
    let mut build = map.get(&0, 0).unwrap();
    alter(&mut build);
    map.set(0, build, 0).unwrap();
}

/// Makes the kernel forget which lists govern the host: everything passes.
fn open_the_host(host: &DatabaseHost) {
    let dir = host.bpffs_dir();
    let mut governance = array::<[u8; size_of::<Governance>()]>(dir, "GOVERNANCE");
    for slot in 0..SLOTS {
        governance
            .set(slot, [0; size_of::<Governance>()], 0)
            .unwrap();
    }
    let mut control = array::<[u8; size_of::<Head>()]>(dir, "CONTROL");
    let mut head = control.get(&0, 0).unwrap();
    let slots = std::mem::offset_of!(Head, slots);
    head[slots..slots + size_of::<[SlotHead; SLOTS as usize]>()].fill(0);
    control.set(0, head, 0).unwrap();
}

/// An outer map of the lists, opened past the agent.
fn lists(host: &DatabaseHost, name: &str) -> Map {
    let path = host.bpffs_dir().join("live").join(name);
    Map::ArrayOfMaps(MapData::from_pin(path).unwrap())
}

/// Takes [`BLOCKED`] out of the lists themselves, wherever they are: every source on a list with
/// the flat engine, that source alone with the LPM engine.
fn damage_the_lists(host: &DatabaseHost) {
    if rules::engine() == EngineChoice::Flat {
        const BYTES: usize = CHUNK_PAGES as usize * PAGE_WORDS * 8;
        // Not on the stack, where a test has little.
        let zeros = vec![0; BYTES];
        let nothing: &[u8; BYTES] = zeros.as_slice().try_into().unwrap();
        let arena: ArrayOfMaps<_, Array<MapData, [u8; BYTES]>> =
            lists(host, "ARENA").try_into().unwrap();
        // The first chunk of either half.
        for chunk in [0, LIST_CHUNKS] {
            if let Ok(mut chunk) = arena.get(&chunk, 0) {
                chunk.set(0, nothing, 0).unwrap();
            }
        }
        return;
    }
    let block: ArrayOfMaps<_, LpmTrie<MapData, KeyV4, u8>> =
        lists(host, "BLOCK_V4").try_into().unwrap();
    let address = BLOCKED.parse::<Ipv4Addr>().unwrap().octets();
    for slot in 0..LIST_SLOTS {
        if let Ok(mut trie) = block.get(&slot, 0) {
            // Not in the one that was in force before.
            let _ = trie.remove(&Key::new(SCOPE_BITS + 32, key::v4(HOST_SCOPE, address)));
        }
    }
}

#[track_caller]
fn wait_until_blocked(host: &DatabaseHost) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while host.connect_briefly(BLOCKED, 5432) != Outcome::TimedOut {
        assert!(Instant::now() < deadline, "not repaired: {}", host.status());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Who is blocked was never answered, and who is not always.
#[track_caller]
fn assert_no_gap(stream: SynStream) {
    let (sent, answers) = stream.stop();
    assert_eq!(answers.get(&BLOCKED.parse().unwrap()), None);
    assert!(
        answers[&ALLOWED.parse().unwrap()] >= sent,
        "{answers:?} of {sent}"
    );
}

#[test]
fn explain_shows_a_kernel_that_disagrees() {
    let host = host("1h");
    assert_eq!(host.json(&format!("explain {BLOCKED}"))["agrees"], true);
    open_the_host(&host);
    let out = host.line(&format!("explain {BLOCKED} --output json"));
    assert_eq!(out.code, Some(1), "{out:?}");
    let view: serde_json::Value = serde_json::from_str(&out.stdout).unwrap();
    assert_eq!(
        (&view["verdict"], &view["agrees"]),
        (&"drop".into(), &false.into()),
        "{view}"
    );
    assert_eq!(view["kernel"]["verdict"], "pass");
    let table = host.line(&format!("explain {BLOCKED}"));
    assert!(
        table.code == Some(1) && table.stdout.contains("FAULT"),
        "{table:?}"
    );
}

#[test]
fn changed_maps_are_reported_and_repaired() {
    let mut host = host("1s");
    open_the_host(&host);
    wait_until_blocked(&host);
    host.assert_connects(&[(ALLOWED, 5432)]);
    let faults = host.status()["faults"].to_string();
    assert!(faults.contains("scope 0"), "{faults}");
    assert!(host.agent().log().contains("drift"));
}

#[test]
fn damage_is_found_and_repaired_on_demand() {
    let hosts: Vec<String> = (0..100).map(|n| format!("--block 10.66.{n}.1")).collect();
    let policy = format!("policy create scanners {}", hosts.join(" "));
    let host = host_with("1h", &policy);
    // What is read back by itself is, before the lists are damaged.
    let well = host.ok("verify");
    assert!(
        well.contains("generation 2 holds what revision 1 says: 100 entries, all read back"),
        "{well}"
    );
    damage_the_lists(&host);
    host.assert_connects(&[(BLOCKED, 5432)]);
    let out = host.line("verify");
    assert_eq!(out.code, Some(1), "{out:?}");
    for said in ["FAULT", "IPv4", "repaired as generation 3"] {
        assert!(out.stdout.contains(said), "{said}: {out:?}");
    }
    host.assert_times_out(&[(BLOCKED, 5432)]);
    let view = host.json("verify");
    assert_eq!(
        (&view["differences"], &view["generation"]),
        (&serde_json::json!([]), &3.into()),
        "{view}"
    );
}

#[test]
fn damaged_lists_are_reported_and_repaired() {
    // Hosts enough for a table, and none that make a network together.
    let hosts: Vec<String> = (0..100).map(|n| format!("--block 10.66.{n}.1")).collect();
    let policy = format!("policy create scanners {}", hosts.join(" "));
    let mut host = host_with("1s", &policy);
    // So that what is damaged is seen before it is repaired.
    host.agent().signal(Signal::SIGSTOP);
    damage_the_lists(&host);
    host.assert_connects(&[(BLOCKED, 5432)]);
    host.agent().signal(Signal::SIGCONT);
    wait_until_blocked(&host);
    host.assert_connects(&[(ALLOWED, 5432)]);
    let faults = host.status()["faults"].to_string();
    let named = match rules::engine() {
        EngineChoice::Flat => "scope 0: the lists differ",
        EngineChoice::Lpm => "block list, IPv4",
    };
    assert!(faults.contains(named), "{faults}");
    assert!(host.agent().log().contains("drift"));
}

#[test]
fn links_and_pins_that_are_removed_come_back() {
    let host = host("1s");
    for pin in std::fs::read_dir(host.bpffs_dir().join("links")).unwrap() {
        std::fs::remove_file(pin.unwrap().path()).unwrap();
    }
    wait_until_blocked(&host);
    pins::remove(host.bpffs_dir());
    wait_until_blocked(&host);
    host.assert_connects(&[(ALLOWED, 5432)]);
    host.ok("policy alter office --add-block 10.67.0.0/16");
    host.assert_times_out(&[("10.67.0.1", 5432)]);
}

#[test]
fn a_directory_of_links_that_is_removed_comes_back() {
    let host = host("1s");
    pins::remove(&host.bpffs_dir().join("links"));
    wait_until_blocked(&host);
    assert_eq!(host.status()["enforcement"]["state"], "attached");
}

#[test]
fn single_pins_that_are_removed_come_back_without_a_gap() {
    let mut host = host("1s");
    let live = host.bpffs_dir().join("live");
    let pause = Duration::from_micros(500);
    let stream = SynStream::start(host.clients(), host::NIC, &[ALLOWED, BLOCKED], 5432, pause);
    for pin in ["GOVERNANCE", "EVENTS", "PROGRAM", "TC", "PROBE", "BUILD"] {
        // While the agent runs; without them, no command could read what is in force.
        std::fs::remove_file(live.join(pin)).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while !live.join(pin).exists() {
            assert!(Instant::now() < deadline, "{pin}: {}", host.status());
            std::thread::sleep(Duration::from_millis(20));
        }
        stream.wait_for_answers(ALLOWED, 100);
        // While it does not, as when it was killed at the removal of old maps.
        host.kill_agent();
        std::fs::remove_file(live.join(pin)).unwrap();
        host.start_agent();
        assert_eq!(host.json("status")["enforcement"]["revision"], 1, "{pin}");
        stream.wait_for_answers(ALLOWED, 100);
    }
    assert_no_gap(stream);
}

#[test]
fn pins_of_another_abi_or_build_are_replaced_without_a_gap() {
    let mut host = host("1h");
    let pause = Duration::from_micros(500);
    let stream = SynStream::start(host.clients(), host::NIC, &[ALLOWED, BLOCKED], 5432, pause);
    let other_build: fn(&mut Build) = |build| {
        build.program = [7; 32];
    };
    let other_abi: fn(&mut Build) = |build| {
        build.abi = 999;
    };
    let builds = [
        ("replaced by this version's", other_build),
        ("ABI 999", other_abi),
    ];
    for (said, alter) in builds {
        stream.wait_for_answers(ALLOWED, 100);
        host.kill_agent();
        alter_build(host.bpffs_dir(), alter);
        host.start_agent();
        assert!(
            host.agent().log().contains(said),
            "no {said:?}: {}",
            host.agent().log()
        );
        assert_eq!(host.json("status")["enforcement"]["revision"], 1);
    }
    stream.wait_for_answers(ALLOWED, 100);
    assert_no_gap(stream);
    assert!(
        !Path::new(host.bpffs_dir()).join("next").exists(),
        "the old maps are gone"
    );
}

#[test]
fn another_engine_replaces_what_is_in_force_without_a_gap() {
    let mut host = host("1h");
    let pause = Duration::from_micros(500);
    let stream = SynStream::start(host.clients(), host::NIC, &[ALLOWED, BLOCKED], 5432, pause);
    let (engine, other) = match rules::engine() {
        EngineChoice::Flat => (Engine::Flat, Engine::Lpm),
        EngineChoice::Lpm => (Engine::Lpm, Engine::Flat),
    };
    for (from, to) in [(engine, other), (other, engine)] {
        stream.wait_for_answers(ALLOWED, 100);
        host.kill_agent();
        host.write("config.toml", format!("engine = \"{}\"\n", to.name()));
        host.start_agent();
        let said = format!("the pins were of the {} engine", from.name());
        let log = host.agent().log();
        assert!(log.contains(&said), "no {said:?}: {log}");
        let enforcement = &host.json("status")["enforcement"];
        assert_eq!(enforcement["engine"], to.name(), "{enforcement}");
        assert_eq!(enforcement["revision"], 1);
    }
    stream.wait_for_answers(ALLOWED, 100);
    assert_no_gap(stream);
}

#[test]
fn a_damaged_pin_is_replaced() {
    let mut host = host("1h");
    host.kill_agent();
    // A map of another shape under a name that the agent knows.
    let live = host.bpffs_dir().join("live");
    std::fs::remove_file(live.join("SLOT_INFO")).unwrap();
    let other = MapData::from_pin(live.join("BUILD")).unwrap();
    other.pin(live.join("SLOT_INFO")).unwrap();
    host.start_agent();
    assert!(
        host.agent().log().contains("SLOT_INFO"),
        "{}",
        host.agent().log()
    );
    host.assert_times_out(&[(BLOCKED, 5432)]);
    host.assert_connects(&[(ALLOWED, 5432)]);
}

fn scanners() -> Arc<Ruleset> {
    rules::ruleset(&[rules::policy("scanners", None, &["10.66.0.0/16"], &[])])
}

/// Takes over what is pinned; says why it was all replaced.
#[track_caller]
fn replaced(loaded: &mut Loaded, ruleset: &Arc<Ruleset>) -> String {
    let opened = loaded.reopen(ruleset);
    let Opened::Installed(why) = opened else {
        panic!("{opened:?}");
    };
    let frame = Packet::syn(BLOCKED, 5432).build();
    assert_eq!(loaded.judge(&frame), Reason::Blocked);
    why
}

/// Of the right kind, but smaller than what the program keeps there, or not to be mapped.
#[test]
fn a_map_of_another_shape_is_replaced() {
    const ARRAY: u32 = 2;
    const MMAPABLE: u32 = 1 << 10;

    let ruleset = scanners();
    let mut loaded = Loaded::new(&ruleset);
    let cpus = u32::try_from(aya::util::nr_cpus().unwrap()).unwrap();
    let unmapped = |bytes: usize, len| (bytes, len, 0, "it cannot be mapped");
    for (name, (bytes, len, flags, said)) in [
        (
            "CONTROL",
            (4096, 1, MMAPABLE, "1 elements of 4096 bytes, not 1 of"),
        ),
        ("CONTROL", unmapped(size_of::<Head>(), 1)),
        ("GOVERNANCE", unmapped(size_of::<Governance>(), SLOTS)),
        ("CPUS", unmapped(size_of::<CpuState>(), cpus)),
    ] {
        let pin = loaded.bpffs_dir().join("live").join(name);
        std::fs::remove_file(&pin).unwrap();
        let bytes = u32::try_from(bytes).unwrap();
        let shape = aya_obj::Map::new_from_params(ARRAY, 4, bytes, len, flags);
        let map = MapData::create(shape, "other", None).unwrap();
        map.pin(&pin).unwrap();
        let why = replaced(&mut loaded, &ruleset);
        assert!(
            why.contains(&format!("{name} was damaged: {said}")),
            "{why}"
        );
    }
}

/// Of the right shape: only the program's own are seen by it.
#[test]
fn a_map_that_the_program_does_not_use_is_replaced() {
    let ruleset = scanners();
    let (mut loaded, other) = (Loaded::new(&ruleset), Loaded::new(&ruleset));
    let lists = match rules::engine() {
        EngineChoice::Flat => "ARENA",
        EngineChoice::Lpm => "BLOCK_V4",
    };
    for name in [
        "CONTROL",
        "GOVERNANCE",
        "CPUS",
        "BYPASS_V6",
        "ANSWERING",
        lists,
    ] {
        let pin = loaded.bpffs_dir().join("live").join(name);
        std::fs::remove_file(&pin).unwrap();
        let map = MapData::from_pin(other.bpffs_dir().join("live").join(name)).unwrap();
        map.pin(&pin).unwrap();
        let why = replaced(&mut loaded, &ruleset);
        let said = format!("{name} was damaged: the program uses another");
        assert!(why.contains(&said), "{why}");
    }
}

/// A kill in the middle of it leaves programs of two builds, and either's agent may be the
/// next one. Here the second program's replacement fails, which leaves the same.
#[test]
fn a_replacement_that_was_cut_short_is_done_again() {
    let older = [7; 32];
    let ruleset = scanners();
    let mut loaded = Loaded::new(&ruleset);
    let dir = loaded.bpffs_dir().to_path_buf();
    alter_build(&dir, |build| build.program = older);
    let pin = dir.join("live/PROGRAM");
    std::fs::remove_file(&pin).unwrap();
    std::fs::create_dir(&pin).unwrap();
    let options = datapath::Options {
        bpffs_dir: dir.clone(),
        hook: HookChoice::Auto,
        engine: rules::engine(),
        keep: false,
        bans: None,
        keep_bans: false,
    };
    assert!(Datapath::open(&options, &ruleset, 1).is_err());
    let program = |dir| array::<Build>(dir, "BUILD").get(&0, 0).unwrap().program;
    let left = program(&dir);
    std::fs::remove_dir(&pin).unwrap();
    assert_eq!(loaded.reopen(&ruleset), Opened::Upgraded);
    assert!(![older, program(&dir)].contains(&left), "{left:?}");
    let frame = Packet::syn(BLOCKED, 5432).build();
    assert_eq!(loaded.judge(&frame), Reason::Blocked);
}
