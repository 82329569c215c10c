//! What the forms mean that tools and scripts have.

use super::Dialect::{Lakehouse, Materialize, Snowflake};
use super::*;

const TWO: &str = "CREATE NETWORK POLICY internal ALLOWED_IP_LIST=('10.0.0.0/8');
    CREATE NETWORK POLICY outer_p ALLOWED_IP_LIST=('192.0.2.0/24');
    ALTER ACCOUNT SET NETWORK_POLICY = internal;";

#[test]
fn statement_that_displaces_policies_names_them() {
    let mut world = World::new();
    world.ok(Snowflake, TWO);
    assert_eq!(world.warnings, [""; 0], "nothing was there before");
    let again = world.ok(Snowflake, "ALTER ACCOUNT SET NETWORK_POLICY = internal");
    let Action::Changes(again) = again else {
        panic!("{again:?}");
    };
    assert_eq!(again.warnings, [""; 0]);
    let warnings = |world: &mut World, dialect, text: &str| match world.ok(dialect, text) {
        Action::Changes(changes) => changes.warnings,
        other => panic!("{other:?}"),
    };
    let text = "ALTER ACCOUNT SET NETWORK_POLICY = outer_p";
    assert_eq!(
        warnings(&mut world, Snowflake, text),
        ["replaces INTERNAL on the host"]
    );
    let text = "ALTER SYSTEM SET network_policy = internal";
    assert_eq!(
        warnings(&mut world, Materialize, text),
        ["replaces OUTER_P on the host"]
    );
    let text = "ALTER ACCOUNT UNSET NETWORK_POLICY";
    assert_eq!(
        warnings(&mut world, Snowflake, text),
        ["takes INTERNAL off the host"]
    );
    world.ok(Snowflake, "ALTER USER pg SET NETWORK_POLICY = internal");
    let text = "ALTER USER pg SET NETWORK_POLICY = outer_p";
    assert_eq!(
        warnings(&mut world, Lakehouse, text),
        ["replaces INTERNAL on service pg"]
    );
    let text = "ALTER USER pg SET NETWORK_POLICY = NULL";
    assert_eq!(
        warnings(&mut world, Snowflake, text),
        ["takes OUTER_P off service pg"]
    );
}

#[test]
fn or_alter_keeps_what_is_left_out_and_alters_nothing_that_is_set() {
    let mut world = World::new();
    world.ok(
        Snowflake,
        "CREATE OR ALTER NETWORK POLICY p ALLOWED_IP_LIST=('10.0.0.1') COMMENT='c';
         CREATE OR ALTER NETWORK POLICY p BLOCKED_IP_LIST=('10.0.0.2')",
    );
    assert_eq!(
        world.table(Snowflake, "DESC NETWORK POLICY p")[1..],
        ["ALLOWED_IP_LIST | 10.0.0.1", "BLOCKED_IP_LIST | 10.0.0.2"]
    );
    assert_eq!(world.state.policies[0].comment.as_deref(), Some("c"));
    world.ok(Snowflake, "ALTER ACCOUNT SET NETWORK_POLICY = p");
    let messages = world.refused(Snowflake, "CREATE OR ALTER NETWORK POLICY p COMMENT='d'");
    assert!(
        messages[0].starts_with("Cannot perform Create or alter operation on network policy P."),
        "{messages:?}"
    );
}

#[test]
fn comments_come_and_go_by_every_form() {
    let mut world = World::new();
    world.ok(Snowflake, "CREATE NETWORK POLICY p COMMENT = NULL");
    for (text, comment) in [
        ("COMMENT ON NETWORK POLICY p IS 'a'", Some("a")),
        ("ALTER NETWORK POLICY p SET COMMENT = NULL", None),
        (
            "ALTER NETWORK POLICY p SET COMMENT = $$it's \\n$$",
            Some("it's \\n"),
        ),
        ("COMMENT IF EXISTS ON NETWORK POLICY p IS NULL", None),
        ("COMMENT IF EXISTS ON NETWORK POLICY nowhere IS 'b'", None),
    ] {
        world.ok(Snowflake, text);
        assert_eq!(
            world.state.policies[0].comment.as_deref(),
            comment,
            "{text}"
        );
    }
}

