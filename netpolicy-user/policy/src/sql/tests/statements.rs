//! Every form of statement, printed canonically and read again.

use super::*;

/// Statements as people write them, and what they are printed as.
fn check(dialect: Dialect, cases: &[(&str, &str)]) {
    for (text, canonical) in cases {
        let [statement] = &all(dialect, text)[..] else {
            panic!("not one statement: {text}");
        };
        assert_eq!(statement.to_string(), *canonical);
        assert_eq!(all(dialect, canonical)[0].to_string(), *canonical);
    }
}

#[test]
fn snowflake() {
    check(
        Dialect::Snowflake,
        &[
            ("create network policy n", "CREATE NETWORK POLICY n"),
            (
                "CREATE OR REPLACE NETWORK POLICY n ALLOWED_IP_LIST=('1.2.3.4','5.6.7.0/24')",
                "CREATE OR REPLACE NETWORK POLICY n\n  ALLOWED_IP_LIST = ('1.2.3.4', '5.6.7.0/24')",
            ),
            (
                "CREATE NETWORK POLICY IF NOT EXISTS \"My \"\"n\"\"\" COMMENT='it''s' \
                 blocked_ip_list = ( ) allowed_ip_list=('xx.xx.xx.xx/xx' /* , */ , '155.548.2.98')",
                "CREATE NETWORK POLICY IF NOT EXISTS \"My \"\"n\"\"\"\n  \
                 ALLOWED_IP_LIST = ('xx.xx.xx.xx/xx', '155.548.2.98')\n  \
                 BLOCKED_IP_LIST = ()\n  COMMENT = 'it''s'",
            ),
            (
                "CREATE NETWORK POLICY my$n_1 COMMENT = 'it\\'s \\\\ ;'",
                "CREATE NETWORK POLICY my$n_1\n  COMMENT = 'it''s \\\\ ;'",
            ),
            (
                "ALTER NETWORK POLICY IF EXISTS n SET BLOCKED_IP_LIST=('1.1.1.1') COMMENT='c'",
                "ALTER NETWORK POLICY IF EXISTS n SET\n  BLOCKED_IP_LIST = ('1.1.1.1')\n  COMMENT = 'c'",
            ),
            (
                "ALTER NETWORK POLICY n UNSET comment, ALLOWED_IP_LIST,BLOCKED_IP_LIST",
                "ALTER NETWORK POLICY n UNSET ALLOWED_IP_LIST, BLOCKED_IP_LIST, COMMENT",
            ),
            (
                "alter network policy n rename to n2",
                "ALTER NETWORK POLICY n RENAME TO n2",
            ),
            (
                "DROP NETWORK POLICY IF EXISTS n",
                "DROP NETWORK POLICY IF EXISTS n",
            ),
            ("DESCRIBE NETWORK POLICY n;", "DESC NETWORK POLICY n"),
            ("SHOW NETWORK POLICIES", "SHOW NETWORK POLICIES"),
            (
                "show network policies like 'p%'",
                "SHOW NETWORK POLICIES LIKE 'p%'",
            ),
            (
                "ALTER ACCOUNT SET NETWORK_POLICY=n",
                "ALTER ACCOUNT SET NETWORK_POLICY = n",
            ),
            (
                "ALTER ACCOUNT UNSET NETWORK_POLICY",
                "ALTER ACCOUNT UNSET NETWORK_POLICY",
            ),
            (
                "ALTER USER IF EXISTS pg SET NETWORK_POLICY = \"n\"",
                "ALTER USER IF EXISTS pg SET NETWORK_POLICY = \"n\"",
            ),
            (
                "ALTER USER pg UNSET NETWORK_POLICY",
                "ALTER USER pg UNSET NETWORK_POLICY",
            ),
            (
                "ALTER USER pg SET MINS_TO_BYPASS_NETWORK_POLICY=30",
                "ALTER USER pg SET MINS_TO_BYPASS_NETWORK_POLICY = 30",
            ),
            (
                "SHOW PARAMETERS LIKE 'Network_Policy' FOR USER pg",
                "SHOW PARAMETERS LIKE 'network_policy' IN USER pg",
            ),
            (
                "SHOW PARAMETERS LIKE 'network_policy' IN ACCOUNT",
                "SHOW PARAMETERS LIKE 'network_policy' IN ACCOUNT",
            ),
            (
                "GRANT CREATE NETWORK POLICY ON ACCOUNT TO ROLE r",
                "GRANT CREATE NETWORK POLICY ON ACCOUNT TO ROLE r",
            ),
            (
                "GRANT ATTACH POLICY ON ACCOUNT TO ROLE \"www-data\"",
                "GRANT ATTACH POLICY ON ACCOUNT TO ROLE \"www-data\"",
            ),
            (
                "GRANT OWNERSHIP ON NETWORK POLICY n TO ROLE r",
                "GRANT OWNERSHIP ON NETWORK POLICY n TO ROLE r",
            ),
            (
                "REVOKE ATTACH POLICY ON ACCOUNT FROM ROLE r",
                "REVOKE ATTACH POLICY ON ACCOUNT FROM ROLE r",
            ),
            (
                "create or alter network policy n comment = null, blocked_ip_list = ($$1.1.1.1$$)",
                "CREATE OR ALTER NETWORK POLICY n\n  BLOCKED_IP_LIST = ('1.1.1.1')",
            ),
            (
                "ALTER NETWORK POLICY n SET COMMENT = NULL // none",
                "ALTER NETWORK POLICY n SET\n  COMMENT = ''",
            ),
            (
                "ALTER ACCOUNT SET TIMEZONE = 'UTC', NETWORK_POLICY = '\"n\"'",
                "ALTER ACCOUNT SET NETWORK_POLICY = \"n\"",
            ),
            (
                "ALTER ACCOUNT SET NETWORK_POLICY = NULL",
                "ALTER ACCOUNT UNSET NETWORK_POLICY",
            ),
            (
                "ALTER USER u UNSET MINS_TO_BYPASS_NETWORK_POLICY, PASSWORD",
                "ALTER USER u SET MINS_TO_BYPASS_NETWORK_POLICY = 0",
            ),
            (
                "GRANT ATTACH POLICY, CREATE NETWORK POLICY ON ACCOUNT TO r WITH GRANT OPTION",
                "GRANT CREATE NETWORK POLICY, ATTACH POLICY ON ACCOUNT TO ROLE r",
            ),
            (
                "GRANT OWNERSHIP ON NETWORK POLICY n TO ROLE r COPY CURRENT GRANTS",
                "GRANT OWNERSHIP ON NETWORK POLICY n TO ROLE r COPY CURRENT GRANTS",
            ),
            ("SHOW GRANTS TO r", "SHOW GRANTS TO ROLE r"),
            (
                "COMMENT IF EXISTS ON NETWORK POLICY n IS $$it's$$",
                "COMMENT IF EXISTS ON NETWORK POLICY n IS 'it''s'",
            ),
            ("use role IDENTIFIER('r')", "use role IDENTIFIER('r')"),
            (
                "select current_ip_address() as me",
                "SELECT CURRENT_IP_ADDRESS()",
            ),
            ("describe user u", "DESC USER u"),
            (
                "CREATE OR REPLACE USER u TYPE = SERVICE NETWORK_POLICY = n",
                "CREATE OR REPLACE USER u NETWORK_POLICY = n",
            ),
        ],
    );
}

