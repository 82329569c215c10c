//! SHOW CREATE: its output has the same meaning in the dialect that it is written for.

use proptest::prelude::*;

use super::Dialect::{Lakehouse, Materialize, Snowflake};
use super::*;
use crate::model::{AllowPart, ListInput, RuleList};
use crate::sql::meaning::alter;

fn native(allow: Option<&[&str]>, block: &[&str], comment: Option<&str>) -> World {
    let list = |items: &[&str]| ListInput {
        items: items.iter().map(|&item| item.to_owned()).collect(),
        ..ListInput::default()
    };
    let mut world = World::new();
    let cx = ChangeContext {
        now: Timestamp::UNIX_EPOCH,
        actor: "root",
        limits: Limits::default(),
        // Blocked /0 may be meant.
        force: true,
    };
    let create = Change::CreatePolicy {
        name: "office".to_owned(),
        allow: allow.map(list),
        block: list(block),
        comment: comment.map(ToOwned::to_owned),
        inactive: false,
        mode: Default::default(),
        services: Vec::new(),
        unbound: false,
        replace: false,
        except: Default::default(),
        compat: Default::default(),
    };
    world.state = world.state.apply(&create, &cx).unwrap().state;
    world
}

/// The text for a dialect, or why there is none.
fn written(world: &mut World, dialect: Dialect) -> Result<String, Refusal> {
    let text = format!("SHOW CREATE NETWORK POLICY office IN {dialect}");
    match world.run(Snowflake, &text)? {
        Action::Table(table) => {
            world.warnings = table.warnings;
            Ok(table.rows[0][1].clone().unwrap())
        }
        other => panic!("{other:?}"),
    }
}

/// A world in which a text of a dialect was run and its policy governs the host.
fn replayed(dialect: Dialect, text: &str) -> World {
    let mut world = World::new();
    world.ok(dialect, text);
    match dialect {
        Snowflake => world.ok(Snowflake, "ALTER ACCOUNT SET NETWORK_POLICY = office"),
        Materialize => world.ok(Materialize, "ALTER SYSTEM SET network_policy = office"),
        Lakehouse => return world,
    };
    world
}

#[test]
fn a_policy_is_written_for_each_dialect() {
    let mut world = native(
        Some(&["10.0.0.0/30", "10.1.0.1"]),
        &["10.0.0.1"],
        Some("it's"),
    );
    assert_eq!(
        written(&mut world, Snowflake).unwrap(),
        "CREATE NETWORK POLICY office\n  ALLOWED_IP_LIST = ('10.0.0.0/30', '10.1.0.1')\n  \
         BLOCKED_IP_LIST = ('10.0.0.1')\n  COMMENT = 'it''s';"
    );
    assert_eq!(
        written(&mut world, Materialize).unwrap(),
        "CREATE NETWORK POLICY office (RULES (\n  \
         rule_1 (ACTION = 'allow', DIRECTION = 'ingress', ADDRESS = '10.0.0.0/32'),\n  \
         rule_2 (ACTION = 'allow', DIRECTION = 'ingress', ADDRESS = '10.0.0.2/31'),\n  \
         rule_3 (ACTION = 'allow', DIRECTION = 'ingress', ADDRESS = '10.1.0.1/32')));\n\
         COMMENT ON NETWORK POLICY office IS 'it''s';"
    );
    assert_eq!(
        world.warnings,
        ["Materialize has no block list: what is blocked is subtracted from the rules"]
    );
    assert!(
        written(&mut world, Lakehouse)
            .unwrap()
            .contains("BLOCKED_IP_LIST")
    );
    assert_eq!(world.warnings, [""; 0]);
}

#[test]
fn default_is_written_as_what_it_means() {
    let mut world = World::new();
    let table = world.table(Materialize, "SHOW CREATE NETWORK POLICY default");
    assert!(
        table[1].contains("'0.0.0.0/0'") && table[1].contains("'::/0'"),
        "{table:?}"
    );
}

#[test]
fn names_of_rules_are_kept_where_they_can_be() {
    let mut world = World::new();
    world.ok(
        Materialize,
        "CREATE NETWORK POLICY office (RULES (\"New York\" (ACTION='allow',DIRECTION='ingress',ADDRESS='1.2.3.4/28')));",
    );
    let text = written(&mut world, Materialize).unwrap();
    assert!(
        text.contains(
            "\"New York\" (ACTION = 'allow', DIRECTION = 'ingress', ADDRESS = '1.2.3.0/28')"
        ),
        "{text}"
    );
    written(&mut world, Snowflake).unwrap();
    assert_eq!(
        world.warnings,
        ["names of rules are left out: Snowflake has none"]
    );
}

#[test]
fn what_a_dialect_cannot_say_is_refused() {
    let mut world = native(Some(&["10.0.0.1", "fd00::1"]), &[], None);
    for (dialect, title) in [(Snowflake, "Snowflake"), (Lakehouse, "Lakehouse")] {
        assert_eq!(
            written(&mut world, dialect).unwrap_err().messages(),
            [format!(
                "policy 'office' cannot be written in {title}: fd00::1 is IPv6, and {title}'s lists accept only IPv4"
            )]
        );
    }
    written(&mut world, Materialize).unwrap();
    world.ok(Snowflake, "CREATE NETWORK POLICY \"Head Office\"; CREATE NETWORK POLICY pg_x; CREATE NETWORK POLICY ab");
    for (name, dialect, why) in [
        ("\"Head Office\"", "lakehouse", "has no way to quote names"),
        ("ab", "lakehouse", "shorter than 3"),
        ("PG_X", "snowflake", ""),
    ] {
        let result = world.run(
            Snowflake,
            &format!("SHOW CREATE NETWORK POLICY {name} IN {dialect}"),
        );
        match result {
            Err(refusal) => assert!(refusal.messages()[0].contains(why), "{refusal:?}"),
            Ok(_) => assert_eq!(why, ""),
        }
    }
}

