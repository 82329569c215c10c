//! SQL in three dialects, by real traffic through a real NIC.

use std::io::{Read, Write};
use std::net::TcpStream;

use netpolicy_tests::DatabaseHost;
use netpolicy_user::api::{ChangeQuery, SqlFailure, SqlRequest, SqlResponse};
use netpolicy_user::client::Client;
use netpolicy_user::sql::Dialect;

use Dialect::{Lakehouse, Materialize, Snowflake};

/// Runs a script; `from` is the operator's own address, or "none".
fn run(host: &DatabaseHost, dialect: Dialect, text: &str, from: &str) -> SqlResponse {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let request = SqlRequest {
        text: text.to_owned(),
        name: "office.sql".to_owned(),
        dialect: Some(dialect),
        atomic: false,
    };
    let query = ChangeQuery {
        from: Some(from.to_owned()),
        ..ChangeQuery::default()
    };
    let client = Client::new(&host.socket()).expect("a client");
    let runtime = runtime.expect("a runtime");
    let answer = runtime.block_on(client.sql(&request, &query));
    answer.expect("an answer")
}

#[track_caller]
fn ok(host: &DatabaseHost, dialect: Dialect, text: &str) {
    let response = run(host, dialect, text, "none");
    assert_eq!(response.error, None, "{text}");
}

#[track_caller]
fn refused(host: &DatabaseHost, dialect: Dialect, text: &str, from: &str) -> SqlFailure {
    let response = run(host, dialect, text, from);
    response.error.expect("it is refused")
}

fn echoes(stream: &mut TcpStream) -> bool {
    let mut answer = [0; 2];
    stream.write_all(b"hi").is_ok() && stream.read_exact(&mut answer).is_ok() && &answer == b"hi"
}

#[test]
fn snowflake_examples() {
    let host = DatabaseHost::start();
    ok(
        &host,
        Snowflake,
        "CREATE NETWORK POLICY one ALLOWED_IP_LIST=('192.168.1.0/24') BLOCKED_IP_LIST=('192.168.1.99');
         CREATE NETWORK POLICY two ALLOWED_IP_LIST=('192.168.1.0','192.168.1.100');
         CREATE NETWORK POLICY three ALLOWED_IP_LIST=('192.168.1.0') BLOCKED_IP_LIST=('192.168.1.0/0')",
    );
    // Inert until one is set.
    host.assert_connects(&[("192.168.1.99", 5432), ("10.0.0.1", 5432)]);
    ok(&host, Snowflake, "ALTER ACCOUNT SET NETWORK_POLICY = one");
    host.assert_connects(&[("192.168.1.7", 5432), ("192.168.1.100", 8080)]);
    host.assert_times_out(&[("192.168.1.99", 5432), ("10.0.0.1", 5432)]);
    ok(&host, Snowflake, "ALTER ACCOUNT SET NETWORK_POLICY = two");
    host.assert_connects(&[("192.168.1.100", 5432)]);
    host.assert_times_out(&[("192.168.1.7", 5432), ("192.168.1.99", 5432)]);
    ok(&host, Snowflake, "ALTER ACCOUNT SET NETWORK_POLICY = three");
    host.assert_times_out(&[
        ("192.168.1.100", 5432),
        ("192.168.1.7", 5432),
        ("10.0.0.1", 5432),
    ]);
    ok(&host, Snowflake, "ALTER ACCOUNT UNSET NETWORK_POLICY");
    host.assert_connects(&[("192.168.1.99", 5432), ("10.0.0.1", 5432)]);
}

#[test]
fn a_users_policy_precedes_the_accounts_in_snowflake_and_is_bypassed_for_a_time() {
    let host = DatabaseHost::start();
    host.ok("service add postgres --port 5432");
    ok(
        &host,
        Snowflake,
        "CREATE NETWORK POLICY everybody ALLOWED_IP_LIST=('10.0.0.1');
         CREATE NETWORK POLICY own ALLOWED_IP_LIST=('10.0.0.2');
         ALTER ACCOUNT SET NETWORK_POLICY = everybody;
         ALTER USER postgres SET NETWORK_POLICY = own",
    );
    host.assert_connects(&[("10.0.0.2", 5432), ("10.0.0.1", 8080)]);
    host.assert_times_out(&[("10.0.0.1", 5432), ("10.0.0.2", 8080)]);
    ok(
        &host,
        Snowflake,
        "ALTER USER postgres SET MINS_TO_BYPASS_NETWORK_POLICY = 5",
    );
    host.assert_connects(&[("10.0.0.1", 5432), ("192.168.7.7", 5432)]);
    ok(
        &host,
        Snowflake,
        "ALTER USER postgres SET MINS_TO_BYPASS_NETWORK_POLICY = 0",
    );
    host.assert_times_out(&[("10.0.0.1", 5432)]);
}

