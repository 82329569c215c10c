//! Network rules: OR ALTER, owners, comments, references and pages of SHOW.

use super::Dialect::Snowflake;
use super::*;

const TWO: &str =
    "CREATE NETWORK RULE db.s.office TYPE = IPV4 VALUE_LIST = ('10.0.0.1') COMMENT = 'c';
    CREATE NETWORK RULE home TYPE = IPV6 VALUE_LIST = ('2001:db8::/32');
    CREATE NETWORK RULE vpn TYPE = IPV4 VALUE_LIST = ('10.9.0.0/16');";

fn described(world: &mut World, rule: &str) -> String {
    let table = world.table(Snowflake, &format!("DESC NETWORK RULE {rule}"));
    let cells: Vec<_> = table[1].split(" | ").collect();
    // name, owner, comment, type, values
    [1, 4, 5, 6, 8].map(|at| cells[at]).join(" ")
}

#[test]
fn or_alter_makes_a_rule_or_gives_it_values_and_comment() {
    let mut world = World::new();
    world.ok(
        Snowflake,
        "CREATE OR ALTER NETWORK RULE r TYPE = IPV4 VALUE_LIST = ('10.0.0.1') COMMENT = 'c';
         CREATE NETWORK POLICY p ALLOWED_NETWORK_RULE_LIST = ('r');
         ALTER ACCOUNT SET NETWORK_POLICY = p",
    );
    assert_eq!(described(&mut world, "r"), "R root c IPV4 10.0.0.1");
    world.ok(
        Snowflake,
        "CREATE OR ALTER NETWORK RULE r TYPE = IPV4 MODE = INGRESS VALUE_LIST = ('10.0.0.2')",
    );
    assert_eq!(described(&mut world, "r"), "R root  IPV4 10.0.0.2");
    world.judges(&["10.0.0.2"], &["10.0.0.1"]);
    for (text, says) in [
        (
            "CREATE OR ALTER NETWORK RULE r TYPE = IPV6 VALUE_LIST = ()",
            "TYPE and MODE of network rule 'R' cannot be changed",
        ),
        (
            "CREATE OR ALTER NETWORK RULE r TYPE = IPV4 MODE = EGRESS VALUE_LIST = ()",
            "TYPE and MODE of network rule 'R' cannot be changed",
        ),
    ] {
        assert_eq!(world.refused(Snowflake, text)[0], says);
    }
    world.judges(&["10.0.0.2"], &["10.0.0.1"]);
}

#[test]
fn ownership_of_a_rule_is_given_and_shown() {
    let mut world = World::new();
    world.ok(Snowflake, TWO);
    world.ok(
        Snowflake,
        "GRANT OWNERSHIP ON NETWORK RULE db.s.office TO ROLE dba REVOKE CURRENT GRANTS",
    );
    assert_eq!(
        described(&mut world, "office"),
        "OFFICE group:dba c IPV4 10.0.0.1"
    );
    let grants = world.table(Snowflake, "SHOW GRANTS ON NETWORK RULE office");
    assert!(
        grants[1].contains("OWNERSHIP | NETWORK_RULE | DB.S.OFFICE | ROLE | dba"),
        "{grants:?}"
    );
    let refused = world.refused(
        Snowflake,
        "GRANT OWNERSHIP ON NETWORK RULE office TO ROLE eve",
    );
    assert_eq!(refused[0], "Role 'EVE' does not exist or not authorized.");
}

#[test]
fn null_removes_the_comment_of_a_rule() {
    let mut world = World::new();
    world.ok(Snowflake, TWO);
    world.ok(Snowflake, "ALTER NETWORK RULE office SET COMMENT = NULL");
    assert_eq!(
        described(&mut world, "office"),
        "OFFICE root  IPV4 10.0.0.1"
    );
    world.ok(Snowflake, "ALTER NETWORK RULE office SET COMMENT = 'd'");
    world.ok(Snowflake, "ALTER NETWORK RULE office UNSET COMMENT");
    assert_eq!(
        described(&mut world, "office"),
        "OFFICE root  IPV4 10.0.0.1"
    );
}

#[test]
fn limit_shows_rows_behind_a_name() {
    let mut world = World::new();
    world.ok(Snowflake, TWO);
    for (text, expected) in [
        ("SHOW NETWORK RULES", &["HOME", "OFFICE", "VPN"][..]),
        ("SHOW NETWORK RULES LIMIT 2", &["HOME", "OFFICE"]),
        ("SHOW NETWORK RULES LIMIT 2 FROM 'HOME'", &["OFFICE", "VPN"]),
        ("SHOW NETWORK RULES LIMIT 1 FROM 'I'", &["OFFICE"]),
        (
            "SHOW NETWORK RULES STARTS WITH 'V' LIMIT 9 FROM 'A'",
            &["VPN"],
        ),
        ("SHOW NETWORK RULES STARTS WITH 'v'", &[]),
        ("SHOW NETWORK RULES LIKE 'o%' LIMIT 9", &["OFFICE"]),
    ] {
        let table = world.table(Snowflake, text);
        let names: Vec<_> = table[1..]
            .iter()
            .map(|row| row.split(" | ").nth(1).unwrap().to_owned())
            .collect();
        assert_eq!(names, expected, "{text}");
    }
    world.ok(
        Snowflake,
        "CREATE NETWORK POLICY a; CREATE NETWORK POLICY b",
    );
    let policies = world.table(Snowflake, "SHOW NETWORK POLICIES LIMIT 5 FROM 'A'");
    assert_eq!(policies.len(), 2, "{policies:?}");
}

#[test]
fn references_are_asked_for_as_tools_do() {
    let mut world = World::new();
    world.ok(
        Snowflake,
        &format!(
            "{TWO} CREATE NETWORK POLICY p ALLOWED_NETWORK_RULE_LIST = ('office', 'vpn')
               BLOCKED_NETWORK_RULE_LIST = ('vpn');
             ALTER ACCOUNT SET NETWORK_POLICY = p; ALTER USER pg SET NETWORK_POLICY = p"
        ),
    );
    let text = "SELECT * FROM TABLE(snowflake.information_schema.network_rule_references(
        network_rule_name => 'DB.S.VPN'))";
    assert_eq!(
        world.table(Snowflake, text)[1..],
        [
            "VPN | P | NETWORK_POLICY | ALLOW",
            "VPN | P | NETWORK_POLICY | BLOCK"
        ]
    );
    let text = "SELECT * FROM TABLE(information_schema.policy_references(
        policy_name => '\"P\"', policy_kind => 'NETWORK_POLICY'))";
    assert_eq!(
        world.table(Snowflake, text)[1..],
        [
            "P | NETWORK_POLICY | ACCOUNT | ACCOUNT | ACTIVE",
            "P | NETWORK_POLICY | pg | USER | ACTIVE"
        ]
    );
}
