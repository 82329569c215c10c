//! Enforcement outlives its agent, and changes at one instant.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use netpolicy_common::Reason;
use netpolicy_tests::host::NIC;
use netpolicy_tests::packet::Packet;
use netpolicy_tests::rules::{self, Loaded};
use netpolicy_tests::traffic::SynStream;
use netpolicy_tests::{DatabaseHost, NetNs};
use netpolicy_user::compiler::Ruleset;
use nix::sys::signal::Signal;

const ALLOWED: &str = "10.0.0.1";
const ALLOWED6: &str = "fd00::1";
const BLOCKED: &str = "10.66.0.1";
const BLOCKED6: &str = "fd00:bad::1";
const EVERY: [&str; 4] = [ALLOWED, ALLOWED6, BLOCKED, BLOCKED6];
const OFFICE: &str = "policy create office --allow 10.0.0.0/8 --allow fd00::/16 \
                      --block 10.66.0.0/16 --block fd00:bad::/32";
const PAUSE: Duration = Duration::from_micros(500);

/// Every SYN of an allowed source was answered, and none of a denied one.
#[track_caller]
fn assert_nothing_went_unfiltered(stream: SynStream) {
    let (sent, answers) = stream.stop();
    assert!(sent > 100, "only {sent} SYNs were sent");
    for source in [BLOCKED, BLOCKED6] {
        assert_eq!(
            answers.get(&source.parse().unwrap()),
            None,
            "{source} was answered"
        );
    }
    for source in [ALLOWED, ALLOWED6] {
        let answered = answers.get(&source.parse().unwrap()).copied().unwrap_or(0);
        assert!(
            answered >= sent,
            "{source}: {answered} answers to {sent} SYNs"
        );
    }
}

fn syns(host: &DatabaseHost) -> SynStream {
    let stream = SynStream::start(host.clients(), NIC, &EVERY, 5432, PAUSE);
    stream.wait_for_answers(ALLOWED, 1);
    stream
}

#[test]
fn kill_9_and_restart_leave_no_packet_unfiltered() {
    let mut host = DatabaseHost::start();
    host.ok(OFFICE);
    let before = host.json("status")["enforcement"].clone();
    let stream = syns(&host);
    for _ in 0..3 {
        host.kill_agent();
        stream.wait_for_answers(ALLOWED, 200);
        host.start_agent();
        stream.wait_for_answers(ALLOWED6, 200);
    }
    assert_nothing_went_unfiltered(stream);
    // Taken over, not rebuilt.
    assert_eq!(host.json("status")["enforcement"], before);
    host.ok("policy alter office --add-block 10.0.0.1");
    host.assert_times_out(&[(ALLOWED, 5432)]);
}

#[test]
fn kill_9_in_the_middle_of_an_apply_leaves_the_old_or_the_new() {
    let mut host = DatabaseHost::start();
    host.ok(OFFICE);
    let many = (0..60_000u32)
        .map(|i| format!("172.{}.{}.{}", 16 + (i >> 15), i >> 7 & 255, (i << 1) & 255));
    host.write("many.txt", many.collect::<Vec<_>>().join("\n"));
    let stream = syns(&host);
    for wait in [5, 60, 150, 300] {
        let mut command = host.command();
        command.args(["policy", "create", "bulk", "--block-file", "many.txt"]);
        let mut apply = netpolicy_tests::process::Process::start(command, &host.file("apply.log"));
        std::thread::sleep(Duration::from_millis(wait));
        host.kill_agent();
        apply.wait(Duration::from_secs(10));
        host.start_agent();
        // Store and kernel tell the same story.
        let status = host.json("status");
        assert_eq!(status["faults"].as_array().unwrap().len(), 0, "{status}");
        assert_eq!(
            status["agent"]["revision"], status["enforcement"]["revision"],
            "{status}"
        );
        if host.line("policy drop bulk --yes").code != Some(0) {
            assert_eq!(status["agent"]["policies"], 1, "{status}");
        }
    }
    assert_nothing_went_unfiltered(stream);
}

#[test]
fn a_clean_stop_leaves_enforcement_in_place() {
    let mut host = DatabaseHost::start();
    host.ok(OFFICE);
    let stream = syns(&host);
    let status = host.stop_agent();
    assert!(status.success(), "the agent ended with {status}");
    stream.wait_for_answers(ALLOWED, 100);
    assert_nothing_went_unfiltered(stream);
    host.assert_times_out(&[(BLOCKED, 5432)]);

    // What needs no agent works without one.
    let status = host.status();
    assert!(status["agent"].is_null(), "{status}");
    assert_eq!(status["enforcement"]["state"], "attached");
    assert!(host.line("counters").ok().contains("blocked"));
    // What needs one says so.
    assert!(
        host.line("policy drop office --yes")
            .failed(3)
            .contains("agent")
    );
    assert!(!host.socket().exists(), "a clean stop removes the socket");
}

