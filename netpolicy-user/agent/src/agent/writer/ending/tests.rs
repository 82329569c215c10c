//! Rules that end: in time, whatever waits, and by no wall clock that is set.

use std::time::Duration;

use jiff::Timestamp;

use crate::agent::access::{Caller, Requester};
use crate::agent::change::ChangeOptions;
use crate::agent::change::Proposal;
use crate::agent::testing::{Bench, DRY, PLAIN, ROOT, apply, create};
use crate::model::Change;
use crate::model::change::{ListEdit, ListInput};

const HOUR: Duration = Duration::from_secs(3600);
const WAITING: ChangeOptions = ChangeOptions {
    confirm_within: Some(Duration::from_secs(7200)),
    ..PLAIN
};

/// Adds to the block list of policy abuse; `None`: without an end.
fn add(item: &str, expires: Option<Timestamp>) -> Change {
    let add = ListInput {
        items: vec![item.to_owned()],
        expires,
        ..ListInput::default()
    };
    Change::AlterPolicy {
        name: "abuse".to_owned(),
        allow: ListEdit::Keep,
        block: ListEdit::Edit {
            add,
            remove: ListInput::default(),
        },
        except: ListEdit::Keep,
        comment: None,
        compat: Default::default(),
    }
}

/// What policy abuse blocks.
fn blocked(bench: &Bench) -> Vec<String> {
    let snapshot = bench.snapshot();
    let policy = snapshot.state.policy("abuse").unwrap();
    policy.block.iter().map(|r| r.text().into_owned()).collect()
}

/// A policy that blocks 10.0.0.1, for an hour 10.0.0.2, and for two 10.0.0.3.
fn bench() -> (Bench, Timestamp) {
    let mut bench = Bench::new();
    let now = bench.snapshot().clock.wall();
    for change in [
        create("abuse", &[], &["10.0.0.1"]),
        add("10.0.0.2", Some(now + HOUR)),
        add("10.0.0.3", Some(now + 2 * HOUR)),
    ] {
        bench.writer.change(change, ROOT, PLAIN).unwrap();
    }
    (bench, now)
}

#[test]
fn rule_ends_at_its_time_whatever_the_wall_clock_is_set_to_and_others_stay() {
    for step in [0, 86_400, -86_400] {
        let (mut bench, _) = bench();
        bench.clock.pass(HOUR / 2);
        bench.clock.set_wall(step);
        bench.writer.end_rules();
        assert_eq!(blocked(&bench).len(), 3, "{step}");
        bench.clock.pass(HOUR / 2);
        let snapshot = bench.snapshot();
        assert_eq!(snapshot.next_rule_end, Some(snapshot.clock.now()), "{step}");
        bench.writer.end_rules();
        assert_eq!(blocked(&bench), ["10.0.0.1", "10.0.0.3"], "{step}");
        let newest = &bench.revisions(1)[0];
        assert_eq!(newest.revision, 4);
        assert_eq!(newest.actor, "agent");
        assert_eq!(newest.action, "expire block 10.0.0.2 of policy 'abuse'");
        let logged = &bench.audit_log(1)[0];
        assert_eq!(logged.action, newest.action);
        bench.writer.end_rules();
        assert_eq!(bench.snapshot().revision, 4, "nothing is due: {step}");
    }
}

#[test]
fn restarted_agent_ends_what_is_overdue_and_goes_by_the_wall_clock() {
    let (bench, _) = bench();
    let mut bench = bench.restart(&["eth7"]);
    assert_eq!(blocked(&bench).len(), 3);
    bench.clock.reboot(HOUR);
    bench = bench.restart(&["eth7"]);
    bench.writer.end_rules();
    assert_eq!(blocked(&bench), ["10.0.0.1", "10.0.0.3"]);
}

#[test]
fn rule_ends_while_a_change_waits_and_its_rollback_does_not_bring_it_again() {
    let (mut bench, _) = bench();
    let other = create("office", &[], &["10.9.9.9"]);
    bench.writer.change(other, ROOT, WAITING).unwrap();
    let deadline = bench.writer.pending_view().unwrap().deadline;
    bench.clock.pass(HOUR);
    bench.writer.end_rules();
    assert_eq!(blocked(&bench), ["10.0.0.1", "10.0.0.3"]);
    let pending = bench.writer.pending_view().unwrap();
    assert_eq!((pending.deadline, pending.base), (deadline, 3));
    assert_eq!(pending.revision, bench.snapshot().revision);
    assert_eq!(pending.actor, "root");
    let mut bench = bench.restart(&["eth7"]);
    assert_eq!(bench.writer.pending_view().unwrap().base, 3);
    bench.clock.pass(HOUR / 2);
    bench.clock.pass(HOUR / 2);
    bench.writer.roll_back_unconfirmed();
    assert!(bench.snapshot().state.policy("office").is_none());
    assert_eq!(blocked(&bench), ["10.0.0.1"], "both are over by now");
    assert!(bench.writer.pending_view().is_none());
}

#[test]
fn confirmation_keeps_a_change_and_the_end_of_a_rule_meanwhile() {
    let (mut bench, _) = bench();
    let other = create("office", &[], &["10.9.9.9"]);
    bench.writer.change(other, ROOT, WAITING).unwrap();
    bench.clock.pass(HOUR);
    bench.writer.end_rules();
    bench.writer.confirm(ROOT).unwrap();
    bench.clock.pass(2 * HOUR);
    bench.writer.roll_back_unconfirmed();
    bench.writer.end_rules();
    assert!(bench.snapshot().state.policy("office").is_some());
    assert_eq!(blocked(&bench), ["10.0.0.1"]);
}

