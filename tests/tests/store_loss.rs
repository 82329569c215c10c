//! A state database that is lost under a running agent, empty at boot, or older than what is in
//! force.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use netpolicy_tests::command::{assert_has, run};
use netpolicy_tests::{DatabaseHost, Options};
use serde_json::json;

const BLOCKED: &str = "10.66.0.1";
const LATER: &str = "10.77.0.1";
const BANNED: &str = "10.90.0.1";

/// Notifications come in milliseconds, rounds every 5 s.
const NOTICED: Duration = Duration::from_secs(4);

fn guarded() -> DatabaseHost {
    let host = DatabaseHost::start();
    host.ok("policy create abuse --block 10.66.0.0/16");
    host.ok("bypass grant 10.66.0.9 --minutes 30");
    host.ok("grant read --to user:nobody");
    host.ok(&format!("ban {BANNED} --for 1h --by fail2ban"));
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
        assert_has(host.line("ban 10.90.0.2").failed(1), &["is lost"]);
        // What is in force stays so.
        host.assert_times_out(&[(BLOCKED, 5432), (BANNED, 5432)]);
        host.assert_connects(&[(LATER, 5432), ("10.66.0.9", 5432)]);

        assert_has(&host.ok("store rescue"), &["revision 1 is stored again"]);
        assert_eq!(faults(&host), "[]", "{what}");
        assert_has(
            host.line("store rescue").failed(1),
            &["nothing is to be rescued"],
        );
        host.ok("policy create more --block 10.77.0.0/16");
        host.ok("ban 10.90.0.3");
        assert_has(&host.ok("audit"), &["store rescue", what]);
        host.kill_agent();
        // A machine that comes up again has the state, and no pins.
        fs::remove_dir_all(host.bpffs_dir()).unwrap();
        host.start_agent();
        assert_eq!(host.json("status")["agent"]["revision"], 2, "{what}");
        host.assert_times_out(&[(BLOCKED, 5432), (LATER, 5432)]);
        host.assert_times_out(&[(BANNED, 5432), ("10.90.0.3", 5432)]);
        host.assert_connects(&[("10.66.0.9", 5432), ("10.90.0.2", 5432)]);
        assert_eq!(host.json("grants").as_array().unwrap().len(), 1);
        let bans = host.json("bans --sort source");
        assert_eq!(bans["count"], 2, "{what}: {bans}");
        assert_eq!(bans["items"][0]["by"], "fail2ban", "{what}: {bans}");
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

/// Starts an agent that may find a fault.
fn start_with_fault(host: &mut DatabaseHost) {
    host.spawn_agent();
    let deadline = Instant::now() + Duration::from_secs(20);
    while host.status()["agent"].is_null() {
        assert!(host.agent().ended().is_none(), "it ended");
        assert!(Instant::now() < deadline, "no agent");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Puts a copy of the store in its place while no agent runs.
fn put(host: &DatabaseHost, copy: &str) {
    fs::copy(host.file(copy), host.state_dir().join("state.db")).unwrap();
}

/// A host whose store is a copy of revision 1, while revision 2 is in force.
fn with_older_store() -> DatabaseHost {
    let mut host = guarded();
    host.ok("backup first.backup");
    host.ok("policy create more --block 10.77.0.0/16");
    host.stop_agent();
    put(&host, "first.backup");
    start_with_fault(&mut host);
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
    // What is in force is explained, and not what the store says.
    let explained = host.json(&format!("explain {LATER}"));
    assert_eq!(explained["verdict"], "drop", "{explained}");
    assert_eq!(explained["policies"]["verdict"], "pass", "{explained}");
    assert_eq!(explained["enforced"], false, "{explained}");
    assert_has(
        &host.ok(&format!("explain {LATER}")),
        &[
            "Other rules",
            "older than what is in force",
            "by the rules in force",
        ],
    );
    assert_has(
        host.line("store acknowledge").failed(1),
        &[
            "Put the store's revision 1 in force, in place of revision 2?",
            "nothing was changed",
        ],
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

#[test]
fn overdue_unconfirmed_change_in_an_older_store_does_not_make_it_newer() {
    let mut host = guarded();
    host.ok("policy create more --block 10.77.0.0/16 --confirm-within 15s");
    host.ok("backup unconfirmed.backup");
    host.ok("confirm");
    host.ok("policy create last --block 10.88.0.0/16");
    host.stop_agent();
    std::thread::sleep(Duration::from_secs(15));
    put(&host, "unconfirmed.backup");
    for _ in 0..2 {
        start_with_fault(&mut host);
        wait_for_fault(&host, "holds revision 2, and revision 3 was put in force");
        host.assert_times_out(&[(BLOCKED, 5432), (LATER, 5432), ("10.88.0.1", 5432)]);
        assert_eq!(host.json("history").as_array().unwrap().len(), 2);
        host.stop_agent();
    }
}

#[test]
fn store_with_another_history_is_a_fault_until_it_is_acknowledged() {
    let mut host = guarded();
    host.ok("backup first.backup");
    host.ok("policy create more --block 10.77.0.0/16");
    host.ok("backup second.backup");
    host.stop_agent();
    fs::copy(host.state_dir().join("filled"), host.file("second.filled")).unwrap();
    host.ok("restore first.backup --yes");
    host.start_agent();
    assert_eq!(faults(&host), "[]");
    // Revision 2 again, with other content.
    host.ok("policy create others --block 10.88.0.0/16");
    host.stop_agent();
    let own = fs::read(host.state_dir().join("filled")).unwrap();
    put(&host, "second.backup");
    // As files of a backup of the whole directory; and the database alone.
    for filled in [fs::read(host.file("second.filled")).unwrap(), own] {
        fs::write(host.state_dir().join("filled"), filled).unwrap();
        start_with_fault(&mut host);
        wait_for_fault(&host, "another history than what is in force");
        host.assert_times_out(&[(BLOCKED, 5432), ("10.88.0.1", 5432)]);
        host.assert_connects(&[(LATER, 5432)]);
        host.stop_agent();
    }
    start_with_fault(&mut host);
    host.ok("store acknowledge --yes");
    assert_eq!(faults(&host), "[]");
    host.assert_times_out(&[(BLOCKED, 5432), (LATER, 5432)]);
    host.assert_connects(&[("10.88.0.1", 5432)]);
    host.stop_agent();
    host.start_agent();
    assert_eq!(faults(&host), "[]");
}

#[test]
fn older_store_is_noticed_after_a_reboot_too() {
    let mut host = guarded();
    host.ok("backup first.backup");
    host.ok("policy create more --block 10.77.0.0/16");
    host.kill_agent();
    fs::remove_file(host.state_dir().join("state.db-wal")).unwrap();
    put(&host, "first.backup");
    fs::remove_dir_all(host.bpffs_dir()).unwrap();
    start_with_fault(&mut host);
    wait_for_fault(&host, "older than the one that was in use last");
    // Better these rules than none; but no bypass that may have been revoked.
    host.assert_times_out(&[(BLOCKED, 5432), ("10.66.0.9", 5432)]);
    host.assert_connects(&[(LATER, 5432)]);
    assert_has(
        host.line("policy create other --block 10.99.0.0/16")
            .failed(1),
        &["holds revision 1, and revision 2 was put in force"],
    );
    assert_eq!(host.json(&format!("explain {BLOCKED}"))["agrees"], true);
    host.ok("store acknowledge --yes");
    assert_eq!(faults(&host), "[]");
    host.assert_connects(&[("10.66.0.9", 5432)]);
    host.ok("policy create other --block 10.99.0.0/16");
    host.kill_agent();
    host.start_agent();
    assert_eq!(faults(&host), "[]");
}

#[test]
fn older_store_that_opens_the_host_requires_consent_to_that() {
    for engine in ["flat", "lpm"] {
        let mut host = DatabaseHost::with(&Options {
            config: format!("engine = \"{engine}\"\n"),
            ..Options::default()
        });
        host.ok("policy create abuse --block 203.0.113.0/24");
        host.ok("backup open.backup");
        host.ok("policy create office --allow 10.0.0.0/24");
        host.stop_agent();
        let opens = "opens the host to every IPv6 source, the host to 99 % of all IPv4 sources";
        // A restore says what will happen at the start.
        assert_has(
            host.line("restore open.backup").failed(1),
            &[
                "Replace the store",
                opens,
                "when the agent starts",
                "nothing was changed",
            ],
        );
        put(&host, "open.backup");
        start_with_fault(&mut host);
        assert_has(
            host.line("store acknowledge").failed(1),
            &[
                "in place of revision 2, which",
                opens,
                "nothing was changed",
            ],
        );
        for (query, status) in [("", "409"), ("?opens=0000000000000000", "409")] {
            let mut curl = host.db().command("curl");
            curl.args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST"]);
            curl.arg("--unix-socket").arg(host.socket());
            curl.arg(format!("http://localhost/v1/store/acknowledge{query}"));
            assert_eq!(run(curl, &["curl"], "").ok(), status, "{query}");
        }
        host.assert_times_out(&[(BLOCKED, 5432)]);
        host.ok("store acknowledge --yes");
        host.assert_connects(&[(BLOCKED, 5432)]);
        assert_has(&host.ok("audit"), &[opens, "(with consent)"]);
    }
}

#[test]
fn backup_copied_over_the_database_next_to_its_log_is_refused() {
    let mut host = guarded();
    host.ok("backup first.backup");
    host.ok("policy create more --block 10.77.0.0/16");
    host.kill_agent();
    put(&host, "first.backup");
    let started = host.line("agent --interface nic0");
    assert_has(
        started.failed(1),
        &[
            "state.db-wal",
            "do not belong together",
            "hint: ",
            "netpolicy restore FILE",
        ],
    );
    host.assert_times_out(&[(BLOCKED, 5432), (LATER, 5432)]);
    host.ok("restore first.backup --yes");
    host.start_agent();
    assert_eq!(faults(&host), "[]");
    host.assert_connects(&[(LATER, 5432)]);
}
