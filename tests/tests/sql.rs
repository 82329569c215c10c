//! SQL in three dialects, by real traffic through a real NIC.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use netpolicy_tests::DatabaseHost;
use netpolicy_user::api::{ChangeQuery, SqlFailure, SqlRequest, SqlResponse};
use netpolicy_user::client::Client;
use netpolicy_user::sql::Dialect;

use Dialect::{Lakehouse, Materialize, Snowflake};

/// A request to `POST /v1/sql`.
fn ask(host: &DatabaseHost, request: &SqlRequest, from: &str) -> SqlResponse {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let query = ChangeQuery {
        from: Some(from.to_owned()),
        opens: Some("any".to_owned()),
        ..ChangeQuery::default()
    };
    let client = Client::new(&host.socket());
    let runtime = runtime.expect("a runtime");
    let answer = runtime.block_on(client.sql(request, &query));
    answer.expect("an answer")
}

/// Runs a script; `from` is the operator's own address, or "none".
fn run(host: &DatabaseHost, dialect: Dialect, text: &str, from: &str) -> SqlResponse {
    let request = SqlRequest {
        text: text.to_owned(),
        name: "office.sql".to_owned(),
        dialect: Some(dialect),
        atomic: false,
    };
    ask(host, &request, from)
}

#[track_caller]
fn ok(host: &DatabaseHost, dialect: Dialect, text: &str) {
    let response = run(host, dialect, text, "none");
    let shown: String = text.chars().take(200).collect();
    assert_eq!(response.error, None, "{shown}");
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
fn snowflake_example_1_a_network_without_one_address() {
    let host = DatabaseHost::start();
    ok(
        &host,
        Snowflake,
        "CREATE NETWORK POLICY mypolicy1
           ALLOWED_IP_LIST=('192.168.1.0/24') BLOCKED_IP_LIST=('192.168.1.99');",
    );
    // Inert until it is set.
    host.assert_connects(&[("192.168.1.99", 5432), ("10.0.0.1", 5432)]);
    ok(
        &host,
        Snowflake,
        "ALTER ACCOUNT SET NETWORK_POLICY = mypolicy1",
    );
    host.assert_connects(&[
        ("192.168.1.0", 5432),
        ("192.168.1.98", 5432),
        ("192.168.1.255", 8080),
    ]);
    host.assert_times_out(&[
        ("192.168.1.99", 5432),
        ("192.168.2.1", 5432),
        ("10.0.0.1", 8080),
        ("fd00::1", 5432),
    ]);
    ok(&host, Snowflake, "ALTER ACCOUNT UNSET NETWORK_POLICY");
    host.assert_connects(&[("192.168.1.99", 5432), ("fd00::1", 5432)]);
}

#[test]
fn snowflake_example_2_two_addresses_only() {
    let host = DatabaseHost::start();
    ok(
        &host,
        Snowflake,
        "CREATE NETWORK POLICY mypolicy2 ALLOWED_IP_LIST=('192.168.1.0','192.168.1.100');
         ALTER ACCOUNT SET NETWORK_POLICY = mypolicy2",
    );
    host.assert_connects(&[("192.168.1.0", 5432), ("192.168.1.100", 5432)]);
    host.assert_times_out(&[
        ("192.168.1.1", 5432),
        ("192.168.1.99", 5432),
        ("10.0.0.1", 5432),
    ]);
}

#[test]
fn snowflake_example_3_a_blocked_zero_leaves_who_is_allowed() {
    let host = DatabaseHost::start();
    ok(
        &host,
        Snowflake,
        "CREATE NETWORK POLICY mypolicy3
           ALLOWED_IP_LIST=('192.168.1.0') BLOCKED_IP_LIST=('192.168.1.0/0');
         ALTER ACCOUNT SET NETWORK_POLICY = mypolicy3",
    );
    host.assert_connects(&[("192.168.1.0", 5432)]);
    host.assert_times_out(&[("192.168.1.1", 5432), ("10.0.0.1", 5432)]);
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
    let minutes = |minutes| {
        let text = format!("ALTER USER postgres SET MINS_TO_BYPASS_NETWORK_POLICY = {minutes}");
        ok(&host, Snowflake, &text);
    };
    minutes(5);
    host.assert_connects(&[("10.0.0.1", 5432), ("192.168.7.7", 5432), ("fd00::1", 5432)]);
    host.assert_times_out(&[("10.0.0.2", 8080)]);
    minutes(0);
    host.assert_times_out(&[("10.0.0.1", 5432), ("fd00::1", 5432)]);
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
        "CREATE NETWORK POLICY office ALLOWED_IP_LIST=('10.0.0.2');
         ALTER ACCOUNT SET NETWORK_POLICY = office",
    );
    assert!(!echoes(&mut denied), "it was cut");
    assert!(echoes(&mut allowed));
}

