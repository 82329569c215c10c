//! Users of a database, as Snowflake's and Lakehouse's statements name them.

use super::*;
use crate::model::{Binding, Change};

fn world() -> World {
    let mut world = World::new();
    world.apply(&[database("orders", "pg")]);
    let text = "CREATE NETWORK POLICY corp ALLOWED_IP_LIST=('10.0.0.0/8');
                CREATE NETWORK POLICY vpn_only ALLOWED_IP_LIST=('192.0.2.0/24');
                ALTER ACCOUNT SET NETWORK_POLICY = corp";
    world.ok(Dialect::Snowflake, text);
    world
}

fn database(name: &str, service: &str) -> Change {
    Change::AddDatabase {
        name: name.to_owned(),
        kind: Default::default(),
        service: service.to_owned(),
        socket: None,
        hba_dir: None,
        hba_conf: None,
        comment: None,
        replace: false,
    }
}

fn bound(world: &World, policy: &str) -> Vec<String> {
    let policy = world.state.policy(policy).unwrap();
    let users = policy.bindings.iter().filter_map(Binding::user);
    users.map(ToString::to_string).collect()
}

#[test]
fn alter_user_binds_to_the_user_of_the_only_database() {
    let mut world = world();
    let set = "ALTER USER JSmith SET NETWORK_POLICY = vpn_only";
    let status = world.status(Dialect::Snowflake, set);
    assert_eq!(status, "Statement executed successfully.");
    assert_eq!(bound(&world, "vpn_only"), ["user:jsmith@orders"]);
    // The filter lets through what the user's policy allows, and what the account's does.
    assert!(world.admits(Some("pg"), "192.0.2.9"));
    assert!(world.admits(Some("pg"), "10.1.1.1"));
    assert!(!world.admits(Some("pg"), "198.51.100.1"));
    assert!(!world.admits(None, "192.0.2.9"));
    let table = world.table(
        Dialect::Snowflake,
        "SHOW PARAMETERS LIKE 'network_policy' IN USER jsmith",
    );
    assert!(table[1].contains("VPN_ONLY"), "{table:?}");
    let table = world.table(Dialect::Snowflake, "DESC USER jsmith");
    let rows = [
        "NAME | jsmith",
        "NETWORK_POLICY | VPN_ONLY",
        "DATABASE | orders",
    ];
    for row in rows {
        assert!(table.iter().any(|line| line.starts_with(row)), "{table:?}");
    }
    world.ok(Dialect::Snowflake, "ALTER USER jsmith UNSET NETWORK_POLICY");
    assert_eq!(bound(&world, "vpn_only"), [""; 0]);
    assert!(!world.admits(Some("pg"), "192.0.2.9"));
    world.ok(
        Dialect::Lakehouse,
        "ALTER USER jsmith SET NETWORK_POLICY = vpn_only",
    );
    assert_eq!(bound(&world, "vpn_only"), ["user:jsmith@orders"]);
}

#[test]
fn name_of_a_service_and_a_user_is_refused_with_how_to_say_it() {
    let mut world = world();
    world.ok(
        Dialect::Snowflake,
        "ALTER USER \"user:web@orders\" SET NETWORK_POLICY = vpn_only",
    );
    let set = "ALTER USER web SET NETWORK_POLICY = corp";
    let refused = world.refused(Dialect::Snowflake, set).join("\n");
    assert!(
        refused.contains("'web' is a service, and user:web@orders is a user of a database"),
        "{refused}"
    );
    world.ok(
        Dialect::Snowflake,
        "ALTER USER \"service:web\" SET NETWORK_POLICY = corp;
         ALTER USER \"role:staff@orders\" SET NETWORK_POLICY = corp",
    );
    assert_eq!(bound(&world, "corp"), ["role:staff@orders"]);
    assert!(world.state.policy("corp").unwrap().bindings.len() == 3);
}

#[test]
fn user_of_one_of_several_databases_is_named_with_it() {
    let mut world = world();
    world.apply(&[database("shop", "web")]);
    let set = "ALTER USER jsmith SET NETWORK_POLICY = vpn_only";
    let refused = world.refused(Dialect::Snowflake, set).join("\n");
    assert!(
        refused.contains("write \"user:jsmith@orders\" or \"user:jsmith@shop\""),
        "{refused}"
    );
    world.ok(
        Dialect::Snowflake,
        "ALTER USER \"user:jsmith@shop\" SET NETWORK_POLICY = vpn_only",
    );
    // Bound to one of them, it is that one.
    world.ok(Dialect::Snowflake, "ALTER USER jsmith UNSET NETWORK_POLICY");
    assert_eq!(bound(&world, "vpn_only"), [""; 0]);
}

#[test]
fn bypass_of_a_user_is_part_of_the_state_and_described() {
    let mut world = world();
    world.ok(
        Dialect::Snowflake,
        "ALTER USER jsmith SET NETWORK_POLICY = vpn_only;
         ALTER USER jsmith SET MINS_TO_BYPASS_NETWORK_POLICY = 30",
    );
    let table = world.table(Dialect::Snowflake, "DESC USER jsmith");
    let until = "BYPASS_NETWORK_POLICY_UNTIL | 1970-01-01T00:30:00Z";
    assert!(
        table.iter().any(|line| line.starts_with(until)),
        "{table:?}"
    );
    world.ok(
        Dialect::Snowflake,
        "ALTER USER jsmith SET MINS_TO_BYPASS_NETWORK_POLICY = 0",
    );
    assert!(world.state.databases[0].bypasses.is_empty());
}
