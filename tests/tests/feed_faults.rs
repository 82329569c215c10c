//! Kill -9 in the middle of a feed's refresh, of the agent and of the process that reads feeds:
//! the old list or the new one is in force and stored, and never an empty one.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use netpolicy_tests::fed::{Fed, LIMIT, list};
use netpolicy_tests::host::NIC;
use netpolicy_tests::https::Answer;
use netpolicy_tests::process::Process;
use netpolicy_tests::strace::{self, Call, Strace};
use netpolicy_tests::traffic::SynStream;
use nix::sys::signal::Signal;
use serde_json::json;

const ALLOWED: &str = "10.0.0.1";
/// On every content of the feed.
const ALWAYS: &str = "10.66.0.1";
const PORT: u16 = 5432;
const WRITER: &str = "writer";
const SETTINGS: &str = "special_ranges = \"allow\"";

/// Entries of each content.
const ENTRIES: u32 = 40;

/// Whether every case is tried, not a part of them: `cargo xtask test --long`.
fn is_long() -> bool {
    std::env::var_os("NETPOLICY_TEST_LONG").is_some_and(|value| value != "0")
}

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
    let step = if is_long() { 1 } else { calls.len() / 8 + 1 };
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

/// The process that reads feeds, under strace; both end when this is dropped.
struct Traced(Process);

impl Drop for Traced {
    fn drop(&mut self) {
        // strace ends what it started when it is told to end, and lets it go when it is killed.
        if self.0.ended().is_none() {
            self.0.signal(Signal::SIGTERM);
            self.0.wait(Duration::from_secs(5));
        }
    }
}

/// The process that reads feeds, under strace with these arguments.
fn traced(fed: &Fed, arguments: &[String]) -> Traced {
    let own = fed.reading(&["feed", "run"]);
    let mut command = fed.host.db().command("strace");
    command.args(arguments).arg(own.get_program());
    command.args(own.get_args()).current_dir("/");
    for (name, value) in own.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Traced(Process::start(command, &fed.host.file("reader.log")))
}

/// System calls by which it talks to the source and to the agent.
const TALK: &str = "connect,sendto,recvfrom,read,write,writev,shutdown";

#[test]
fn reader_killed_in_a_refresh_leaves_the_old_or_the_new_list() {
    let mut fed = Fed::with(SETTINGS, content(0));
    wait_for_round(&fed, 0);
    fed.reader = None;
    // What it does in a refresh, from its start on.
    let log = fed.host.file("reader.strace");
    fed.server().answer("/list.txt", content(1));
    let reader = traced(&fed, &strace::logging(TALK, &log));
    fed.host.ok("feed refresh drop");
    wait_for_round(&fed, 1);
    drop(reader);
    let calls: Vec<Call> = strace::logged(&log);
    assert!(calls.len() > 8, "{calls:?}");
    let step = if is_long() { 1 } else { calls.len() / 8 + 1 };
    let stream = stream(&fed);
    let (mut last, mut old, mut new) = (1, 0, 0);
    for (round, call) in (2..).zip(calls.iter().step_by(step)) {
        fed.server().answer("/list.txt", content(round));
        let mut reader = traced(&fed, &strace::killing(call));
        // The command waits for a refresh, which may never end.
        let mut command = fed.host.command();
        command.args(["feed", "refresh", "drop"]);
        let asking = Process::start(command, &fed.host.file("asking.log"));
        let begun = Instant::now();
        while reader.0.ended().is_none() && begun.elapsed() < LIMIT {
            if round_of(&fed) == round {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        drop((reader, asking));
        let found = round_of(&fed);
        assert!(found == last || found == round, "{call:?}: {found}");
        assert_in_force(&fed, found, round + last - found);
        match found == round {
            true => new += 1,
            false => old += 1,
        }
        last = found;
    }
    println!(
        "killed at {} system calls: {old} times the old, {new} the new",
        old + new
    );
    assert!(old > 0, "old {old}, new {new}");
    fed.server().answer("/list.txt", content(9_999));
    fed.start_reader();
    fed.host.ok("feed refresh drop");
    wait_for_round(&fed, 9_999);
    assert_never_empty(stream);
}