#[test]
fn instance_is_a_service_and_so_is_a_user_in_lakehouse() {
    let mut world = World::new();
    world.ok(
        Snowflake,
        "CREATE NETWORK POLICY p ALLOWED_IP_LIST=('10.0.0.1')",
    );
    for (dialect, set, unset) in [
        (
            Snowflake,
            "ALTER POSTGRES INSTANCE pg SET NETWORK_POLICY = p HIGH_AVAILABILITY = true",
            "ALTER POSTGRES INSTANCE pg UNSET NETWORK_POLICY",
        ),
        (
            Snowflake,
            "CREATE OR REPLACE USER pg NETWORK_POLICY = p",
            "ALTER USER pg UNSET NETWORK_POLICY, DEFAULT_ROLE",
        ),
        (
            Lakehouse,
            "ALTER USER pg SET NETWORK_POLICY = public.p",
            "ALTER USER pg UNSET NETWORK_POLICY",
        ),
    ] {
        world.ok(dialect, set);
        assert!(!world.admits(Some("pg"), "10.0.0.2"), "{set}");
        assert!(world.admits(None, "10.0.0.2"), "{set}");
        let user = world.table(Snowflake, "DESC USER pg");
        assert_eq!(
            user[3],
            "NETWORK_POLICY | P | NULL | Network policy of the service"
        );
        world.ok(dialect, unset);
        assert!(world.admits(Some("pg"), "10.0.0.2"), "{unset}");
    }
}

#[test]
fn create_user_makes_no_service_and_takes_no_policy_away() {
    let mut world = World::new();
    world.ok(
        Snowflake,
        "CREATE NETWORK POLICY p ALLOWED_IP_LIST=('10.0.0.1');
         ALTER USER pg SET NETWORK_POLICY = p",
    );
    let refused = |world: &mut World, text| world.refused(Snowflake, text).join("; ");
    assert_eq!(
        refused(&mut world, "CREATE USER nobody_yet NETWORK_POLICY = p"),
        "User 'NOBODY_YET' cannot be created: a user is a service here, and SQL does not say its \
         ports"
    );
    assert_eq!(
        refused(&mut world, "CREATE OR REPLACE USER pg"),
        "User 'PG' would lose its network policy by being replaced"
    );
    assert_eq!(
        refused(&mut world, "CREATE USER pg"),
        "Object 'pg' already exists."
    );
    let status = world.status(Snowflake, "CREATE USER IF NOT EXISTS pg NETWORK_POLICY = p");
    assert_eq!(status, "pg already exists, statement succeeded.");
}

#[test]
fn parameters_are_shown_by_pattern_and_without_one() {
    let mut world = World::new();
    world.ok(Snowflake, TWO);
    for (text, rows) in [
        ("SHOW PARAMETERS LIKE 'NETWORK_POLICY'", 1),
        ("SHOW PARAMETERS LIKE '%work%' IN ACCOUNT", 1),
        ("SHOW PARAMETERS LIKE '%TIME%'", 0),
        ("SHOW PARAMETERS FOR USER pg", 1),
        ("SHOW PARAMETERS", 1),
    ] {
        let table = world.table(Snowflake, text);
        assert_eq!(table.len(), 1 + rows, "{text}");
        if rows == 1 {
            assert!(
                table[1].starts_with("NETWORK_POLICY | INTERNAL |"),
                "{text}: {table:?}"
            );
        }
    }
}

#[test]
fn requester_address_is_the_one_that_lockouts_are_judged_by() {
    let mut world = World::new();
    let table = world.table(Snowflake, "SELECT CURRENT_IP_ADDRESS()");
    assert_eq!(table, ["CURRENT_IP_ADDRESS()", "192.0.2.7"]);
    let status = world.status(Snowflake, "USE ROLE accountadmin");
    assert_eq!(status, "Statement executed successfully.");
}

#[test]
fn catalog_of_materialize_is_answered() {
    let mut world = World::new();
    let rules = "(RULES (b (ACTION = allow, DIRECTION = ingress, ADDRESS = '1.2.3.4/32'), \
                 a (ACTION = allow, DIRECTION = ingress, ADDRESS = '5.6.7.8/32')))";
    world.ok(
        Materialize,
        &format!("CREATE NETWORK POLICY office {rules}"),
    );
    let ask = |world: &mut World, text| world.table(Materialize, text);
    assert_eq!(
        ask(
            &mut world,
            "SELECT name FROM mz_internal.mz_network_policies ORDER BY name"
        ),
        ["name", "default", "office"]
    );
    assert_eq!(
        ask(
            &mut world,
            "SELECT r.name AS rule, r.address FROM mz_internal.mz_network_policy_rules r WHERE r.policy_id = 'office' ORDER BY 1"
        ),
        ["rule | address", "a | 5.6.7.8/32", "b | 1.2.3.4/32"]
    );
    assert_eq!(
        ask(
            &mut world,
            "SELECT * FROM mz_network_policy_rules WHERE name LIKE 'open%'"
        ),
        [
            "name | policy_id | action | address | direction",
            "open_ingress | default | allow | 0.0.0.0/0 | ingress"
        ]
    );
    assert_eq!(
        ask(
            &mut world,
            "SELECT count(*) FROM mz_internal.mz_network_policies WHERE name <> 'default'"
        ),
        ["count", "1"]
    );
    assert_eq!(
        ask(
            &mut world,
            "SELECT * FROM mz_internal.mz_show_network_policies WHERE name = 'office'"
        ),
        ask(&mut world, "SHOW NETWORK POLICIES WHERE name = 'office'")
    );
    // Rules of one address each keep their names.
    assert_eq!(
        ask(&mut world, "SHOW NETWORK POLICIES LIKE 'off%'"),
        ["name | rules | comment", "office | a,b | "]
    );
    assert_eq!(
        ask(
            &mut world,
            "SELECT id, owner_id, privileges, oid FROM mz_network_policies WHERE id = 'office'"
        )[1],
        "office | root | {root=U/root} | NULL"
    );
    assert_eq!(
        world.warnings,
        ["ids are names here: a policy's, and its owner's"]
    );
    world.ok(Materialize, "DROP NETWORK POLICY office CASCADE");
}

