//! Network rules: named lists under Snowflake's name.

use super::Dialect::{Lakehouse, Materialize, Snowflake};
use super::*;

const RULES: &str = "
    CREATE NETWORK RULE office TYPE = IPV4 MODE = INGRESS VALUE_LIST = ('192.0.2.0/24') COMMENT = 'head office';
    CREATE NETWORK RULE stolen TYPE = IPV4 MODE = INGRESS VALUE_LIST = ('192.0.2.66', '198.51.100.7/24');
    CREATE NETWORK POLICY p ALLOWED_NETWORK_RULE_LIST = ('office') BLOCKED_NETWORK_RULE_LIST = ('stolen');
    CREATE NETWORK POLICY q ALLOWED_IP_LIST = ('192.0.2.1', '203.0.113.1') BLOCKED_NETWORK_RULE_LIST = (stolen);
    ALTER ACCOUNT SET NETWORK_POLICY = p;
    ALTER USER pg SET NETWORK_POLICY = q";

fn world() -> World {
    let mut world = World::new();
    world.ok(Snowflake, RULES);
    world
}

#[test]
fn what_a_policy_allows_and_blocks_is_its_addresses_and_its_rules_together() {
    let mut world = world();
    world.judges(
        &["192.0.2.1"],
        &["192.0.2.66", "203.0.113.1", "2001:db8::1"],
    );
    world.ok(
        Snowflake,
        "ALTER NETWORK POLICY p SET ALLOWED_IP_LIST = ('203.0.113.0/24') BLOCKED_IP_LIST = ('192.0.2.1')",
    );
    // The lists of rules are as they were, and what is blocked is applied first.
    world.judges(
        &["192.0.2.2", "203.0.113.1"],
        &["192.0.2.1", "192.0.2.66", "8.8.8.8"],
    );
    world.ok(Snowflake, "ALTER NETWORK POLICY p UNSET BLOCKED_IP_LIST");
    world.judges(&["192.0.2.1"], &["192.0.2.66"]);
}

#[test]
fn catalog_of_materialize_has_the_entries_of_a_policys_rules() {
    let mut world = world();
    let text = "SELECT address FROM mz_internal.mz_network_policy_rules WHERE policy_id = 'P'";
    assert_eq!(world.table(Materialize, text), ["address", "192.0.2.0/24"]);
}

#[test]
fn altered_rule_is_altered_in_all_its_policies() {
    let mut world = world();
    assert!(world.admits(Some("pg"), "192.0.2.1") && world.admits(None, "192.0.2.1"));
    let action = world.ok(
        Snowflake,
        "ALTER NETWORK RULE stolen SET VALUE_LIST = ('192.0.2.1') COMMENT = 'again'",
    );
    let Action::Changes(changes) = action else {
        panic!("{action:?}");
    };
    assert!(changes.cut, "as every change of Snowflake's");
    assert!(!world.admits(Some("pg"), "192.0.2.1") && !world.admits(None, "192.0.2.1"));
    world.judges(&["192.0.2.66"], &[]);
    world.ok(
        Snowflake,
        "ALTER NETWORK RULE stolen UNSET VALUE_LIST, COMMENT",
    );
    assert!(world.admits(Some("pg"), "192.0.2.1") && world.admits(None, "192.0.2.1"));
}

#[test]
fn rules_are_added_to_and_removed_from_policies() {
    let mut world = world();
    world.ok(
        Snowflake,
        "CREATE NETWORK RULE six TYPE = IPV6 MODE = INGRESS VALUE_LIST = ('2001:db8::/32', '::ffff:0:0/95');
         ALTER NETWORK POLICY p ADD ALLOWED_NETWORK_RULE_LIST = ('six', 'OFFICE');
         ALTER NETWORK POLICY p REMOVE BLOCKED_NETWORK_RULE_LIST = ('stolen')",
    );
    world.judges(&["192.0.2.66", "2001:db8::1"], &["8.8.8.8", "2001:db9::1"]);
    world.ok(
        Snowflake,
        "ALTER NETWORK POLICY p REMOVE ALLOWED_NETWORK_RULE_LIST = ('six')",
    );
    world.judges(&["192.0.2.66"], &["2001:db8::1"]);
    assert_eq!(
        world.refused(
            Snowflake,
            "ALTER NETWORK POLICY p SET ALLOWED_NETWORK_RULE_LIST = ()"
        ),
        ["Empty network policy P cannot be active."]
    );
    world.ok(
        Snowflake,
        "ALTER NETWORK POLICY p SET ALLOWED_NETWORK_RULE_LIST = ('stolen')",
    );
    world.judges(&["192.0.2.66", "198.51.100.1"], &["192.0.2.1"]);
}

