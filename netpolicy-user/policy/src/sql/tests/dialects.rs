//! Detection of a text's dialect, and errors for statements of another one.

use super::*;

fn told(text: &str) -> Result<Option<Dialect>, String> {
    match Statements::new(text, None) {
        Ok(statements) => Ok(statements.dialect()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn a_text_that_can_only_be_one_is_that() {
    for (text, dialect) in [
        ("ALTER ACCOUNT UNSET NETWORK_POLICY", Dialect::Snowflake),
        (
            "USE ROLE accountadmin; SHOW NETWORK POLICIES",
            Dialect::Snowflake,
        ),
        ("SELECT CURRENT_IP_ADDRESS()", Dialect::Snowflake),
        ("SHOW FAILOVER GROUPS", Dialect::Snowflake),
        ("ALTER FAILOVER GROUP \"g\" PRIMARY", Dialect::Snowflake),
        ("CREATE OR ALTER NETWORK POLICY a", Dialect::Snowflake),
        (
            "CREATE NETWORK POLICY a COMMENT = $$s$$",
            Dialect::Snowflake,
        ),
        ("SHOW GRANTS ON NETWORK POLICY a", Dialect::Snowflake),
        (
            "GRANT USAGE ON NETWORK POLICY a TO ROLE r",
            Dialect::Snowflake,
        ),
        (
            "GRANT CREATEDB, CREATENETWORKPOLICY ON SYSTEM TO r",
            Dialect::Materialize,
        ),
        (
            "SELECT name FROM mz_internal.mz_network_policies",
            Dialect::Materialize,
        ),
        (
            "SHOW NETWORK POLICIES WHERE name = 'a'",
            Dialect::Materialize,
        ),
        ("DROP NETWORK POLICY a CASCADE", Dialect::Materialize),
        ("ALTER NETWORK POLICY a RENAME TO b", Dialect::Snowflake),
        (
            "ALTER NETWORK POLICY IF EXISTS a UNSET COMMENT",
            Dialect::Snowflake,
        ),
        (
            "SHOW PARAMETERS LIKE 'network_policy' IN ACCOUNT",
            Dialect::Snowflake,
        ),
        (
            "CREATE OR REPLACE NETWORK RULE r TYPE = IPV4",
            Dialect::Snowflake,
        ),
        ("DROP NETWORK RULE r", Dialect::Snowflake),
        ("SHOW NETWORK RULES", Dialect::Snowflake),
        (
            "ALTER NETWORK POLICY a ADD ALLOWED_NETWORK_RULE_LIST = ('r')",
            Dialect::Snowflake,
        ),
        ("CREATE NETWORK POLICY a (RULES ())", Dialect::Materialize),
        ("ALTER SYSTEM RESET network_policy", Dialect::Materialize),
        ("DROP NETWORK POLICY a, b", Dialect::Materialize),
        ("ALTER NETWORK POLICY a ACTIVATE", Dialect::Lakehouse),
        ("ALTER NETWORK POLICY a INACTIVATE", Dialect::Lakehouse),
        ("SHOW NETWORK POLICY", Dialect::Lakehouse),
        (
            "DROP NETWORK POLICY a; SHOW NETWORK POLICY",
            Dialect::Lakehouse,
        ),
        (
            "CREATE NETWORK POLICY a COMMENT = 's'; ALTER NETWORK POLICY a INACTIVATE",
            Dialect::Lakehouse,
        ),
        (
            "CREATE NETWORK POLICY a COMMENT 's'; ALTER NETWORK POLICY a INACTIVATE",
            Dialect::Lakehouse,
        ),
        (
            "-- Dialect: Lakehouse\nDROP NETWORK POLICY a",
            Dialect::Lakehouse,
        ),
    ] {
        assert_eq!(told(text), Ok(Some(dialect)), "{text}");
    }
    assert_eq!(told(" -- nothing\n;"), Ok(None));
    assert_eq!(
        told("SET dialect = snowflake; SHOW NETWORK POLICY"),
        Ok(None)
    );
}

#[test]
fn a_text_that_can_be_several_is_refused() {
    for text in [
        "CREATE NETWORK POLICY a ALLOWED_IP_LIST=('1.2.3.4')",
        "CREATE NETWORK POLICY a COMMENT 's'",
        "CREATE NETWORK POLICY a COMMENT = 's'",
        "CREATE NETWORK POLICY IF NOT EXISTS a",
        "ALTER USER pg UNSET NETWORK_POLICY",
        "COMMENT ON NETWORK POLICY a IS 'b'",
        "GRANT USAGE ON NETWORK POLICY a TO r",
        "DROP NETWORK POLICY rules",
        "SHOW NETWORK POLICIES -- ALTER ACCOUNT",
        "DROP NETWORK POLICY activate",
        "SHOW NETWORK POLICIES LIKE 'RULES'",
        "SHOW NETWORK POLICIES LIKE 'it\\' ; ALTER ACCOUNT UNSET NETWORK_POLICY; --'",
    ] {
        let message = told(text).unwrap_err();
        assert!(
            message.contains("line 1, column 1: ambiguous: name the dialect"),
            "{text}: {message}"
        );
        assert!(message.contains("-- dialect: snowflake"), "{message}");
    }
}

#[test]
fn marks_of_two_dialects_are_named_with_their_places() {
    let text = "ALTER ACCOUNT SET NETWORK_POLICY = a;\n  CREATE NETWORK POLICY a (RULES ())";
    assert_eq!(
        told(text).unwrap_err(),
        "line 2, column 28: RULES belongs to Materialize, but ALTER ACCOUNT at line 1, \
         column 7 to Snowflake; keep each dialect's statements in a text of their own, or \
         put `SET dialect = …;` before them"
    );
}

#[test]
fn set_dialect_holds_from_there_on() {
    let text = "SET dialect = lakehouse; SHOW NETWORK POLICY; SET dialect = materialize;\
                SHOW network_policy; ALTER ACCOUNT UNSET NETWORK_POLICY";
    for explicit in [None, Some(Dialect::Snowflake)] {
        let mut statements = Statements::new(text, explicit).unwrap();
        for _ in 0..4 {
            statements.next().unwrap().unwrap();
        }
        assert_eq!(statements.dialect(), Some(Dialect::Materialize));
        let message = statements.next().unwrap().unwrap_err().message();
        assert_eq!(
            message,
            "ALTER ACCOUNT belongs to Snowflake; this is Materialize: write ALTER SYSTEM \
             SET network_policy = n"
        );
    }
}

#[test]
fn the_first_line_must_not_contradict() {
    let text = "\u{feff}-- dialect: lakehouse\nSHOW NETWORK POLICIES";
    let error = failure(Dialect::Snowflake, text);
    assert_eq!(
        error.to_string(),
        "line 1, column 13: the first line names the dialect lakehouse, but snowflake was \
         asked for; change one of them"
    );
    assert!(Statements::new(text, Some(Dialect::Lakehouse)).is_ok());
    let error = failure(None, "-- dialect: mysql");
    assert_eq!((error.line, error.column), (1, 13));
    assert!(error.message().contains("unknown dialect 'mysql'"));
}

#[test]
fn what_another_dialect_has_is_named() {
    use Dialect::{Lakehouse, Materialize, Snowflake};
    for (dialect, text, column, what) in [
        (
            Snowflake,
            "CREATE NETWORK POLICY a (RULES ())",
            26,
            "RULES belongs to Materialize; this is Snowflake",
        ),
        (
            Snowflake,
            "ALTER NETWORK POLICY a SET (RULES ())",
            28,
            "belongs to Materialize",
        ),
        (
            Snowflake,
            "ALTER NETWORK POLICY a ACTIVATE",
            24,
            "ACTIVATE belongs to Lakehouse",
        ),
        (
            Snowflake,
            "ALTER NETWORK POLICY a OWNER TO b",
            24,
            "OWNER belongs to Materialize",
        ),
        (
            Snowflake,
            "ALTER SYSTEM RESET network_policy",
            7,
            "ALTER SYSTEM belongs to Materialize",
        ),
        (
            Snowflake,
            "SHOW network_policy",
            1,
            "belongs to Materialize",
        ),
        (Snowflake, "SHOW NETWORK POLICY", 1, "belongs to Lakehouse"),
        (
            Snowflake,
            "DROP NETWORK POLICY a, b",
            22,
            "belongs to Materialize",
        ),
        (
            Snowflake,
            "GRANT CREATENETWORKPOLICY ON SYSTEM TO b",
            7,
            "CREATENETWORKPOLICY belongs to Materialize",
        ),
        (
            Materialize,
            "CREATE OR REPLACE NETWORK POLICY a (RULES ())",
            8,
            "OR REPLACE belongs to Snowflake or Lakehouse",
        ),
        (
            Materialize,
            "CREATE NETWORK POLICY a ALLOWED_IP_LIST=()",
            25,
            "belongs to Snowflake or Lakehouse; this is Materialize",
        ),
        (
            Materialize,
            "CREATE NETWORK POLICY IF NOT EXISTS a (RULES ())",
            23,
            "belongs to Snowflake or Lakehouse",
        ),
        (
            Materialize,
            "ALTER NETWORK POLICY IF EXISTS a OWNER TO b",
            22,
            "belongs to Snowflake or Lakehouse",
        ),
        (
            Materialize,
            "ALTER NETWORK POLICY a UNSET COMMENT",
            24,
            "UNSET belongs to Snowflake",
        ),
        (
            Materialize,
            "DESC NETWORK POLICY a",
            1,
            "DESC belongs to Snowflake or Lakehouse",
        ),
        (
            Materialize,
            "ALTER USER a UNSET NETWORK_POLICY",
            7,
            "ALTER USER belongs to Snowflake or Lakehouse",
        ),
        (
            Materialize,
            "GRANT ATTACH POLICY ON ACCOUNT TO ROLE r",
            7,
            "ATTACH belongs to Snowflake",
        ),
        (
            Lakehouse,
            "COMMENT ON NETWORK POLICY a IS 'b'",
            1,
            "belongs to Snowflake or Materialize",
        ),
        (
            Lakehouse,
            "ALTER NETWORK POLICY a RENAME TO b",
            24,
            "RENAME belongs to Snowflake",
        ),
        (
            Lakehouse,
            "ALTER NETWORK POLICY a SET COMMENT = 'b'",
            28,
            "SET COMMENT belongs to Snowflake",
        ),
        (
            Lakehouse,
            "GRANT USAGE ON ALL POLICIES TO r",
            1,
            "GRANT belongs to Snowflake or Materialize",
        ),
        (
            Lakehouse,
            "SHOW NETWORK POLICIES LIKE 'a'",
            23,
            "LIKE belongs to Snowflake or Materialize",
        ),
        (
            Lakehouse,
            "SHOW PARAMETERS LIKE 'a'",
            1,
            "belongs to Snowflake",
        ),
    ] {
        let error = failure(dialect, text);
        assert!(error.message().contains(what), "{text}: {error}");
        assert_eq!((error.line, error.column), (1, column), "{text}: {error}");
    }
}

#[test]
fn statement_that_no_dialect_has_is_unknown_and_not_ambiguous() {
    for (text, found) in [
        ("SELECT 1", "unknown statement: 'SELECT 1'"),
        ("SHOW POLICIES;", "unknown statement: 'SHOW POLICIES'"),
        (
            "CREATE TABLE t (a int)",
            "unknown statement: 'CREATE TABLE t (a int)'",
        ),
        (
            "CREATE NETWORK POLICY a ALOWED_IP_LIST = ()",
            "did you mean ALLOWED_IP_LIST?",
        ),
    ] {
        let message = told(text).unwrap_err();
        assert!(message.contains(found), "{text}: {message}");
        assert!(!message.contains("ambiguous"), "{text}: {message}");
    }
}
