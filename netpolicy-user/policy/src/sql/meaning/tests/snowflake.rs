//! Snowflake's meaning.

use super::Dialect::Snowflake;
use super::*;

#[test]
fn a_created_policy_is_inert_until_it_is_set() {
    let mut world = World::new();
    let status = world.status(
        Snowflake,
        "CREATE NETWORK POLICY p ALLOWED_IP_LIST=('1.1.1.1')",
    );
    assert_eq!(status, "Network policy P successfully created.");
    let policy = &world.state.policies[0];
    assert_eq!(policy.name.as_str(), "P", "names fold to upper case");
    assert!(!policy.active && policy.bindings.is_empty());
    world.judges(&["9.9.9.9"], &[]);
    world.ok(Snowflake, "ALTER ACCOUNT SET NETWORK_POLICY = p");
    world.judges(&["1.1.1.1"], &["9.9.9.9", "::1"]);
    world.ok(Snowflake, "ALTER ACCOUNT UNSET NETWORK_POLICY");
    world.judges(&["9.9.9.9"], &[]);
}

#[test]
fn snowflake_example_1_a_network_without_one_address() {
    let mut world = World::new();
    world.ok(
        Snowflake,
        "CREATE NETWORK POLICY p ALLOWED_IP_LIST=('192.168.1.0/24') BLOCKED_IP_LIST=('192.168.1.99');
         ALTER ACCOUNT SET NETWORK_POLICY = p",
    );
    world.judges(
        &["192.168.1.0", "192.168.1.98", "192.168.1.255"],
        &["192.168.1.99", "192.168.2.1", "8.8.8.8"],
    );
}

#[test]
fn snowflake_example_2_two_addresses_only() {
    let mut world = World::new();
    world.ok(
        Snowflake,
        "CREATE NETWORK POLICY p ALLOWED_IP_LIST=('192.168.1.0','192.168.1.100');
         ALTER ACCOUNT SET NETWORK_POLICY = p",
    );
    world.judges(
        &["192.168.1.0", "192.168.1.100"],
        &["192.168.1.1", "192.168.1.99", "8.8.8.8"],
    );
}

#[test]
fn snowflake_example_3_a_blocked_zero_leaves_who_is_allowed() {
    let mut world = World::new();
    world.ok(
        Snowflake,
        "CREATE NETWORK POLICY p ALLOWED_IP_LIST=('192.168.1.0') BLOCKED_IP_LIST=('192.168.1.0/0')",
    );
    assert_eq!(
        world.warnings,
        [
            "office.sql:1:74: a blocked 192.168.1.0/0 stands for every source that is not on \
          ALLOWED_IP_LIST; those on it may connect"
        ]
    );
    world.ok(Snowflake, "ALTER ACCOUNT SET NETWORK_POLICY = p");
    world.judges(&["192.168.1.0"], &["192.168.1.1", "8.8.8.8"]);
    assert_eq!(
        world.table(Snowflake, "DESC NETWORK POLICY p"),
        [
            "name | value",
            "ALLOWED_IP_LIST | 192.168.1.0",
            "BLOCKED_IP_LIST | 192.168.1.0/0"
        ]
    );
}

#[test]
fn empty_policy_cannot_be_set_and_one_with_only_a_block_list_denies_every_source() {
    for lists in [
        "",
        "ALLOWED_IP_LIST=()",
        "ALLOWED_IP_LIST=() BLOCKED_IP_LIST=()",
    ] {
        let mut world = World::new();
        world.ok(Snowflake, &format!("CREATE NETWORK POLICY p {lists}"));
        assert_eq!(
            world.refused(Snowflake, "ALTER ACCOUNT SET NETWORK_POLICY = p"),
            ["Empty network policy P cannot be active."]
        );
        assert_eq!(
            world.refused(Snowflake, "ALTER USER pg SET NETWORK_POLICY = p"),
            ["Empty network policy P cannot be active."]
        );
    }
    let mut world = World::new();
    world.ok(
        Snowflake,
        "CREATE NETWORK POLICY p BLOCKED_IP_LIST=('10.0.0.1'); ALTER ACCOUNT SET NETWORK_POLICY=p",
    );
    world.judges(&[], &["10.0.0.1", "8.8.8.8", "::1"]);
    assert_eq!(
        world.refused(Snowflake, "ALTER NETWORK POLICY p UNSET BLOCKED_IP_LIST"),
        ["Empty network policy P cannot be active."]
    );
    assert_eq!(
        world.refused(Snowflake, "ALTER NETWORK POLICY p SET BLOCKED_IP_LIST=()"),
        ["Empty network policy P cannot be active."]
    );
    world.ok(
        Snowflake,
        "ALTER ACCOUNT UNSET NETWORK_POLICY; ALTER NETWORK POLICY p UNSET BLOCKED_IP_LIST",
    );
}