#[test]
fn rules_of_other_types_are_kept_and_govern_nothing() {
    let mut world = World::new();
    world.ok(
        Snowflake,
        "CREATE NETWORK RULE db.public.vpce TYPE = AWSVPCEID MODE = INGRESS VALUE_LIST = ('vpce-1', 'vpce-2')",
    );
    let nothing = "network rule VPCE is of type AWSVPCEID and mode INGRESS, which no filter of \
                   incoming packets can judge: it is kept and shown, and governs nothing";
    assert_eq!(world.warnings, [nothing]);
    assert_eq!(
        world.table(Snowflake, "DESC NETWORK RULE vpce"),
        [
            "created_on | name | database_name | schema_name | owner | comment | type | mode | value_list",
            "1970-01-01 00:00:00.000 +0000 | VPCE | DB | PUBLIC | root |  | AWSVPCEID | INGRESS | vpce-1,vpce-2"
        ]
    );
    assert_eq!(world.warnings, [nothing]);
    world.ok(
        Snowflake,
        "CREATE NETWORK POLICY p ALLOWED_NETWORK_RULE_LIST = ('vpce')",
    );
    assert_eq!(
        world.warnings,
        [
            nothing,
            "policy P is empty: it cannot be set until it has an address"
        ]
    );
    assert_eq!(
        world.refused(Snowflake, "ALTER ACCOUNT SET NETWORK_POLICY = p"),
        ["Empty network policy P cannot be active."]
    );
    // The manual's example: only the endpoint, and nothing from the internet.
    world.ok(
        Snowflake,
        "CREATE NETWORK RULE block_public_access MODE = INGRESS TYPE = IPV4 VALUE_LIST = ('0.0.0.0/0');
         ALTER NETWORK POLICY p ADD BLOCKED_NETWORK_RULE_LIST = ('block_public_access');
         ALTER ACCOUNT SET NETWORK_POLICY = p",
    );
    world.judges(&[], &["8.8.8.8", "::1"]);
    // Only what is of its type is a value of an address rule.
    for (kind, value) in [("IPV4", "2001:db8::1"), ("IPV6", "10.0.0.1")] {
        let text =
            format!("CREATE NETWORK RULE r TYPE = {kind} MODE = INGRESS VALUE_LIST = ('{value}')");
        assert_eq!(
            world.refused(Snowflake, &text),
            [format!(
                "'{value}' is not a value of a network rule of type {kind}"
            )]
        );
    }
    world.ok(
        Snowflake,
        "ALTER NETWORK RULE vpce SET VALUE_LIST = ('vpce-3');
         CREATE NETWORK RULE out TYPE = HOST_PORT MODE = EGRESS VALUE_LIST = ('example.org:443');
         CREATE NETWORK RULE pg_in TYPE = IPV4 MODE = POSTGRES_INGRESS VALUE_LIST = ('10.0.0.1')",
    );
    assert_eq!(
        world.warnings, [""; 0],
        "an instance of Postgres is a service here"
    );
}

#[test]
fn blocked_zero_of_a_rule_leaves_who_is_allowed() {
    let mut world = World::new();
    world.ok(
        Snowflake,
        "CREATE NETWORK RULE every TYPE = IPV4 MODE = INGRESS VALUE_LIST = ('0.0.0.0/0', '192.0.2.66');
         CREATE NETWORK RULE office TYPE = IPV4 MODE = INGRESS VALUE_LIST = ('192.0.2.0/24');
         CREATE NETWORK POLICY p ALLOWED_NETWORK_RULE_LIST = ('office') BLOCKED_NETWORK_RULE_LIST = ('every');
         CREATE NETWORK POLICY open ALLOWED_NETWORK_RULE_LIST = ('every');
         ALTER ACCOUNT SET NETWORK_POLICY = p",
    );
    world.judges(&["192.0.2.1"], &["192.0.2.66", "8.8.8.8"]);
    world.ok(Snowflake, "ALTER ACCOUNT SET NETWORK_POLICY = open");
    world.judges(&["192.0.2.66", "8.8.8.8"], &["::1"]);
}