#[test]
fn materialize() {
    let rule = "(ACTION = 'allow', DIRECTION = 'ingress', ADDRESS = '1.2.3.4/28')";
    let two = format!("CREATE NETWORK POLICY n (RULES (\n  new_york {rule},\n  \"b c\" {rule}))");
    let set = format!("ALTER NETWORK POLICY n SET (RULES (\n  r {rule}))");
    check(
        Dialect::Materialize,
        &[
            (
                "CREATE NETWORK POLICY n ( RULES ( new_york (action='allow', direction='ingress',\
                 address='1.2.3.4/28'), \"b c\" (ADDRESS '1.2.3.4/28', DIRECTION='INGRESS', ACTION 'Allow')))",
                &two,
            ),
            (
                "CREATE NETWORK POLICY n (RULES = ())",
                "CREATE NETWORK POLICY n (RULES ())",
            ),
            (
                "ALTER NETWORK POLICY n SET (RULES=(r(action='ALLOW',direction='ingress',address='1.2.3.4/28')))",
                &set,
            ),
            (
                "ALTER NETWORK POLICY n OWNER TO r",
                "ALTER NETWORK POLICY n OWNER TO r",
            ),
            (
                "DROP NETWORK POLICY IF EXISTS a, \"B\",c",
                "DROP NETWORK POLICY IF EXISTS a, \"B\", c",
            ),
            (
                "SHOW NETWORK POLICIES LIKE 'p\\'",
                "SHOW NETWORK POLICIES LIKE 'p\\'",
            ),
            (
                "COMMENT ON NETWORK POLICY n IS 'it''s'",
                "COMMENT ON NETWORK POLICY n IS 'it''s'",
            ),
            (
                "COMMENT ON NETWORK POLICY n IS null",
                "COMMENT ON NETWORK POLICY n IS NULL",
            ),
            (
                "ALTER SYSTEM SET network_policy TO n",
                "ALTER SYSTEM SET network_policy = n",
            ),
            (
                "ALTER SYSTEM SET network_policy = 'n'",
                "ALTER SYSTEM SET network_policy = 'n'",
            ),
            (
                "ALTER SYSTEM RESET network_policy",
                "ALTER SYSTEM RESET network_policy",
            ),
            ("SHOW NETWORK_POLICY", "SHOW network_policy"),
            (
                "GRANT CREATENETWORKPOLICY ON SYSTEM TO r",
                "GRANT CREATENETWORKPOLICY ON SYSTEM TO r",
            ),
            (
                "REVOKE USAGE ON NETWORK POLICY n FROM r",
                "REVOKE USAGE ON NETWORK POLICY n FROM r",
            ),
            (
                "GRANT USAGE ON ALL POLICIES TO büro",
                "GRANT USAGE ON ALL POLICIES TO büro",
            ),
        ],
    );
}

