//! Materialize's meaning.

use super::Dialect::{Materialize, Snowflake};
use super::*;

fn rules(rules: &[(&str, &str)]) -> String {
    let rule = |(name, address): &(&str, &str)| {
        format!("{name} (action='allow', direction='ingress', address='{address}')")
    };
    let rules: Vec<_> = rules.iter().map(rule).collect();
    format!("(RULES ({}))", rules.join(", "))
}

fn create(name: &str, list: &[(&str, &str)]) -> String {
    format!("CREATE NETWORK POLICY {name} {}", rules(list))
}

#[test]
fn a_created_policy_is_inert_until_it_is_the_setting_and_replaces_the_one_before() {
    let mut world = World::new();
    let status = world.status(
        Materialize,
        &create("Office", &[("ny", "10.0.0.0/8"), ("v6", "fd00::/8")]),
    );
    assert_eq!(status, "CREATE NETWORK POLICY");
    assert_eq!(
        world.state.policies[0].name.as_str(),
        "office",
        "names fold to lower case"
    );
    world.judges(&["8.8.8.8"], &[]);
    assert_eq!(
        world.status(Materialize, "ALTER SYSTEM SET network_policy = office"),
        "ALTER SYSTEM"
    );
    world.judges(&["10.1.1.1", "fd00::1"], &["8.8.8.8", "2001:db8::1"]);
    world.ok(Materialize, &create("branch", &[("b", "11.0.0.0/8")]));
    world.ok(Materialize, "ALTER SYSTEM SET network_policy = 'branch'");
    world.judges(&["11.1.1.1"], &["10.1.1.1"]);
    world.ok(Materialize, "ALTER SYSTEM RESET network_policy");
    world.judges(&["8.8.8.8", "2001:db8::1"], &[]);
}

#[test]
fn no_rules_deny_all_and_all_rules_are_replaced() {
    let mut world = World::new();
    world.ok(Materialize, &create("none", &[]));
    world.ok(Materialize, "ALTER SYSTEM SET network_policy = none");
    world.judges(&[], &["8.8.8.8", "::1"]);
    let alter = |list: &[(&str, &str)]| format!("ALTER NETWORK POLICY none SET {}", rules(list));
    assert_eq!(
        world.status(
            Materialize,
            &alter(&[("a", "10.0.0.1/32"), ("b", "10.0.0.2/32")])
        ),
        "ALTER NETWORK POLICY"
    );
    world.judges(&["10.0.0.1", "10.0.0.2"], &["10.0.0.3"]);
    world.ok(Materialize, &alter(&[("c", "10.0.0.3/32")]));
    world.judges(&["10.0.0.3"], &["10.0.0.1", "10.0.0.2"]);
}

#[test]
fn default_is_there_from_the_start_and_means_open() {
    let mut world = World::new();
    assert_eq!(
        world.table(Materialize, "SHOW NETWORK POLICIES"),
        ["name | rules | comment", "default | open_ingress | "]
    );
    assert_eq!(
        world.table(Materialize, "SHOW network_policy"),
        ["network_policy", "default"]
    );
    assert_eq!(
        world.table(Snowflake, "SHOW NETWORK POLICIES").len(),
        1,
        "other views do not show it"
    );
    assert!(world.state.policies.is_empty());
    world.judges(&["8.8.8.8", "::1"], &[]);
    assert_eq!(
        world.refused(Materialize, &create("default", &[])),
        ["network policy 'default' already exists"]
    );
}

#[test]
fn default_cannot_go_before_another_is_set() {
    let mut world = World::new();
    assert_eq!(
        world.refused(Materialize, "DROP NETWORK POLICY default"),
        ["network policy is currently in use: 'default' governs the host"]
    );
    world.ok(Materialize, &create("office", &[("ny", "10.0.0.0/8")]));
    world.ok(
        Materialize,
        "ALTER SYSTEM SET network_policy = office; DROP NETWORK POLICY default",
    );
    assert_eq!(world.table(Materialize, "SHOW NETWORK POLICIES").len(), 2);
    assert_eq!(
        world.refused(Materialize, "ALTER SYSTEM RESET network_policy"),
        ["unknown network policy 'default'"]
    );
    assert_eq!(
        world.refused(Materialize, "ALTER SYSTEM SET network_policy = default"),
        ["unknown network policy 'default'"]
    );
    world.ok(Materialize, &create("default", &[("all", "0.0.0.0/0")]));
    world.ok(Materialize, "ALTER SYSTEM RESET network_policy");
    world.judges(&["8.8.8.8"], &["::1"]);
}

#[test]
fn an_altered_default_is_real_and_does_not_come_back_once_dropped() {
    let mut world = World::new();
    world.ok(
        Materialize,
        &format!(
            "ALTER NETWORK POLICY default SET {}",
            rules(&[("ny", "10.0.0.0/8")])
        ),
    );
    world.judges(&["10.1.1.1"], &["8.8.8.8"]);
    assert_eq!(
        world.table(Snowflake, "SHOW NETWORK POLICIES").len(),
        2,
        "it is real"
    );
    assert_eq!(
        world.table(Materialize, "SHOW network_policy"),
        ["network_policy", "default"]
    );
    assert_eq!(
        world.refused(Materialize, "DROP NETWORK POLICY default"),
        ["network policy is currently in use: 'default' governs the host"]
    );
    world.ok(Materialize, &create("other", &[("b", "11.0.0.0/8")]));
    world.ok(
        Materialize,
        "ALTER SYSTEM SET network_policy = other; DROP NETWORK POLICY default",
    );
    assert_eq!(
        world.table(Materialize, "SHOW NETWORK POLICIES"),
        ["name | rules | comment", "other | b | "]
    );
}

