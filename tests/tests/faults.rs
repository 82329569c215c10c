//! Faults injected into a running agent: whatever fails, and wherever it is killed, the
//! old ruleset or the new one is stored and in force, and the caller is told which.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use netpolicy_tests::host::NIC;
use netpolicy_tests::strace::{Call, Strace};
use netpolicy_tests::traffic::SynStream;
use netpolicy_tests::{DatabaseHost, Output};

const ALLOWED: &str = "10.0.0.1";
const BLOCKED: &str = "10.66.0.1";
const POLICY: &str = "policy create office --block 10.66.0.0/16";
const WRITER: &str = "writer";

/// Whether everything is tried, and not a part of it: `cargo xtask test --long`.
fn is_long() -> bool {
    std::env::var_os("NETPOLICY_TEST_LONG").is_some_and(|value| value != "0")
}

/// The change of one round: each has an address of its own.
fn address(round: usize) -> String {
    format!("10.77.{}.{}", round >> 8, round & 255)
}

fn block(host: &DatabaseHost, round: usize) -> Output {
    let address = address(round);
    host.line(&format!("policy alter office --add-block {address}"))
}

/// The system calls of the writer while it makes one change.
fn calls(host: &mut DatabaseHost, round: usize) -> Vec<Call> {
    let (pid, log) = (host.agent().pid(), host.file("strace.log"));
    let strace = Strace::watch(pid, WRITER, &log);
    let _ = block(host, round).ok();
    strace.calls()
}

/// What the store has of a round's change is what the kernel enforces; whether it was made.
#[track_caller]
fn is_made(host: &DatabaseHost, round: usize) -> bool {
    let address = address(round);
    let policy = host.json("policy show office");
    let listed = policy["block"].to_string().contains(&format!("{address}/"));
    let explained = host.json(&format!("explain {address}"));
    assert_eq!(explained["agrees"], true, "{explained}");
    let denied = explained["verdict"] == "drop";
    assert_eq!(listed, denied, "stored and enforced differ: {explained}");
    // An error may have met the agent's own look at the kernel instead: a fault until the next.
    let deadline = Instant::now() + Duration::from_secs(10);
    while host.line("status").code != Some(0) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(100));
    }
    let status = host.json("status");
    assert_eq!(
        status["agent"]["revision"], status["enforcement"]["revision"],
        "{status}"
    );
    listed
}

/// Every SYN of the allowed source was answered, and none of the blocked one.
#[track_caller]
fn assert_nothing_went_unfiltered(stream: SynStream) {
    let (sent, answers) = stream.stop();
    assert!(sent > 100, "only {sent} SYNs were sent");
    let of = |source: &str| answers.get(&source.parse().unwrap()).copied().unwrap_or(0);
    assert_eq!(of(BLOCKED), 0, "{BLOCKED} was answered");
    assert!(
        of(ALLOWED) >= sent,
        "{} answers to {sent} SYNs",
        of(ALLOWED)
    );
}

