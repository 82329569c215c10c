//! Statements as tools and scripts of the three products have them, by real traffic.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use netpolicy_tests::DatabaseHost;
use netpolicy_tests::command::assert_has;

/// Runs a script from standard input, as `netpolicy sql < file` does; what it printed.
#[track_caller]
fn script(host: &DatabaseHost, dialect: &str, text: &str) -> String {
    let path = host.file("script.sql");
    std::fs::write(&path, text).expect("write the script");
    let path = path.display();
    let command = format!("--yes sql --dialect {dialect} --from none -f {path}");
    let output = host.line(&command);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    format!("{}{}", output.stdout, output.stderr)
}

#[test]
fn script_of_snowflake_runs_as_it_stands_on_what_the_command_line_made() {
    let host = DatabaseHost::start();
    host.ok("policy create office --allow 10.0.0.1 --inactive");
    host.ok("service add postgres --port 5432");
    let said = script(
        &host,
        "snowflake",
        "// what colleagues and tools write
         USE ROLE ACCOUNTADMIN;
         USE WAREHOUSE compute_wh;
         ALTER SESSION SET QUERY_TAG = 'network policies';
         SELECT CURRENT_IP_ADDRESS();
         ALTER ACCOUNT SET TIMEZONE = 'UTC', NETWORK_POLICY = '\"OFFICE\"';
         CREATE OR ALTER NETWORK POLICY DBA ALLOWED_IP_LIST = ('10.0.0.2'), COMMENT = $$it's theirs$$;
         ALTER POSTGRES INSTANCE IF EXISTS \"POSTGRES\" SET NETWORK_POLICY = \"DBA\" APPLY IMMEDIATELY;
         GRANT CREATE NETWORK POLICY, ATTACH POLICY ON ACCOUNT TO ROLE ROOT WITH GRANT OPTION;
         SHOW GRANTS ON NETWORK POLICY \"DBA\";
         DESC USER \"POSTGRES\";
         SHOW NETWORK POLICIES IN ACCOUNT;",
    );
    assert_has(&said, &["DBA", "OWNERSHIP", "DBA", "office"]);
    assert!(said.contains("USE ROLE has no effect here"), "{said}");
    assert!(said.contains("TIMEZONE has no effect here"), "{said}");
    host.assert_connects(&[("10.0.0.1", 8080), ("10.0.0.2", 5432)]);
    host.assert_times_out(&[("10.0.0.2", 8080), ("10.0.0.1", 5432)]);
    let said = script(
        &host,
        "snowflake",
        "ALTER USER \"POSTGRES\" UNSET NETWORK_POLICY, DEFAULT_ROLE;
         ALTER ACCOUNT SET NETWORK_POLICY = NULL;",
    );
    assert!(said.contains("takes DBA off service postgres"), "{said}");
    assert!(said.contains("takes office off the host"), "{said}");
    host.assert_connects(&[("10.0.0.2", 8080), ("10.0.0.1", 5432), ("fd00::1", 5432)]);
}

#[test]
fn script_whose_end_cannot_be_read_changes_nothing() {
    let host = DatabaseHost::start();
    let path = host.file("script.sql");
    let text = "CREATE NETWORK POLICY office ALLOWED_IP_LIST = ('10.0.0.1');
         ALTER ACCOUNT SET NETWORK_POLICY = office;
         SELECT CURRENT_VERSION();";
    std::fs::write(&path, text).expect("write the script");
    let path = path.display();
    let output = host.line(&format!("--yes sql --dialect snowflake -f {path}"));
    assert_eq!(output.code, Some(1));
    assert_has(&output.stderr, &["error: ", ":3:10: expected CREATE"]);
    assert_eq!(host.json("policy list").as_array().map(Vec::len), Some(0));
    host.assert_connects(&[("10.0.0.2", 5432)]);
}

#[test]
fn user_of_lakehouse_has_a_policy_in_place_of_the_hosts() {
    let host = DatabaseHost::start();
    host.ok("service add postgres --port 5432");
    script(
        &host,
        "lakehouse",
        "CREATE NETWORK POLICY IF NOT EXISTS office ALLOWED_IP_LIST = ('10.0.0.1') COMMENT 'head';
         CREATE NETWORK POLICY IF NOT EXISTS dba_only ALLOWED_IP_LIST = ('10.0.0.2');
         ALTER NETWORK POLICY dba_only INACTIVATE;
         ALTER USER postgres SET NETWORK_POLICY = public.dba_only;
         SHOW NETWORK POLICY;",
    );
    host.assert_connects(&[("10.0.0.1", 8080), ("10.0.0.2", 5432)]);
    host.assert_times_out(&[("10.0.0.2", 8080), ("10.0.0.1", 5432)]);
    script(
        &host,
        "lakehouse",
        "ALTER USER postgres UNSET NETWORK_POLICY",
    );
    host.assert_connects(&[("10.0.0.1", 5432)]);
    host.assert_times_out(&[("10.0.0.2", 5432)]);
}