#[test]
fn lakehouse_3_1_without_a_policy_or_with_empty_ones_every_source_is_allowed() {
    let host = DatabaseHost::start();
    let all_sources = [("10.0.0.1", 5432), ("192.168.7.7", 8080), ("fd00::1", 5432)];
    host.assert_connects(&all_sources);
    ok(
        &host,
        Lakehouse,
        "CREATE NETWORK POLICY nothing; CREATE NETWORK POLICY empty ALLOWED_IP_LIST=() BLOCKED_IP_LIST=()",
    );
    host.assert_connects(&all_sources);
}

#[test]
fn lakehouse_3_2_a_policy_is_live_at_once_with_an_allow_a_block_or_both_lists() {
    let host = DatabaseHost::start();
    ok(
        &host,
        Lakehouse,
        "CREATE NETWORK POLICY allow_only ALLOWED_IP_LIST=('10.0.0.0/8')",
    );
    host.assert_connects(&[("10.0.0.1", 5432), ("10.66.0.1", 8080)]);
    host.assert_times_out(&[("192.168.7.7", 5432), ("fd00::1", 5432)]);
    ok(
        &host,
        Lakehouse,
        "DROP NETWORK POLICY allow_only;
         CREATE NETWORK POLICY block_only BLOCKED_IP_LIST=('10.66.0.1')",
    );
    host.assert_connects(&[("10.0.0.1", 5432), ("192.168.7.7", 5432), ("fd00::1", 5432)]);
    host.assert_times_out(&[("10.66.0.1", 5432)]);
    ok(
        &host,
        Lakehouse,
        "DROP NETWORK POLICY block_only;
         CREATE NETWORK POLICY both ALLOWED_IP_LIST=('10.0.0.0/8') BLOCKED_IP_LIST=('10.66.0.1')",
    );
    host.assert_connects(&[("10.0.0.1", 5432)]);
    host.assert_times_out(&[("10.66.0.1", 5432), ("192.168.7.7", 5432)]);
}

#[test]
fn lakehouse_3_3_active_policies_are_merged_in_every_order_of_activation() {
    let host = DatabaseHost::start();
    // They overlap and repeat one another.
    let policies = [
        ("office", "ALLOWED_IP_LIST=('10.0.0.0/8')"),
        ("bad", "BLOCKED_IP_LIST=('10.66.0.1')"),
        (
            "branch",
            "ALLOWED_IP_LIST=('10.0.0.0/8','192.168.7.0/24') BLOCKED_IP_LIST=('10.66.0.1','10.0.0.9')",
        ),
    ];
    for (name, lists) in policies {
        let text = format!("CREATE NETWORK POLICY {name} {lists}");
        ok(&host, Lakehouse, &text);
    }
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        for verb in ["INACTIVATE", "ACTIVATE"] {
            for index in order {
                let (name, _) = policies[index];
                ok(
                    &host,
                    Lakehouse,
                    &format!("ALTER NETWORK POLICY {name} {verb}"),
                );
                if (verb, index) == ("INACTIVATE", order[0]) {
                    one_is_inactive(&host, name);
                }
            }
            if verb == "INACTIVATE" {
                host.assert_connects(&[("10.66.0.1", 5432), ("203.0.113.1", 5432)]);
            }
        }
        host.assert_connects(&[("10.0.0.1", 5432), ("192.168.7.7", 5432)]);
    }
    host.assert_times_out(&[
        ("10.66.0.1", 5432),
        ("10.0.0.9", 5432),
        ("203.0.113.1", 5432),
    ]);
}

/// Only one of the three is not active.
#[track_caller]
fn one_is_inactive(host: &DatabaseHost, name: &str) {
    match name {
        "branch" => {
            host.assert_connects(&[("10.0.0.9", 5432)]);
            host.assert_times_out(&[("192.168.7.7", 5432), ("10.66.0.1", 5432)]);
        }
        // What they say `branch` says too.
        _ => {
            host.assert_connects(&[("10.0.0.1", 5432), ("192.168.7.7", 5432)]);
            host.assert_times_out(&[("203.0.113.1", 5432), ("10.66.0.1", 5432)]);
        }
    }
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
           six (ACTION='allow', DIRECTION='ingress', ADDRESS='fd00::/16')));",
    );
    // Inert until it is the setting.
    host.assert_connects(&[("10.0.0.1", 5432)]);
    ok(
        &host,
        Materialize,
        "ALTER SYSTEM SET network_policy = office",
    );
    host.assert_connects(&[("192.168.7.7", 5432), ("fd00::1", 5432)]);
    host.assert_times_out(&[("10.0.0.1", 5432), ("fd77::1", 5432)]);
    assert!(echoes(&mut session), "an open connection lives on");
    // All rules are replaced.
    ok(
        &host,
        Materialize,
        "ALTER NETWORK POLICY office SET (RULES (
           ten (ACTION='allow', DIRECTION='ingress', ADDRESS='10.0.0.2/32')))",
    );
    host.assert_connects(&[("10.0.0.2", 5432)]);
    host.assert_times_out(&[("192.168.7.7", 5432), ("fd00::1", 5432)]);
    assert!(echoes(&mut session));
}