#[test]
fn rules_are_found_by_their_last_part_while_it_is_unique() {
    let mut world = World::new();
    world.ok(
        Snowflake,
        "CREATE NETWORK RULE d1.s.r TYPE = IPV4 MODE = INGRESS VALUE_LIST = ('10.0.0.1');
         CREATE NETWORK POLICY p ALLOWED_NETWORK_RULE_LIST = ('r');
         CREATE NETWORK RULE d2.s.r TYPE = IPV4 MODE = INGRESS VALUE_LIST = ('10.0.0.2');
         CREATE NETWORK POLICY q ALLOWED_NETWORK_RULE_LIST = ('D2.S.R')",
    );
    let names: Vec<_> = world
        .state
        .lists
        .iter()
        .map(|list| list.name.as_str())
        .collect();
    assert_eq!(names, ["D2.S.R", "R"]);
    assert_eq!(
        world.state.policies[1].allow_lists,
        [world.state.lists[0].name.clone()]
    );
    assert_eq!(
        world.refused(Snowflake, "DROP NETWORK RULE r"),
        ["network rule 'R' is ambiguous: D2.S.R, D1.S.R; name its database and schema"]
    );
    assert_eq!(
        world.refused(Snowflake, "DESC NETWORK RULE d3.s.r"),
        ["Network rule 'D3.S.R' does not exist or not authorized."]
    );
    assert_eq!(
        world.refused(
            Snowflake,
            "CREATE NETWORK RULE d1.s.r TYPE = IPV4 MODE = INGRESS VALUE_LIST = ()"
        ),
        ["Object 'R' already exists."]
    );
    assert_eq!(
        world.refused(Snowflake, "DROP NETWORK RULE d2.s.r"),
        [
            "Cannot perform Drop operation on network rule D2.S.R. It is associated with network policies: Q."
        ]
    );
    world.ok(
        Snowflake,
        "DROP NETWORK POLICY q; DROP NETWORK RULE d2.s.r; DESC NETWORK RULE r",
    );
    assert_eq!(
        world.status(Snowflake, "DROP NETWORK RULE IF EXISTS d2.s.r"),
        "There is no network rule D2.S.R; nothing was dropped."
    );
    assert_eq!(
        world.status(
            Snowflake,
            "CREATE NETWORK RULE IF NOT EXISTS r TYPE = IPV4 MODE = INGRESS VALUE_LIST = ()"
        ),
        "R already exists, statement succeeded."
    );
}

#[test]
fn lists_that_sql_did_not_make_are_network_rules_too() {
    let mut world = World::new();
    let list = |name: &str, entries: &[&str]| Change::CreateList {
        name: name.to_owned(),
        entries: crate::model::ListInput {
            items: entries.iter().map(|&entry| entry.to_owned()).collect(),
            ..Default::default()
        },
        comment: None,
        replace: false,
        network_rule: None,
    };
    world.apply(&[
        list("office", &["10.0.0.0/8"]),
        list("mixed", &["10.0.0.1", "::1"]),
    ]);
    world.ok(
        Snowflake,
        "CREATE NETWORK POLICY p ALLOWED_NETWORK_RULE_LIST = ('\"OFFICE\"');
         ALTER NETWORK RULE Office SET VALUE_LIST = ('10.0.0.0/8', '::2')",
    );
    assert_eq!(world.state.lists[1].len(), 2);
    assert_eq!(
        world.table(Snowflake, "SHOW NETWORK RULES LIKE 'OFF%'"),
        [
            "created_on | name | database_name | schema_name | owner | comment | type | mode | entries_in_valuelist | owner_role_type",
            "1970-01-01 00:00:00.000 +0000 | office |  |  | root |  | IPV4,IPV6 | INGRESS | 2 | ROLE"
        ]
    );
    assert_eq!(
        world.refused(Snowflake, "SHOW CREATE NETWORK RULE mixed"),
        [
            "network rule 'mixed' cannot be written in Snowflake: it has addresses of both families, and a rule has one type"
        ]
    );
}