#[test]
fn set_keeps_what_it_leaves_out() {
    let mut world = World::new();
    world.ok(
        Snowflake,
        "CREATE NETWORK POLICY p ALLOWED_IP_LIST=('10.0.0.0/8') BLOCKED_IP_LIST=('10.0.0.1') COMMENT='c';
         ALTER ACCOUNT SET NETWORK_POLICY=p;
         ALTER NETWORK POLICY p SET BLOCKED_IP_LIST=('10.0.0.2')",
    );
    world.judges(&["10.0.0.1"], &["10.0.0.2", "8.8.8.8"]);
    assert_eq!(world.state.policies[0].comment.as_deref(), Some("c"));
    world.ok(Snowflake, "ALTER NETWORK POLICY p SET COMMENT='d'");
    world.judges(&["10.0.0.1"], &["10.0.0.2", "8.8.8.8"]);
    world.ok(
        Snowflake,
        "ALTER NETWORK POLICY p UNSET COMMENT, BLOCKED_IP_LIST",
    );
    world.judges(&["10.0.0.2"], &["8.8.8.8"]);
    assert_eq!(world.state.policies[0].comment, None);
}

#[test]
fn setting_replaces_whatever_governed_and_a_users_policy_precedes_the_accounts() {
    let mut world = World::new();
    world.ok(
        Dialect::Lakehouse,
        "CREATE NETWORK POLICY one ALLOWED_IP_LIST=('10.0.0.1');
         CREATE NETWORK POLICY two ALLOWED_IP_LIST=('10.0.0.2')",
    );
    world.judges(&["10.0.0.1", "10.0.0.2"], &["10.0.0.3"]);
    world.ok(
        Snowflake,
        "CREATE NETWORK POLICY three ALLOWED_IP_LIST=('10.0.0.3');
         ALTER ACCOUNT SET NETWORK_POLICY=three;
         ALTER USER pg SET NETWORK_POLICY=one",
    );
    world.judges(&["10.0.0.3"], &["10.0.0.1", "10.0.0.2"]);
    assert!(world.admits(Some("pg"), "10.0.0.1"));
    assert!(!world.admits(Some("pg"), "10.0.0.3"), "the user's precedes");
    let parameter = |world: &mut World, of: &str| {
        world.table(
            Snowflake,
            &format!("SHOW PARAMETERS LIKE 'network_policy' IN {of}"),
        )[1]
        .clone()
    };
    let description = "Network policy assigned for the given target.";
    assert_eq!(
        parameter(&mut world, "ACCOUNT"),
        format!("NETWORK_POLICY | THREE |  | ACCOUNT | {description}")
    );
    assert_eq!(
        parameter(&mut world, "USER pg"),
        format!("NETWORK_POLICY | one |  | USER | {description}")
    );
    assert_eq!(
        parameter(&mut world, "USER web"),
        format!("NETWORK_POLICY | THREE |  | ACCOUNT | {description}")
    );
    world.ok(
        Snowflake,
        "ALTER USER pg UNSET NETWORK_POLICY; ALTER ACCOUNT UNSET NETWORK_POLICY",
    );
    assert_eq!(
        parameter(&mut world, "ACCOUNT"),
        format!("NETWORK_POLICY |  |  |  | {description}")
    );
}