#[test]
fn a_name_that_begins_with_an_underscore_reads_back_in_snowflake() {
    let mut world = World::new();
    world.ok(Lakehouse, "CREATE NETWORK POLICY _office");
    let text = world.table(Snowflake, "SHOW CREATE NETWORK POLICY \"_office\"")[1].clone();
    let text = text.split_once(" | ").unwrap().1.to_owned();
    let mut other = World::new();
    other.ok(Snowflake, &text);
    assert_eq!(other.state.policies[0].name.as_str(), "_office");
}

/// Few networks, so that they touch, overlap and hold one another.
fn net() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => (0_u8..16, 26_u8..=32).prop_map(|(last, length)| {
            let net = ipnet::Ipv4Net::new([10, 0, 0, last * 16].into(), length).unwrap();
            net.trunc().to_string()
        }),
        1 => Just("0.0.0.0/0".to_owned()),
        1 => Just("0.0.0.0".to_owned()),
        1 => Just("128.0.0.0/1".to_owned()),
    ]
}

fn net6() -> impl Strategy<Value = String> {
    (0_u16..4, 16_u8..=18).prop_map(|(n, length)| {
        let net = ipnet::Ipv6Net::new([0xfd00, n << 13, 0, 0, 0, 0, 0, 0].into(), length).unwrap();
        net.trunc().to_string()
    })
}

fn list(with_v6: bool) -> impl Strategy<Value = Vec<String>> {
    let nets = proptest::collection::btree_set(net(), 0..5);
    let most = if with_v6 { 3 } else { 1 };
    let nets6 = proptest::collection::btree_set(net6(), 0..most);
    (nets, nets6).prop_map(|(a, b)| a.into_iter().chain(b).collect())
}

fn parts(with_v6: bool) -> impl Strategy<Value = (Option<Vec<String>>, Vec<String>)> {
    (proptest::option::of(list(with_v6)), list(with_v6))
}

const PROBES4: [&str; 12] = [
    "0.0.0.0",
    "0.0.0.1",
    "9.255.255.255",
    "10.0.0.0",
    "10.0.0.1",
    "10.0.0.17",
    "10.0.0.32",
    "10.0.0.63",
    "10.0.0.64",
    "10.0.0.240",
    "10.0.0.255",
    "200.1.1.1",
];
const PROBES6: [&str; 6] = [
    "::",
    "::1",
    "fd00::1",
    "fd00:2000::1",
    "fd00:6000::1",
    "fe80::1",
];

fn check(dialect: Dialect, allow: Option<&[String]>, block: &[String]) {
    let borrow = |list: &[String]| -> Vec<&'static str> {
        list.iter()
            .map(|text| &*Box::leak(text.clone().into_boxed_str()))
            .collect()
    };
    let allow = allow.map(borrow);
    let mut world = native(allow.as_deref(), &borrow(block), None);
    let is_any = matches!(world.state.policies[0].allow, AllowPart::Any);
    let text = match written(&mut world, dialect) {
        Ok(text) => text,
        Err(refusal) => {
            let policy = &world.state.policies[0];
            let has_v6 = |list: &RuleList| list.iter().any(|rule| rule.net.addr().is_ipv6());
            let has_v6 = has_v6(&policy.block) || policy.allow_list().is_some_and(has_v6);
            assert!(has_v6 && dialect != Materialize, "{refusal:?}");
            return;
        }
    };
    let warned = world.warnings.clone();
    if text.contains("rule_26") {
        assert!(warned.iter().any(|warning| warning.contains("allows 25")));
        return;
    }
    let is_empty = |world: &World| alter::is_empty(&world.state, &world.state.policies[0]);
    let mut parsed = World::new();
    parsed.ok(dialect, &text);
    if dialect == Snowflake && is_empty(&parsed) {
        // It cannot be set there, and the original denies every source.
        assert!(is_empty(&world));
        return;
    }
    let replayed = replayed(dialect, &text);
    for probe in PROBES4 {
        assert_eq!(
            replayed.admits(None, probe),
            world.admits(None, probe),
            "{probe}\n{text}"
        );
    }
    for probe in PROBES6 {
        if dialect == Snowflake && is_any {
            assert!(
                warned.iter().any(|warning| warning.contains("IPv6")),
                "said"
            );
        } else {
            assert_eq!(
                replayed.admits(None, probe),
                world.admits(None, probe),
                "{probe}\n{text}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_written_judges_the_same((allow, block) in parts(false)) {
        for dialect in Dialect::ALL {
            check(dialect, allow.as_deref(), &block);
        }
    }

    #[test]
    fn what_is_written_judges_the_same_with_ipv6((allow, block) in parts(true)) {
        for dialect in Dialect::ALL {
            check(dialect, allow.as_deref(), &block);
        }
    }
}
