//! Lines of databases while changes wait, and where policies cannot be expressed.

use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::agent::change::{Carry, ChangeOptions};
use crate::agent::databases::OrderBoard;
use crate::agent::error::AgentError;
use crate::agent::testing::{Bench, PLAIN, ROOT, apply};
use crate::api::{DatabaseCondition, DatabaseReport};
use crate::model::Change;
use crate::model::change::{ListEdit, ListInput};

const DATABASE: &str = "[[service]]\nname = \"postgres\"\nports = [\"5432\"]\n\n\
                        [[database]]\nname = \"orders\"\nservice = \"postgres\"\n\n\
                        [[policy]]\nname = \"office\"\nallow = [\"10.0.0.0/8\"]\nbind = [\"postgres\"]\n";

fn with_desk(allow: &str, bind: &str) -> String {
    format!("{DATABASE}[[policy]]\nname = \"desk\"\nallow = [\"{allow}\"]\nbind = [\"{bind}\"]\n")
}

/// A helper that carries everything in.
fn carry_all(board: OrderBoard) {
    thread::spawn(move || {
        let mut seen = None;
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(60) {
            if let Some(attendance) = board.attend("orders")
                && let Some(order) = board.order_for(&attendance.name, seen, None)
            {
                seen = Some(order.sequence);
                let report = DatabaseReport {
                    sequence: order.sequence,
                    condition: DatabaseCondition::InForce,
                    message: None,
                    version: None,
                    file: None,
                    repaired: false,
                    ended: 0,
                };
                let _ = board.report("orders", report, Timestamp::now());
            }
            thread::sleep(Duration::from_millis(2));
        }
    });
}

fn lines(bench: &Bench) -> Vec<String> {
    let board = bench.writer.databases();
    let attendance = board.attend("orders").unwrap();
    board.order_for(&attendance.name, None, None).unwrap().lines
}

#[test]
fn confirmation_takes_lines_away_that_the_rollback_would_have_needed() {
    let mut bench = Bench::new();
    carry_all(bench.writer.databases());
    let narrow = apply(&with_desk("10.1.0.0/16", "user:alice@orders"));
    let wide = apply(&with_desk("10.0.0.0/9", "user:alice@orders"));
    let waiting = ChangeOptions {
        confirm_within: Some(Duration::from_secs(60)),
        ..PLAIN
    };
    bench.writer.change(apply(DATABASE), ROOT, PLAIN).unwrap();
    // From here on the helper counts as there, also before it first runs.
    lines(&bench);
    bench.writer.change(narrow, ROOT, PLAIN).unwrap();
    bench.writer.change(wide, ROOT, waiting).unwrap();
    let both = lines(&bench);
    bench.writer.confirm(ROOT).unwrap();
    let one = lines(&bench);
    assert!(one.len() < both.len(), "{one:?} {both:?}");
}

#[test]
fn end_of_a_rule_is_not_kept_up_by_a_role_that_then_allows_more() {
    let mut bench = Bench::new();
    carry_all(bench.writer.databases());
    bench.writer.change(apply(DATABASE), ROOT, PLAIN).unwrap();
    // From here on the helper counts as there, also before it first runs.
    lines(&bench);
    let expires = bench.snapshot().clock.wall() + Duration::from_secs(3600);
    let item = ListInput {
        items: vec!["192.0.2.0/24".to_owned()],
        expires: Some(expires),
        ..ListInput::default()
    };
    let add = Change::AlterPolicy {
        name: "office".to_owned(),
        allow: ListEdit::Edit {
            add: item,
            remove: ListInput::default(),
        },
        block: ListEdit::Keep,
        except: ListEdit::Keep,
        comment: None,
        compat: Default::default(),
    };
    bench.writer.change(add, ROOT, PLAIN).unwrap();
    for change in [
        crate::agent::testing::create("desk", &["192.0.2.0/24"], &[]),
        Change::Bind {
            policy: "desk".to_owned(),
            service: Some("role:staff@orders".to_owned()),
        },
    ] {
        bench.writer.change(change, ROOT, PLAIN).unwrap();
    }
    let before = bench.snapshot().revision;
    bench.clock.pass(Duration::from_secs(3600));
    bench.writer.end_rules();
    assert_eq!(bench.snapshot().revision, before + 1);
    let faults = bench.writer.databases().faults().join("; ");
    assert!(
        faults.contains("rejects more than policies say"),
        "{faults}"
    );
    assert!(lines(&bench).iter().any(|line| line.contains("+\"staff\"")));
}

