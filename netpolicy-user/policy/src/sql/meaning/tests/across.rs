//! The same sentence in another dialect gives the other product's result.

use super::Dialect::{Lakehouse, Materialize, Snowflake};
use super::*;

#[test]
fn create_is_live_in_lakehouse_and_inert_in_snowflake() {
    let text = "CREATE NETWORK POLICY office ALLOWED_IP_LIST=('10.0.0.1')";
    for (dialect, is_live) in [(Snowflake, false), (Lakehouse, true)] {
        let mut world = World::new();
        world.ok(dialect, text);
        assert_eq!(world.admits(None, "8.8.8.8"), !is_live, "{dialect}");
    }
}

#[test]
fn set_with_a_clause_left_out_keeps_in_snowflake_and_clears_in_lakehouse() {
    for (dialect, is_blocked) in [(Snowflake, true), (Lakehouse, false)] {
        let mut world = World::new();
        world.ok(
            Lakehouse,
            "CREATE NETWORK POLICY office ALLOWED_IP_LIST=('10.0.0.0/8') BLOCKED_IP_LIST=('10.0.0.1')",
        );
        world.ok(
            dialect,
            "ALTER NETWORK POLICY office SET ALLOWED_IP_LIST=('10.0.0.0/8')",
        );
        assert_eq!(world.admits(None, "10.0.0.1"), !is_blocked, "{dialect}");
    }
}

#[test]
fn an_empty_list_denies_all_in_snowflake_and_allows_all_in_lakehouse() {
    let text = "CREATE NETWORK POLICY office ALLOWED_IP_LIST=() BLOCKED_IP_LIST=('10.0.0.1')";
    for (dialect, admits) in [(Snowflake, false), (Lakehouse, true)] {
        let mut world = World::new();
        world.ok(dialect, text);
        world.ok(Snowflake, "ALTER ACCOUNT SET NETWORK_POLICY = office");
        assert_eq!(world.admits(None, "8.8.8.8"), admits, "{dialect}");
        assert!(!world.admits(None, "10.0.0.1"), "{dialect}");
    }
}

#[test]
fn a_duplicate_and_a_zero_are_accepted_in_snowflake_and_refused_in_lakehouse() {
    for text in [
        "CREATE NETWORK POLICY office ALLOWED_IP_LIST=('10.0.0.1','10.0.0.1')",
        "CREATE NETWORK POLICY office ALLOWED_IP_LIST=('0.0.0.0/0')",
    ] {
        World::new().ok(Snowflake, text);
        World::new().refused(Lakehouse, text);
    }
}

#[test]
fn drop_in_use_is_refused_in_snowflake_and_done_in_lakehouse() {
    let mut world = World::new();
    world.ok(
        Lakehouse,
        "CREATE NETWORK POLICY office ALLOWED_IP_LIST=('10.0.0.1')",
    );
    world.refused(Snowflake, "DROP NETWORK POLICY office");
    world.ok(Lakehouse, "DROP NETWORK POLICY office");
}

#[test]
fn snowflake_changes_cut_connections_and_lakehouse_changes_may_be_forced() {
    let create = "CREATE NETWORK POLICY office ALLOWED_IP_LIST=('10.0.0.1')";
    for (dialect, text, cut, force) in [
        (Snowflake, create, true, false),
        (
            Materialize,
            "CREATE NETWORK POLICY office (RULES ())",
            false,
            false,
        ),
        (Lakehouse, create, false, false),
        (Lakehouse, &format!("{create} FORCE"), false, true),
    ] {
        let Action::Changes(changes) = World::new().ok(dialect, text) else {
            panic!("{text}");
        };
        assert_eq!((changes.cut, changes.force), (cut, force), "{text}");
    }
    let mut world = World::new();
    world.ok(Lakehouse, create);
    for text in [
        "ALTER NETWORK POLICY office INACTIVATE FORCE",
        "DROP NETWORK POLICY office FORCE",
    ] {
        let Action::Changes(changes) = world.ok(Lakehouse, text) else {
            panic!("{text}");
        };
        assert!(changes.force, "{text}");
    }
}

#[test]
fn a_list_of_100_000_addresses_is_read_quickly() {
    let items = (0..100_000_u32).map(|i| format!("'{}'", std::net::Ipv4Addr::from(i * 7919)));
    let list = items.collect::<Vec<_>>().join(", ");
    let mut world = World::new();
    let started = std::time::Instant::now();
    world.ok(
        Lakehouse,
        &format!("CREATE NETWORK POLICY large BLOCKED_IP_LIST=({list})"),
    );
    assert_eq!(world.state.policies[0].block.len(), 100_000);
    // In milliseconds when optimised; anything quadratic would take minutes.
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}
