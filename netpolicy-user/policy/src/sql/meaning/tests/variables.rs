//! Variables, who asks, and settings that are fixed.

use super::Dialect::{Materialize, Snowflake};
use super::*;

#[test]
fn variables_stand_for_texts_names_and_numbers() {
    let mut world = World::new();
    world.ok(
        Snowflake,
        "SET (address, policy) = ('10.0.0.7', 'office');
         SET full = 'db' || '.' || CONCAT('s', '.', $policy);
         CREATE NETWORK RULE IDENTIFIER($full) TYPE = IPV4 VALUE_LIST = ($address, '10.0.0.8');
         CREATE NETWORK POLICY IDENTIFIER($policy) ALLOWED_NETWORK_RULE_LIST = ($full)
           BLOCKED_IP_LIST = ('10.0.0.8') COMMENT = $address;
         ALTER ACCOUNT SET NETWORK_POLICY = $policy;",
    );
    world.judges(&["10.0.0.7"], &["10.0.0.8", "10.0.0.9"]);
    let rows = world.table(Snowflake, "SHOW NETWORK POLICIES");
    assert!(rows[1].contains(" | OFFICE | 10.0.0.7 | "), "{rows:?}");
    let bypass = world.ok(
        Snowflake,
        "SET minutes = 10; ALTER USER pg SET MINS_TO_BYPASS_NETWORK_POLICY = $minutes",
    );
    assert!(
        matches!(bypass, Action::Bypass { minutes: 10, .. }),
        "{bypass:?}"
    );
}

#[test]
fn value_of_a_variable_is_wrong_where_it_was_set() {
    let mut world = World::new();
    let result = world.run(
        Snowflake,
        "SET address =\n  '10.0.0.300';\nCREATE NETWORK POLICY p ALLOWED_IP_LIST = ($address)",
    );
    assert_eq!(result.unwrap_err().place(), (2, 3));
}

#[test]
fn who_asks_is_told_with_the_address() {
    let mut world = World::new();
    let text = "SELECT CURRENT_USER(), CURRENT_IP_ADDRESS() AS ip, CURRENT_ROLE()";
    assert_eq!(
        world.table(Snowflake, text),
        [
            "CURRENT_USER() | CURRENT_IP_ADDRESS() | CURRENT_ROLE()",
            "alice | 192.0.2.7 | alice"
        ]
    );
}

#[test]
fn roles_are_those_that_the_host_has() {
    let mut world = World::new();
    for (text, says) in [
        ("CREATE ROLE dba", "Object 'DBA' already exists."),
        (
            "CREATE ROLE IF NOT EXISTS nobody_here",
            "Role 'NOBODY_HERE' cannot be created: a role is an OS user or group here",
        ),
    ] {
        assert_eq!(world.refused(Snowflake, text)[0], says);
    }
    let status = world.status(Snowflake, "CREATE ROLE IF NOT EXISTS dba");
    assert_eq!(status, "DBA already exists, statement succeeded.");
}

#[test]
fn settings_of_the_system_are_shown() {
    let mut world = World::new();
    for (name, value) in [
        ("network_policy", "default"),
        ("\"enable_network_policies\"", "on"),
        ("max_network_policies", "25"),
        ("max_rules_per_network_policy", "25"),
    ] {
        let table = world.table(Materialize, &format!("SHOW {name}"));
        assert_eq!(table, [name.trim_matches('"'), value]);
    }
}

#[test]
fn rules_are_asked_for_with_their_policies() {
    let mut world = World::new();
    world.ok(
        Materialize,
        "CREATE NETWORK POLICY p (RULES (a (ACTION=allow, DIRECTION=ingress, ADDRESS='10.0.0.0/8'),
           b (ACTION=allow, DIRECTION=ingress, ADDRESS='10.0.0.1/32')))",
    );
    let text = "SELECT p.name, r.name, address FROM mz_internal.mz_network_policy_rules r
        JOIN mz_internal.mz_network_policies p ON r.policy_id = p.id
        WHERE p.name = 'p' ORDER BY r.name DESC";
    assert_eq!(
        world.table(Materialize, text),
        [
            "name | name | address",
            "p | b | 10.0.0.1/32",
            "p | a | 10.0.0.0/8"
        ]
    );
}
