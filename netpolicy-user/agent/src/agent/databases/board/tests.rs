//! What a database is taken to have, and what becomes of one that is removed.

use super::*;
use crate::api::DatabaseTrialReport;
use crate::model::{Database, DatabaseKind};

fn order(name: &str, port: u16, lines: &[&str]) -> LinesOrder {
    LinesOrder {
        database: Database {
            name: Name::new(name).unwrap(),
            kind: DatabaseKind::PostgreSql,
            service: Name::new("postgres").unwrap(),
            socket: None,
            hba_dir: None,
            hba_conf: None,
            comment: None,
            bypasses: Vec::new(),
        },
        port,
        lines: lines.iter().map(ToString::to_string).collect(),
        users: vec!["alice".into()],
        roles: Vec::new(),
        must_exist: Vec::new(),
        problem: None,
        widened_by: None,
        until: None,
        later: Vec::new(),
        cut: BTreeSet::new(),
    }
}

/// What a helper is told; then it reports.
fn carry(board: &OrderBoard, name: &str, condition: DatabaseCondition) -> Vec<String> {
    let attendance = board.attend(name).expect("there is such a database");
    let told = board.order_for(&attendance.name, None, None).unwrap();
    let report = DatabaseReport {
        sequence: told.sequence,
        condition,
        message: None,
        version: None,
        file: None,
        repaired: false,
        ended: 0,
    };
    assert!(board.report(name, report, Timestamp::UNIX_EPOCH));
    told.lines
}

fn has(board: &OrderBoard, line: &str) -> bool {
    board.has(&Name::new("orders").unwrap(), line)
}

#[test]
fn line_that_another_order_left_out_has_to_be_carried_in_again() {
    let board = OrderBoard::default();
    board.order(vec![order("orders", 5432, &["a", "b"])]);
    carry(&board, "orders", DatabaseCondition::InForce);
    assert!(has(&board, "a") && has(&board, "b"));
    board.order(vec![order("orders", 5432, &["a"])]);
    board.order(vec![order("orders", 5432, &["a", "b"])]);
    assert!(has(&board, "a") && !has(&board, "b"));
    carry(&board, "orders", DatabaseCondition::InForce);
    board.order(vec![order("orders", 5432, &["a", "c"])]);
    carry(&board, "orders", DatabaseCondition::Refused);
    assert!(!has(&board, "a"), "whatever it has now is not known");
}

#[test]
fn removed_database_is_told_to_have_no_lines_until_it_reports_that() {
    let board = OrderBoard::default();
    board.order(vec![order("orders", 5432, &["a"])]);
    carry(&board, "orders", DatabaseCondition::InForce);
    board.order(Vec::new());
    assert!(carry(&board, "orders", DatabaseCondition::Unreachable).is_empty());
    assert!(carry(&board, "orders", DatabaseCondition::InForce).is_empty());
    assert!(board.attend("orders").is_none());

    board.order(vec![order("orders", 5432, &["a"])]);
    carry(&board, "orders", DatabaseCondition::InForce);
    board.order(vec![order("sales", 5432, &["b"])]);
    let told = carry(&board, "orders", DatabaseCondition::InForce);
    assert_eq!(told, ["b"], "both helpers write one file");
}

#[test]
fn accepted_order_is_not_put_up_again_when_no_change_waits_for_it() {
    let board = OrderBoard::default();
    let mut first = order("orders", 5432, &["a"]);
    first.require_new(&[]);
    assert_eq!(first.must_exist, ["alice"]);
    board.order(vec![first.clone()]);
    let before = *board.ordered().borrow();
    board.order(vec![order("orders", 5432, &["a"])]);
    assert_eq!(*board.ordered().borrow(), before);
    board.order(vec![first]);
    assert_ne!(*board.ordered().borrow(), before, "it is checked again");
}

fn told(board: &OrderBoard, seen: Option<u64>, tried: Option<u64>) -> Option<DatabaseOrder> {
    let attendance = board.attend("orders").expect("there is such a database");
    board.order_for(&attendance.name, seen, tried)
}

#[tokio::test]
async fn sessions_are_ended_once_whatever_is_ordered_meanwhile() {
    let board = OrderBoard::default();
    let mut cutting = order("orders", 5432, &["a", "b"]);
    cutting.cut_beyond(Some(&[order("orders", 5432, &["b"])]));
    board.order(vec![cutting]);
    let cut = board.sequence("orders").unwrap();
    board.order(vec![order("orders", 5432, &["a", "b", "c"])]);
    let first = told(&board, None, None).unwrap();
    assert_eq!(first.cut, ["a"]);
    let report = DatabaseReport {
        sequence: first.sequence,
        condition: DatabaseCondition::InForce,
        message: None,
        version: None,
        file: None,
        repaired: false,
        ended: 2,
    };
    assert!(board.report("orders", report, Timestamp::UNIX_EPOCH));
    board.order(vec![order("orders", 5432, &["a", "b", "c"])]);
    assert_eq!(told(&board, Some(first.sequence), None), None);
    let ended = board.ended("orders", cut, Instant::now() + PATIENCE).await;
    assert_eq!(ended, Some(2));
}

#[tokio::test]
async fn question_is_answered_by_a_helper_that_is_there() {
    let board = OrderBoard::default();
    board.order(vec![order("orders", 5432, &["a"])]);
    let deadline = Instant::now() + std::time::Duration::from_secs(5);
    let tried = order("orders", 5432, &["a", "b"]);
    assert_eq!(board.ask(&tried), None, "no helper was there yet");
    let first = told(&board, None, None).unwrap();
    let number = board.ask(&tried).unwrap();
    let asked = told(&board, Some(first.sequence), None).unwrap();
    assert_eq!(asked.lines, ["a"], "what is ordered stays");
    assert_eq!(asked.trial.map(|trial| trial.lines).unwrap(), ["a", "b"]);
    assert_eq!(told(&board, Some(first.sequence), Some(number)), None);
    let report = DatabaseTrialReport {
        number,
        problem: None,
        sessions: Vec::new(),
    };
    assert!(board.answer("orders", report.clone()));
    let answer = board.answered("orders", number, deadline).await;
    assert_eq!(answer, Some(report));
    let again = board.ask(&tried).unwrap();
    assert_eq!(board.answered("orders", number, deadline).await, None);
    assert_ne!(again, number);
}

#[tokio::test]
async fn wait_ends_with_the_report_and_not_before() {
    let board = OrderBoard::default();
    let needed = [order("orders", 5432, &["a"])];
    board.order(needed.to_vec());
    assert!(!board.is_under_way(&needed), "no helper was there yet");
    assert!(told(&board, None, None).is_some());
    assert!(board.is_under_way(&needed));
    let none = std::time::Duration::ZERO;
    assert!(matches!(
        board.wait(&needed, false, none),
        Err(NotCarried::Late { .. })
    ));
    let (waiting, deadline) = (board.clone(), Instant::now() + PATIENCE);
    let settled = tokio::spawn(async move { waiting.settle(&needed, deadline).await });
    tokio::task::yield_now().await;
    assert!(!settled.is_finished());
    carry(&board, "orders", DatabaseCondition::InForce);
    settled.await.unwrap();
    let needed = [order("orders", 5432, &["a"])];
    assert_eq!(board.wait(&needed, false, none), Ok(Carried::InForce));
}
