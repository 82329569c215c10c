//! Replication and failover groups, which are the fleet that the host follows.

use super::Dialect::Snowflake;
use super::*;

#[test]
fn show_names_source_and_target_of_the_fleet() {
    let mut world = World::new();
    let header = "created_on | account_name | name | type | comment | is_primary | primary | \
                  object_types | secondary_state";
    assert_eq!(world.table(Snowflake, "SHOW FAILOVER GROUPS"), [header]);
    assert!(
        world.warnings[0].contains("in no fleet"),
        "{:?}",
        world.warnings
    );
    world.fleet = Some(FollowedFleet {
        fleet: "prod".into(),
        group: Some("db".into()),
        host: Some("db-1".into()),
        revision: Some((7, Timestamp::UNIX_EPOCH)),
        with_services: true,
        is_overridden: false,
    });
    let row = |kind: &str| {
        format!(
            "1970-01-01T00:00:00Z | db-1 | prod | {kind} | revision 7, group db | false | \
             fleet prod | USERS, NETWORK POLICIES | STARTED"
        )
    };
    let failover = world.table(Snowflake, "SHOW FAILOVER GROUPS IN ACCOUNT a");
    assert_eq!(failover[1..], [row("FAILOVER")]);
    let replication = world.table(Snowflake, "SHOW REPLICATION GROUPS");
    assert_eq!(replication[1..], [row("REPLICATION")]);
}

#[test]
fn what_is_to_become_of_a_group_is_refused_with_the_command_that_does_it() {
    let mut world = World::new();
    for (text, what, command) in [
        (
            "CREATE FAILOVER GROUP g OBJECT_TYPES = (USERS, NETWORK POLICIES)",
            "created by",
            "`netpolicy fleet init`",
        ),
        (
            "CREATE REPLICATION GROUP g OBJECT_TYPES = USERS, NETWORK POLICIES \
             ALLOWED_ACCOUNTS = org.b REPLICATION_SCHEDULE = '10 MINUTE'",
            "created by",
            "`netpolicy fleet push`",
        ),
        (
            "CREATE FAILOVER GROUP g AS REPLICA OF org.a.g",
            "created as a replica",
            "`netpolicy fleet join`",
        ),
        (
            "ALTER FAILOVER GROUP g PRIMARY",
            "made the primary",
            "`netpolicy fleet promote`",
        ),
        (
            "ALTER REPLICATION GROUP g REFRESH",
            "refreshed",
            "`netpolicy fleet status`",
        ),
        (
            "ALTER FAILOVER GROUP g SUSPEND IMMEDIATE",
            "suspended",
            "`netpolicy fleet pause`",
        ),
        (
            "ALTER FAILOVER GROUP g RESUME",
            "resumed",
            "`netpolicy fleet resume`",
        ),
        (
            "ALTER FAILOVER GROUP IF EXISTS g ADD org.c TO ALLOWED_ACCOUNTS",
            "altered",
            "`netpolicy fleet groups`",
        ),
        (
            "DROP FAILOVER GROUP g",
            "dropped",
            "`netpolicy fleet leave`",
        ),
    ] {
        let statement = Statements::new(text, Some(Snowflake)).unwrap().next();
        assert_eq!(statement.unwrap().unwrap().to_string(), text);
        let refusal = world.run(Snowflake, text).unwrap_err();
        let told = refusal.messages().join("; ");
        assert!(told.contains("group 'G' cannot be"), "{told}");
        assert!(told.contains(what), "{text}: {told}");
        let hint = refusal.hint().unwrap();
        assert!(hint.contains(command), "{text}: {hint}");
    }
}
