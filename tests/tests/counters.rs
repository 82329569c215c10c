//! What the program at interfaces counts and reports of denied attempts, whether or not
//! they are read.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use aya::maps::{Array, Map, MapData};
use aya::programs::{TestRun, TestRunOptions, Xdp};
use aya_obj::programs::XdpAttachType;
use netpolicy_common::{Build, HOST_SCOPE, Reason};
use netpolicy_tests::packet::Packet;
use netpolicy_tests::rules::{self, Loaded};
use netpolicy_user::datapath::Opened;

/// Has the program at interfaces judge an attempt from this source, so many times.
fn attempt(loaded: &Loaded, source: &str, times: u32) {
    let pin = loaded.bpffs_dir().join("live/PROGRAM");
    let program = Xdp::from_pin(pin, XdpAttachType::Interface).unwrap();
    let options = TestRunOptions {
        data_in: Some(&Packet::syn(source, 5432).build()),
        repeat: times,
        ..TestRunOptions::new()
    };
    let result = program.test_run(options).unwrap();
    assert_eq!(result.return_value, 1, "XDP_DROP");
}

/// Attempts that the host's block list denied; events written, and rate-limited.
fn counts(loaded: &mut Loaded) -> (u64, u64, u64) {
    let counters = loaded.datapath().counters();
    let blocked = counters
        .rows
        .iter()
        .filter(|row| (row.0, row.1) == (HOST_SCOPE, Reason::Blocked));
    let (sent, limited) = (counters.events.sent, counters.events.limited);
    assert_eq!(counters.events.overflowed, 0);
    (blocked.map(|row| row.2).sum(), sent, limited)
}

/// Hosts and networks are counted in different places, and what is reported in another.
#[test]
fn each_denial_is_counted_once_and_reported_or_rate_limited() {
    let hosts: Vec<String> = (0..100).map(|n| format!("10.66.{n}.7")).collect();
    let mut block: Vec<&str> = hosts.iter().map(String::as_str).collect();
    block.extend(["10.67.0.0/16", "fd00:bad::/48"]);
    let ruleset = rules::ruleset(&[rules::policy("scanners", None, &block, &[])]);
    let mut loaded = Loaded::new(&ruleset);
    let mut events = loaded.datapath().take_events().unwrap();

    attempt(&loaded, "10.66.0.7", 100);
    assert_eq!(counts(&mut loaded), (100, 0, 100));
    attempt(&loaded, "10.67.1.1", 10);
    attempt(&loaded, "fd00:bad::1", 1);
    assert_eq!(counts(&mut loaded), (111, 0, 111));

    events.grant(3, 0);
    // On whichever CPU; what is over is rate-limited again, in the same place.
    attempt(&loaded, "10.66.0.7", 8);
    assert_eq!(counts(&mut loaded), (119, 3, 116));
    let reported: Vec<_> = std::iter::from_fn(|| events.next_event()).collect();
    assert_eq!(reported.len(), 3);
    for event in reported {
        assert_eq!(event.reason, Reason::Blocked as u8);
        assert_eq!(event.source[..4], [10, 66, 0, 7]);
        assert_eq!(
            event.generation,
            loaded.datapath().enforced().unwrap().generation
        );
    }

    // Being asked is no attempt.
    let frame = Packet::syn("10.66.0.7", 5432).build();
    assert_eq!(loaded.judge(&frame), Reason::Blocked);
    assert_eq!(counts(&mut loaded), (119, 3, 116));
}

/// However its policies come and go: the host is always there.
#[test]
fn the_host_s_counts_go_on() {
    let hosts: Vec<String> = (0..100).map(|n| format!("10.66.{n}.7")).collect();
    let block: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let ruleset = rules::ruleset(&[rules::policy("scanners", None, &block, &[])]);
    let mut loaded = Loaded::new(&ruleset);
    attempt(&loaded, "10.66.0.7", 100);
    loaded.apply(&rules::ruleset(&[]));
    loaded.apply(&ruleset);
    assert_eq!(counts(&mut loaded), (100, 0, 100));
    attempt(&loaded, "10.66.0.7", 5);
    assert_eq!(counts(&mut loaded), (105, 0, 105));
}

/// The loader writes the program's variables, which counts are among.
#[test]
fn counts_and_generation_outlive_the_program_s_replacement() {
    let hosts: Vec<String> = (0..100).map(|n| format!("10.66.{n}.7")).collect();
    let block: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let ruleset = rules::ruleset(&[rules::policy("scanners", None, &block, &[])]);
    let mut loaded = Loaded::new(&ruleset);
    attempt(&loaded, "10.66.0.7", 100);
    let before = loaded.datapath().enforced().unwrap().generation;

    let pin = loaded.bpffs_dir().join("live/BUILD");
    let map = Map::Array(MapData::from_pin(pin).unwrap());
    let mut build: Array<MapData, Build> = Array::try_from(map).unwrap();
    let mut other = build.get(&0, 0).unwrap();
    other.program = [7; 32];
    build.set(0, other, 0).unwrap();
    assert_eq!(loaded.reopen(&ruleset), Opened::Upgraded);
    assert_eq!(loaded.datapath().enforced().unwrap().generation, before);
    attempt(&loaded, "10.66.0.7", 5);
    assert_eq!(counts(&mut loaded), (105, 0, 105));
}