#[test]
fn lakehouse_policies_are_live_at_once_and_merged() {
    let host = DatabaseHost::start();
    ok(
        &host,
        Lakehouse,
        "CREATE NETWORK POLICY bad BLOCKED_IP_LIST=('10.66.0.1')",
    );
    host.assert_connects(&[("10.0.0.1", 5432), ("192.168.7.7", 5432), ("fd00::1", 5432)]);
    host.assert_times_out(&[("10.66.0.1", 5432)]);
    ok(
        &host,
        Lakehouse,
        "CREATE NETWORK POLICY office ALLOWED_IP_LIST=('10.0.0.0/8');
         CREATE NETWORK POLICY branch ALLOWED_IP_LIST=('10.0.0.0/8','192.168.7.0/24')",
    );
    host.assert_connects(&[("10.0.0.1", 5432), ("192.168.7.7", 5432)]);
    host.assert_times_out(&[("10.66.0.1", 5432), ("172.16.0.1", 5432)]);
    ok(&host, Lakehouse, "ALTER NETWORK POLICY branch INACTIVATE");
    host.assert_connects(&[("10.0.0.1", 5432)]);
    host.assert_times_out(&[("192.168.7.7", 5432)]);
    ok(
        &host,
        Lakehouse,
        "ALTER NETWORK POLICY office SET BLOCKED_IP_LIST=('10.0.0.1'); ALTER NETWORK POLICY bad INACTIVATE",
    );
    host.assert_connects(&[("10.66.0.1", 5432), ("192.168.7.7", 5432)]);
    host.assert_times_out(&[("10.0.0.1", 5432)]);
}

#[test]
fn materialize_changes_affect_new_connections_only() {
    let host = DatabaseHost::start();
    let mut session = host.session("10.0.0.1", 5432);
    assert!(echoes(&mut session));
    ok(
        &host,
        Materialize,
        "CREATE NETWORK POLICY office (RULES (
           lan (ACTION='allow', DIRECTION='ingress', ADDRESS='192.168.0.0/16'),
           six (ACTION='allow', DIRECTION='ingress', ADDRESS='fd00::/16')));
         ALTER SYSTEM SET network_policy = office",
    );
    host.assert_connects(&[("192.168.7.7", 5432), ("fd00::1", 5432)]);
    host.assert_times_out(&[("10.0.0.1", 5432), ("fd77::1", 5432)]);
    assert!(echoes(&mut session), "an open connection lives on");
    let failure = refused(&host, Materialize, "DROP NETWORK POLICY office", "none");
    assert!(failure.errors[0].starts_with("network policy is currently in use"));
    ok(&host, Materialize, "ALTER SYSTEM RESET network_policy");
    host.assert_connects(&[("10.0.0.1", 5432)]);
    let failure = refused(&host, Materialize, "DROP NETWORK POLICY default", "none");
    assert!(failure.errors[0].starts_with("network policy is currently in use"));
}

#[test]
fn snowflake_ends_connections_that_are_denied_from_now_on() {
    let host = DatabaseHost::start();
    let mut denied = host.session("10.0.0.1", 5432);
    let mut allowed = host.session("10.0.0.2", 5432);
    assert!(echoes(&mut denied) && echoes(&mut allowed));
    ok(
        &host,
        Snowflake,
        "CREATE NETWORK POLICY office ALLOWED_IP_LIST=('10.0.0.2'); ALTER ACCOUNT SET NETWORK_POLICY = office",
    );
    assert!(!echoes(&mut denied), "it was cut");
    assert!(echoes(&mut allowed));
}

#[test]
fn a_lockout_is_refused_and_changes_nothing() {
    let host = DatabaseHost::start();
    for (dialect, text, starts) in [
        (
            Snowflake,
            "CREATE NETWORK POLICY p_1 ALLOWED_IP_LIST=('10.0.0.2'); ALTER ACCOUNT SET NETWORK_POLICY = p_1",
            "Network policy P_1 cannot be activated. Requestor IP address, 10.0.0.1, must be included in the allowed_ip_list. ",
        ),
        (
            Materialize,
            "CREATE NETWORK POLICY p_2 (RULES ()); ALTER SYSTEM SET network_policy = p_2",
            "policy would block current session IP: ",
        ),
        (
            Lakehouse,
            "CREATE NETWORK POLICY p_3 BLOCKED_IP_LIST=('10.0.0.1')",
            "network policy p_3 would lock you out: ",
        ),
    ] {
        let failure = refused(&host, dialect, text, "10.0.0.1");
        assert!(failure.errors[0].starts_with(starts), "{failure:?}");
        assert_eq!(failure.status, 409);
    }
    host.assert_connects(&[("10.0.0.1", 5432)]);
}

#[test]
fn a_failing_statement_leaves_what_came_before() {
    let host = DatabaseHost::start();
    let text = "CREATE NETWORK POLICY office BLOCKED_IP_LIST=('10.0.0.1');\n\
                CREATE NETWORK POLICY branch ALLOWED_IP_LIST=('155.548.2.98', -- no address\n'10.0.0.0/33');";
    let failure = refused(&host, Lakehouse, text, "none");
    assert_eq!((failure.line, failure.column, failure.status), (2, 47, 400));
    assert_eq!(failure.errors.len(), 2, "{failure:?}");
    assert!(
        failure.errors[1].starts_with("line 3, column 1: "),
        "{failure:?}"
    );
    host.assert_times_out(&[("10.0.0.1", 5432)]);
    host.assert_connects(&[("10.0.0.2", 5432)]);
}