#[test]
fn grants_are_shown_as_rows_of_snowflake() {
    let mut world = World::new();
    world.ok(
        Snowflake,
        "CREATE NETWORK POLICY p ALLOWED_IP_LIST=('10.0.0.1')",
    );
    let grant = |privilege, to, policy: Option<&str>| Grant {
        privilege,
        to,
        policy: policy.map(|name| Name::exact(name).unwrap()),
        granted_by: "root".to_owned(),
        granted: Timestamp::UNIX_EPOCH,
    };
    let alice = || Principal::User("alice".to_owned());
    world.grants = vec![
        grant(Privilege::Create, alice(), None),
        grant(
            Privilege::Attach,
            Principal::Group("dba".to_owned()),
            Some("P"),
        ),
        grant(Privilege::Bypass, alice(), None),
    ];
    let rows = |world: &mut World, text| -> Vec<String> {
        let table = world.table(Snowflake, text);
        let cells = |row: &String| {
            let cells: Vec<_> = row.split(" | ").map(str::to_owned).collect();
            [&cells[1], &cells[3], &cells[5]]
                .map(String::as_str)
                .join(" ")
        };
        table[1..].iter().map(cells).collect()
    };
    assert_eq!(
        rows(&mut world, "SHOW GRANTS ON NETWORK POLICY p"),
        ["OWNERSHIP P root", "USAGE P dba"]
    );
    assert_eq!(
        rows(&mut world, "SHOW GRANTS ON ACCOUNT"),
        ["CREATE NETWORK POLICY  alice"]
    );
    assert_eq!(
        rows(&mut world, "SHOW GRANTS TO ROLE ALICE"),
        ["CREATE NETWORK POLICY  alice"]
    );
    assert!(
        world.warnings[0].contains("netpolicy grants"),
        "{:?}",
        world.warnings
    );
}

#[test]
fn ownership_is_given_with_or_without_the_grants_that_there_are() {
    let mut world = World::new();
    world.ok(
        Snowflake,
        "CREATE NETWORK POLICY p ALLOWED_IP_LIST=('10.0.0.1')",
    );
    world.grants = vec![Grant {
        privilege: Privilege::Attach,
        to: Principal::Group("dba".to_owned()),
        policy: Some(Name::exact("P").unwrap()),
        granted_by: "root".to_owned(),
        granted: Timestamp::UNIX_EPOCH,
    }];
    let give = "GRANT OWNERSHIP ON NETWORK POLICY p TO ROLE alice";
    assert_eq!(
        world.refused(Snowflake, give),
        ["Dependent grant of privilege on network policy 'P' exists."]
    );
    for (clause, revoked) in [("COPY", 0), ("REVOKE", 1)] {
        let text = format!("{give} {clause} CURRENT GRANTS");
        let Action::Changes(changes) = world.ok(Snowflake, &text) else {
            panic!("{text}");
        };
        assert_eq!(changes.revokes.len(), revoked, "{text}");
    }
    assert_eq!(world.state.policies[0].owner.as_str(), "alice");
}

#[test]
fn several_privileges_and_roles_are_granted_at_once() {
    let mut world = World::new();
    let granted = |world: &mut World, dialect, text| match world.ok(dialect, text) {
        Action::Grant(grants) => {
            let text = |g: &Privileged| format!("{} {}", g.privilege, g.to);
            grants.iter().map(text).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(
        granted(
            &mut world,
            Snowflake,
            "GRANT CREATE NETWORK POLICY, CREATE ROLE, ATTACH POLICY ON ACCOUNT TO ROLE dba WITH GRANT OPTION"
        ),
        ["create group:dba", "attach group:dba"]
    );
    assert_eq!(
        granted(
            &mut world,
            Materialize,
            "GRANT CREATEDB, CREATENETWORKPOLICY ON SYSTEM TO alice, dba"
        ),
        ["create user:alice", "create group:dba"]
    );
}
