//! Syntax errors: their text, their place, and what was expected.

use std::time::{Duration, Instant};

use super::*;
use Dialect::{Lakehouse, Materialize, Snowflake};

fn check(dialect: Dialect, text: &str, place: (u32, u32), message: &str) {
    let error = failure(dialect, text);
    assert!(error.to_string().contains(message), "{text}: {error}");
    assert_eq!((error.line, error.column), place, "{text}: {error}");
    assert!(!error.to_string().contains('\n'), "{error}");
}

fn rules(option: &str) -> String {
    format!("CREATE NETWORK POLICY n (RULES (r ({option})))")
}

#[test]
fn lists() {
    const LIST: &str = "CREATE NETWORK POLICY n ALLOWED_IP_LIST=";
    for (list, column, message) in [
        (
            "('1.2.3.4' '5.6.7.8')",
            52,
            "expected a comma or ')' after an address, found ''5.6.7.8''",
        ),
        (
            "('1.2.3.4',)",
            52,
            "expected an address in single quotes after a comma, found ')'; remove the comma",
        ),
        (
            "(192.168.1.0)",
            42,
            "expected an address in single quotes, found '192.168.1.0'; put single quotes around it",
        ),
        ("(\"1.2.3.4\")", 42, "double quotes are for names"),
        (
            "('1.2.3.4, '5.6.7.8')",
            53,
            "found '5.6.7.8'; is a quote missing in '1.2.3.4, '?",
        ),
        ("'1.2.3.4'", 41, "expected '(' before a list"),
        (
            "('1.2.3.4'",
            51,
            "expected a comma or ')' after an address, found the end of the text",
        ),
        ("('1.2.3.4", 42, "this string is not closed: ' is missing"),
        ("(,)", 42, "found ','"),
        ("('a\0b')", 44, "'\\0' (U+0000 NULL)"),
        ("\u{1}()", 41, "U+0001"),
        (
            "(\u{a0}'a')",
            42,
            "U+00A0 NO-BREAK SPACE); write a plain space",
        ),
        (
            "(‘1.2.3.4’)",
            42,
            "'‘' (U+2018 LEFT SINGLE QUOTATION MARK) is a typographic quote, not SQL's; write the plain '",
        ),
        ("('1.2.3.4’)", 50, "U+2019 RIGHT SINGLE"),
        ("('1.2.3.4’, '5.6.7.8')", 50, "U+2019"),
        ("(´1.2.3.4´)", 42, "U+00B4 ACUTE ACCENT"),
        (
            "(`1.2.3.4`)",
            42,
            "a backquote quotes names in MySQL and Databend",
        ),
        ("(“1.2.3.4”)", 42, "U+201C LEFT DOUBLE"),
        (
            "() ALLOWED_IP_LIST=()",
            44,
            "ALLOWED_IP_LIST stands twice; the first is at line 1, column 25",
        ),
        ("() ALOWED_IP_LIST=()", 44, "did you mean ALLOWED_IP_LIST?"),
        (
            "() DROP",
            44,
            "expected ALLOWED_IP_LIST, BLOCKED_IP_LIST, ALLOWED_NETWORK_RULE_LIST, \
             BLOCKED_NETWORK_RULE_LIST, COMMENT or the end of the statement, found 'DROP'",
        ),
        (
            "() ALLOWED_NETWORK_RULE_LIST=('a b')",
            71,
            "'a b' is not a network rule's name; expected a name, which may be qualified, as in \
             'db.schema.name'",
        ),
        (
            "() ALLOWED_NETWORK_RULE_LIST=(a.b.c.d)",
            76,
            "expected at most a database, a schema and a name, found '.d'",
        ),
        ("(/* x", 42, "this comment is not closed: */ is missing"),
        ("(E'a')", 42, "E'…' strings"),
    ] {
        check(Snowflake, &format!("{LIST}{list}"), (1, column), message);
    }
    check(
        Lakehouse,
        &format!("{LIST}($$a$$)"),
        (1, 42),
        "dollar-quoted strings are not supported here",
    );
    check(
        Snowflake,
        &format!("{LIST}(\n  'a',\n\n 'ä'"),
        (4, 3),
        "U+00E4",
    );
}