#[test]
fn rollback_and_changes_leave_out_what_is_over() {
    let (mut bench, now) = bench();
    bench.clock.pass(HOUR);
    bench.writer.end_rules();
    let rollback = Proposal::Rollback { revision: 3 };
    let tried = bench.writer.change(rollback, ROOT, DRY).unwrap();
    assert!(!tried.changed, "{tried:?}");
    assert!(
        tried.warnings[0].contains("10.0.0.2 of policy 'abuse'"),
        "{:?}",
        tried.warnings
    );
    let over = add("10.0.0.9", Some(now));
    let changed = bench.writer.change(over, ROOT, PLAIN).unwrap();
    assert!(!changed.changed);
    assert_eq!(blocked(&bench), ["10.0.0.1", "10.0.0.3"]);
}

#[test]
fn added_again_a_rule_has_the_end_that_is_given_last_or_none() {
    let (mut bench, now) = bench();
    let longer = add("10.0.0.2", Some(now + 3 * HOUR));
    let changed = bench.writer.change(longer, ROOT, PLAIN).unwrap();
    assert!(changed.changed);
    let for_good = add("10.0.0.3", None);
    assert!(bench.writer.change(for_good, ROOT, PLAIN).unwrap().changed);
    bench.clock.pass(2 * HOUR);
    bench.writer.end_rules();
    assert_eq!(blocked(&bench).len(), 3);
    bench.clock.pass(HOUR);
    bench.writer.end_rules();
    assert_eq!(blocked(&bench), ["10.0.0.1", "10.0.0.3"]);
}

#[test]
fn end_that_cannot_be_stored_is_a_fault_and_is_tried_again() {
    let (mut bench, _) = bench();
    bench.clock.pass(HOUR);
    bench.kernel.lock().fail_commit = true;
    let logged = bench.audit_log(100).len();
    bench.writer.end_rules();
    bench.writer.end_rules();
    assert_eq!(blocked(&bench).len(), 3);
    let faults = bench.snapshot().faults.clone();
    let is_told = |fault: &&String| fault.contains("1 rule whose end is over");
    assert_eq!(faults.iter().filter(is_told).count(), 1, "{faults:?}");
    assert_eq!(bench.audit_log(100).len(), logged);
    bench.kernel.lock().fail_commit = false;
    bench.writer.end_rules();
    assert_eq!(blocked(&bench), ["10.0.0.1", "10.0.0.3"]);
    let faults = bench.snapshot().faults.clone();
    assert!(!faults.iter().any(|fault| is_told(&fault)), "{faults:?}");
}

#[test]
fn rule_ends_in_time_next_to_one_that_was_added_after_the_clock_was_set() {
    let (mut bench, now) = bench();
    bench.clock.set_wall(-86_400);
    // By this clock its end is a day away, and yet it is the earliest one.
    let next = add("10.0.0.4", Some(now + HOUR / 2));
    bench.writer.change(next, ROOT, PLAIN).unwrap();
    bench.clock.pass(HOUR);
    bench.writer.end_rules();
    assert_eq!(blocked(&bench), ["10.0.0.1", "10.0.0.3", "10.0.0.4"]);
    assert_eq!(bench.snapshot().faults, Vec::<String>::new());
}

#[test]
fn rule_that_was_there_at_the_start_ends_when_a_clock_that_was_behind_is_set() {
    let (bench, _) = bench();
    bench.clock.set_wall(-86_400);
    let mut bench = bench.restart(&["eth7"]);
    bench.clock.pass(HOUR);
    bench.writer.end_rules();
    assert_eq!(blocked(&bench).len(), 3);
    bench.clock.set_wall(86_400);
    assert!(bench.snapshot().has_ended_rule());
    bench.writer.end_rules();
    assert_eq!(blocked(&bench), ["10.0.0.1", "10.0.0.3"]);
    assert!(!bench.snapshot().has_ended_rule());
}

#[test]
fn rule_ends_though_the_store_is_lost_and_a_rescue_stores_that() {
    let (mut bench, _) = bench();
    std::fs::remove_file(bench.dir.path().join("state.db")).unwrap();
    bench.clock.pass(HOUR);
    bench.writer.end_rules();
    assert_eq!(blocked(&bench), ["10.0.0.1", "10.0.0.3"]);
    bench.writer.rescue(ROOT).unwrap();
    let bench = bench.restart(&["eth7"]);
    assert_eq!(blocked(&bench), ["10.0.0.1", "10.0.0.3"]);
}

#[test]
fn change_is_not_refused_for_a_rule_that_ended_or_a_test_that_fails_since() {
    let (mut bench, now) = bench();
    let text = format!(
        "[[policy]]\nname = \"abuse\"\nblock = [{{ address = \"10.0.0.2\", expires = {} }}]\n\
         [[test]]\nsource = \"10.0.0.2\"\nexpect = \"drop\"\n",
        now + HOUR
    );
    bench.writer.change(apply(&text), ROOT, PLAIN).unwrap();
    bench.clock.pass(HOUR);
    let other = create("office", &[], &["10.9.9.9"]);
    let caller = Caller {
        uid: 65_534,
        gid: 65_534,
        pid: None,
        person: None,
    };
    let stranger = Requester { caller, ..ROOT };
    let error = bench.writer.change(other.clone(), stranger, PLAIN);
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("office") && !error.contains("abuse"),
        "{error}"
    );
    let warnings = bench.writer.change(other, ROOT, PLAIN).unwrap().warnings;
    let is_told = |warning: &String| warning.contains("policy test failed");
    assert!(warnings.iter().any(is_told), "{warnings:?}");
}
