//! Lakehouse's meaning.

use super::Dialect::{Lakehouse, Snowflake};
use super::*;

const OFFICE: &str = "CREATE NETWORK POLICY office ALLOWED_IP_LIST=('10.0.0.0/8')";
const BAD: &str = "CREATE NETWORK POLICY bad BLOCKED_IP_LIST=('10.0.0.66','8.8.8.8')";

#[test]
fn lakehouse_3_1_without_a_policy_every_source_is_allowed() {
    let mut world = World::new();
    world.judges(&["10.0.0.1", "8.8.8.8", "::1"], &[]);
    world.ok(Lakehouse, "CREATE NETWORK POLICY nothing");
    world.judges(&["10.0.0.1", "8.8.8.8", "::1"], &[]);
    world.ok(
        Lakehouse,
        "CREATE NETWORK POLICY empty ALLOWED_IP_LIST=() BLOCKED_IP_LIST=()",
    );
    world.judges(&["10.0.0.1", "8.8.8.8", "::1"], &[]);
}

#[test]
fn lakehouse_3_2_a_policy_is_live_at_once_with_an_allow_a_block_or_both_lists() {
    let mut world = World::new();
    assert_eq!(
        world.status(Lakehouse, OFFICE),
        "Network policy office is created and active."
    );
    world.judges(&["10.0.0.66"], &["8.8.8.8", "::1"]);

    let mut world = World::new();
    world.ok(Lakehouse, BAD);
    world.judges(&["10.0.0.1", "9.9.9.9", "::1"], &["10.0.0.66", "8.8.8.8"]);

    let mut world = World::new();
    world.ok(
        Lakehouse,
        "CREATE NETWORK POLICY both ALLOWED_IP_LIST=('10.0.0.0/8') BLOCKED_IP_LIST=('10.0.0.66')",
    );
    world.judges(&["10.0.0.1"], &["10.0.0.66", "8.8.8.8"]);
}

#[test]
fn lakehouse_3_3_active_policies_are_merged_in_every_order_of_activation() {
    let branch = "CREATE NETWORK POLICY branch ALLOWED_IP_LIST=('10.0.0.0/9','11.0.0.0/8') BLOCKED_IP_LIST=('10.0.0.66')";
    let policies = ["office", "bad", "branch"];
    // Every way to get from any set of active policies to any other, one step at a time.
    for from in 0_u8..8 {
        for to in 0_u8..8 {
            for order in [
                [0, 1, 2],
                [0, 2, 1],
                [1, 0, 2],
                [1, 2, 0],
                [2, 0, 1],
                [2, 1, 0],
            ] {
                let mut world = World::new();
                for create in [OFFICE, BAD, branch] {
                    world.ok(Lakehouse, create);
                }
                let set = |world: &mut World, index: usize, wanted: u8| {
                    let verb = if wanted & (1 << index) == 0 {
                        "INACTIVATE"
                    } else {
                        "ACTIVATE"
                    };
                    let name = policies[index];
                    world.ok(Lakehouse, &format!("ALTER NETWORK POLICY {name} {verb}"));
                };
                for index in 0..3 {
                    set(&mut world, index, from);
                }
                for index in order {
                    set(&mut world, index, to);
                }
                let (office, bad, branch) = (to & 1 != 0, to & 2 != 0, to & 4 != 0);
                let only = office || branch;
                let expected = |source| match source {
                    "10.0.0.1" => true,
                    "10.200.0.1" => !only || office,
                    "10.0.0.66" => !bad && !branch,
                    "11.0.0.1" => !only || branch,
                    "8.8.8.8" => !only && !bad,
                    _ => !only,
                };
                for source in [
                    "10.0.0.1",
                    "10.200.0.1",
                    "10.0.0.66",
                    "11.0.0.1",
                    "8.8.8.8",
                    "::1",
                ] {
                    assert_eq!(
                        world.admits(None, source),
                        expected(source),
                        "{source} {to}"
                    );
                }
            }
        }
    }
}