#[test]
fn statements() {
    for (dialect, text, column, message) in [
        (
            Snowflake,
            "CREATE NETWROK POLICY n",
            8,
            "expected NETWORK, found 'NETWROK'; did you mean NETWORK?",
        ),
        (
            Snowflake,
            "CRAETE NETWORK POLICY n",
            1,
            "did you mean CREATE?",
        ),
        (Snowflake, "SELECT 1", 1, "expected CREATE, ALTER, DROP"),
        (
            Snowflake,
            "CREATE NETWORK RULE n",
            22,
            "expected TYPE, found the end of the text",
        ),
        (
            Snowflake,
            "CREATE NETWORK RULE n TYPE = IPV5",
            30,
            "expected IPV4, IPV6, AWSVPCEID, AZURELINKID, GCPPSCID, HOST_PORT, \
             PRIVATE_HOST_PORT or COMPUTE_POOL, found 'IPV5'; did you mean IPV6?",
        ),
        (
            Snowflake,
            "CREATE NETWORK RULE n TYPE = IPV4 MODE = INGRESS",
            49,
            "expected VALUE_LIST, found the end of the text",
        ),
        (
            Snowflake,
            "CREATE OR REPLACE NETWORK RULE IF NOT EXISTS n TYPE = IPV4",
            32,
            "exclude each other",
        ),
        (
            Lakehouse,
            "CREATE NETWORK RULE n TYPE = IPV4",
            16,
            "NETWORK RULE belongs to Snowflake; this is Lakehouse: list addresses in the policy itself",
        ),
        (
            Materialize,
            "SHOW NETWORK RULES",
            14,
            "SHOW NETWORK RULES belongs to Snowflake; this is Materialize: list addresses in the policy itself",
        ),
        (
            Snowflake,
            "CREATE OR REPLACE NETWORK POLICY IF NOT EXISTS n",
            34,
            "exclude each other",
        ),
        (
            Snowflake,
            "CREATE NETWORK POLICY",
            22,
            "expected a policy's name, found the end of the text",
        ),
        (
            Snowflake,
            "CREATE NETWORK POLICY büro",
            23,
            "holds 'ü'; put double quotes around it",
        ),
        (Snowflake, "CREATE NETWORK POLICY \"\"", 23, "it is empty"),
        (
            Snowflake,
            "CREATE NETWORK POLICY \"a\tb\"",
            23,
            "holds '\\t'; remove it: no name holds control characters",
        ),
        (
            Snowflake,
            "CREATE NETWORK POLICY \"abc",
            23,
            "this quoted name is not closed",
        ),
        (
            Snowflake,
            "CREATE NETWORK POLICY 1a",
            23,
            "expected a policy's name, found '1a'",
        ),
        (
            Lakehouse,
            "CREATE NETWORK POLICY \"abc\"",
            23,
            "names cannot be quoted there",
        ),
        (Lakehouse, "CREATE NETWORK POLICY a$b", 23, "holds '$'"),
        (
            Snowflake,
            "CREATE NETWORK POLICY n COMMENT 'a'",
            33,
            "expected '=', found ''a''",
        ),
        (
            Lakehouse,
            "CREATE NETWORK POLICY n COMMENT a",
            33,
            "expected a comment in single quotes, found 'a'",
        ),
        (
            Lakehouse,
            "CREATE NETWORK POLICY n ALLOWED_IP_LIST ('1.1.1.1')",
            41,
            "expected '='",
        ),
        (
            Snowflake,
            "CREATE NETWORK POLICY n COMMENT = 'a\\q'",
            37,
            "unknown escape '\\q'",
        ),
        (
            Snowflake,
            "CREATE NETWORK POLICY n COMMENT = 'a\\'",
            35,
            "this string is not closed",
        ),
        (
            Snowflake,
            "ALTER NETWORK POLICY n SET",
            27,
            "expected ALLOWED_IP_LIST",
        ),
        (
            Snowflake,
            "ALTER NETWORK POLICY n UNSET",
            29,
            "expected ALLOWED_IP_LIST",
        ),
        (
            Snowflake,
            "ALTER NETWORK POLICY n UNSET COMMENT, COMMENT",
            39,
            "COMMENT stands twice",
        ),
        (
            Snowflake,
            "DROP NETWORK POLICY a b",
            23,
            "expected ';' or the end of the statement, found 'b'",
        ),
        (
            Snowflake,
            "REVOKE OWNERSHIP ON NETWORK POLICY n FROM ROLE r",
            8,
            "ownership is not revoked",
        ),
        (
            Snowflake,
            "ALTER USER a SET MINS_TO_BYPASS_NETWORK_POLICY = 99999999999",
            50,
            "out of range",
        ),
        (
            Snowflake,
            "ALTER USER a SET MINS_TO_BYPASS_NETWORK_POLICY = 1.5",
            50,
            "a number of minutes, found '1.5'",
        ),
        (
            Snowflake,
            "SHOW PARAMETERS LIKE 'timezone' IN ACCOUNT",
            22,
            "unknown parameter 'timezone'",
        ),
        (
            Snowflake,
            "SET dialect = mysql",
            15,
            "unknown dialect 'mysql'",
        ),
    ] {
        check(dialect, text, (1, column), message);
    }
}