#[test]
fn script_with_variables_and_network_rules_runs_as_it_stands() {
    let host = DatabaseHost::start();
    host.ok("service add postgres --port 5432");
    let said = script(
        &host,
        "snowflake",
        "USE ROLE ACCOUNTADMIN;
         CREATE DATABASE IF NOT EXISTS security_db;
         CREATE SCHEMA IF NOT EXISTS security_db.inbound;
         SET rule = 'security_db.inbound.' || 'office_rule';
         SET address = '10.0.0.1';
         SET policy = 'OFFICE';
         CREATE OR ALTER NETWORK RULE IDENTIFIER($rule)
           TYPE = IPV4 MODE = INGRESS VALUE_LIST = ($address) COMMENT = 'offices';
         CREATE NETWORK RULE IF NOT EXISTS security_db.inbound.vpn TYPE = IPV6 VALUE_LIST = ('fd00::1');
         CREATE NETWORK POLICY IF NOT EXISTS IDENTIFIER($policy) ALLOWED_NETWORK_RULE_LIST = ($rule);
         ALTER NETWORK POLICY IDENTIFIER($policy) ADD ALLOWED_NETWORK_RULE_LIST = 'vpn';
         ALTER NETWORK POLICY office SET TAG cost_center = 'network';
         GRANT USAGE ON DATABASE security_db TO ROLE root;
         GRANT OWNERSHIP ON NETWORK RULE vpn TO ROLE root COPY CURRENT GRANTS;
         ALTER USER postgres SET NETWORK_POLICY = $policy;
         ALTER NETWORK RULE vpn SET COMMENT = NULL;
         SHOW NETWORK RULES IN SCHEMA security_db.inbound LIMIT 1 FROM 'OFFICE_RULE';
         SELECT CURRENT_USER();",
    );
    assert!(said.contains("CREATE SCHEMA has no effect here"), "{said}");
    assert!(said.contains("SET TAG has no effect here"), "{said}");
    assert_has(&said, &["VPN", "INBOUND", "CURRENT_USER()", "root"]);
    host.assert_connects(&[("10.0.0.1", 5432), ("fd00::1", 5432), ("10.0.0.2", 8080)]);
    host.assert_times_out(&[("10.0.0.2", 5432)]);
    script(
        &host,
        "snowflake",
        "CREATE OR ALTER NETWORK RULE office_rule TYPE = IPV4 VALUE_LIST = ('10.0.0.2')",
    );
    host.assert_connects(&[("10.0.0.2", 5432)]);
    host.assert_times_out(&[("10.0.0.1", 5432)]);
}

#[test]
fn script_of_materialize_sets_and_asks_for_rules() {
    let host = DatabaseHost::start();
    let said = script(
        &host,
        "materialize",
        "ALTER SYSTEM SET enable_network_policies = true;
         CREATE NETWORK POLICY office (RULES (
           hq (ACTION = allow, DIRECTION = ingress, ADDRESS = '10.0.0.1/32'),
           vpn (ACTION = allow, DIRECTION = ingress, ADDRESS = 'fd00::1/128')));
         ALTER SYSTEM SET \"network_policy\" TO 'office';
         SELECT name, address FROM mz_internal.mz_network_policy_rules
           WHERE policy_id = 'office' ORDER BY name;
         SHOW NETWORK POLICIES WHERE name = 'office';
         GRANT CREATEROLE, CREATENETWORKPOLICY ON SYSTEM TO root;",
    );
    assert_has(
        &said,
        &["hq", "10.0.0.1/32", "vpn", "fd00::1/128", "hq,vpn"],
    );
    host.assert_connects(&[("10.0.0.1", 5432), ("fd00::1", 5432)]);
    host.assert_times_out(&[("10.0.0.2", 5432)]);
    script(
        &host,
        "materialize",
        "ALTER SYSTEM RESET network_policy; DROP NETWORK POLICY office CASCADE",
    );
    host.assert_connects(&[("10.0.0.2", 5432)]);
}
