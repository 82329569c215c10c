//! Scripts, over a fake kernel and a real store.

use super::*;
use crate::agent::change::candidate::APPLIED;
use crate::agent::testing::{Bench, DRY, PLAIN, ROOT, add_service, run_sql};
use crate::api::SqlResponse;
use crate::sql::Dialect;
use crate::sql::Dialect::{Lakehouse, Materialize, Snowflake};

mod large;
mod refusals;
mod unreadable;

fn request(dialect: Dialect, text: &str) -> SqlRequest {
    SqlRequest {
        text: text.to_owned(),
        name: "office.sql".to_owned(),
        dialect: Some(dialect),
        atomic: false,
    }
}

fn atomic(dialect: Dialect, text: &str) -> SqlRequest {
    SqlRequest {
        atomic: true,
        ..request(dialect, text)
    }
}

fn run(bench: &mut Bench, dialect: Dialect, text: &str) -> SqlResponse {
    run_sql(bench, &request(dialect, text), ROOT, PLAIN)
}

#[track_caller]
fn ok(bench: &mut Bench, dialect: Dialect, text: &str) -> SqlResponse {
    let response = run(bench, dialect, text);
    assert_eq!(response.error, None, "{text}");
    response
}

const OFFICE: &str = "CREATE NETWORK POLICY office ALLOWED_IP_LIST=('10.0.0.0/8')";

#[test]
fn each_statement_is_a_revision_and_questions_are_answered() {
    let mut bench = Bench::new();
    let text = format!(
        "{OFFICE};\nALTER ACCOUNT SET NETWORK_POLICY = office;\nDESC NETWORK POLICY office;\n"
    );
    let response = ok(&mut bench, Snowflake, &text);
    assert_eq!(response.dialect, Some(Snowflake));
    let [create, set, desc] = &response.results[..] else {
        panic!("{response:?}");
    };
    assert_eq!((create.line, set.line, desc.line), (1, 2, 3));
    assert_eq!(create.statement, "CREATE NETWORK POLICY office");
    assert_eq!(
        create.status.as_deref(),
        Some("Network policy OFFICE successfully created.")
    );
    assert_eq!(create.changed.as_ref().unwrap().revision, 1);
    assert_eq!(set.changed.as_ref().unwrap().revision, 2);
    assert_eq!(desc.columns, ["name", "value"]);
    assert_eq!(desc.changed, None);
    let revisions = bench.revisions(10);
    let actions: Vec<_> = revisions.iter().map(|r| r.action.as_str()).collect();
    assert_eq!(
        actions[..2],
        [
            "sql: ALTER ACCOUNT SET NETWORK_POLICY = office",
            "sql: CREATE NETWORK POLICY office"
        ]
    );
}

#[test]
fn the_first_failure_ends_a_script_and_what_came_before_stays() {
    for (second, place, status) in [
        ("DROP NETWORK POLICY nowhere", (2, 21), 404),
        (
            "CREATE NETWORK POLICY other ALLOWED_IP_LIST=('155.548.2.98')",
            (2, 46),
            400,
        ),
        ("CREATE NETWORK POLICY Office", (2, 23), 409),
    ] {
        let mut bench = Bench::new();
        let text = format!("{OFFICE};\n{second};\nDROP NETWORK POLICY office");
        let response = run(&mut bench, Lakehouse, &text);
        assert_eq!(response.results.len(), 1, "{second}");
        let error = response.error.unwrap();
        assert_eq!(
            (error.line, error.column, error.status),
            (place.0, place.1, status),
            "{error:?}"
        );
        assert_eq!(bench.snapshot().revision, 1);
        assert!(bench.snapshot().state.policy("office").is_some());
    }
}

#[test]
fn error_of_the_text_anywhere_stops_before_the_first_statement() {
    for is_atomic in [false, true] {
        let mut bench = Bench::new();
        let text = format!("{OFFICE};\nDROP NETWORK POLICY office;\nDROP NETWORK nothing");
        let asked = SqlRequest {
            atomic: is_atomic,
            ..request(Lakehouse, &text)
        };
        let response = run_sql(&mut bench, &asked, ROOT, PLAIN);
        assert_eq!(response.results, []);
        let error = response.error.unwrap();
        assert_eq!((error.line, error.column, error.status), (3, 14, 400));
        assert_eq!(bench.snapshot().revision, 0);
        assert_eq!(bench.kernel.journal(), [""; 0]);
    }
}

