//! Large scripts, whose statements are made as one where they can be.

use super::*;
use crate::agent::access::OperatorOrigin;
use crate::store::Outcome;

/// A script that is so large that its statements are made as one where they can be.
fn large(statements: &[&str]) -> String {
    format!("{};\n-- {}", statements.join(";\n"), "x".repeat(1 << 20))
}

#[test]
fn statements_of_a_large_script_are_one_revision() {
    let mut bench = Bench::new();
    let text = large(&[
        OFFICE,
        "CREATE NETWORK POLICY other ALLOWED_IP_LIST=('192.0.2.1')",
        "SHOW NETWORK POLICY",
        "ALTER NETWORK POLICY other INACTIVATE",
    ]);
    let response = ok(&mut bench, Lakehouse, &text);
    assert_eq!(response.results.len(), 4);
    assert_eq!(
        response.results[2].rows.len(),
        2,
        "it sees what came before"
    );
    let changed = response.results[3].changed.as_ref().unwrap();
    assert_eq!((changed.revision, changed.plan.len()), (1, 2));
    assert_eq!(bench.kernel.journal(), ["prepare", "store", "flip"]);
}

#[test]
fn what_came_before_a_refusal_stays_in_a_large_script_too() {
    for (third, status) in [
        ("DROP NETWORK POLICY nowhere", 404),
        ("CREATE NETWORK POLICY office", 409),
    ] {
        let mut bench = Bench::new();
        let other = "CREATE NETWORK POLICY other ALLOWED_IP_LIST=('192.0.2.1')";
        let text = large(&[OFFICE, other, third, "DROP NETWORK POLICY office"]);
        let response = run(&mut bench, Lakehouse, &text);
        assert_eq!(response.results.len(), 2, "{third}");
        let error = response.error.unwrap();
        assert_eq!((error.line, error.status), (3, status), "{error:?}");
        assert_eq!(bench.snapshot().state.policies.len(), 2);
        assert_eq!(bench.snapshot().revision, 1, "both as one");
    }
}

#[test]
fn refusal_of_a_whole_batch_leaves_what_came_before_the_refused_statement() {
    let mut bench = Bench::new();
    // The second one denies the requester, which is found once it is to be made.
    let text = large(&[
        "CREATE NETWORK POLICY block ALLOWED_IP_LIST=() BLOCKED_IP_LIST=('192.0.2.77')",
        "CREATE NETWORK POLICY allow ALLOWED_IP_LIST=('10.0.0.1')",
        "CREATE NETWORK POLICY more BLOCKED_IP_LIST=('192.0.2.78')",
    ]);
    let requester = Requester {
        origin: OperatorOrigin::Said([192, 0, 2, 9].into()),
        ..ROOT
    };
    let response = run_sql(&mut bench, &request(Lakehouse, &text), requester, PLAIN);
    assert_eq!(response.results.len(), 1);
    let error = response.error.unwrap();
    assert_eq!((error.line, error.status), (2, 409), "{error:?}");
    assert!(error.errors[0].contains("lock you out"), "{error:?}");
    let names: Vec<_> = bench
        .snapshot()
        .state
        .policies
        .iter()
        .map(|p| p.name.to_string())
        .collect();
    assert_eq!(names, ["block"]);
    // FORCE of one statement is no other's.
    let forced = large(&[
        "CREATE NETWORK POLICY more BLOCKED_IP_LIST=('192.0.2.78') FORCE",
        "CREATE NETWORK POLICY allow ALLOWED_IP_LIST=('10.0.0.1')",
    ]);
    let response = run_sql(&mut bench, &request(Lakehouse, &forced), requester, PLAIN);
    assert_eq!(response.results.len(), 1);
    assert_eq!(response.error.unwrap().line, 2);
}

#[test]
fn refusal_of_a_batch_is_recorded_once() {
    let mut bench = Bench::new();
    let text = large(&[
        "CREATE NETWORK POLICY block ALLOWED_IP_LIST=() BLOCKED_IP_LIST=('192.0.2.77')",
        "CREATE NETWORK POLICY allow ALLOWED_IP_LIST=('10.0.0.1')",
    ]);
    let requester = Requester {
        origin: OperatorOrigin::Said([192, 0, 2, 9].into()),
        ..ROOT
    };
    let response = run_sql(&mut bench, &request(Lakehouse, &text), requester, PLAIN);
    assert_eq!(response.error.unwrap().line, 2);
    let log = bench.audit_log(9);
    let told: Vec<_> = log
        .iter()
        .map(|entry| (entry.action.as_str(), entry.outcome))
        .collect();
    assert_eq!(
        told,
        [
            ("sql: CREATE NETWORK POLICY allow", Outcome::Refused),
            ("sql: CREATE NETWORK POLICY block", Outcome::Done)
        ]
    );
}

#[test]
fn statements_that_close_connections_are_not_made_with_others() {
    let mut bench = Bench::new();
    let text = large(&[
        OFFICE,
        "SET dialect = snowflake",
        "CREATE NETWORK POLICY closing ALLOWED_IP_LIST=('192.0.2.1')",
        "ALTER ACCOUNT SET NETWORK_POLICY = closing",
        "SET dialect = lakehouse",
        "CREATE NETWORK POLICY other BLOCKED_IP_LIST=('192.0.2.2')",
    ]);
    let response = ok(&mut bench, Lakehouse, &text);
    let made: Vec<_> = response
        .results
        .iter()
        .filter_map(|result| {
            let changed = result.changed.as_ref()?;
            let existing = changed.clients.as_ref().map(|clients| clients.existing);
            Some((changed.revision, existing.unwrap_or_default()))
        })
        .collect();
    assert_eq!(
        made,
        [(1, Existing::Keep), (2, Existing::Cut), (3, Existing::Keep)]
    );
}
