//! Refused statements, in their dialect's words.

use super::*;
use crate::agent::access::Caller;
use crate::agent::access::OperatorOrigin;
use crate::store::Outcome;

/// root, who comes from 10.0.0.9.
fn from_afar() -> Requester {
    Requester {
        origin: OperatorOrigin::Said("10.0.0.9".parse().unwrap()),
        ..ROOT
    }
}

#[test]
fn lockout_is_refused_in_each_dialects_words() {
    for (dialect, before, text, starts) in [
        (
            Snowflake,
            "CREATE NETWORK POLICY p_1 ALLOWED_IP_LIST=('11.0.0.0/8')",
            "ALTER ACCOUNT SET NETWORK_POLICY = p_1",
            "Network policy P_1 cannot be activated. Requestor IP address, 10.0.0.9, must be included in the allowed_ip_list. ",
        ),
        (
            Snowflake,
            "CREATE NETWORK POLICY p_1 ALLOWED_IP_LIST=('10.0.0.0/8'); ALTER ACCOUNT SET NETWORK_POLICY = p_1",
            "ALTER NETWORK POLICY p_1 SET BLOCKED_IP_LIST=('10.0.0.9')",
            "Changes cannot be applied to the network policy P_1 because current IP address 10.0.0.9 is not allowed in it. ",
        ),
        (
            Materialize,
            "CREATE NETWORK POLICY p_1 (RULES ())",
            "ALTER SYSTEM SET network_policy = p_1",
            "policy would block current session IP: ",
        ),
        (
            Materialize,
            "SHOW NETWORK POLICIES",
            "ALTER NETWORK POLICY default SET (RULES (a (ACTION='allow', DIRECTION='ingress', ADDRESS='11.0.0.0/8')))",
            "policy would block current session IP: ",
        ),
        (
            Lakehouse,
            "SHOW NETWORK POLICIES",
            "CREATE NETWORK POLICY p_1 BLOCKED_IP_LIST=('10.0.0.9')",
            "network policy p_1 would lock you out: ",
        ),
    ] {
        for (is_atomic, options) in [(false, PLAIN), (true, PLAIN), (false, DRY), (true, DRY)] {
            let mut bench = Bench::new();
            ok(&mut bench, dialect, before);
            let revision = bench.snapshot().revision;
            let asked = SqlRequest {
                atomic: is_atomic,
                ..request(dialect, text)
            };
            let error = run_sql(&mut bench, &asked, from_afar(), options)
                .error
                .unwrap();
            assert!(error.errors[0].starts_with(starts), "{text}: {error:?}");
            assert!(error.errors[0].contains("10.0.0.9"), "{error:?}");
            assert_eq!(error.status, 409);
            assert_eq!(bench.snapshot().revision, revision);
            let forced = ChangeOptions {
                force: true,
                ..options
            };
            assert_eq!(
                run_sql(&mut bench, &asked, from_afar(), forced).error,
                None,
                "{text}"
            );
        }
    }
}

#[test]
fn lakehouses_force_is_force() {
    let mut bench = Bench::new();
    let text = "CREATE NETWORK POLICY p_1 BLOCKED_IP_LIST=('10.0.0.9')";
    let error = run_sql(&mut bench, &request(Lakehouse, text), from_afar(), PLAIN)
        .error
        .unwrap();
    assert!(error.hint.unwrap().contains("FORCE"));
    let forced = request(Lakehouse, &format!("{text} FORCE"));
    let response = run_sql(&mut bench, &forced, from_afar(), PLAIN);
    assert_eq!(response.error, None);
    assert!(
        response.results[0].warnings[0].contains("--force"),
        "{response:?}"
    );
}

#[test]
fn caller_without_privileges_is_refused_in_each_dialects_words() {
    let mut bench = Bench::new();
    ok(&mut bench, Snowflake, OFFICE);
    let stranger = Requester {
        caller: Caller {
            uid: 3_999_999_999,
            gid: 3_999_999_999,
            pid: None,
            person: None,
        },
        ..ROOT
    };
    for (dialect, text, starts) in [
        (
            Snowflake,
            "DROP NETWORK POLICY office",
            "Network policy 'OFFICE' does not exist or not authorized. ",
        ),
        (
            Materialize,
            "DROP NETWORK POLICY office",
            "permission denied for NETWORK POLICY \"office\": ",
        ),
        (
            Materialize,
            "CREATE NETWORK POLICY mine (RULES ())",
            "permission denied for SYSTEM: ",
        ),
        (
            Snowflake,
            "GRANT ATTACH POLICY ON ACCOUNT TO ROLE root",
            "SQL access control error: ",
        ),
    ] {
        let response = run_sql(&mut bench, &request(dialect, text), stranger, PLAIN);
        let error = response.error.unwrap();
        assert!(error.errors[0].starts_with(starts), "{error:?}");
        assert!(
            error.errors[0].contains("uid 3999999999 may not"),
            "{error:?}"
        );
        assert_eq!(error.status, 403);
        assert_eq!(bench.audit_log(1)[0].outcome, Outcome::Refused);
    }
    assert_eq!(bench.snapshot().revision, 1);
}

