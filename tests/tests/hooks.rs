//! Hooks: which one an interface gets and why, one put in place of another, and what only packets
//! at tc ingress have.

use std::fs;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use netpolicy_tests::foreign::Foreign;
use netpolicy_tests::host::NIC;
use netpolicy_tests::netns;
use netpolicy_tests::packet::{DOT1AD, DOT1Q, Extension, Packet};
use netpolicy_tests::rules;
use netpolicy_tests::short::{TxRing, VnetTap};
use netpolicy_tests::traffic::SynStream;
use netpolicy_tests::{DatabaseHost, Options};
use serde_json::Value;

const ALLOWED: &str = "10.0.0.1";
const BLOCKED: &str = "10.66.0.1";
const BLOCKED6: &str = "fd00:bad::1";
const POLICY: &str = "policy create office --block 10.66.0.0/16 --block fd00:bad::/32";

fn host_at(hook: &str) -> DatabaseHost {
    let host = DatabaseHost::with(&Options {
        config: format!("hook = \"{hook}\"\n"),
        agent: true,
    });
    host.ok(POLICY);
    host
}

fn start_at(host: &mut DatabaseHost, hook: &str) {
    let mut command = host.command();
    command.args(["agent", "--interface", NIC, "--hook", hook]);
    host.spawn(command);
    host.wait_for_agent();
}

fn interface(host: &DatabaseHost) -> Value {
    host.status()["enforcement"]["interfaces"][0].clone()
}