#[test]
fn overlaps_and_duplicates_are_fine_across_policies_and_refused_in_one_list() {
    let mut world = World::new();
    world.ok(Lakehouse, OFFICE);
    world.ok(
        Lakehouse,
        "CREATE NETWORK POLICY again ALLOWED_IP_LIST=('10.0.0.0/8','10.0.0.0/9','10.0.0.1') BLOCKED_IP_LIST=('10.0.0.1')",
    );
    world.judges(&["10.0.0.2"], &["10.0.0.1", "8.8.8.8"]);
    let text =
        "CREATE NETWORK POLICY twice ALLOWED_IP_LIST=('10.0.0.1',\n'10.0.0.2','10.0.0.1/32')";
    let refusal = world.run(Lakehouse, text).unwrap_err();
    assert_eq!(refusal.place(), (2, 12));
    assert_eq!(
        refusal.messages(),
        ["'10.0.0.1/32' is on the list already, as '10.0.0.1' (office.sql:1); remove one of them"]
    );
}

#[test]
fn set_clears_what_it_leaves_out() {
    let mut world = World::new();
    world.ok(
        Lakehouse,
        "CREATE NETWORK POLICY p_1 ALLOWED_IP_LIST=('10.0.0.0/8') BLOCKED_IP_LIST=('10.0.0.1') COMMENT='c';
         ALTER NETWORK POLICY p_1 SET ALLOWED_IP_LIST=('10.0.0.0/8')",
    );
    world.judges(&["10.0.0.1"], &["8.8.8.8"]);
    assert_eq!(
        world.state.policies[0].comment.as_deref(),
        Some("c"),
        "a comment is no list"
    );
    world.ok(
        Lakehouse,
        "ALTER NETWORK POLICY p_1 SET BLOCKED_IP_LIST=('10.0.0.1')",
    );
    world.judges(&["8.8.8.8", "::1"], &["10.0.0.1"]);
    world.ok(Lakehouse, "ALTER NETWORK POLICY p_1 SET ALLOWED_IP_LIST=()");
    world.judges(&["8.8.8.8", "10.0.0.1"], &[]);
}

#[test]
fn comment_is_accepted_with_and_without_equals_sign() {
    for comment in ["COMMENT 'head office'", "COMMENT = 'head office'"] {
        let mut world = World::new();
        world.ok(
            Lakehouse,
            &format!("CREATE NETWORK POLICY office {comment}"),
        );
        let policy = &world.state.policies[0];
        assert_eq!(policy.comment.as_deref(), Some("head office"), "{comment}");
        let shown = world.table(Lakehouse, "SHOW CREATE NETWORK POLICY office");
        assert_eq!(
            shown[1],
            "office | CREATE NETWORK POLICY office\n  COMMENT 'head office';"
        );
    }
}

#[test]
fn zeros_ipv6_and_quoted_or_short_names_are_refused() {
    let mut world = World::new();
    assert_eq!(
        world.refused(Lakehouse, "CREATE NETWORK POLICY office ALLOWED_IP_LIST=('0.0.0.0/0','fd00::1') BLOCKED_IP_LIST=('10.0.0.0/0')"),
        [
            "'0.0.0.0/0' is 0.0.0.0/0, which Lakehouse's lists do not accept",
            "line 1, column 59: 'fd00::1' is an IPv6 address, and Lakehouse's lists accept only IPv4",
            "line 1, column 87: '10.0.0.0/0' is 0.0.0.0/0, which Lakehouse's lists do not accept",
        ]
    );
    for (name, why) in [
        ("ab", "shorter than 3"),
        ("abcdefghijklmnopqrstuvwxyz_12", "longer than 28"),
    ] {
        let refused = world.refused(Lakehouse, &format!("CREATE NETWORK POLICY {name}"));
        assert!(refused[0].contains(why), "{refused:?}");
    }
    world.ok(Lakehouse, "CREATE NETWORK POLICY OFFICE");
    assert_eq!(world.state.policies[0].name.as_str(), "office");
    assert_eq!(
        world.refused(Lakehouse, "CREATE NETWORK POLICY office"),
        ["network policy 'office' already exists"]
    );
    assert_eq!(
        world.refused(Lakehouse, "ALTER NETWORK POLICY nowhere ACTIVATE"),
        ["network policy 'nowhere' does not exist"]
    );
    world.ok(Lakehouse, "ALTER NETWORK POLICY IF EXISTS nowhere ACTIVATE");
}