#[test]
fn nothing_that_is_set_is_dropped_or_replaced() {
    let mut world = World::new();
    world.ok(
        Snowflake,
        "CREATE NETWORK POLICY p ALLOWED_IP_LIST=('10.0.0.1'); ALTER ACCOUNT SET NETWORK_POLICY=p;
         CREATE NETWORK POLICY q ALLOWED_IP_LIST=('10.0.0.1'); ALTER USER pg SET NETWORK_POLICY=q",
    );
    assert_eq!(
        world.refused(Snowflake, "DROP NETWORK POLICY p"),
        [
            "Cannot perform Drop operation on network policy P. The policy is attached to ACCOUNT. \
          Unset the network policy from ACCOUNT and try the operation again."
        ]
    );
    assert!(
        world.refused(Snowflake, "CREATE OR REPLACE NETWORK POLICY q ALLOWED_IP_LIST=('1.1.1.1')")[0]
            .starts_with("Cannot perform Replace operation on network policy Q. The policy is attached to USER pg.")
    );
    world.ok(
        Snowflake,
        "ALTER ACCOUNT UNSET NETWORK_POLICY;
         CREATE OR REPLACE NETWORK POLICY p ALLOWED_IP_LIST=('10.0.0.9')",
    );
    world.judges(&["8.8.8.8"], &[]);
    assert_eq!(
        world.status(Snowflake, "DROP NETWORK POLICY p"),
        "P successfully dropped."
    );
}

#[test]
fn names_are_looked_up_whatever_their_case_unless_they_are_quoted() {
    let mut world = World::new();
    world.ok(
        Snowflake,
        "CREATE NETWORK POLICY \"Head Office\"; CREATE NETWORK POLICY office",
    );
    world.ok(Snowflake, "DESC NETWORK POLICY Office");
    world.ok(Snowflake, "DESC NETWORK POLICY \"OFFICE\"");
    assert_eq!(
        world.refused(Snowflake, "DESC NETWORK POLICY \"office\""),
        ["Network policy 'office' does not exist or not authorized."]
    );
    assert_eq!(
        world.refused(Snowflake, "DROP NETWORK POLICY nowhere"),
        ["Network policy 'NOWHERE' does not exist or not authorized."]
    );
    for create in ["office", "\"office\"", "\"OFFICE\"", "\"head office\""] {
        let refused = world.refused(Snowflake, &format!("CREATE NETWORK POLICY {create}"));
        assert!(
            refused[0].ends_with("already exists."),
            "{create}: {refused:?}"
        );
    }
    assert_eq!(
        world.refused(Snowflake, "CREATE NETWORK POLICY office"),
        ["Object 'OFFICE' already exists."]
    );
    assert_eq!(
        world.refused(
            Snowflake,
            "ALTER NETWORK POLICY \"Head Office\" RENAME TO office"
        ),
        ["Object 'OFFICE' already exists."]
    );
    world.ok(
        Snowflake,
        "ALTER NETWORK POLICY office RENAME TO \"office\"",
    );
    assert!(
        world.refused(Snowflake, "CREATE NETWORK POLICY _x")[0]
            .contains("does not begin with a letter")
    );
    world.ok(Snowflake, "CREATE NETWORK POLICY \"_x\"");
    assert_eq!(
        world.status(Snowflake, "CREATE NETWORK POLICY IF NOT EXISTS OFFICE"),
        "office already exists, statement succeeded."
    );
    for missing in [
        "ALTER NETWORK POLICY IF EXISTS zz RENAME TO yy",
        "DROP NETWORK POLICY IF EXISTS zz",
        "ALTER USER IF EXISTS zz UNSET NETWORK_POLICY",
    ] {
        world.ok(Snowflake, missing);
    }
    assert_eq!(
        world.refused(Snowflake, "ALTER USER zz UNSET NETWORK_POLICY"),
        ["User 'ZZ' does not exist or not authorized."]
    );
}