#[test]
fn policies_and_rules_are_shown_as_tools_read_them() {
    let mut world = world();
    world.ok(
        Snowflake,
        "CREATE NETWORK RULE db.sec.r TYPE = IPV6 MODE = INGRESS VALUE_LIST = ('::1') COMMENT = 'six';
         ALTER NETWORK POLICY p ADD BLOCKED_NETWORK_RULE_LIST = ('db.sec.r')",
    );
    assert_eq!(
        world.table(Snowflake, "SHOW NETWORK POLICIES LIKE 'p'"),
        [
            "created_on | name | comment | entries_in_allowed_ip_list | entries_in_blocked_ip_list | entries_in_allowed_network_rules | entries_in_blocked_network_rules",
            "1970-01-01 00:00:00.000 +0000 | P |  | 0 | 0 | 1 | 2"
        ]
    );
    assert_eq!(
        world.table(Snowflake, "DESC NETWORK POLICY p"),
        [
            "name | value",
            "ALLOWED_NETWORK_RULE_LIST | [{\"fullyQualifiedRuleName\":\"OFFICE\"}]",
            "BLOCKED_NETWORK_RULE_LIST | [{\"fullyQualifiedRuleName\":\"STOLEN\"},{\"fullyQualifiedRuleName\":\"DB.SEC.R\"}]"
        ]
    );
    assert_eq!(
        world
            .table(Snowflake, "SHOW NETWORK RULES IN SCHEMA db.sec")
            .len(),
        2
    );
    assert_eq!(
        world
            .table(Snowflake, "SHOW NETWORK RULES IN DATABASE x")
            .len(),
        1
    );
    assert_eq!(
        world.table(Snowflake, "SHOW NETWORK RULES LIMIT 2").len(),
        3
    );
    let rule = "CREATE NETWORK RULE DB.SEC.R\n  TYPE = IPV6\n  MODE = INGRESS\n  \
                VALUE_LIST = ('::1')\n  COMMENT = 'six';";
    assert_eq!(
        world.table(Snowflake, "SHOW CREATE NETWORK RULE r")[1],
        format!("R | {rule}")
    );
    let policy = "CREATE NETWORK POLICY P\n  ALLOWED_NETWORK_RULE_LIST = ('OFFICE')\n  \
                  BLOCKED_NETWORK_RULE_LIST = ('STOLEN', 'DB.SEC.R');";
    assert_eq!(
        world.table(Snowflake, "SHOW CREATE NETWORK POLICY p")[1],
        format!("P | {policy}")
    );
    // What is shown makes the same again.
    let mut again = World::new();
    again.ok(
        Snowflake,
        &RULES[..RULES.find("CREATE NETWORK POLICY").unwrap()],
    );
    again.ok(Snowflake, &format!("{rule}{policy}"));
    assert_eq!(
        again.state.policies[0].allow_lists,
        world.state.policies[0].allow_lists
    );
    assert_eq!(
        again.state.policies[0].block_lists,
        world.state.policies[0].block_lists
    );
}

#[test]
fn other_dialects_show_a_policy_with_the_addresses_of_its_rules() {
    let mut world = world();
    world.ok(Snowflake, "ALTER NETWORK POLICY p RENAME TO pol");
    assert_eq!(
        world.table(Lakehouse, "DESC NETWORK POLICY pol")[1],
        "POL | 192.0.2.0/24 | 192.0.2.66,198.51.100.7/24"
    );
    let shown = &world.table(Snowflake, "SHOW CREATE NETWORK POLICY pol IN lakehouse")[1];
    assert!(
        shown.contains("ALLOWED_IP_LIST = ('192.0.2.0/24')\n  BLOCKED_IP_LIST = ('192.0.2.66', '198.51.100.7/24')"),
        "{shown}"
    );
    // A SET there replaces all lists.
    world.ok(
        Lakehouse,
        "ALTER NETWORK POLICY pol SET ALLOWED_IP_LIST = ('10.0.0.1')",
    );
    assert_eq!(
        world.warnings,
        ["policy POL refers to no named list any more: the statement replaces its lists"]
    );
    world.judges(&["10.0.0.1"], &["192.0.2.1"]);
    let rows = world.table(Materialize, "SHOW NETWORK POLICIES LIKE 'Q'");
    assert_eq!(rows[1], "Q | rule_1,rule_2 | ");
}