#[test]
fn default_altered_while_another_is_the_setting_governs_nothing() {
    let mut world = World::new();
    world.ok(Materialize, &create("other", &[("b", "11.0.0.0/8")]));
    world.ok(Materialize, "ALTER SYSTEM SET network_policy = other");
    world.ok(
        Materialize,
        &format!(
            "ALTER NETWORK POLICY default SET {}",
            rules(&[("ny", "10.0.0.0/8")])
        ),
    );
    world.judges(&["11.1.1.1"], &["10.1.1.1"]);
    world.ok(Materialize, "ALTER SYSTEM RESET network_policy");
    world.judges(&["10.1.1.1"], &["11.1.1.1"]);
}

#[test]
fn a_commented_or_owned_default_stays_open() {
    let mut world = World::new();
    world.ok(Materialize, "COMMENT ON NETWORK POLICY default IS 'open'");
    world.ok(Materialize, "ALTER NETWORK POLICY default OWNER TO dba");
    world.judges(&["8.8.8.8", "::1"], &[]);
    assert_eq!(
        world.table(Materialize, "SHOW NETWORK POLICIES")[1],
        "default | open_ingress,open_ingress_v6 | open"
    );
    assert_eq!(world.state.policies[0].owner, "group:dba");
    world.ok(Materialize, "COMMENT ON NETWORK POLICY default IS NULL");
    assert_eq!(world.state.policies[0].comment, None);
}

#[test]
fn a_policy_in_use_is_not_dropped_and_several_go_at_once() {
    let mut world = World::new();
    for name in ["aa", "bb", "cc"] {
        world.ok(Materialize, &create(name, &[]));
    }
    world.ok(Materialize, "ALTER SYSTEM SET network_policy = bb");
    assert_eq!(
        world.refused(Materialize, "DROP NETWORK POLICY aa, bb, zz"),
        [
            "network policy is currently in use: 'bb' governs the host",
            "line 1, column 29: unknown network policy 'zz'"
        ]
    );
    assert_eq!(world.state.policies.len(), 3);
    world.ok(Materialize, "DROP NETWORK POLICY IF EXISTS aa, cc, aa, zz");
    assert_eq!(world.state.policies.len(), 1);
    assert_eq!(world.warnings, ["there is no network policy zz"]);
}

#[test]
fn addresses_are_cidrs_and_rules_have_names_of_their_own() {
    let mut world = World::new();
    let text = create(
        "p",
        &[
            ("a", "10.0.0.1"),
            ("b", "155.548.2.98/32"),
            ("\"A\"", "::/0"),
            ("a", "fd00::1"),
        ],
    );
    assert_eq!(
        world.refused(Materialize, &text),
        [
            "rule 'a' is there already, at line 1; each rule has a name of its own",
            "line 1, column 81: Value must be valid IPV4 or IPV6 CIDR: '10.0.0.1' has no prefix length; write '10.0.0.1/32'",
            "line 1, column 142: Value must be valid IPV4 or IPV6 CIDR: '155.548.2.98/32' is not an address or CIDR: 548 is more than 255",
            "line 1, column 269: Value must be valid IPV4 or IPV6 CIDR: 'fd00::1' has no prefix length; write 'fd00::1/128'",
        ]
    );
    world.ok(
        Materialize,
        &create(
            "p",
            &[("b", "0.0.0.0/0"), ("a", "0.0.0.0/0"), ("c", "1.2.3.4/28")],
        ),
    );
    assert_eq!(
        world.warnings,
        [
            "office.sql:1:143: 0.0.0.0/0 is on the list already (line 1); it is kept once",
            "office.sql:1:205: 1.2.3.4/28 has host bits set; 1.2.3.0/28 is enforced"
        ]
    );
    assert_eq!(
        world.table(Materialize, "SHOW NETWORK POLICIES LIKE 'p'")[1],
        "p | b,c | "
    );
    assert_eq!(
        world
            .table(Materialize, "SHOW NETWORK POLICIES LIKE 'P'")
            .len(),
        1,
        "case counts"
    );
}

#[test]
fn limits_and_reserved_names() {
    let mut world = World::new();
    let many: Vec<_> = (0..26)
        .map(|i| (format!("r{i}"), format!("10.0.0.{i}/32")))
        .collect();
    let many: Vec<_> = many.iter().map(|(n, a)| (n.as_str(), a.as_str())).collect();
    world.ok(Materialize, &create("p", &many[..25]));
    assert_eq!(
        world.refused(Materialize, &create("q", &many)),
        ["RULES count exceeds max_rules_per_network_policy. (26 rules, at most 25)"]
    );
    for name in ["mz_x", "pg_x", "external_x"] {
        assert_eq!(
            world.refused(Materialize, &create(name, &[])),
            [format!("network policy name '{name}' is reserved")]
        );
    }
    for i in 1..25 {
        world.ok(Materialize, &create(&format!("p{i}"), &[]));
    }
    assert_eq!(
        world.refused(Materialize, &create("more", &[])),
        ["Materialize allows 25 network policies, and there are 25 already"]
    );
    world.ok(Snowflake, "CREATE NETWORK POLICY more");
}