#[test]
fn ownership_is_not_given_by_an_owner_who_may_not_revoke_current_grants() {
    let mut bench = Bench::new();
    let text = format!(
        "{OFFICE};
         GRANT USAGE ON NETWORK POLICY office TO ROLE root;
         GRANT OWNERSHIP ON NETWORK POLICY office TO ROLE daemon COPY CURRENT GRANTS"
    );
    ok(&mut bench, Snowflake, &text);
    let daemon = Requester {
        caller: Caller {
            uid: 1,
            gid: 1,
            pid: None,
            person: None,
        },
        ..ROOT
    };
    let text = "GRANT OWNERSHIP ON NETWORK POLICY office TO ROLE root REVOKE CURRENT GRANTS";
    let response = run_sql(&mut bench, &request(Snowflake, text), daemon, PLAIN);
    assert_eq!(response.error.unwrap().status, 403);
    assert_eq!(bench.snapshot().state.policies[0].owner, "daemon");
    assert_eq!(bench.writer.grants().len(), 1);
    assert_eq!(bench.audit_log(1)[0].outcome, Outcome::Refused);
}

#[test]
fn refusals_are_audited_and_questions_are_not() {
    let mut bench = Bench::new();
    run(&mut bench, Snowflake, "DROP NETWORK POLICY nowhere");
    let entry = &bench.audit_log(1)[0];
    assert_eq!(
        (entry.action.as_str(), entry.outcome),
        ("sql: DROP NETWORK POLICY nowhere", Outcome::Refused)
    );
    run(&mut bench, Snowflake, "DESC NETWORK POLICY nowhere");
    assert_eq!(bench.audit_log(9).len(), 1);
}

#[test]
fn refusals_of_whole_scripts_and_of_bypasses_are_audited_and_trials_are_not() {
    let mut bench = Bench::new();
    bench
        .writer
        .change(add_service("postgres", "5432"), ROOT, PLAIN)
        .unwrap();
    let outsider = Requester {
        caller: Caller {
            uid: 3_999_999_999,
            gid: 3_999_999_999,
            pid: None,
            person: None,
        },
        ..ROOT
    };
    let bypass =
        |minutes| format!("ALTER USER postgres SET MINS_TO_BYPASS_NETWORK_POLICY = {minutes}");
    let two = "CREATE NETWORK POLICY first_one; CREATE NETWORK POLICY second_one";
    let within = Some(std::time::Duration::from_secs(60));
    let other = Some(77);
    for (text, is_atomic, requester, options, action) in [
        (bypass(0), false, outsider, PLAIN, "postgres"),
        (bypass(5), false, outsider, PLAIN, "postgres"),
        (bypass(5), true, ROOT, PLAIN, "sql: ALTER USER"),
        (
            two.to_owned(),
            false,
            ROOT,
            ChangeOptions {
                confirm_within: within,
                ..PLAIN
            },
            "sql: ",
        ),
        (
            two.to_owned(),
            false,
            ROOT,
            ChangeOptions {
                if_revision: other,
                ..PLAIN
            },
            "sql: ",
        ),
    ] {
        let request = SqlRequest {
            text: text.clone(),
            dialect: Some(Snowflake),
            atomic: is_atomic,
            ..SqlRequest::default()
        };
        let before = bench.audit_log(99).len();
        let trial = ChangeOptions {
            dry_run: true,
            ..options
        };
        assert!(
            run_sql(&mut bench, &request, requester, trial)
                .error
                .is_some(),
            "{text}"
        );
        assert_eq!(bench.audit_log(99).len(), before, "{text}");
        assert!(
            run_sql(&mut bench, &request, requester, options)
                .error
                .is_some(),
            "{text}"
        );
        let log = bench.audit_log(99);
        assert_eq!(log.len(), before + 1, "{text}: {log:?}");
        assert_eq!(log[0].outcome, Outcome::Refused, "{text}");
        assert!(log[0].action.contains(action), "{text}: {}", log[0].action);
        assert!(
            !log[0].action.trim_end().ends_with(':'),
            "{}",
            log[0].action
        );
    }
}

#[test]
fn privileges_of_one_statement_are_granted_and_revoked_all_or_none() {
    let mut bench = Bench::new();
    ok(
        &mut bench,
        Snowflake,
        "GRANT CREATE NETWORK POLICY, ATTACH POLICY ON ACCOUNT TO ROLE root",
    );
    assert_eq!(bench.writer.grants().len(), 2);
    ok(
        &mut bench,
        Materialize,
        "REVOKE CREATENETWORKPOLICY ON SYSTEM FROM root; GRANT CREATENETWORKPOLICY ON SYSTEM TO daemon",
    );
    // The second one was not granted: the first one stays.
    let text = "REVOKE CREATENETWORKPOLICY ON SYSTEM FROM daemon, root";
    let error = run(&mut bench, Materialize, text).error.unwrap();
    assert_eq!(error.status, 404, "{error:?}");
    assert_eq!(bench.writer.grants().len(), 2);
    let log = bench.audit_log(1);
    assert_eq!(log[0].outcome, Outcome::Refused);
    assert_eq!(
        log[0].action,
        "revoke create to user:daemon; revoke create to user:root"
    );
}