#[test]
fn the_agent_repairs_what_was_taken_away_while_it_was_gone() {
    let mut host = DatabaseHost::start();
    host.ok(OFFICE);
    host.kill_agent();
    std::fs::remove_dir_all(host.bpffs_dir()).unwrap();
    host.assert_connects(&[(BLOCKED, 5432)]);
    host.start_agent();
    host.assert_times_out(&[(BLOCKED, 5432), (BLOCKED6, 5432)]);
    host.assert_connects(&[(ALLOWED, 5432)]);
}

#[test]
fn what_was_said_and_granted_outlives_the_agent() {
    let mut host = DatabaseHost::start();
    host.ok("service add postgres --port 5432");
    host.ok(OFFICE);
    host.ok("bypass grant 10.66.0.1 --minutes 5 --service postgres");
    let (export, list) = (host.ok("export"), host.json("bypass list"));
    host.kill_agent();
    host.assert_connects(&[(BLOCKED, 5432)]);
    host.start_agent();
    assert_eq!(
        (host.ok("export"), host.json("bypass list")),
        (export, list)
    );
    host.assert_connects(&[(BLOCKED, 5432)]);
    host.assert_times_out(&[(BLOCKED, 8080), ("10.66.0.2", 5432)]);
    // The same when the pins are gone, as after a reboot.
    host.kill_agent();
    std::fs::remove_dir_all(host.bpffs_dir()).unwrap();
    host.start_agent();
    host.assert_connects(&[(BLOCKED, 5432)]);
    host.assert_times_out(&[(BLOCKED, 8080), ("10.66.0.2", 5432)]);
}

#[test]
fn a_second_agent_refuses_and_harms_nothing() {
    let mut host = DatabaseHost::start();
    host.ok(OFFICE);
    // The same paths.
    let second = host.line(&format!("agent --interface {NIC}"));
    assert!(second.failed(1).contains("agent"), "{}", second.stderr);
    // Another socket and store, but the same pins.
    let mut command = host.command();
    command.env("NETPOLICY_SOCKET", host.file("other.sock"));
    command.env("NETPOLICY_STATE_DIR", host.file("other"));
    command.args(["agent", "--interface", NIC]);
    let third = netpolicy_tests::host::run(command, &["agent"], "");
    assert!(third.failed(1).contains("agent"), "{}", third.stderr);
    // Another socket and pins, but the same store.
    let mut command = host.command();
    let pins = format!("{}-b", host.bpffs_dir().display());
    command.env("NETPOLICY_SOCKET", host.file("other.sock"));
    command.env("NETPOLICY_BPFFS_DIR", &pins);
    command.args(["agent", "--interface", NIC]);
    let fourth = netpolicy_tests::host::run(command, &["agent"], "");
    let _ = std::fs::remove_dir_all(&pins);
    assert!(fourth.failed(1).contains("agent"), "{}", fourth.stderr);

    host.wait_for_agent();
    host.assert_times_out(&[(BLOCKED, 5432)]);
    host.assert_connects(&[(ALLOWED, 5432)]);
}

#[test]
fn an_interface_that_goes_away_and_comes_back_is_filtered_again() {
    let mut host = DatabaseHost::start();
    host.ok(OFFICE);
    host.assert_times_out(&[(BLOCKED, 5432)]);
    host.remove_nic();
    let gone = host.wait_for_state("not-attached");
    assert!(gone["faults"].to_string().contains(NIC), "{gone}");
    // Policies change meanwhile as ever.
    host.ok("policy alter office --add-block 10.67.0.0/16");
    host.restore_nic();
    host.wait_for_agent();
    host.assert_times_out(&[(BLOCKED, 5432), ("10.67.0.1", 5432)]);
    host.assert_connects(&[(ALLOWED, 5432)]);
}

#[test]
fn an_interface_may_come_later_than_the_agent() {
    let mut host = DatabaseHost::without_agent();
    host.remove_nic();
    host.spawn_agent();
    let _ = host.wait_for_state("not-attached");
    host.ok(OFFICE);
    host.restore_nic();
    host.wait_for_agent();
    host.assert_times_out(&[(BLOCKED, 5432)]);
    host.assert_connects(&[(ALLOWED, 5432)]);
}

#[test]
fn detach_opens_the_host_until_attach() {
    let mut host = DatabaseHost::start();
    host.ok(OFFICE);
    host.ok("detach --yes");
    host.assert_connects(&[(BLOCKED, 5432)]);
    assert_eq!(host.status()["enforcement"]["state"], "detached");
    // It holds, also over a restart and a change.
    host.ok("policy alter office --add-block 10.67.0.0/16");
    assert!(host.stop_agent().success());
    host.spawn_agent();
    let _ = host.wait_for_state("detached");
    host.assert_connects(&[(BLOCKED, 5432)]);
    host.ok("attach");
    host.wait_for_agent();
    host.assert_times_out(&[(BLOCKED, 5432), ("10.67.0.1", 5432)]);
    host.assert_connects(&[(ALLOWED, 5432)]);
}