#[test]
fn an_atomic_script_is_one_revision_and_sees_itself() {
    let mut bench = Bench::new();
    let text =
        format!("{OFFICE}; ALTER ACCOUNT SET NETWORK_POLICY = office; SHOW NETWORK POLICIES");
    let response = run_sql(&mut bench, &atomic(Snowflake, &text), ROOT, PLAIN);
    assert_eq!(response.error, None);
    assert_eq!(response.results[0].changed, None);
    let changed = response.results[1].changed.as_ref().unwrap();
    assert_eq!((changed.revision, changed.plan.len()), (1, 1));
    assert_eq!(response.results[2].rows.len(), 1);
    assert_eq!(bench.snapshot().revision, 1);
    assert_eq!(bench.kernel.journal(), ["prepare", "store", "flip"]);
    assert_eq!(bench.revisions(1)[0].action, "sql: office.sql as one");
}

#[test]
fn an_atomic_script_that_fails_makes_nothing() {
    for last in [
        "DROP NETWORK POLICY nowhere",
        "GRANT ATTACH POLICY ON ACCOUNT TO ROLE root",
        "ALTER USER postgres SET MINS_TO_BYPASS_NETWORK_POLICY = 5",
    ] {
        let mut bench = Bench::new();
        bench
            .writer
            .change(add_service("postgres", "5432"), ROOT, PLAIN)
            .unwrap();
        bench.kernel.journal();
        let text = format!("{OFFICE}; {last}");
        let response = run_sql(&mut bench, &atomic(Snowflake, &text), ROOT, PLAIN);
        assert!(response.error.is_some(), "{last}");
        assert_eq!(response.results[0].status, None);
        assert_eq!(bench.snapshot().revision, 1, "{last}");
        assert_eq!(bench.kernel.journal(), [""; 0]);
    }
}

#[test]
fn a_dry_run_goes_through_the_whole_script_and_makes_nothing() {
    let mut bench = Bench::new();
    let text = format!(
        "{OFFICE}; ALTER ACCOUNT SET NETWORK_POLICY = office; SHOW PARAMETERS LIKE 'network_policy' IN ACCOUNT; \
         GRANT ATTACH POLICY ON ACCOUNT TO ROLE root; DROP NETWORK POLICY office"
    );
    for is_atomic in [false, true] {
        let asked = SqlRequest {
            atomic: is_atomic,
            ..request(Snowflake, &text)
        };
        let response = run_sql(&mut bench, &asked, ROOT, DRY);
        let error = response.error.unwrap();
        if is_atomic {
            assert!(
                error.errors[0].starts_with("GRANT is not part of a revision"),
                "{error:?}"
            );
        } else {
            assert!(
                error.errors[0].starts_with("Cannot perform Drop operation"),
                "{error:?}"
            );
            let set = response.results[1].changed.as_ref().unwrap();
            assert!(
                set.dry_run && !set.effects.is_empty(),
                "by itself, not all so far"
            );
            assert_eq!(response.results[2].rows[0][1].as_deref(), Some("OFFICE"));
            assert!(
                response.results[3]
                    .status
                    .as_ref()
                    .unwrap()
                    .ends_with("(dry run: not made)")
            );
        }
        assert_eq!(bench.snapshot().revision, 0);
        assert!(
            bench.writer.in_force().state.policies.is_empty() && bench.writer.grants().is_empty()
        );
        let now = bench.writer.in_force();
        assert_eq!(now.digest, now.ruleset.digest());
        assert_eq!(bench.kernel.journal(), [""; 0]);
    }
    ok(&mut bench, Snowflake, OFFICE);
    assert_eq!(bench.snapshot().revision, 1);
}

#[test]
fn a_confirmation_covers_one_revision() {
    let mut bench = Bench::new();
    let within = ChangeOptions {
        confirm_within: Some(std::time::Duration::from_secs(60)),
        ..PLAIN
    };
    let text =
        format!("{OFFICE};\nSHOW NETWORK POLICIES;\nALTER ACCOUNT SET NETWORK_POLICY = office");
    let error = run_sql(&mut bench, &request(Snowflake, &text), ROOT, within)
        .error
        .unwrap();
    assert_eq!((error.line, error.column), (3, 1));
    assert!(error.errors[0].contains("covers one revision"), "{error:?}");
    assert_eq!(bench.snapshot().revision, 0);
    let response = run_sql(&mut bench, &atomic(Snowflake, &text), ROOT, within);
    assert_eq!(response.error, None);
    assert!(
        response.results[2]
            .changed
            .as_ref()
            .unwrap()
            .pending
            .is_some()
    );
    assert!(bench.snapshot().pending.is_some());
    let refused = run(&mut bench, Snowflake, "DROP NETWORK POLICY office")
        .error
        .unwrap();
    assert_eq!(refused.status, 409);
}

