//! Unreadable scripts: an error with its place, promptly, and no change.

use std::time::Instant;

use super::*;
use crate::sql::MAX_STATEMENT;

/// Fails unless a script stops here, saying this, and nothing was made.
#[track_caller]
fn check(dialect: Dialect, text: &str, place: (u32, u32), says: &str) {
    for is_atomic in [false, true] {
        let mut bench = Bench::new();
        let asked = SqlRequest {
            atomic: is_atomic,
            ..request(dialect, text)
        };
        let started = Instant::now();
        let error = run_sql(&mut bench, &asked, ROOT, PLAIN).error.unwrap();
        assert_eq!((error.line, error.column), place, "{error:?}");
        assert_eq!(error.status, 400, "{error:?}");
        assert!(error.errors[0].contains(says), "{error:?}");
        assert!(error.errors[0].len() < 400, "an excerpt: {error:?}");
        // Far more than it takes, far less than anything quadratic would.
        assert!(started.elapsed().as_secs() < 20, "{says}");
        assert_eq!(bench.snapshot().revision, 0);
        assert_eq!(bench.kernel.journal(), [""; 0]);
    }
}

#[test]
fn bad_pasted_rule_is_reported_with_its_place_and_changes_nothing() {
    let list = |item: &str| format!("CREATE NETWORK POLICY office\n  ALLOWED_IP_LIST=({item})");
    for dialect in [Snowflake, Lakehouse] {
        for (item, column, says) in [
            ("'155.548.2.98'", 20, "548 is more than 255"),
            ("'10.0.0.0/33'", 20, "33 is more than 32"),
            ("'xx.xx.xx.xx/xx'", 20, "placeholder"),
            (
                "'10.0.0.1', /* no */ '10.0.0.0/33'",
                41,
                "33 is more than 32",
            ),
            ("\u{2018}10.0.0.1\u{2019}", 20, "\u{2018}"),
            ("'10.0.0.1\u{2019})", 29, "\u{2019}"),
            ("'10.0.0.1", 20, "'"),
            ("'10.0.0.1\0'", 29, "NUL"),
        ] {
            check(dialect, &list(item), (2, column), says);
        }
    }
    let rules = |item: &str| {
        format!(
            "CREATE NETWORK POLICY office (RULES (\n  \
             r_1 (ADDRESS='{item}', ACTION='allow', DIRECTION='ingress')))"
        )
    };
    for item in [
        "155.548.2.98/32",
        "10.0.0.0/33",
        "10.0.0.1",
        "xx.xx.xx.xx/xx",
    ] {
        let says = "Value must be valid IPV4 or IPV6 CIDR";
        check(Materialize, &rules(item), (2, 16), says);
    }
}

#[test]
fn a_comment_inside_a_list_is_no_error() {
    let mut bench = Bench::new();
    let text =
        "CREATE NETWORK POLICY office ALLOWED_IP_LIST=('10.0.0.1' -- one\n, /* two, */ '10.0.0.2')";
    ok(&mut bench, Lakehouse, text);
    let state = bench.snapshot().state.clone();
    assert_eq!(state.policies[0].allow_list().unwrap().len(), 2);
}

#[test]
fn what_is_meant_to_exhaust_the_agent_is_refused_promptly() {
    let nested = format!("{}\n{}", "(".repeat(10_000), "CREATE");
    check(Snowflake, &nested, (1, 1), "(");
    let nested = format!("CREATE NETWORK POLICY office ALLOWED_IP_LIST={nested}");
    check(Snowflake, &nested, (1, 47), "(");
    let mut long = "CREATE NETWORK POLICY office ALLOWED_IP_LIST=('10.0.0.1'".to_owned();
    long.reserve(200 << 20);
    while long.len() < 200 << 20 {
        long.push_str(",'10.0.0.1'");
    }
    let mut bench = Bench::new();
    let started = Instant::now();
    let error = run(&mut bench, Lakehouse, &long).error.unwrap();
    let limit = format!("more than {} MiB", MAX_STATEMENT >> 20);
    let said = error.errors[0].as_str();
    assert!(
        said.contains(&limit) || said.contains("longer than") || said.contains("MiB"),
        "{said}"
    );
    assert_eq!((error.line, error.status), (1, 400));
    assert!(started.elapsed().as_secs() < 20);
    assert_eq!(bench.snapshot().revision, 0);
}