#[test]
fn detach_works_without_the_agent() {
    let mut host = DatabaseHost::start();
    host.ok(OFFICE);
    host.kill_agent();
    host.assert_times_out(&[(BLOCKED, 5432)]);
    host.ok("detach --yes");
    host.assert_connects(&[(BLOCKED, 5432)]);
    host.spawn_agent();
    let _ = host.wait_for_state("detached");
    host.assert_connects(&[(BLOCKED, 5432)]);
    host.ok("attach");
    host.assert_times_out(&[(BLOCKED, 5432)]);
}

#[test]
fn an_agent_that_hangs_does_not_stop_enforcement() {
    let mut host = DatabaseHost::start();
    host.ok(OFFICE);
    host.agent().signal(Signal::SIGSTOP);
    host.assert_times_out(&[(BLOCKED, 5432)]);
    host.assert_connects(&[(ALLOWED, 5432)]);
    host.agent().signal(Signal::SIGCONT);
    host.ok("policy list");
}

/// Under A the source is blocked though allowed; under B it is on no list. Only a
/// mixture, A's allow list with B's block list, would let it in.
fn rulesets_whose_mixture_lets_in() -> [Arc<Ruleset>; 2] {
    let both = ["10.66.0.1", "fd00:bad::1"];
    [
        rules::ruleset(&[rules::policy("one", Some(&both), &both, &[])]),
        rules::ruleset(&[rules::policy(
            "one",
            Some(&["203.0.113.1", "fd00::1"]),
            &[],
            &[],
        )]),
    ]
}

#[test]
fn no_attempt_is_judged_by_a_mixture_of_two_rulesets() {
    let host = DatabaseHost::without_agent();
    let [a, b] = rulesets_whose_mixture_lets_in();
    let mut loaded = Loaded::new(&a);
    host.db().run(|| loaded.datapath().attach(NIC).unwrap());
    let stop = AtomicBool::new(false);
    let (mut sent, mut flips) = (0, 0);
    std::thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let raw = host.raw();
            let frames = [BLOCKED, BLOCKED6].map(|s| Packet::syn(s, 5432).build());
            let mut sent = 0u64;
            while !stop.load(Ordering::Relaxed) {
                frames.iter().for_each(|f| raw.send(f));
                sent += 2;
            }
            sent
        });
        let begin = Instant::now();
        let lasts = |seconds| begin.elapsed() < Duration::from_secs(seconds);
        // Where a flip takes long, many still have to be made.
        while lasts(3) || flips < 100 && lasts(60) {
            loaded.apply(&b);
            loaded.apply(&a);
            flips += 2;
        }
        stop.store(true, Ordering::Relaxed);
        sent = flood.join().unwrap();
    });
    assert!(flips >= 100, "only {flips} flips");
    let rows = loaded.datapath().counters().rows;
    let count = |reason| {
        rows.iter()
            .filter(|r| r.1 == reason)
            .map(|r| r.2)
            .sum::<u64>()
    };
    let (blocked, not_allowed) = (count(Reason::Blocked), count(Reason::NotAllowed));
    for reason in [Reason::Allowed, Reason::NotBlocked, Reason::NoPolicy] {
        assert_eq!(
            count(reason),
            0,
            "{reason:?} in {sent} attempts and {flips} flips: a mixture"
        );
    }
    assert!(
        blocked > 100 && not_allowed > 100,
        "{blocked} blocked, {not_allowed} not allowed"
    );
    assert!(
        blocked + not_allowed >= sent,
        "{blocked} + {not_allowed} of {sent} attempts were judged"
    );
}

#[test]
fn policies_change_under_traffic_through_the_agent_too() {
    let host = DatabaseHost::start();
    let file = |allow: &str, block: &str| {
        format!(
            "[[policy]]\nname = \"one\"\nallow = [{allow}]\nblock = [{block}]\nbind = [\"host\"]\n"
        )
    };
    let both = "\"10.66.0.1\", \"fd00:bad::1\"";
    let always = "\"10.0.0.1\", \"fd00::1\"";
    host.write("a.toml", file(&format!("{always}, {both}"), both));
    host.write("b.toml", file(always, ""));
    host.ok("apply -f a.toml --yes");
    let stream = syns(&host);
    for _ in 0..40 {
        host.ok("apply -f b.toml --yes");
        host.ok("apply -f a.toml --yes");
    }
    assert_nothing_went_unfiltered(stream);
}

#[test]
fn two_agents_in_two_namespaces_do_not_meet() {
    let (one, two) = (DatabaseHost::start(), DatabaseHost::start());
    one.ok(OFFICE);
    two.ok("policy create other --block 10.0.0.0/8");
    one.assert_connects(&[(ALLOWED, 5432)]);
    two.assert_times_out(&[(ALLOWED, 5432)]);
    two.ok("detach --yes");
    two.assert_connects(&[(ALLOWED, 5432)]);
    one.assert_times_out(&[(BLOCKED, 5432)]);
    drop(two);
    one.assert_times_out(&[(BLOCKED, 5432)]);
    // A namespace without any host in it: nothing here is filtered, nothing is broken.
    assert!(!NetNs::new().ip(&["link"]).contains("xdp"));
}