#[test]
fn lakehouse() {
    check(
        Dialect::Lakehouse,
        &[
            (
                "CREATE OR REPLACE NETWORK POLICY n BLOCKED_IP_LIST=('1.1.1.1') ALLOWED_IP_LIST=() COMMENT='s'",
                "CREATE OR REPLACE NETWORK POLICY n\n  ALLOWED_IP_LIST = ()\n  \
                 BLOCKED_IP_LIST = ('1.1.1.1')\n  COMMENT 's'",
            ),
            (
                "create network policy n comment 'it''s' allowed_ip_list=('1.1.1.1') force",
                "CREATE NETWORK POLICY n\n  ALLOWED_IP_LIST = ('1.1.1.1')\n  COMMENT 'it''s' FORCE",
            ),
            (
                "ALTER NETWORK POLICY IF EXISTS n SET ALLOWED_IP_LIST=('1.1.1.1') FORCE",
                "ALTER NETWORK POLICY IF EXISTS n SET\n  ALLOWED_IP_LIST = ('1.1.1.1') FORCE",
            ),
            (
                "ALTER NETWORK POLICY n ACTIVATE",
                "ALTER NETWORK POLICY n ACTIVATE",
            ),
            (
                "ALTER NETWORK POLICY n inactivate force",
                "ALTER NETWORK POLICY n INACTIVATE FORCE",
            ),
            (
                "DROP NETWORK POLICY IF EXISTS n",
                "DROP NETWORK POLICY IF EXISTS n",
            ),
            ("SHOW NETWORK POLICY", "SHOW NETWORK POLICY"),
            ("SHOW NETWORK POLICIES", "SHOW NETWORK POLICY"),
            ("DESC NETWORK POLICY n", "DESC NETWORK POLICY n"),
        ],
    );
}

#[test]
fn in_every_dialect() {
    for dialect in Dialect::ALL {
        check(
            dialect,
            &[
                (
                    "show create network policy n",
                    "SHOW CREATE NETWORK POLICY n",
                ),
                (
                    "SHOW CREATE NETWORK POLICY n IN Lakehouse",
                    "SHOW CREATE NETWORK POLICY n IN lakehouse",
                ),
                ("SET DIALECT = 'snowflake'", "SET dialect = snowflake"),
            ],
        );
    }
}