#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !is_so() {
        assert!(Instant::now() < deadline, "not within 5 s: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[track_caller]
fn wait_for_count(host: &DatabaseHost, reason: &str, count: u64) {
    wait_until(&format!("{count} of {reason}"), || {
        host.counter("host", reason) >= count
    });
    assert_eq!(host.counter("host", reason), count, "{reason}");
}

#[test]
fn auto_filters_a_veth_at_tc_and_says_why() {
    let host = host_at("auto");
    let found = interface(&host);
    assert_eq!(found["attachment"], rules::tc(), "{found}");
    let why = found["reason"].as_str().unwrap();
    assert!(
        why.contains("veth") && why.contains("segmentation offload"),
        "{why}"
    );
    let shown = host.ok("status");
    assert!(
        shown.contains(&format!("{NIC} ({}: {why})", rules::tc())),
        "{shown}"
    );
    host.assert_connects(&[(ALLOWED, 5432)]);
    host.assert_times_out(&[(BLOCKED, 5432), (BLOCKED6, 5432)]);
}

#[test]
fn hook_is_replaced_by_another_without_a_packet_let_in() {
    let mut host = host_at("native");
    let pause = Duration::from_micros(500);
    let stream = SynStream::start(host.clients(), NIC, &[ALLOWED, BLOCKED], 5432, pause);
    stream.wait_for_answers(ALLOWED, 10);
    let tc = rules::tc();
    for hook in [tc, "clsact", "generic", "native", "generic", tc, "native"] {
        host.kill_agent();
        start_at(&mut host, hook);
        stream.wait_for_answers(ALLOWED, 20);
        let found = interface(&host);
        assert_eq!(found["attachment"], *hook, "{found}");
        assert_eq!(found["reason"], "as configured");
        let pins = fs::read_dir(host.bpffs_dir().join("links")).unwrap();
        let pins: Vec<_> = pins.map(|pin| pin.unwrap().file_name()).collect();
        assert_eq!(pins.len(), 1, "{pins:?}");
        let link = host.db().ip(&["-details", "link", "show", "dev", NIC]);
        assert_eq!(
            link.contains("xdp"),
            ["native", "generic"].contains(&hook),
            "{link}"
        );
    }
    let (sent, answers) = stream.stop();
    let let_in = answers.get(&BLOCKED.parse().unwrap());
    assert_eq!(let_in, None, "of {sent} attempts");
}

#[test]
fn veth_filtered_by_xdp_is_moved_to_the_hook_that_auto_gives_a_new_one() {
    for before in ["native", "generic"] {
        let mut host = host_at(before);
        host.kill_agent();
        start_at(&mut host, "auto");
        assert_eq!(interface(&host)["attachment"], rules::tc(), "from {before}");
        let log = host.agent().log();
        if rules::tc() == "tcx" {
            assert!(!log.contains("not filtered by"), "from {before}: {log}");
        }
        let moved = log.matches("the hook is another from now on").count();
        assert_eq!(moved, 1, "from {before}: {log}");
        host.assert_times_out(&[(BLOCKED, 5432)]);
    }
}

#[test]
fn clsact_filter_outlives_its_agent_and_is_repaired() {
    let mut host = host_at("clsact");
    let filters = |host: &DatabaseHost| {
        host.db()
            .run(|| netns::run("tc", &["filter", "show", "dev", NIC, "ingress"]))
    };
    assert!(filters(&host).contains("netpolicy"), "{}", filters(&host));
    host.kill_agent();
    host.assert_times_out(&[(BLOCKED, 5432)]);
    assert_eq!(host.status()["enforcement"]["state"], "attached");
    host.start_agent();
    assert_eq!(interface(&host)["attachment"], "clsact");
    // Another build's program: replaced from one packet to the next.
    host.stop_agent();
    fs::remove_file(host.bpffs_dir().join("live/BUILD")).unwrap();
    host.start_agent();
    host.assert_times_out(&[(BLOCKED, 5432)]);
    host.db()
        .run(|| netns::run("tc", &["filter", "del", "dev", NIC, "ingress"]));
    wait_until("the filter is back", || {
        filters(&host).contains("netpolicy")
    });
    host.assert_times_out(&[(BLOCKED, 5432)]);
    let faults = host.status()["faults"].to_string();
    assert!(faults.contains("had lost its program"), "{faults}");
    // The kill switch needs no agent.
    host.kill_agent();
    host.ok("detach --yes");
    assert_eq!(filters(&host), "");
    host.assert_connects(&[(BLOCKED, 5432)]);
}

#[test]
fn clsact_filter_without_a_pin_is_found() {
    let mut host = host_at("clsact");
    let filters = |host: &DatabaseHost| {
        host.db()
            .run(|| netns::run("tc", &["filter", "show", "dev", NIC, "ingress"]))
    };
    let links = host.bpffs_dir().join("links");
    let lose_pins = || {
        for pin in fs::read_dir(&links).unwrap() {
            fs::remove_file(pin.unwrap().path()).unwrap();
        }
    };
    // As after a crash between attaching and pinning.
    host.kill_agent();
    lose_pins();
    assert_eq!(host.status()["enforcement"]["state"], "attached");
    // Another agent's rules are for its own filter.
    start_at(&mut host, rules::tc());
    assert_eq!(interface(&host)["attachment"], rules::tc());
    if rules::tc() == "tcx" {
        assert_eq!(filters(&host), "");
    }
    host.kill_agent();
    start_at(&mut host, "clsact");
    host.kill_agent();
    lose_pins();
    start_at(&mut host, "clsact");
    assert_eq!(interface(&host)["attachment"], "clsact");
    wait_until("the pin is back", || {
        fs::read_dir(&links).unwrap().count() == 1
    });
    host.kill_agent();
    fs::remove_dir_all(host.bpffs_dir()).unwrap();
    host.assert_times_out(&[(BLOCKED, 5432)]);
    let said = host.ok("detach --yes");
    assert!(said.contains(&format!("detached from {NIC}")), "{said}");
    assert_eq!(filters(&host), "");
    host.assert_connects(&[(BLOCKED, 5432)]);
}

#[test]
fn program_before_netpolicys_in_the_chain_is_a_fault() {
    if rules::tc() != "tcx" {
        return println!("skipped: this kernel has no tcx");
    }
    let mut host = host_at("tcx");
    let foreign = Foreign::accepting_first(host.db(), NIC);
    let status = host.line("status");
    assert_eq!(status.code, Some(1));
    assert!(status.stdout.contains("record (id "), "{}", status.stdout);
    assert!(status.stdout.contains("is not judged"), "{}", status.stdout);
    let verified = host.line("verify");
    assert_eq!(verified.code, Some(1), "{}", verified.stdout);
    assert!(
        verified.stdout.contains("record (id "),
        "{}",
        verified.stdout
    );
    let explained = host.line(&format!("explain {BLOCKED} --port 5432"));
    assert!(
        explained.stdout.contains("runs before netpolicy"),
        "{}",
        explained.stdout
    );
    // It is no idle warning.
    host.assert_connects(&[(BLOCKED, 5432)]);
    wait_until("the agent logs it", || {
        host.agent()
            .log()
            .contains("runs before netpolicy at tc ingress")
    });
    drop(foreign);
    host.assert_times_out(&[(BLOCKED, 5432)]);
    assert_eq!(host.line("status").code, Some(0));
    assert_eq!(host.line("verify").code, Some(0));
    let explained = host.line(&format!("explain {BLOCKED} --port 5432"));
    assert!(
        !explained.stdout.contains("runs before netpolicy"),
        "{}",
        explained.stdout
    );
}

#[test]
fn program_at_xdp_is_left_alone_and_netpolicy_filters_behind_it() {
    let mut host = DatabaseHost::without_agent();
    let foreign = Foreign::at_xdp(host.db(), NIC);
    start_at(&mut host, "auto");
    host.ok(POLICY);
    host.assert_times_out(&[(BLOCKED, 5432)]);
    host.assert_connects(&[(ALLOWED, 5432)]);
    host.stop_agent();
    // It stays where it is, as native XDP is not to be had.
    start_at(&mut host, "native");
    assert_eq!(interface(&host)["attachment"], rules::tc());
    host.assert_times_out(&[(BLOCKED, 5432)]);
    let log = host.agent().log();
    assert!(log.contains("already has a program at native XDP"), "{log}");
    drop(foreign);
    let link = host.db().ip(&["-details", "link", "show", "dev", NIC]);
    assert!(!link.contains("xdp"), "{link}");
}

#[test]
fn native_xdp_on_a_veth_names_the_offloads_that_it_switched_off() {
    let mut host = DatabaseHost::without_agent();
    // Both ends here, so that the peer can be looked at.
    host.db()
        .ip(&["link", "add", "a0", "type", "veth", "peer", "name", "b0"]);
    let mut command = host.command();
    command.args([
        "agent",
        "--interface",
        &format!("{NIC},a0"),
        "--hook",
        "native",
    ]);
    host.spawn(command);
    host.wait_for_agent();
    let status = host.status();
    let interfaces = status["enforcement"]["interfaces"].as_array().unwrap();
    let a0 = interfaces.iter().find(|i| i["name"] == "a0").unwrap();
    let offloads = a0["offloads"].to_string();
    assert!(
        offloads.contains("b0: ") && offloads.contains("tx-tcp-segmentation"),
        "{offloads}"
    );
    assert!(host.ok("status").contains("\nOffloads      b0: "));
}

/// Attempts that a parser may overlook, all of blocked sources.
fn attempts() -> Vec<(&'static str, Vec<u8>)> {
    let syn = |source| Packet::syn(source, 5432);
    vec![
        ("IPv4", syn(BLOCKED).build()),
        ("IPv6", syn(BLOCKED6).build()),
        ("IPv4 with options", syn(BLOCKED).options(40).build()),
        ("a tag", syn(BLOCKED).tag(DOT1Q).build()),
        ("two tags", syn(BLOCKED).tag(DOT1AD).tag(DOT1Q).build()),
        (
            "three tags and IPv6",
            syn(BLOCKED6).tag(DOT1Q).tag(DOT1Q).tag(DOT1AD).build(),
        ),
        (
            "an extension header",
            syn(BLOCKED6).extension(Extension::Destination(8)).build(),
        ),
        ("data (TCP Fast Open)", syn(BLOCKED).payload(900).build()),
    ]
}

#[test]
fn attempt_with_a_short_linear_part_is_judged() {
    let host = host_at(rules::tc());
    // 14 bytes of what arrives are linear.
    let mut ring = TxRing::new(host.clients(), NIC);
    let mut blocked = 0;
    for (sentence, frame) in attempts() {
        ring.send(&frame);
        blocked += TxRing::COPIES;
        println!("{sentence}, from a ring");
        wait_for_count(&host, "blocked", blocked);
    }
    // What is no attempt passes, and is counted as what it is.
    let before = host.counter("host", "established");
    ring.send(&Packet::tcp(BLOCKED, 5432, "A").build());
    wait_until("acknowledgments counted", || {
        host.counter("host", "established") >= before + TxRing::COPIES
    });
    // The outer tag in metadata, the others in the data.
    let raw = host.raw();
    for (sentence, frame) in attempts() {
        raw.send(&frame);
        blocked += 1;
        println!("{sentence}, raw");
        wait_for_count(&host, "blocked", blocked);
    }
    assert_eq!(host.counter("host", "malformed"), 0);
}

#[test]
fn attempt_through_a_tap_of_a_virtual_machine_is_judged() {
    let mut host = DatabaseHost::without_agent();
    let mut tap = VnetTap::new(host.db(), "tap0");
    let mut command = host.command();
    let interfaces = format!("{NIC},tap0");
    command.args(["agent", "--interface", &interfaces, "--hook", "auto"]);
    host.spawn(command);
    host.wait_for_agent();
    host.ok(POLICY);
    let status = host.status()["enforcement"]["interfaces"].to_string();
    let attached = format!("\"attachment\":\"{}\"", rules::tc());
    assert_eq!(status.matches(&attached).count(), 2, "{status}");
    let mut blocked = 0;
    for linear in [0, 14, 20, 34, 53] {
        for (sentence, frame) in attempts() {
            tap.send(&frame, linear);
            blocked += 1;
            println!("{sentence}, {linear} bytes linear");
            wait_for_count(&host, "blocked", blocked);
        }
    }
    assert_eq!(host.counter("host", "malformed"), 0);
}

#[test]
fn segments_of_an_open_connection_arrive_as_large_as_without_a_filter() {
    const BYTES: usize = 16 << 20;
    let host = host_at("auto");
    let mut session = host.session(ALLOWED, 5432);
    let mut reader = session.try_clone().unwrap();
    let before = host.counter("host", "established");
    std::thread::scope(|scope| {
        scope.spawn(move || session.write_all(&vec![7; BYTES]).unwrap());
        let mut left = BYTES;
        let mut buffer = vec![0; 1 << 20];
        while left > 0 {
            left -= reader.read(&mut buffer).unwrap();
        }
    });
    let packets = host.counter("host", "established") - before;
    // Data, and acknowledgments of what comes back.
    let mean = BYTES as u64 / packets.max(1);
    println!("{packets} packets came in for {BYTES} bytes: {mean} each");
    assert!(mean > 4 * 1448, "{mean}");
}
