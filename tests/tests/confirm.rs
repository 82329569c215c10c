//! Changes that are rolled back automatically unless they are confirmed in time.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use netpolicy_tests::command::assert_has;
use netpolicy_tests::{DatabaseHost, Outcome};
use serde_json::{Value, json};

const SOURCE: &str = "10.66.0.1";
const WAIT: Duration = Duration::from_secs(8);

/// Waits until a source gets in, or does not.
#[track_caller]
fn wait_for(what: &str, mut is_there: impl FnMut() -> bool) {
    let deadline = Instant::now() + WAIT;
    while !is_there() {
        assert!(Instant::now() < deadline, "{what}: not within {WAIT:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn revision(host: &DatabaseHost) -> u64 {
    host.json("status")["agent"]["revision"].as_u64().unwrap()
}

fn pending(host: &DatabaseHost) -> Value {
    host.json("status")["agent"]["pending"].clone()
}

#[test]
fn without_a_confirmation_the_kernel_gets_the_old_rules_back() {
    // Long enough to look at the change before it is rolled back, in emulation too.
    const WITHIN: Duration = Duration::from_secs(6);
    let host = DatabaseHost::start();
    let begun = Instant::now();
    let out = host.ok("policy create abuse --block 10.66.0.0/16 --confirm-within 6s");
    assert_has(&out, &["rolls back to revision 0 at", "netpolicy confirm"]);
    host.assert_times_out(&[(SOURCE, 5432)]);
    assert_eq!(pending(&host)["revision"], 1);
    assert_has(
        &host.ok("status"),
        &[
            "Unconfirmed",
            "revision 1 by root: rolls back to revision 0 at",
            "confirm",
        ],
    );
    wait_for("it comes back", || revision(&host) == 2);
    assert!(begun.elapsed() >= WITHIN, "{:?}", begun.elapsed());
    host.assert_connects(&[(SOURCE, 5432)]);
    assert_eq!(pending(&host), Value::Null);
    assert_eq!(host.json("policy list"), json!([]));
    assert_has(
        &host.ok("history"),
        &[
            "2",
            "agent",
            "rollback 0: not confirmed",
            "1",
            "root",
            "policy create abuse",
        ],
    );
    let audit = host.json("audit");
    let last = &audit.as_array().unwrap()[1];
    assert_eq!(last["actor"], "agent", "{audit}");
    assert_eq!(
        (&last["revision_before"], &last["revision_after"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(last["changes"][0], "- policy abuse", "{audit}");
    let late = host.line("confirm");
    assert_has(late.failed(1), &["no change waits", "hint: ", "history"]);
}

#[test]
fn a_confirmation_keeps_it() {
    let host = DatabaseHost::start();
    assert_has(host.line("confirm").failed(1), &["no change waits"]);
    host.ok("policy create abuse --block 10.66.0.0/16 --confirm-within 2s");
    assert_has(&host.ok("confirm"), &["1"]);
    assert_eq!(pending(&host), Value::Null);
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(revision(&host), 1);
    host.assert_times_out(&[(SOURCE, 5432)]);
    assert_has(&host.ok("audit"), &["policy create abuse", "confirm 1"]);
}

#[test]
fn while_a_change_waits_for_confirmation_only_a_rollback_is_accepted() {
    let host = DatabaseHost::start();
    host.ok("policy create office --allow 10.0.0.0/8");
    host.ok("policy alter office --add-block 10.66.0.0/16 --confirm-within 10m");
    let other = host.line("policy create more --block 203.0.113.0/24");
    assert_has(
        other.failed(1),
        &[
            "revision 2 waits for its confirmation",
            "hint: ",
            "netpolicy confirm",
            "rollback 1",
        ],
    );
    // Looking is free.
    let dry = host.line("policy create more --block 203.0.113.0/24 --dry-run");
    assert_has(dry.ok(), &["+ policy more"]);
    assert_has(
        &dry.stderr,
        &["warning: this would be refused: revision 2 waits"],
    );
    host.write("now.toml", host.ok("export"));
    host.ok("diff -f now.toml --exit-code");
    // A bypass is no revision.
    host.ok("bypass grant 10.66.0.9 --minutes 1");

    // Going back to what there is already is no confirmation.
    let same = host.ok("rollback 2");
    assert_has(&same, &["nothing to change", "rolls back to revision 1 at"]);
    assert_eq!(pending(&host)["revision"], 2);
    host.ok("rollback 1 --yes");
    assert_eq!(pending(&host), Value::Null);
    host.assert_connects(&[(SOURCE, 5432)]);
    assert_has(host.line("confirm").failed(1), &["no change waits"]);
    host.ok("policy create more --block 203.0.113.0/24");
}

#[test]
fn a_rollback_can_wait_for_its_confirmation_too() {
    let host = DatabaseHost::start();
    host.ok("policy create abuse --block 10.66.0.0/16");
    let out = host.ok("rollback 0 --confirm-within 1s --yes");
    assert_has(&out, &["rolls back to revision 1 at"]);
    host.assert_connects(&[(SOURCE, 5432)]);
    wait_for("it comes back", || revision(&host) == 3);
    host.assert_times_out(&[(SOURCE, 5432)]);

    // Where a change waits already it comes back to what was confirmed last.
    host.ok("policy alter abuse --add-block 10.67.0.0/16 --confirm-within 10m");
    let out = host.ok("rollback 2 --confirm-within 1s --yes");
    assert_has(&out, &["rolls back to revision 3 at"]);
    host.assert_connects(&[(SOURCE, 5432)]);
    wait_for("it comes back", || revision(&host) == 6);
    host.assert_times_out(&[(SOURCE, 5432)]);
    host.assert_connects(&[("10.67.0.1", 5432)]);
    assert_eq!(pending(&host), Value::Null);
}

#[test]
fn unconfirmed_change_is_rolled_back_in_time_although_the_agent_stays_dead() {
    let mut host = DatabaseHost::start();
    host.ok("policy create office --allow 10.0.0.0/8");
    host.ok("policy alter office --add-block 10.66.0.0/16 --confirm-within 2s");
    host.kill_agent();
    // The pins hold what was put there, until the guard comes.
    host.assert_times_out(&[(SOURCE, 5432)]);
    wait_for("it comes back with no agent there", || {
        host.connect_briefly(SOURCE, 5432) == Outcome::Connected
    });
    host.assert_times_out(&[("203.0.113.7", 5432)]);
    host.start_agent();
    assert_eq!(revision(&host), 3);
    assert_rolled_back(&host);
    host.assert_connects(&[(SOURCE, 5432)]);
    host.assert_times_out(&[("203.0.113.7", 5432)]);
}

#[test]
fn next_agent_rolls_an_overdue_change_back_before_it_answers() {
    let mut host = DatabaseHost::start();
    host.ok("policy create office --allow 10.0.0.0/8");
    host.ok("policy alter office --add-block 10.66.0.0/16 --confirm-within 1s");
    let made = Instant::now();
    host.kill_agent();
    // After the deadline, and before the guard, which leaves the agent a second.
    std::thread::sleep(Duration::from_millis(1050).saturating_sub(made.elapsed()));
    host.start_agent();
    assert_eq!(revision(&host), 3);
    host.assert_connects(&[(SOURCE, 5432)]);
    assert_rolled_back(&host);
}

/// It is in the history and in the audit log that the agent did it.
#[track_caller]
fn assert_rolled_back(host: &DatabaseHost) {
    assert_has(&host.ok("history"), &["agent", "rollback 1: not confirmed"]);
    let audit = host.json("audit");
    let last = audit.as_array().unwrap().last().unwrap();
    assert_eq!(
        (&last["actor"], &last["outcome"]),
        (&json!("agent"), &json!("done")),
        "{audit}"
    );
    assert_has(
        &last["changes"].to_string(),
        &["~ policy office", "10.66.0.0/16"],
    );
}

#[test]
fn the_time_goes_on_over_a_restart() {
    let mut host = DatabaseHost::start();
    host.ok("policy create abuse --block 10.66.0.0/16 --confirm-within 4s");
    let begun = Instant::now();
    host.kill_agent();
    host.start_agent();
    assert_eq!(pending(&host)["revision"], 1);
    host.assert_times_out(&[(SOURCE, 5432)]);
    wait_for("it comes back", || revision(&host) == 2);
    let took = begun.elapsed();
    assert!(
        took > Duration::from_secs(3) && took < Duration::from_secs(7),
        "{took:?}"
    );
    host.assert_connects(&[(SOURCE, 5432)]);

    // A confirmation is as durable.
    host.ok("policy create abuse --block 10.66.0.0/16 --confirm-within 1s");
    host.ok("confirm");
    host.kill_agent();
    std::thread::sleep(Duration::from_millis(1100));
    host.start_agent();
    assert_eq!(revision(&host), 3);
    host.assert_times_out(&[(SOURCE, 5432)]);
}

#[test]
fn a_reboot_confirms_nothing() {
    let mut host = DatabaseHost::start();
    host.ok("policy create office --allow 10.0.0.0/8");
    host.ok("policy alter office --add-block 10.66.0.0/16 --confirm-within 1s");
    host.kill_agent();
    // A machine that comes up again has the state, and no pins.
    std::fs::remove_dir_all(host.bpffs_dir()).unwrap();
    std::thread::sleep(Duration::from_millis(1000));
    host.start_agent();
    assert_eq!(revision(&host), 3);
    host.assert_connects(&[(SOURCE, 5432)]);
    host.assert_times_out(&[("203.0.113.7", 5432)]);
}
