//! A state database that is lost under a running agent, empty at boot, or older than what is in
//! force.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use netpolicy_tests::DatabaseHost;
use netpolicy_tests::command::assert_has;
use serde_json::json;

const BLOCKED: &str = "10.66.0.1";
const LATER: &str = "10.77.0.1";

/// Notifications come in milliseconds, rounds every 5 s.
const NOTICED: Duration = Duration::from_secs(4);

fn guarded() -> DatabaseHost {
    let host = DatabaseHost::start();
    host.ok("policy create abuse --block 10.66.0.0/16");
    host.ok("bypass grant 10.66.0.9 --minutes 30");
    host.ok("grant read --to user:nobody");
    host
}

fn faults(host: &DatabaseHost) -> String {
    host.status()["faults"].to_string()
}

#[track_caller]
fn wait_for_fault(host: &DatabaseHost, what: &str) {
    let deadline = Instant::now() + NOTICED;
    while !faults(host).contains(what) {
        assert!(Instant::now() < deadline, "not {what}: {}", faults(host));
        std::thread::sleep(Duration::from_millis(30));
    }
}

type Loss = (&'static str, fn(&Path));

const LOSSES: [Loss; 6] = [
    ("was deleted or moved", |state| {
        fs::remove_file(state.join("state.db")).unwrap();
    }),
    ("was deleted or moved", |state| {
        fs::rename(state, state.with_file_name("moved")).unwrap();
    }),
    ("is another file now", |state| {
        let copy = state.join("copy");
        fs::copy(state.join("state.db"), &copy).unwrap();
        fs::rename(&copy, state.join("state.db")).unwrap();
    }),
    ("was deleted or moved", |state| {
        fs::remove_file(state.join("state.db-wal")).unwrap();
    }),
    ("it was cut", |state| {
        fs::write(state.join("state.db"), "").unwrap();
    }),
    ("another program wrote to it", |state| {
        let content = fs::read(state.join("state.db")).unwrap();
        fs::write(state.join("state.db"), content).unwrap();
    }),
];

#[test]
fn lost_store_is_a_fault_takes_no_change_and_is_rescued() {
    for (what, lose) in LOSSES {
        let mut host = guarded();
        lose(&host.state_dir());
        wait_for_fault(&host, what);
        let refused = host.line("policy create more --block 10.77.0.0/16");
        assert_has(
            refused.failed(1),
            &[
                "is lost, nothing can be stored",
                what,
                "hint: ",
                "store rescue",
            ],
        );
        assert_has(host.line("bypass grant 10.66.0.8").failed(1), &["is lost"]);
        // What is in force stays so.
        host.assert_times_out(&[(BLOCKED, 5432)]);
        host.assert_connects(&[(LATER, 5432), ("10.66.0.9", 5432)]);

        assert_has(&host.ok("store rescue"), &["revision 1 is stored again"]);
        assert_eq!(faults(&host), "[]", "{what}");
        assert_has(
            host.line("store rescue").failed(1),
            &["nothing is to be rescued"],
        );
        host.ok("policy create more --block 10.77.0.0/16");
        assert_has(&host.ok("audit"), &["store rescue", what]);
        host.kill_agent();
        // A machine that comes up again has the state, and no pins.
        fs::remove_dir_all(host.bpffs_dir()).unwrap();
        host.start_agent();
        assert_eq!(host.json("status")["agent"]["revision"], 2, "{what}");
        host.assert_times_out(&[(BLOCKED, 5432), (LATER, 5432)]);
        host.assert_connects(&[("10.66.0.9", 5432)]);
        assert_eq!(host.json("grants").as_array().unwrap().len(), 1);
    }
}

#[test]
fn filled_store_that_is_gone_at_boot_is_refused_until_it_is_reset() {
    let mut host = guarded();
    host.stop_agent();
    fs::remove_dir_all(host.bpffs_dir()).unwrap();
    fs::remove_file(host.state_dir().join("state.db")).unwrap();
    let started = host.line("agent --interface nic0");
    assert_has(
        started.failed(1),
        &[
            "state.db is missing, but",
            "filled says that it was filled",
            "hint: ",
            "store reset",
        ],
    );
    // It asks, and does nothing without an answer.
    assert_has(host.line("store reset").failed(1), &["nothing was changed"]);
    host.ok("store reset --yes");
    host.start_agent();
    assert_eq!(host.json("status")["agent"]["revision"], 0);
    assert_has(
        host.line("store reset --yes").failed(1),
        &["another netpolicy agent", "runs with the state directory"],
    );
}

/// A host whose store is a copy of revision 1, while revision 2 is in force.
fn with_older_store() -> DatabaseHost {
    let mut host = guarded();
    host.ok("backup first.backup");
    host.ok("policy create more --block 10.77.0.0/16");
    host.stop_agent();
    fs::copy(host.file("first.backup"), host.state_dir().join("state.db")).unwrap();
    host.spawn_agent();
    let deadline = Instant::now() + Duration::from_secs(20);
    while host.status()["agent"].is_null() {
        assert!(Instant::now() < deadline, "no agent");
        std::thread::sleep(Duration::from_millis(50));
    }
    host
}

#[test]
fn older_store_is_a_fault_and_not_in_force_until_it_is_acknowledged() {
    let host = with_older_store();
    wait_for_fault(&host, "holds revision 1, and revision 2 was put in force");
    host.assert_times_out(&[(BLOCKED, 5432), (LATER, 5432)]);
    // Also after some rounds, which would repair what differs.
    std::thread::sleep(Duration::from_secs(6));
    host.assert_times_out(&[(LATER, 5432)]);
    let refused = host.line("policy create other --block 10.88.0.0/16");
    assert_has(
        refused.failed(1),
        &["older than what is in force", "hint: ", "store acknowledge"],
    );
    assert_has(
        host.line("store acknowledge").failed(1),
        &["nothing was changed"],
    );
    assert_has(
        &host.ok("store acknowledge --yes"),
        &["revision 1 is in force", "in place of revision 2"],
    );
    assert_eq!(faults(&host), "[]");
    host.assert_times_out(&[(BLOCKED, 5432)]);
    host.assert_connects(&[(LATER, 5432)]);
    assert_has(&host.ok("audit"), &["store acknowledge"]);
    host.ok("policy create other --block 10.88.0.0/16");
    assert_has(
        host.line("store acknowledge --yes").failed(1),
        &["nothing is to be acknowledged"],
    );
}

#[test]
fn older_store_stays_a_fault_over_restarts() {
    let mut host = with_older_store();
    host.stop_agent();
    host.start_agent();
    wait_for_fault(&host, "holds revision 1, and revision 2 was put in force");
    host.assert_times_out(&[(LATER, 5432)]);
    assert_eq!(host.json("policy list").as_array().unwrap().len(), 1);
    assert_ne!(host.status()["faults"], json!([]));
}
