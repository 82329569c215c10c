//! `kill -9` while a store is backed up, restored or rescued: the old file or the new one is
//! left, and no part of one that is taken for whole.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::time::{Duration, Instant};

use netpolicy_tests::DatabaseHost;
use netpolicy_tests::command::run;
use netpolicy_tests::strace::{self, Call, Strace};

const FIRST: &str = "10.66.0.1";
const SECOND: &str = "10.77.0.1";

/// System calls that change files.
const CALLS: &str = "openat,write,pwrite64,fsync,fdatasync,ftruncate,rename,linkat,unlink";

/// Whether everything is tried, and not a part of it: `cargo xtask test --long`.
fn is_long() -> bool {
    std::env::var_os("NETPOLICY_TEST_LONG").is_some_and(|value| value != "0")
}

/// A part of the calls; with `--long` all of them.
fn sample(calls: Vec<Call>, count: usize) -> Vec<Call> {
    let step = if is_long() {
        1
    } else {
        calls.len() / count + 1
    };
    // The last ones decide, and which of them is the very last depends on the threads.
    let mut sample: Vec<_> = calls
        .into_iter()
        .rev()
        .enumerate()
        .filter(|(place, _)| *place < 4 || place % step == 0)
        .map(|(_, call)| call)
        .collect();
    sample.reverse();
    sample
}

/// The revision in a backup, if it is one; the restore is not confirmed and changes nothing.
fn revision_in(host: &DatabaseHost, file: &str) -> Option<u64> {
    let mut command = host.command();
    let args = ["restore", file];
    command.args(args);
    command.env("NETPOLICY_STATE_DIR", host.file("elsewhere"));
    let said = run(command, &args, "").stderr;
    let (_, rest) = said.split_once("by revision ")?;
    rest.split(' ').next()?.parse().ok()
}

#[test]
fn backup_killed_at_each_system_call_leaves_the_old_file_or_the_new() {
    let host = DatabaseHost::start();
    host.ok("policy create abuse --block 10.66.0.0/16");
    host.ok("backup old.backup");
    assert_eq!(revision_in(&host, "old.backup"), Some(1));
    host.ok("policy create more --block 10.77.0.0/16");
    let log = host.file("strace.log");
    let (mut none, mut old, mut new) = (0, 0, 0);
    for force in [false, true] {
        let mut args = vec!["backup", "state.backup"];
        args.extend(force.then_some("--force"));
        let _ = fs::remove_file(host.file("state.backup"));
        let traced = strace::traced(&host, &strace::logging(CALLS, &log), &args);
        let _ = run(traced, &args, "").ok();
        for call in sample(strace::logged(&log), 12) {
            let file = host.file("state.backup");
            let _ = fs::remove_file(&file);
            if force {
                fs::copy(host.file("old.backup"), &file).unwrap();
            }
            let said = run(
                strace::traced(&host, &strace::killing(&call), &args),
                &args,
                "",
            );
            if !file.exists() {
                assert!(!force && said.code != Some(0), "{call:?}");
                none += 1;
                continue;
            }
            match revision_in(&host, "state.backup") {
                Some(1) if force && said.code != Some(0) => old += 1,
                Some(2) => new += 1,
                other => panic!("{call:?}: {other:?}, {said:?}"),
            }
        }
    }
    println!("{none} times no file, {old} times the old one, {new} times the new one");
    assert!(none > 0 && old > 0 && new > 0);
    // The agent's own copies are gone.
    let left = fs::read_dir(host.state_dir()).unwrap();
    let names: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    let is_copy = |name: &std::ffi::OsString| name.to_string_lossy().contains("backup");
    assert!(!names.iter().any(is_copy), "{names:?}");
}

#[test]
fn rescue_killed_at_each_system_call_leaves_a_whole_store_or_none() {
    let mut host = DatabaseHost::start();
    host.ok("policy create abuse --block 10.66.0.0/16");
    let lose = |host: &DatabaseHost| fs::remove_file(host.state_dir().join("state.db")).unwrap();
    lose(&host);
    let watched = Strace::watch(host.agent().pid(), "writer", &host.file("strace.log"));
    host.ok("store rescue");
    let calls = watched.calls().into_iter();
    let calls: Vec<_> = calls
        .filter(|call| CALLS.split(',').any(|name| name == call.name))
        .collect();
    let (mut whole, mut lost) = (0, 0);
    for call in sample(calls, 10) {
        lose(&host);
        let (pid, log) = (host.agent().pid(), host.file("strace.log"));
        let injected = Strace::inject(pid, "writer", &log, &call, "signal=KILL");
        let said = host.line("store rescue");
        drop(injected);
        if host.agent().ended().is_none() {
            host.kill_agent();
        }
        let is_there = ["state.db", "state.db.restored"];
        if is_there
            .iter()
            .any(|name| host.state_dir().join(name).exists())
        {
            whole += 1;
        } else {
            assert_ne!(said.code, Some(0), "{call:?}");
            lost += 1;
            // Nothing is in its place: refused, and what is in force stays so.
            let refused = host.line("agent --interface nic0");
            assert!(
                refused.failed(1).contains("state.db is missing"),
                "{call:?}"
            );
            host.assert_times_out(&[(FIRST, 5432)]);
            host = DatabaseHost::start();
            host.ok("policy create abuse --block 10.66.0.0/16");
            continue;
        }
        host.start_agent();
        let status = host.json("status");
        assert_eq!(status["agent"]["revision"], 1, "{call:?}: {status}");
        assert_eq!(status["faults"], serde_json::json!([]), "{call:?}");
        host.assert_times_out(&[(FIRST, 5432)]);
    }
    println!("{whole} times a whole store, {lost} times none");
    assert!(whole > 0 && lost > 0);
}

#[test]
fn start_after_a_restore_killed_at_each_system_call_leaves_old_or_new() {
    let mut host = DatabaseHost::start();
    host.ok("policy create abuse --block 10.66.0.0/16");
    host.ok("backup first.backup");
    host.ok("policy create more --block 10.77.0.0/16");
    host.ok("backup second.backup");
    host.stop_agent();
    let log = host.file("strace.log");
    let restored = |host: &mut DatabaseHost| {
        host.ok("restore second.backup --yes");
        host.start_agent();
        host.stop_agent();
        host.ok("restore first.backup --yes");
    };
    restored(&mut host);
    let calls = format!("bpf,{CALLS}");
    let args = ["agent", "--interface", netpolicy_tests::host::NIC];
    host.spawn(strace::traced(&host, &strace::logging(&calls, &log), &args));
    end_traced(&mut host);
    for call in sample(strace::logged(&log), 12) {
        restored(&mut host);
        host.spawn(strace::traced(&host, &strace::killing(&call), &args));
        end_traced(&mut host);
        // The first is restored: nothing but that comes into force, at once or later.
        host.start_agent();
        let status = host.json("status");
        assert_eq!(status["agent"]["revision"], 1, "{call:?}: {status}");
        assert_eq!(status["faults"], serde_json::json!([]), "{call:?}");
        host.assert_times_out(&[(FIRST, 5432)]);
        host.assert_connects(&[(SECOND, 5432)]);
        host.stop_agent();
    }
}

/// Waits until the traced agent was killed or runs, and ends it.
fn end_traced(host: &mut DatabaseHost) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while host.agent().ended().is_none() {
        assert!(Instant::now() < deadline, "it neither runs nor ends");
        let status = host.status();
        if let Some(pid) = status["agent"]["pid"].as_i64()
            && status["enforcement"]["state"] == "attached"
        {
            let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
            host.agent().wait(Duration::from_secs(20));
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
