//! Policies with exceptions, which no dialect has.

use super::Dialect::{Lakehouse, Materialize, Snowflake};
use super::*;
use crate::model::{ListEdit, ListInput};

fn world() -> World {
    let list = |items: &[&str]| ListInput {
        items: items.iter().map(|&item| item.to_owned()).collect(),
        ..ListInput::default()
    };
    let mut world = World::new();
    world.apply(&[
        Change::CreateList {
            name: "own".to_owned(),
            entries: list(&["10.0.0.2"]),
            comment: None,
            replace: false,
            network_rule: None,
        },
        Change::CreatePolicy {
            name: "office".to_owned(),
            allow: None,
            block: list(&["10.0.0.0/30"]),
            except: list(&["@own"]),
            comment: None,
            inactive: false,
            mode: Default::default(),
            services: Vec::new(),
            unbound: false,
            replace: false,
            compat: Default::default(),
        },
    ]);
    world
}

#[test]
fn show_create_takes_exceptions_out_of_the_blocked_list() {
    for dialect in [Snowflake, Lakehouse] {
        let mut world = world();
        let text = format!("SHOW CREATE NETWORK POLICY office IN {dialect}");
        let rows = world.table(Snowflake, &text);
        assert!(
            rows[1].contains("BLOCKED_IP_LIST = ('10.0.0.0/31', '10.0.0.3')"),
            "{rows:?}"
        );
        let warned = format!(
            "{} has no exceptions: they are taken out of the blocked list",
            dialect.title()
        );
        assert!(world.warnings.contains(&warned), "{:?}", world.warnings);
    }
    let mut world = world();
    let rows = world.table(
        Snowflake,
        "SHOW CREATE NETWORK POLICY office IN materialize",
    );
    assert!(
        !rows[1].contains("10.0.0.0/31") && rows[1].contains("10.0.0.2/32"),
        "{rows:?}"
    );
}

#[test]
fn desc_shows_the_blocked_list_as_written_and_warns() {
    for dialect in [Snowflake, Lakehouse] {
        let mut world = world();
        let rows = world.table(dialect, "DESC NETWORK POLICY office");
        assert!(
            rows.iter().any(|row| row.contains("10.0.0.0/30")),
            "{rows:?}"
        );
        let warnings = world.warnings.join("\n");
        assert!(
            warnings.contains("policy office has exceptions"),
            "{warnings}"
        );
    }
}

#[test]
fn statement_that_replaces_the_blocked_list_ends_exceptions() {
    for (dialect, text, stay) in [
        (
            Snowflake,
            "ALTER NETWORK POLICY office SET COMMENT = 'x'",
            true,
        ),
        (
            Snowflake,
            "ALTER NETWORK POLICY office SET ALLOWED_IP_LIST = ('0.0.0.0/0')",
            true,
        ),
        (
            Snowflake,
            "ALTER NETWORK POLICY office SET BLOCKED_IP_LIST = ('10.0.0.0/30')",
            false,
        ),
        (Lakehouse, "ALTER NETWORK POLICY office INACTIVATE", true),
        (
            Lakehouse,
            "ALTER NETWORK POLICY office SET ALLOWED_IP_LIST = ('10.0.0.0/8') BLOCKED_IP_LIST = ('10.0.0.0/30')",
            false,
        ),
        (
            Materialize,
            "ALTER NETWORK POLICY office SET (RULES (a (ACTION='allow',DIRECTION='ingress',ADDRESS='10.0.0.0/8')))",
            false,
        ),
    ] {
        let mut world = world();
        world.ok(dialect, text);
        let policy = world.state.policy("office").unwrap();
        assert_eq!(policy.has_exceptions(), stay, "{text}");
        let warned = world.warnings.iter();
        let warned =
            warned.filter(|warning| warning.contains("exceptions of policy office are gone"));
        assert_eq!(warned.count(), usize::from(!stay), "{text}");
    }
}

#[test]
fn statement_that_blocks_a_network_rule_newly_ends_exceptions() {
    let blocks = |verb: &str, names: &str| {
        format!("ALTER NETWORK POLICY office {verb} BLOCKED_NETWORK_RULE_LIST = ({names})")
    };
    let rule = "CREATE NETWORK RULE bad TYPE = IPV4 MODE = INGRESS VALUE_LIST = ('10.0.0.2')";
    for verb in ["SET", "ADD"] {
        let mut world = world();
        world.ok(Snowflake, rule);
        world.ok(Snowflake, &blocks(verb, "bad"));
        assert!(!world.state.policy("office").unwrap().has_exceptions());
        assert!(!world.admits(None, "10.0.0.2"), "{verb}");
        let mut warned = world.warnings.iter();
        assert!(warned.any(|warning| warning.contains("exceptions of policy office are gone")));
    }
}

#[test]
fn edit_that_names_a_list_twice_keeps_its_exceptions() {
    let mut world = world();
    let edit = ListEdit::Edit {
        add: ListInput {
            items: vec!["10.0.0.0/30".to_owned()],
            ..ListInput::default()
        },
        remove: ListInput::default(),
    };
    world.apply(&[Change::AlterPolicy {
        name: "office".to_owned(),
        allow: ListEdit::Keep,
        block: edit,
        except: ListEdit::Keep,
        comment: None,
        compat: Default::default(),
    }]);
    assert!(!world.admits(None, "10.0.0.1"));
    assert!(world.admits(None, "10.0.0.2"));
}