#[test]
fn a_script_is_read_statement_by_statement() {
    let text = "\u{feff}-- first\r\n;;\nDROP NETWORK POLICY\n  a -- why\n;/* x /* y */ z */;\
                \ndrop network policy b;DESC nonsense; DROP NETWORK POLICY never";
    let mut statements = Statements::new(text, Some(Dialect::Snowflake)).unwrap();
    let first = statements.next().unwrap().unwrap();
    assert_eq!(first.source(), "DROP NETWORK POLICY\n  a");
    assert_eq!(first.place(first.spot), (3, 1));
    let second = statements.next().unwrap().unwrap();
    assert_eq!(second.to_string(), "DROP NETWORK POLICY b");
    let error = statements.next().unwrap().unwrap_err();
    assert_eq!((error.line, error.column), (6, 28));
    assert!(statements.next().is_none());
}

#[test]
fn lists_tell_texts_and_places() {
    let text = "CREATE NETWORK POLICY n ALLOWED_IP_LIST = ('a',\n -- no 'x'\n  'it''s', '')";
    let [statement] = &all(Dialect::Snowflake, text)[..] else {
        panic!()
    };
    let Verb::CreatePolicy(CreatePolicy {
        body: PolicyBody::Lists(clauses),
        ..
    }) = &statement.verb
    else {
        panic!()
    };
    let list = clauses.allowed.as_ref().unwrap();
    assert!(clauses.blocked.is_none());
    assert_eq!(list.len(), 3);
    let found: Vec<_> = list
        .iter()
        .map(|l| (l.text().into_owned(), statement.place(l.spot())))
        .collect();
    let expected = [("a", (1, 44)), ("it's", (3, 3)), ("", (3, 12))];
    assert_eq!(found, expected.map(|(t, p)| (t.to_owned(), p)));
}

#[test]
fn names_fold_as_each_product_folds_them() {
    for (dialect, text, folded) in [
        (Dialect::Snowflake, "Of$ice", "OF$ICE"),
        (Dialect::Snowflake, "\"Office\"", "Office"),
        (Dialect::Materialize, "Office", "office"),
        (Dialect::Materialize, "BÜRO", "büro"),
        (Dialect::Materialize, "\"Of\"\"fice\"", "Of\"fice"),
        (Dialect::Lakehouse, "Office_1", "office_1"),
    ] {
        let text = format!("SHOW CREATE NETWORK POLICY {text}");
        let Verb::ShowCreate { name, .. } = all(dialect, &text)[0].verb else {
            panic!()
        };
        assert_eq!(name.folded(dialect), folded);
    }
}

#[test]
fn policies_are_written_for_each_dialect() {
    let mut out = String::new();
    let lists = Lists {
        allowed: Some(["1.2.3.4"]),
        blocked: Some(["5.6.7.0/24", "9.9.9.9"]),
        allowed_rules: &[],
        blocked_rules: &[vec!["DB".into(), "PUBLIC".into(), "my rule".into()]],
        comment: Some("it's C:\\"),
    };
    create_lists(&mut out, Dialect::Snowflake, "Big one", lists).unwrap();
    assert_eq!(
        out,
        "CREATE NETWORK POLICY \"Big one\"\n  ALLOWED_IP_LIST = ('1.2.3.4')\n  \
         BLOCKED_IP_LIST = ('5.6.7.0/24', '9.9.9.9')\n  \
         BLOCKED_NETWORK_RULE_LIST = ('DB.PUBLIC.\"my rule\"')\n  COMMENT = 'it''s C:\\\\'"
    );
    assert_eq!(all(Dialect::Snowflake, &out)[0].to_string(), out);
    out.clear();
    create_rules(&mut out, "select", [("a", "::/0"), ("b-c", "1.2.3.4/32")]).unwrap();
    out.push(';');
    comment_on(&mut out, "select", "C:\\ it's").unwrap();
    let statements = all(Dialect::Materialize, &out);
    assert_eq!(statements.len(), 2);
    assert!(out.starts_with("CREATE NETWORK POLICY \"select\" (RULES (\n  a (ACTION"));
    assert!(out.ends_with("IS 'C:\\ it''s'"));
    let error = write_name(&mut out, "a b", Dialect::Lakehouse).unwrap_err();
    assert!(error.to_string().contains("cannot be written in Lakehouse"));
}

