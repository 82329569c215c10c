//! Names: which way of writing one finds what was made by which.

use super::Dialect::Snowflake;
use super::*;

/// Ways to write a name in Snowflake's dialect.
const WRITTEN: [&str; 5] = ["office", "OFFICE", "\"OFFICE\"", "\"office\"", "\"Office\""];

/// A world with a policy and a service of a name that was made so; `office` stands for
/// what the command line makes.
fn made(name: &str) -> World {
    let mut world = World::new();
    world.apply(&[
        Change::CreatePolicy {
            name: name.to_owned(),
            allow: None,
            block: Default::default(),
            comment: None,
            inactive: true,
            mode: Default::default(),
            services: Vec::new(),
            unbound: true,
            replace: false,
            except: Default::default(),
            compat: Default::default(),
        },
        Change::AddService {
            name: name.to_owned(),
            ports: vec!["6000".to_owned()],
            combine: Default::default(),
            mode: Default::default(),
            on_deny: Default::default(),
            comment: None,
        },
    ]);
    world
}

#[test]
fn each_way_of_writing_finds_what_was_made_by_each_way() {
    // Found by: office, OFFICE, "OFFICE", "office", "Office".
    for (name, found) in [
        ("office", [true, true, true, true, false]),
        ("\"OFFICE\"", [true, true, true, false, false]),
        ("\"Office\"", [true, true, false, false, true]),
    ] {
        for (written, is_found) in WRITTEN.into_iter().zip(found) {
            for text in [
                format!("DESC NETWORK POLICY {written}"),
                format!("ALTER NETWORK POLICY {written} SET COMMENT = 'c'"),
                format!("SHOW GRANTS ON NETWORK POLICY {written}"),
                format!("ALTER ACCOUNT SET NETWORK_POLICY = {written}"),
                format!("DESC USER {written}"),
                format!("ALTER USER {written} UNSET NETWORK_POLICY"),
                format!("SHOW PARAMETERS IN USER {written}"),
                format!("DROP NETWORK POLICY {written}"),
            ] {
                let result = made(name).run(Snowflake, &text);
                assert_eq!(result.is_ok(), is_found, "made as {name}: {text}");
            }
        }
    }
}

#[test]
fn name_in_a_string_means_what_it_would_mean_outside() {
    for (name, string, is_found) in [
        ("office", "'OFFICE'", true),
        ("office", "'office'", true),
        ("office", "'\"OFFICE\"'", true),
        ("office", "'\"office\"'", true),
        ("office", "'\\\"OFFICE\\\"'", true),
        ("office", "'\"Office\"'", false),
        ("\"OFFICE\"", "'office'", true),
        ("\"OFFICE\"", "'\"office\"'", false),
        ("\"Office\"", "'\"Office\"'", true),
    ] {
        let mut world = made(name);
        let text = format!("ALTER ACCOUNT SET NETWORK_POLICY = {string}");
        let result = world.run(Snowflake, &text);
        assert_eq!(result.is_ok(), is_found, "made as {name}: {text}");
        assert_eq!(world.state.policies[0].active, is_found, "{text}");
    }
}

#[test]
fn names_that_differ_by_case_alone_are_never_confused() {
    for (name, written) in [
        ("office", "\"Office\""),
        ("\"OFFICE\"", "\"office\""),
        ("\"Office\"", "\"OFFICE\""),
    ] {
        for create in ["CREATE", "CREATE OR REPLACE", "CREATE OR ALTER"] {
            let text = format!("{create} NETWORK POLICY {written} ALLOWED_IP_LIST=('10.0.0.1')");
            let messages = made(name).refused(Snowflake, &text);
            assert!(messages[0].ends_with("already exists."), "{messages:?}");
        }
        // It is not that other one, so it does not exist.
        let text = format!("CREATE NETWORK POLICY IF NOT EXISTS {written}");
        let messages = made(name).refused(Snowflake, &text);
        assert!(messages[0].ends_with("already exists."), "{messages:?}");
    }
    // In a state that holds both nevertheless, neither is meant by a bare name.
    let mut both = made("office");
    let mut other = both.state.policies[0].clone();
    other.name = Name::exact("OFFICE").unwrap();
    both.state.policies.push(other);
    let messages = both.refused(Snowflake, "DROP NETWORK POLICY office");
    assert_eq!(
        messages,
        ["'OFFICE' is ambiguous: several names differ from it by case alone"]
    );
    both.ok(Snowflake, "DROP NETWORK POLICY \"OFFICE\"");
    assert_eq!(both.state.policies[0].name.as_str(), "office");
}

/// Users and groups whose names differ by case alone.
struct Doubles;

impl Roles for Doubles {
    fn has_user(&self, name: &str) -> bool {
        ["eve", "EVE", "bob"].contains(&name)
    }

    fn has_group(&self, name: &str) -> bool {
        ["ops", "OPS"].contains(&name)
    }
}

#[test]
fn role_is_found_in_lower_case_unless_two_differ_by_case_alone() {
    for (role, expected) in [
        ("bob", Ok("user:bob")),
        ("BOB", Ok("user:bob")),
        ("\"BOB\"", Ok("user:bob")),
        ("\"Bob\"", Err("does not exist")),
        ("EVE", Err("ambiguous")),
        ("\"EVE\"", Ok("user:EVE")),
        ("\"eve\"", Ok("user:eve")),
        ("ops", Ok("group:ops")),
        ("OPS", Err("ambiguous")),
        ("\"OPS\"", Ok("group:OPS")),
    ] {
        let world = World::new();
        let text = format!("GRANT ATTACH POLICY ON ACCOUNT TO ROLE {role}");
        let mut statements = Statements::new(&text, Some(Snowflake)).unwrap();
        let statement = statements.next().unwrap().unwrap();
        let scene = Scene {
            state: &world.state,
            limits: Limits::default(),
            source: "x",
            roles: &Doubles,
            grants: &[],
            address: None,
            user: "root",
            fleet: None,
        };
        match (plan(&statement, &scene), expected) {
            (Ok(Action::Grant(grants)), Ok(to)) => assert_eq!(grants[0].to.to_string(), to),
            (Err(refusal), Err(says)) => {
                assert!(refusal.messages()[0].contains(says), "{refusal:?}");
            }
            (other, _) => panic!("{role}: {other:?}"),
        }
    }
}