#[test]
fn limits() {
    let mut world = World::new();
    for i in 0..20 {
        world.ok(Lakehouse, &format!("CREATE NETWORK POLICY p_{i}_"));
    }
    assert_eq!(
        world.refused(Lakehouse, "CREATE NETWORK POLICY more"),
        ["Lakehouse allows 20 network policies, and there are 20 already"]
    );
    world.ok(
        Lakehouse,
        "CREATE OR REPLACE NETWORK POLICY p_1_ BLOCKED_IP_LIST=('1.1.1.1')",
    );
    world.judges(&[], &["1.1.1.1"]);
    let items = (0..100_001_u32).map(|i| format!("'{}'", std::net::Ipv4Addr::from(i * 2)));
    let list = items.collect::<Vec<_>>().join(",");
    assert_eq!(
        world.refused(
            Lakehouse,
            &format!("CREATE OR REPLACE NETWORK POLICY p_1_ BLOCKED_IP_LIST=({list})")
        ),
        ["BLOCKED_IP_LIST has 100001 entries, more than 100000, Lakehouse's limit of one list"]
    );
}

#[test]
fn a_live_policy_is_dropped_and_replaced() {
    let mut world = World::new();
    world.ok(Lakehouse, OFFICE);
    world.ok(
        Lakehouse,
        "CREATE OR REPLACE NETWORK POLICY office ALLOWED_IP_LIST=('11.0.0.0/8')",
    );
    world.judges(&["11.0.0.1"], &["10.0.0.1"]);
    assert_eq!(
        world.status(Lakehouse, "DROP NETWORK POLICY office"),
        "Network policy office is dropped."
    );
    world.judges(&["8.8.8.8"], &[]);
}

#[test]
fn what_another_dialect_left_inert_is_bound_to_the_host_when_it_is_activated() {
    let mut world = World::new();
    world.ok(
        Snowflake,
        "CREATE NETWORK POLICY office ALLOWED_IP_LIST=('10.0.0.1')",
    );
    world.judges(&["8.8.8.8"], &[]);
    world.ok(Lakehouse, "ALTER NETWORK POLICY office ACTIVATE");
    world.judges(&["10.0.0.1"], &["8.8.8.8"]);
    assert_eq!(world.warnings, [""; 0]);
    world.ok(Lakehouse, "ALTER NETWORK POLICY office INACTIVATE");
    world.judges(&["8.8.8.8"], &[]);
    world.ok(
        Snowflake,
        "CREATE NETWORK POLICY other ALLOWED_IP_LIST=('10.0.0.1')",
    );
    world.ok(
        Lakehouse,
        "CREATE OR REPLACE NETWORK POLICY other ALLOWED_IP_LIST=('10.0.0.2')",
    );
    world.judges(&["10.0.0.2"], &["10.0.0.1"]);
}

#[test]
fn policies_are_listed_and_described() {
    let mut world = World::new();
    world.ok(Lakehouse, OFFICE);
    world.ok(Lakehouse, BAD);
    world.ok(Lakehouse, "ALTER NETWORK POLICY bad INACTIVATE");
    let expected = [
        "name | creator | created_time | status",
        "bad | root | 1970-01-01 00:00:00 | inactive",
        "office | root | 1970-01-01 00:00:00 | active",
    ];
    assert_eq!(world.table(Lakehouse, "SHOW NETWORK POLICY"), expected);
    assert_eq!(world.table(Lakehouse, "SHOW NETWORK POLICIES"), expected);
    assert_eq!(
        world.table(Lakehouse, "DESC NETWORK POLICY bad"),
        [
            "name | allowed_ip_list | blocked_ip_list",
            "bad |  | 10.0.0.66,8.8.8.8"
        ]
    );
}
