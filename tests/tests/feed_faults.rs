//! Kill -9 of the agent or of the process that reads, in the middle of a feed's refresh: the old
//! list or the new one is in force and stored, and never an empty one.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use netpolicy_tests::debian;
use netpolicy_tests::fed::{Fed, list};
use netpolicy_tests::host::NIC;
use netpolicy_tests::https::Answer;
use netpolicy_tests::process::Process;
use netpolicy_tests::strace::Strace;
use netpolicy_tests::traffic::SynStream;
use serde_json::json;

const ALLOWED: &str = "10.0.0.1";
/// On every content of the feed.
const ALWAYS: &str = "10.66.0.1";
const PORT: u16 = 5432;
const WRITER: &str = "writer";
const SETTINGS: &str = "special_ranges = \"allow\"";

/// Entries of each content.
const ENTRIES: u32 = 40;

/// What is on the content of this round alone.
fn own(round: usize) -> String {
    format!("10.77.{}.{}", round >> 8, round & 255)
}

fn content(round: usize) -> Answer {
    let text = list(ENTRIES - 2, &[ALWAYS, &own(round)]);
    Answer::tagged(&text, &format!("round {round}"))
}

/// The round whose content the agent has.
fn round_of(fed: &Fed) -> usize {
    let feed = fed.feed();
    assert_eq!(feed["entries"], json!(ENTRIES), "{feed:#}");
    let etag = feed["etag"].as_str().expect("an ETag");
    let number = etag.trim_matches('"').strip_prefix("round ");
    let number = number.expect("the ETag of a round");
    number.parse().expect("a number")
}

/// The same where the agent may still be at work on what it was handed.
fn settled_round(fed: &Fed) -> usize {
    let mut found = round_of(fed);
    loop {
        std::thread::sleep(Duration::from_millis(200));
        let now = round_of(fed);
        if now == found {
            return found;
        }
        found = now;
    }
}

/// What is stored is in force, and no other round's content is.
#[track_caller]
fn assert_in_force(fed: &Fed, round: usize, other: usize) {
    for (round, verdict) in [(round, "drop"), (other, "pass")] {
        let line = format!("explain {} --port {PORT}", own(round));
        let explained = fed.host.json(&line);
        assert_eq!(explained["agrees"], json!(true), "{explained:#}");
        assert_eq!(explained["verdict"], json!(verdict), "{explained:#}");
    }
    let status = fed.host.status();
    assert_eq!(status["faults"], json!([]), "{status:#}");
}

fn stream(fed: &Fed) -> SynStream {
    let pause = Duration::from_millis(2);
    SynStream::start(fed.host.clients(), NIC, &[ALLOWED, ALWAYS], PORT, pause)
}

/// Every attempt of the allowed source was answered, and none of the listed one.
#[track_caller]
fn assert_never_empty(stream: SynStream) {
    let (sent, answers) = stream.stop();
    assert!(sent > 100, "only {sent} attempts");
    let of = |source: &str| {
        let source = source.parse().expect("an address");
        answers.get(&source).copied().unwrap_or(0)
    };
    assert_eq!(of(ALWAYS), 0, "of {sent} attempts");
    assert!(of(ALLOWED) >= sent, "{} of {sent}", of(ALLOWED));
}

/// Waits until the content of this round is in force.
#[track_caller]
fn wait_for_round(fed: &Fed, round: usize) {
    let etag = json!(format!("\"round {round}\""));
    fed.wait("the round's content", |feed| feed["etag"] == etag);
}

#[test]
fn agent_killed_in_a_refresh_has_the_old_or_the_new_list() {
    let mut fed = Fed::with(SETTINGS, content(0));
    wait_for_round(&fed, 0);
    let (pid, log) = (fed.host.agent().pid(), fed.host.file("strace.log"));
    let strace = Strace::watch(pid, WRITER, &log);
    fed.server().answer("/list.txt", content(1));
    fed.host.ok("feed refresh drop");
    let calls = strace.calls();
    assert!(
        calls.iter().any(|call| call.name.ends_with("sync")),
        "the commit is among the calls: {calls:?}"
    );
    let step = match debian::is_long() {
        true => 1,
        false => calls.len() / 8 + 1,
    };
    let stream = stream(&fed);
    let (mut old, mut new) = (0, 0);
    for (round, call) in (2..).zip(calls.iter().step_by(step)) {
        let (pid, log) = (fed.host.agent().pid(), fed.host.file("strace.log"));
        fed.server().answer("/list.txt", content(round));
        let strace = Strace::inject(pid, WRITER, &log, call, "signal=KILL");
        let said = fed.host.line("feed refresh drop");
        drop(strace);
        fed.reader = None;
        if fed.host.agent().ended().is_none() {
            fed.host.kill_agent();
        }
        fed.host.start_agent();
        let found = round_of(&fed);
        if said.code == Some(0) {
            assert_eq!(found, round, "{call:?}: reported as refreshed, and is not");
        }
        match found == round {
            true => {
                new += 1;
                assert_in_force(&fed, round, round - 1);
            }
            false => {
                old += 1;
                assert_eq!(found, round - 1, "{call:?}");
                assert_in_force(&fed, round - 1, round);
            }
        }
        // The next refresh works.
        fed.start_reader();
        if found != round {
            fed.host.ok("feed refresh drop");
        }
        wait_for_round(&fed, round);
    }
    println!(
        "killed at {} of {} system calls: {old} times the old, {new} times the new",
        old + new,
        calls.len()
    );
    assert!(old > 0 && new > 0, "old {old}, new {new}");
    assert_never_empty(stream);
}

/// The instants are random: a reader that is watched by strace is stopped before it has the rights
/// to what it reads.
#[test]
fn reader_killed_at_any_moment_leaves_the_last_good_list() {
    let mut fed = Fed::with(SETTINGS, content(0));
    wait_for_round(&fed, 0);
    fed.server().answer("/list.txt", content(1));
    let begun = Instant::now();
    fed.host.ok("feed refresh drop");
    let whole = begun.elapsed();
    let stream = stream(&fed);
    let kills = if debian::is_long() { 50 } else { 6 };
    let (mut old, mut new) = (0, 0);
    for round in 2..2 + kills {
        fed.server().answer("/list.txt", content(round));
        let mut command = fed.host.command();
        command.args(["feed", "refresh", "drop"]);
        let _request = Process::start(command, &fed.host.file("refresh.log"));
        // Each second one early, so that both ends of a refresh are met.
        let latest = u64::try_from(whole.as_micros()).unwrap() / if round % 2 == 0 { 1 } else { 4 };
        std::thread::sleep(Duration::from_micros(fastrand::u64(0..=latest)));
        fed.reader.take().expect("a reader").kill();
        let found = settled_round(&fed);
        let stays = match found == round {
            true => {
                new += 1;
                round - 1
            }
            false => {
                old += 1;
                assert_eq!(found, round - 1);
                round
            }
        };
        assert_in_force(&fed, found, stays);
        fed.start_reader();
        fed.host.ok("feed refresh drop");
        wait_for_round(&fed, round);
    }
    println!("killed within {whole:?}: {old} times the old, {new} times the new");
    assert!(old > 0, "a kill in {kills} came before the end");
    assert_never_empty(stream);
}