#[test]
fn every_bad_address_is_reported_with_its_place() {
    let mut world = World::new();
    let text = "CREATE NETWORK POLICY p ALLOWED_IP_LIST = (\n  '155.548.2.98', -- no\n  '10.0.0.0/33',\n  'xx.xx.xx.xx/xx', '::1',\n  '10.0.0.1-10.0.0.9')";
    let refusal = world.run(Snowflake, text).unwrap_err();
    assert_eq!(refusal.place(), (2, 3));
    assert_eq!(refusal.kind(), crate::model::ErrorKind::Invalid);
    assert_eq!(
        refusal.messages(),
        [
            "'155.548.2.98' is not an address or CIDR: 548 is more than 255",
            "line 3, column 3: '10.0.0.0/33' is not an address or CIDR: the prefix length 33 is more than 32",
            "line 4, column 3: 'xx.xx.xx.xx/xx' is not an address or CIDR: it is a placeholder; put in an address, as in 10.0.0.0/8",
            "line 4, column 21: '::1' is an IPv6 address, and Snowflake's lists accept only IPv4",
            "line 5, column 3: '10.0.0.1-10.0.0.9' is a range; give one address or CIDR",
        ]
    );
    assert!(world.state.policies.is_empty());
}

#[test]
fn zeros_duplicates_and_host_bits_are_accepted_and_said() {
    let mut world = World::new();
    world.ok(
        Snowflake,
        "CREATE NETWORK POLICY p ALLOWED_IP_LIST=('0.0.0.0/0','10.0.0.1','10.0.0.1/32',\n'1.2.3.4/28')",
    );
    let policy = &world.state.policies[0];
    assert_eq!(policy.allow_list().unwrap().len(), 3);
    let place = policy
        .allow_list()
        .unwrap()
        .place(&policy.allow_list().unwrap()[2]);
    assert_eq!(place.unwrap().to_string(), "office.sql:2");
    assert_eq!(
        world.warnings,
        [
            "office.sql:1:65: 10.0.0.1/32 is on the list already (line 1); it is kept once",
            "office.sql:2:1: 1.2.3.4/28 has host bits set; 1.2.3.0/28 is enforced"
        ]
    );
}

#[test]
fn a_list_has_100_000_characters_at_most() {
    let list = |count: u32| {
        let items = (0..count).map(|i| {
            format!(
                "'10.{}.{}.{}'",
                100 + i / 10_000,
                100 + i / 100 % 100,
                100 + i % 100
            )
        });
        items.collect::<Vec<_>>().join(", ")
    };
    // 14 characters each, and a comma between two.
    let mut world = World::new();
    world.ok(
        Snowflake,
        &format!("CREATE NETWORK POLICY p ALLOWED_IP_LIST=({})", list(6666)),
    );
    assert_eq!(
        world.refused(
            Snowflake,
            &format!("CREATE NETWORK POLICY q BLOCKED_IP_LIST=({})", list(6667))
        ),
        ["BLOCKED_IP_LIST has 100004 characters, more than 100000, Snowflake's limit of one list"]
    );
}

#[test]
fn policies_are_listed() {
    let mut world = World::new();
    world.ok(
        Snowflake,
        "CREATE NETWORK POLICY office ALLOWED_IP_LIST=('10.0.0.1','10.0.0.2') BLOCKED_IP_LIST=('0.0.0.0/0') COMMENT='head';
         CREATE NETWORK POLICY branch ALLOWED_IP_LIST=('10.0.0.1')",
    );
    assert_eq!(
        world.table(Snowflake, "SHOW NETWORK POLICIES"),
        [
            "created_on | name | comment | entries_in_allowed_ip_list | entries_in_blocked_ip_list \
             | entries_in_allowed_network_rules | entries_in_blocked_network_rules",
            "1970-01-01 00:00:00.000 +0000 | BRANCH |  | 1 | 0 | 0 | 0",
            "1970-01-01 00:00:00.000 +0000 | OFFICE | head | 2 | 1 | 0 | 0",
        ]
    );
    assert_eq!(
        world
            .table(Snowflake, "SHOW NETWORK POLICIES LIKE 'off%'")
            .len(),
        2
    );
    assert_eq!(
        world
            .table(Snowflake, "SHOW NETWORK POLICIES LIKE '%x%'")
            .len(),
        1
    );
}

#[test]
fn minutes_to_bypass() {
    let mut world = World::new();
    let action = world.ok(
        Snowflake,
        "ALTER USER PG SET MINS_TO_BYPASS_NETWORK_POLICY = 30",
    );
    assert!(matches!(
        action,
        Action::Bypass { service, minutes: 30, .. } if service.as_str() == "pg"
    ));
}
