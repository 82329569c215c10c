//! Rules with an end: real connection attempts before and after it, through a change that waits
//! and without an agent.

use std::time::{Duration, Instant};

use netpolicy_tests::command::assert_has;
use netpolicy_tests::{DatabaseHost, Outcome};
use serde_json::json;

const PORT: u16 = 8080;
const BRIEFLY: &str = "10.66.0.1";
const FOR_GOOD: &str = "10.66.0.2";
const ADDED: &str = "10.66.0.3";

/// How late a rule may end: an end is in whole seconds, the next one.
const LATE: Duration = Duration::from_millis(2000);
/// What commands and an attempt take in addition.
const EXTRA: Duration = Duration::from_millis(800);

#[test]
fn blocked_source_connects_after_the_end_of_its_rule_and_other_edits_stay() {
    let host = DatabaseHost::start();
    host.ok(&format!("policy create abuse --block {FOR_GOOD}"));
    let begun = Instant::now();
    let time = Duration::from_secs(4);
    let said = host.ok(&format!(
        "policy alter abuse --add-block {BRIEFLY} --for 4s --rule-comment scan"
    ));
    assert_has(&said, &["+ block 10.66.0.1 (comment: scan) until 2"]);
    host.ok(&format!("policy alter abuse --add-block {ADDED}"));
    let shown = host.json("policy show abuse");
    let end = shown["block"][1]["expires"].as_str().unwrap().to_owned();
    assert_has(&host.ok("policy show abuse"), &["UNTIL"]);
    assert_has(&host.ok("export"), &[&format!("expires = \"{end}\"")]);
    let explained = host.json(&format!("explain {BRIEFLY} --port {PORT}"));
    assert_eq!(explained["matched"]["rule"]["expires"], json!(end));
    let mut last_denied = Instant::now();
    loop {
        let asked = Instant::now();
        if host.connect_briefly(BRIEFLY, PORT) == Outcome::Connected {
            break;
        }
        last_denied = asked;
        assert!(begun.elapsed() < Duration::from_secs(12), "it does not end");
    }
    assert!(
        last_denied.duration_since(begun) > time - EXTRA,
        "too early"
    );
    assert!(
        begun.elapsed() < time + LATE + EXTRA,
        "{:?}",
        begun.elapsed()
    );
    host.assert_times_out(&[(FOR_GOOD, PORT), (ADDED, PORT)]);
    let newest = &host.json("history")[0];
    assert_eq!(newest["actor"], "agent");
    assert_eq!(newest["action"], "expire block 10.66.0.1 of policy 'abuse'");
    assert_has(&host.ok("audit"), &["expire block 10.66.0.1"]);
    // A rollback to when it was there does not bring it again.
    let out = host.line("rollback 3");
    assert_has(out.ok(), &["nothing to change"]);
    assert_has(&out.stderr, &["1 rule is left out, since the end is over"]);
}

#[test]
fn rules_stay_without_an_agent_and_the_next_one_ends_them() {
    let mut host = DatabaseHost::start();
    host.ok(&format!("list create offices {FOR_GOOD}"));
    host.ok(&format!("list add offices {BRIEFLY} --for 2s"));
    host.ok("policy create office --allow @offices");
    host.kill_agent();
    std::thread::sleep(Duration::from_secs(4));
    host.assert_connects(&[(BRIEFLY, PORT), (FOR_GOOD, PORT)]);
    host.assert_times_out(&[(ADDED, PORT)]);
    host.start_agent();
    let begun = Instant::now();
    while host.connect_briefly(BRIEFLY, PORT) == Outcome::Connected {
        assert!(begun.elapsed() < Duration::from_secs(3), "it does not end");
    }
    host.assert_connects(&[(FOR_GOOD, PORT)]);
    let entries = host.json("list show offices");
    assert_eq!(entries["entry_count"], 1, "{entries}");
}

#[test]
fn rule_ends_while_a_change_waits_which_can_be_confirmed_afterwards() {
    let host = DatabaseHost::start();
    host.ok(&format!("policy create abuse --block {FOR_GOOD}"));
    host.ok(&format!(
        "policy alter abuse --add-block {BRIEFLY} --for 3s"
    ));
    host.ok(&format!(
        "policy create more --block {ADDED} --confirm-within 60s"
    ));
    host.assert_times_out(&[(BRIEFLY, PORT), (ADDED, PORT)]);
    let begun = Instant::now();
    while host.connect_briefly(BRIEFLY, PORT) != Outcome::Connected {
        assert!(begun.elapsed() < Duration::from_secs(10), "it does not end");
    }
    host.assert_times_out(&[(ADDED, PORT)]);
    host.ok("confirm");
    host.assert_times_out(&[(ADDED, PORT), (FOR_GOOD, PORT)]);
    host.assert_connects(&[(BRIEFLY, PORT)]);
    // All three, the end, and none else.
    assert_eq!(host.json("history").as_array().map(Vec::len), Some(4));
}