#[test]
fn kill_9_at_each_system_call_of_an_apply_leaves_the_old_or_the_new() {
    let mut host = DatabaseHost::start();
    host.ok(POLICY);
    let calls = calls(&mut host, 0);
    assert!(
        calls.iter().any(|call| call.name.ends_with("sync")),
        "the commit is among the calls: {calls:?}"
    );
    let step = if is_long() { 1 } else { calls.len() / 12 + 1 };
    let pause = Duration::from_millis(2);
    let stream = SynStream::start(host.clients(), NIC, &[ALLOWED, BLOCKED], 5432, pause);
    let (mut old, mut new) = (0, 0);
    for (round, call) in (1..).zip(calls.iter().step_by(step)) {
        let (pid, log) = (host.agent().pid(), host.file("strace.log"));
        let strace = Strace::inject(pid, WRITER, &log, call, "signal=KILL");
        let said = block(&host, round);
        let deadline = Instant::now() + Duration::from_secs(5);
        // What the agent does after its answer may be what kills it, or comes no more.
        while host.agent().ended().is_none() && Instant::now() < deadline {
            if said.code == Some(0) {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(strace);
        if host.agent().ended().is_none() {
            host.kill_agent();
        }
        host.start_agent();
        let made = is_made(&host, round);
        if said.code == Some(0) {
            assert!(made, "{call:?}: reported as made, and is not");
        }
        let status = host.json("status");
        assert_eq!(status["faults"].as_array().unwrap().len(), 0, "{status}");
        if made {
            new += 1;
        } else {
            old += 1;
        }
    }
    println!(
        "killed at {} of {} system calls: {old} times the old, {new} times the new",
        old + new,
        calls.len()
    );
    assert!(old > 0 && new > 0, "old {old}, new {new}");
    assert_nothing_went_unfiltered(stream);
}

/// Errors that a system call of an apply may end with.
fn errors(call: &str) -> &'static [&'static str] {
    match call {
        "bpf" => &["ENOMEM", "ENOSPC", "EPERM", "EIO"],
        // Not write(2): here it wakes other threads, by an eventfd, which has no such errors.
        "pwrite64" | "ftruncate" | "fallocate" => &["ENOSPC", "EIO"],
        "fdatasync" | "fsync" => &["EIO", "ENOSPC"],
        "openat" | "socket" | "pipe2" | "dup" => &["EMFILE", "EACCES"],
        "mmap" | "brk" | "madvise" | "mremap" => &["ENOMEM"],
        "pread64" | "read" | "fstat" | "newfstatat" | "statx" | "lseek" | "unlink" => &["EIO"],
        _ => &[],
    }
}

#[test]
fn each_error_of_a_system_call_leaves_the_old_or_the_new_and_the_next_change_works() {
    let mut host = DatabaseHost::start();
    host.ok(POLICY);
    let calls = calls(&mut host, 0);
    let mut round = 0;
    let (mut refused, mut made_anyway, mut missed) = (0, 0, 0);
    let mut tried = BTreeSet::new();
    for call in &calls {
        // The allocator's own calls are the process's affair: it may end by them, as by a kill.
        for error in errors(&call.name) {
            let is_first = tried.insert((call.name.clone(), *error));
            if !is_long() && !is_first && call.occurrence % 7 != 0 {
                continue;
            }
            round += 1;
            let (pid, log) = (host.agent().pid(), host.file("strace.log"));
            let strace = Strace::inject(pid, WRITER, &log, call, &format!("error={error}"));
            let said = block(&host, round);
            let injected = strace.injected();
            let what = format!("{call:?} {error}: {}{}", said.stdout, said.stderr);
            if host.agent().ended().is_some() {
                host.start_agent();
            }
            let made = is_made(&host, round);
            match said.code {
                Some(0) => {
                    assert!(made, "reported as made, and is not: {what}");
                    if injected {
                        made_anyway += 1;
                    } else {
                        missed += 1;
                    }
                }
                Some(1) => {
                    assert!(!made, "reported as refused, and is made: {what}");
                    assert!(said.stderr.starts_with("error:"), "{what}");
                    refused += 1;
                }
                _ => assert!(injected, "{what}"),
            }
            assert!(!said.stderr.contains("panicked"), "{what}");
        }
    }
    println!(
        "{round} faults: {refused} changes refused, {made_anyway} applied anyway, \
         {missed} faults not met"
    );
    assert!(refused > 0);
    // Nothing of it lasts.
    let _ = block(&host, round + 1).ok();
    assert!(is_made(&host, round + 1));
    let verified = host.line("verify");
    assert_eq!(verified.code, Some(0), "{verified:?}");
    host.assert_times_out(&[(BLOCKED, 5432)]);
}

#[test]
fn request_cut_at_each_byte_changes_nothing_and_stops_nothing() {
    let host = DatabaseHost::start();
    host.ok(POLICY);
    let body = r#"{"type":"create_policy","name":"cut","block":{"items":["10.78.0.0/16"]}}"#;
    let request = format!(
        "POST /v1/changes HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    for end in 0..request.len() {
        let mut stream = UnixStream::connect(host.socket()).unwrap();
        stream.write_all(&request.as_bytes()[..end]).unwrap();
    }
    let policies = host.json("policy list");
    assert_eq!(policies.as_array().unwrap().len(), 1, "{policies}");
    host.ok("policy alter office --add-block 10.79.0.0/16");
}

#[test]
fn listener_that_never_reads_delays_no_other_listener() {
    let host = DatabaseHost::start();
    host.ok(POLICY);
    let mut idle = UnixStream::connect(host.socket()).unwrap();
    idle.write_all(b"GET /v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .unwrap();
    let pause = Duration::from_micros(200);
    let stream = SynStream::start(host.clients(), NIC, &[ALLOWED, BLOCKED], 5432, pause);
    for round in 0..20 {
        let _ = block(&host, round).ok();
    }
    stream.wait_for_answers(ALLOWED, 2000);
    assert_nothing_went_unfiltered(stream);
    assert!(host.ok("counters").contains("blocked"));
}