#[test]
fn change_that_waits_gives_its_turn_back_and_its_lines_stay_up() {
    let mut bench = Bench::new();
    bench.writer.change(apply(DATABASE), ROOT, PLAIN).unwrap();
    let board = bench.writer.databases();
    let told = lines(&bench);
    assert!(told.is_empty(), "a helper is there now");
    let narrow = || apply(&with_desk("10.1.0.0/16", "user:alice@orders"));
    let ahead = ChangeOptions {
        carry: Carry::Ahead(1),
        ..PLAIN
    };
    let waits = bench.writer.change(narrow(), ROOT, ahead);
    assert!(matches!(waits, Err(AgentError::Carrying(_))), "{waits:?}");
    let both = lines(&bench);
    assert!(!both.is_empty());

    // Others have their turns, and what the change needs stays up.
    let revision = bench.snapshot().revision;
    let other = crate::agent::testing::create("other", &[], &["203.0.113.1"]);
    bench.writer.change(other, ROOT, PLAIN).unwrap();
    assert_eq!(bench.snapshot().revision, revision + 1);
    assert_eq!(lines(&bench), both);
    let refused = bench.writer.change(narrow(), ROOT, ahead);
    assert!(matches!(refused, Err(AgentError::Carrying(_))));

    carry_all(board);
    let begun = Instant::now();
    let made = loop {
        match bench.writer.change(narrow(), ROOT, ahead) {
            Err(AgentError::Carrying(_)) => assert!(begun.elapsed() < Duration::from_secs(60)),
            made => break made,
        }
        thread::sleep(Duration::from_millis(2));
    };
    assert_eq!(made.unwrap().revision, revision + 2);
    assert_eq!(lines(&bench), both);

    // One that does not come again leaves nothing behind.
    let other = apply(&with_desk("10.2.0.0/16", "user:alice@orders"));
    let ahead = ChangeOptions {
        carry: Carry::Ahead(2),
        ..PLAIN
    };
    if let Err(AgentError::Carrying(_)) = bench.writer.change(other, ROOT, ahead) {
        assert!(lines(&bench).len() > both.len());
        bench.writer.leave_ahead(2);
    }
}

#[test]
fn lines_of_a_bypassed_user_are_listed_with_their_time() {
    let mut bench = Bench::new();
    // A bypass begins now, whatever the bench's clock says.
    let apart = Timestamp::now().duration_since(bench.snapshot().clock.wall());
    bench.clock.set_wall(apart.as_secs());
    carry_all(bench.writer.databases());
    bench.writer.change(apply(DATABASE), ROOT, PLAIN).unwrap();
    lines(&bench);
    let narrow = apply(&with_desk("10.1.0.0/16", "user:alice@orders"));
    bench.writer.change(narrow, ROOT, PLAIN).unwrap();
    let whole = lines(&bench);
    let bypass = Change::BypassUser {
        user: "user:alice@orders".to_owned(),
        minutes: 5,
    };
    bench.writer.change(bypass, ROOT, PLAIN).unwrap();
    let board = bench.writer.databases();
    let attendance = board.attend("orders").unwrap();
    let order = board.order_for(&attendance.name, None, None).unwrap();
    assert!(order.lines.is_empty(), "{order:?}");
    let [later] = &*order.later else {
        panic!("{order:?}");
    };
    assert_eq!(later.lines, whole);
    let state = bench.snapshot().state.clone();
    assert_eq!(later.at, state.databases[0].bypasses[0].until);
}
