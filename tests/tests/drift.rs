//! What somebody or something changes behind the agent's back is found and repaired.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::{Duration, Instant};

use aya::maps::{Array, Map, MapData};
use netpolicy_common::{Build, Governance, Head, Reason, SLOTS, SlotHead};
use netpolicy_tests::packet::Packet;
use netpolicy_tests::rules::{self, Loaded};
use netpolicy_tests::traffic::SynStream;
use netpolicy_tests::{DatabaseHost, Options, Outcome, host};
use netpolicy_user::datapath::Opened;

const ALLOWED: &str = "10.0.0.1";
const BLOCKED: &str = "10.66.0.1";
const POLICY: &str = "policy create office --allow 10.0.0.0/8 --block 10.66.0.0/16";

fn host(verify_interval: &str) -> DatabaseHost {
    let config = format!("verify_interval = \"{verify_interval}\"\n");
    let host = DatabaseHost::with(&Options {
        config,
        agent: true,
    });
    host.ok(POLICY);
    host.assert_times_out(&[(BLOCKED, 5432)]);
    host
}

/// A pinned array, opened past the agent.
fn array<V: aya::Pod>(host: &DatabaseHost, name: &str) -> Array<MapData, V> {
    let path = host.bpffs_dir().join("live").join(name);
    Map::Array(MapData::from_pin(path).unwrap())
        .try_into()
        .unwrap()
}

/// Makes the kernel forget which lists govern the host: everything passes.
fn open_the_host(host: &DatabaseHost) {
    let mut governance = array::<[u8; size_of::<Governance>()]>(host, "GOVERNANCE");
    for slot in 0..SLOTS {
        governance
            .set(slot, [0; size_of::<Governance>()], 0)
            .unwrap();
    }
    let mut control = array::<[u8; size_of::<Head>()]>(host, "CONTROL");
    let mut head = control.get(&0, 0).unwrap();
    let slots = std::mem::offset_of!(Head, slots);
    head[slots..slots + size_of::<[SlotHead; SLOTS as usize]>()].fill(0);
    control.set(0, head, 0).unwrap();
}

#[track_caller]
fn wait_until_blocked(host: &DatabaseHost) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while host.connect_briefly(BLOCKED, 5432) != Outcome::TimedOut {
        assert!(Instant::now() < deadline, "not repaired: {}", host.status());
        std::thread::sleep(Duration::from_millis(100));
    }
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
fn links_and_pins_that_are_removed_come_back() {
    let host = host("1s");
    for pin in std::fs::read_dir(host.bpffs_dir().join("links")).unwrap() {
        std::fs::remove_file(pin.unwrap().path()).unwrap();
    }
    wait_until_blocked(&host);
    std::fs::remove_dir_all(host.bpffs_dir()).unwrap();
    wait_until_blocked(&host);
    host.assert_connects(&[(ALLOWED, 5432)]);
    host.ok("policy alter office --add-block 10.67.0.0/16");
    host.assert_times_out(&[("10.67.0.1", 5432)]);
}

#[test]
fn a_directory_of_links_that_is_removed_comes_back() {
    let host = host("1s");
    std::fs::remove_dir_all(host.bpffs_dir().join("links")).unwrap();
    wait_until_blocked(&host);
    assert_eq!(host.status()["enforcement"]["state"], "attached");
}

#[test]
fn single_pins_that_are_removed_come_back_without_a_gap() {
    let mut host = host("1s");
    let live = host.bpffs_dir().join("live");
    let pause = Duration::from_micros(500);
    let stream = SynStream::start(host.clients(), host::NIC, &[ALLOWED, BLOCKED], 5432, pause);
    for pin in ["GOVERNANCE", "EVENTS", "PROGRAM", "PROBE", "BUILD"] {
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
    let (sent, answers) = stream.stop();
    assert_eq!(answers.get(&BLOCKED.parse().unwrap()), None);
    assert!(
        answers[&ALLOWED.parse().unwrap()] >= sent,
        "{answers:?} of {sent}"
    );
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
        let mut map = array::<Build>(&host, "BUILD");
        let mut build = map.get(&0, 0).unwrap();
        alter(&mut build);
        map.set(0, build, 0).unwrap();
        drop(map);
        host.start_agent();
        assert!(
            host.agent().log().contains(said),
            "no {said:?}: {}",
            host.agent().log()
        );
        assert_eq!(host.json("status")["enforcement"]["revision"], 1);
    }
    stream.wait_for_answers(ALLOWED, 100);
    let (sent, answers) = stream.stop();
    assert_eq!(answers.get(&BLOCKED.parse().unwrap()), None);
    assert!(
        answers[&ALLOWED.parse().unwrap()] >= sent,
        "{answers:?} of {sent}"
    );
    assert!(
        !Path::new(host.bpffs_dir()).join("next").exists(),
        "the old maps are gone"
    );
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

/// Of the right kind, but smaller than what the program keeps there.
#[test]
fn a_control_map_of_another_size_is_replaced() {
    const ARRAY: u32 = 2;
    const MMAPABLE: u32 = 1 << 10;

    let ruleset = rules::ruleset(&[rules::policy("scanners", None, &["10.66.0.0/16"], &[])]);
    let mut loaded = Loaded::new(&ruleset);
    let pin = loaded.bpffs_dir().join("live/CONTROL");
    std::fs::remove_file(&pin).unwrap();
    let shape = aya_obj::Map::new_from_params(ARRAY, 4, 4096, 1, MMAPABLE);
    let small = MapData::create(shape, "control", None).unwrap();
    small.pin(&pin).unwrap();

    let opened = loaded.reopen(&ruleset);
    let Opened::Installed(why) = opened else {
        panic!("{opened:?}");
    };
    assert!(
        why.contains("CONTROL was damaged: 1 elements of 4096 bytes, not 1 of"),
        "{why}"
    );
    let frame = Packet::syn("10.66.0.1", 5432).build();
    assert_eq!(loaded.judge(&frame), Reason::Blocked);
}