#[test]
fn lakehouse_comment_is_written_without_equals_sign() {
    let mut out = String::new();
    let lists: Lists<'_, [&str; 0], _> = Lists {
        allowed: None,
        blocked: Some(["9.9.9.9"]),
        allowed_rules: &[],
        blocked_rules: &[],
        comment: Some("it's C:\\"),
    };
    create_lists(&mut out, Dialect::Lakehouse, "office", lists).unwrap();
    assert_eq!(
        out,
        "CREATE NETWORK POLICY office\n  BLOCKED_IP_LIST = ('9.9.9.9')\n  COMMENT 'it''s C:\\'"
    );
    assert_eq!(all(Dialect::Lakehouse, &out)[0].to_string(), out);
}

#[test]
fn a_written_name_is_the_same_name() {
    for dialect in [Dialect::Snowflake, Dialect::Materialize] {
        for name in [
            "office", "OFFICE", "Office", "if", "a\"b", "1a", "büro", "a b",
        ] {
            let mut text = "DROP NETWORK POLICY ".to_owned();
            write_name(&mut text, name, dialect).unwrap();
            let Verb::DropPolicy { names, .. } = &all(dialect, &text)[0].verb else {
                panic!()
            };
            let folded = names[0].folded(dialect);
            assert!(folded.eq_ignore_ascii_case(name), "{name} became {folded}");
            assert!(!names[0].is_quoted() || folded == name);
        }
    }
}

#[test]
fn statements_about_network_rules_print_and_read_back_as_the_same() {
    for text in [
        "CREATE OR REPLACE NETWORK RULE db.public.\"my rule\"\n  TYPE = IPV4\n  MODE = INGRESS\n  \
         VALUE_LIST = ('10.0.0.0/8', '1.2.3.4')\n  COMMENT = 'it''s'",
        "CREATE NETWORK RULE IF NOT EXISTS r\n  TYPE = HOST_PORT\n  MODE = EGRESS\n  \
         VALUE_LIST = ('example.org:443')",
        "ALTER NETWORK RULE IF EXISTS r SET VALUE_LIST = () COMMENT = 'c'",
        "ALTER NETWORK RULE s.r UNSET VALUE_LIST, COMMENT",
        "DROP NETWORK RULE IF EXISTS r",
        "DESC NETWORK RULE r",
        "SHOW NETWORK RULES LIKE 'A%' IN SCHEMA db.public STARTS WITH 'A' LIMIT 5",
        "SHOW NETWORK RULES IN DATABASE db",
        "SHOW CREATE NETWORK RULE r",
        "ALTER NETWORK POLICY p ADD ALLOWED_NETWORK_RULE_LIST = ('r')",
        "ALTER NETWORK POLICY p REMOVE BLOCKED_NETWORK_RULE_LIST = ('r', 's.r')",
        "ALTER NETWORK POLICY p UNSET ALLOWED_NETWORK_RULE_LIST, COMMENT",
        "ALTER NETWORK POLICY p SET\n  ALLOWED_NETWORK_RULE_LIST = ()\n  BLOCKED_NETWORK_RULE_LIST = ('r')",
    ] {
        assert_eq!(all(Dialect::Snowflake, text)[0].to_string(), text);
    }
    // As tools write them.
    for (text, canonical) in [
        (
            "create network rule R value_list=('1.2.3.4') type='IPV4', ",
            "",
        ),
        (
            "create network rule R value_list=('1.2.3.4') type='ipv4'",
            "CREATE NETWORK RULE R\n  TYPE = IPV4\n  MODE = INGRESS\n  VALUE_LIST = ('1.2.3.4')",
        ),
        (
            "DESCRIBE NETWORK RULE \"D\".\"S\".\"R\"",
            "DESC NETWORK RULE \"D\".\"S\".\"R\"",
        ),
        (
            "CREATE NETWORK POLICY p ALLOWED_NETWORK_RULE_LIST = (\"D\".\"S\".\"R\", 'd.s.r')",
            "CREATE NETWORK POLICY p\n  ALLOWED_NETWORK_RULE_LIST = ('\"D\".\"S\".\"R\"', 'd.s.r')",
        ),
        (
            "SHOW NETWORK RULES IN SCHEMA",
            "SHOW NETWORK RULES IN ACCOUNT",
        ),
    ] {
        if canonical.is_empty() {
            failure(Dialect::Snowflake, text);
            continue;
        }
        assert_eq!(all(Dialect::Snowflake, text)[0].to_string(), canonical);
    }
}