#[test]
fn materialize_rules() {
    for (option, column, message) in [
        ("action='deny'", 43, "Allow is the only valid option"),
        ("direction='egress'", 46, "Ingress is the only valid option"),
        ("action='allow'", 50, "rule 'r' lacks DIRECTION"),
        ("", 36, "rule 'r' lacks ACTION"),
        (
            "address='a',address='b'",
            48,
            "ADDRESS stands twice; the first is at line 1, column 36",
        ),
        ("adress='a'", 36, "did you mean ADDRESS?"),
        (
            "address='a' action='allow'",
            48,
            "a comma or ')' after an option's value, found 'action'",
        ),
        ("address=a", 44, "expected an address in single quotes"),
    ] {
        check(Materialize, &rules(option), (1, column), message);
    }
    check(
        Materialize,
        "CREATE NETWORK POLICY n (RULES (r (action='allow',direction='ingress',address='a'),))",
        (1, 84),
        "expected a rule's name, found ')'",
    );
    check(
        Materialize,
        "CREATE NETWORK POLICY n (RULES (), RULES ())",
        (1, 36),
        "RULES stands twice",
    );
    check(
        Materialize,
        "CREATE NETWORK POLICY n",
        (1, 24),
        "expected RULES or '(' before it",
    );
}

#[test]
fn excerpts_are_cut_and_escaped() {
    let text = format!("CREATE NETWORK POLICY n {}", "x".repeat(1000));
    let message = failure(Snowflake, &text).to_string();
    assert!(
        message.contains(&format!("'{}…'", "x".repeat(60))),
        "{message}"
    );
    assert!(message.len() < 300);
}

#[test]
fn invalid_utf8_is_reported_with_its_place() {
    assert_eq!(decode("ä\nö".as_bytes()), Ok("ä\nö"));
    let error = decode(b"DROP\n\xc3\xa4\xff\xc3\xa4").unwrap_err();
    assert_eq!((error.line, error.column), (2, 2));
    assert_eq!(error.message(), "the byte 0xff is not UTF-8");
}

#[test]
fn what_is_too_much_is_refused_promptly() {
    let start = Instant::now();
    let nested = format!(
        "CREATE NETWORK POLICY n ALLOWED_IP_LIST={}",
        "(".repeat(10_000)
    );
    check(
        Snowflake,
        &nested,
        (1, 42),
        "expected an address in single quotes, found '('",
    );
    check(
        Materialize,
        &format!("CREATE NETWORK POLICY n {}", "(".repeat(10_000)),
        (1, 26),
        "expected RULES",
    );

    let many = "'1.2.3.4',\n".repeat(MAX_STATEMENT / 11 + 1);
    let long = format!("SHOW NETWORK POLICIES;\nCREATE NETWORK POLICY n ALLOWED_IP_LIST=({many}");
    let error = failure(Snowflake, &long);
    assert_eq!(error.fault, Fault::StatementTooLarge);
    let at = long
        .lines()
        .take(usize::try_from(error.line).unwrap() - 1)
        .map(|line| line.len() + 1)
        .sum::<usize>()
        + usize::try_from(error.column).unwrap()
        - 1;
    assert_eq!(at, "SHOW NETWORK POLICIES;\n".len() + MAX_STATEMENT);
    assert!(
        start.elapsed() < Duration::from_secs(30),
        "{:?}",
        start.elapsed()
    );
}