#[test]
fn materialize_refuses_the_drop_of_the_policy_in_use_and_of_default_before_another_is_set() {
    let host = DatabaseHost::start();
    let in_use = |name: &str| {
        let text = format!("DROP NETWORK POLICY {name}");
        let failure = refused(&host, Materialize, &text, "none");
        let expected = "network policy is currently in use";
        assert!(failure.errors[0].starts_with(expected), "{failure:?}");
        assert_eq!(failure.status, 409);
    };
    in_use("default");
    ok(
        &host,
        Materialize,
        "CREATE NETWORK POLICY office (RULES (
           lan (ACTION='allow', DIRECTION='ingress', ADDRESS='192.168.0.0/16')));",
    );
    in_use("default");
    ok(
        &host,
        Materialize,
        "ALTER SYSTEM SET network_policy = office",
    );
    in_use("office");
    host.assert_times_out(&[("10.0.0.1", 5432)]);
    ok(&host, Materialize, "DROP NETWORK POLICY default");
    let failure = refused(
        &host,
        Materialize,
        "ALTER SYSTEM RESET network_policy",
        "none",
    );
    assert_eq!(failure.errors, ["unknown network policy 'default'"]);
    host.assert_connects(&[("192.168.7.7", 5432)]);
    host.assert_times_out(&[("10.0.0.1", 5432)]);
}

#[test]
fn a_lockout_is_refused_in_the_products_words_and_changes_nothing() {
    let host = DatabaseHost::start();
    for (dialect, text, starts) in [
        (
            Snowflake,
            "CREATE NETWORK POLICY p_1 ALLOWED_IP_LIST=('10.0.0.2');
             ALTER ACCOUNT SET NETWORK_POLICY = p_1",
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
    let text = "CREATE NETWORK POLICY p_3 BLOCKED_IP_LIST=('10.0.0.1') FORCE";
    assert_eq!(run(&host, Lakehouse, text, "10.0.0.1").error, None);
    host.assert_times_out(&[("10.0.0.1", 5432)]);
}

#[test]
fn the_same_sentence_in_another_dialect_gives_the_other_products_result() {
    let host = DatabaseHost::start();
    let create = "CREATE NETWORK POLICY office
        ALLOWED_IP_LIST=('10.0.0.0/8') BLOCKED_IP_LIST=('10.66.0.1')";
    ok(&host, Snowflake, create);
    host.assert_connects(&[("192.168.7.7", 5432), ("10.66.0.1", 5432)]);
    ok(&host, Snowflake, "DROP NETWORK POLICY office");
    ok(&host, Lakehouse, create);
    host.assert_times_out(&[("192.168.7.7", 5432), ("10.66.0.1", 5432)]);

    // A clause that is left out is kept, or its list is cleared.
    let set = "ALTER NETWORK POLICY office SET ALLOWED_IP_LIST=('10.0.0.0/8','192.168.7.0/24')";
    ok(&host, Snowflake, set);
    host.assert_connects(&[("192.168.7.7", 5432)]);
    host.assert_times_out(&[("10.66.0.1", 5432)]);
    ok(&host, Lakehouse, set);
    host.assert_connects(&[("192.168.7.7", 5432), ("10.66.0.1", 5432)]);
    host.assert_times_out(&[("203.0.113.1", 5432)]);

    // No source is allowed, or every source.
    let empty = "ALTER NETWORK POLICY office SET ALLOWED_IP_LIST=() BLOCKED_IP_LIST=('10.66.0.1')";
    ok(&host, Snowflake, empty);
    host.assert_times_out(&[("10.0.0.1", 5432), ("203.0.113.1", 5432)]);
    ok(&host, Lakehouse, empty);
    host.assert_connects(&[("10.0.0.1", 5432), ("203.0.113.1", 5432), ("fd00::1", 5432)]);
    host.assert_times_out(&[("10.66.0.1", 5432)]);
}

#[test]
fn a_statement_of_100_000_and_100_000_addresses_is_accepted() {
    let host = DatabaseHost::start();
    let list = |base: Ipv4Addr| {
        let mut list = String::new();
        for i in 0..100_000 {
            // Not neighbours: nothing to merge.
            let address = Ipv4Addr::from_bits(base.to_bits() + i * 2);
            writeln!(list, "'{address}', -- {i}").expect("a string takes all");
        }
        list.truncate(list.rfind(',').expect("a comma"));
        list
    };
    let (allowed, blocked) = (list([10, 0, 0, 1].into()), list([10, 128, 0, 1].into()));
    let text = format!(
        "CREATE NETWORK POLICY large ALLOWED_IP_LIST=({allowed}) BLOCKED_IP_LIST=({blocked});"
    );
    assert!(text.len() > 1_800_000);
    ok(&host, Lakehouse, &text);
    let policy = host.json("policy show large");
    assert_eq!(policy["allow_count"], 100_000);
    host.assert_connects(&[("10.0.0.1", 5432), ("10.3.13.63", 5432)]);
    host.assert_times_out(&[("10.0.0.2", 5432), ("10.128.0.1", 5432)]);
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