#[test]
fn statement_is_applied_once() {
    let text = format!(
        "{OFFICE}; ALTER ACCOUNT SET NETWORK_POLICY = office; SHOW NETWORK POLICIES;
         ALTER NETWORK POLICY office SET BLOCKED_IP_LIST=('10.0.0.1')"
    );
    for is_atomic in [false, true] {
        for options in [PLAIN, DRY] {
            let mut bench = Bench::new();
            let asked = SqlRequest {
                atomic: is_atomic,
                ..request(Snowflake, &text)
            };
            let before = APPLIED.get();
            let response = run_sql(&mut bench, &asked, ROOT, options);
            assert_eq!(response.error, None);
            assert_eq!(APPLIED.get() - before, 3, "three of four change something");
        }
    }
}

#[test]
fn atomic_script_is_made_at_one_time() {
    let mut bench = Bench::new();
    let text = format!("{OFFICE}; CREATE NETWORK POLICY other ALLOWED_IP_LIST=('11.0.0.0/8')");
    let response = run_sql(&mut bench, &atomic(Lakehouse, &text), ROOT, PLAIN);
    assert_eq!(response.error, None);
    let policies = &bench.snapshot().state.policies;
    assert_eq!(policies[0].created, policies[1].created);
}

#[test]
fn snowflake_cuts_connections_by_default_and_other_dialects_keep_them() {
    let cut_or_kept = |dialect, text: &str, options| {
        let mut bench = Bench::new();
        let response = run_sql(&mut bench, &request(dialect, text), ROOT, options);
        assert_eq!(response.error, None);
        let last = response.results.last().unwrap();
        last.changed
            .as_ref()
            .unwrap()
            .clients
            .as_ref()
            .map(|clients| clients.existing)
    };
    let snowflake = format!("{OFFICE}; ALTER ACCOUNT SET NETWORK_POLICY = office");
    assert_eq!(cut_or_kept(Snowflake, &snowflake, DRY), Some(Existing::Cut));
    let keep = ChangeOptions {
        existing: Some(Existing::Keep),
        ..DRY
    };
    assert_eq!(
        cut_or_kept(Snowflake, &snowflake, keep),
        Some(Existing::Keep)
    );
    assert_eq!(cut_or_kept(Lakehouse, OFFICE, DRY), Some(Existing::Keep));
    let cut = ChangeOptions {
        existing: Some(Existing::Cut),
        ..DRY
    };
    assert_eq!(cut_or_kept(Lakehouse, OFFICE, cut), Some(Existing::Cut));
}

#[test]
fn rules_say_where_they_were_written() {
    let mut bench = Bench::new();
    ok(
        &mut bench,
        Lakehouse,
        "CREATE NETWORK POLICY office ALLOWED_IP_LIST=(\n'10.0.0.1')",
    );
    let state = bench.snapshot().state.clone();
    let list = state.policies[0].allow_list().unwrap();
    assert_eq!(list.place(&list[0]).unwrap().to_string(), "office.sql:2");
}

#[test]
fn privileges_and_bypasses_come_and_go() {
    let mut bench = Bench::new();
    bench
        .writer
        .change(add_service("postgres", "5432"), ROOT, PLAIN)
        .unwrap();
    ok(
        &mut bench,
        Snowflake,
        "GRANT ATTACH POLICY ON ACCOUNT TO ROLE root",
    );
    assert_eq!(bench.writer.grants().len(), 1);
    ok(
        &mut bench,
        Snowflake,
        "REVOKE ATTACH POLICY ON ACCOUNT FROM ROLE root",
    );
    assert_eq!(bench.writer.grants().len(), 0);
    ok(
        &mut bench,
        Snowflake,
        "ALTER USER postgres SET MINS_TO_BYPASS_NETWORK_POLICY = 5",
    );
    let sources: Vec<_> = bench
        .snapshot()
        .bypasses
        .iter()
        .map(|b| b.source.to_string())
        .collect();
    assert_eq!(sources, unversioned::EVERY_SOURCE);
    ok(
        &mut bench,
        Snowflake,
        "ALTER USER postgres SET MINS_TO_BYPASS_NETWORK_POLICY = 0",
    );
    assert!(bench.snapshot().bypasses.is_empty());
    ok(
        &mut bench,
        Snowflake,
        "ALTER USER postgres SET MINS_TO_BYPASS_NETWORK_POLICY = 0",
    );
    let too_long = "ALTER USER postgres SET MINS_TO_BYPASS_NETWORK_POLICY = 99999999";
    assert_eq!(
        run(&mut bench, Snowflake, too_long).error.unwrap().status,
        400
    );
}

#[test]
fn a_dropped_default_stays_dropped() {
    let mut bench = Bench::new();
    ok(
        &mut bench,
        Materialize,
        "CREATE NETWORK POLICY office (RULES ()); ALTER SYSTEM SET network_policy = office;
         DROP NETWORK POLICY default",
    );
    assert_eq!(bench.snapshot().revision, 3);
    let error = run(&mut bench, Materialize, "ALTER SYSTEM RESET network_policy").error;
    assert_eq!(error.unwrap().errors, ["unknown network policy 'default'"]);
}
