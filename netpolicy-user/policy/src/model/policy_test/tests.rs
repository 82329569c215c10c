use super::*;
use crate::model::arbitrary::cx;
use crate::model::{Change, ModelErrors, SourceText, evaluate, file, plan};

fn read(text: &str) -> Result<State, ModelErrors> {
    let file = SourceText {
        name: "p.toml".into(),
        text: text.into(),
    };
    Ok(file::parse(&file, &[], false, &cx())?.state)
}

fn failing(text: &str) -> Vec<String> {
    let state = read(text).unwrap();
    let failed = state.failing_tests(|service, source| evaluate(&state, service, source).reason);
    failed.into_iter().map(|test| test.message).collect()
}

const POLICIES: &str = r#"
[[service]]
name = "postgres"
ports = ["5432", "6432"]
[[policy]]
name = "office"
allow = ["192.0.2.0/24"]
block = ["192.0.2.66"]
bind = ["postgres"]
"#;

#[test]
fn test_that_holds_says_nothing() {
    let tests = r#"
[[test]]
source = "192.0.2.1"
service = "postgres"
expect = "pass"
[[test]]
source = "192.0.2.66"
service = "postgres"
port = 6432
expect = "drop"
[[test]]
source = "192.0.2.66"
expect = "pass"
[[test]]
source = "192.0.2.66"
port = 22
expect = "pass"
"#;
    assert_eq!(failing(&format!("{POLICIES}{tests}")), [""; 0]);
}

#[test]
fn test_that_fails_names_its_place_and_the_rule_that_decided() {
    let tests = r#"
[[test]]
source = "192.0.2.66"
service = "postgres"
expect = "pass"
[[test]]
source = "198.51.100.7"
port = 5432
expect = "pass"
[[test]]
source = "192.0.2.1"
service = "postgres"
expect = "drop"
"#;
    assert_eq!(
        failing(&format!("{POLICIES}{tests}")),
        [
            "p.toml:19:1: policy test failed: 192.0.2.1 to postgres is expected to drop, but it passes: 192.0.2.1 is on the allow list, by '192.0.2.0/24' of policy 'office' (p.toml:7)",
            "p.toml:11:1: policy test failed: 192.0.2.66 to postgres is expected to pass, but it is dropped: 192.0.2.66 is on the block list, by '192.0.2.66' of policy 'office' (p.toml:8)",
            "p.toml:15:1: policy test failed: 198.51.100.7 to port 5432 is expected to pass, but it is dropped: 198.51.100.7 is not on the allow list of office",
        ]
    );
}

#[test]
fn observed_scope_is_tested_as_if_it_enforced() {
    let test = "[host]\nmode = \"observe\"\n[[policy]]\nname = \"one\"\nblock = [\"192.0.2.1\"]\n[[test]]\nsource = \"192.0.2.1\"\nexpect = \"drop\"\n";
    assert_eq!(failing(test), [""; 0]);
}

#[test]
fn bad_tests_are_reported_with_their_places() {
    let text = format!(
        "{POLICIES}[[test]]\nsource = \"10.0.0.0/8\"\nexpect = \"drop\"\n[[test]]\nsource = \"10.0.0.1\"\nexpect = \"deny\"\nport = 0\n[[test]]\nservice = \"mysql\"\nsource = \"10.0.0.2\"\nexpect = \"drop\"\n[[test]]\nsource = \"10.0.0.3\"\nexpect = \"drop\"\n[[test]]\nsource = \"10.0.0.3\"\nexpect = \"pass\"\n"
    );
    let errors = read(&text).unwrap_err().to_string();
    for expected in [
        "p.toml:11:10: '10.0.0.0/8' is a network; give one address",
        "p.toml:15:10: 'expect' is 'deny'; expected \"drop\" or \"pass\"",
        "p.toml:16:8: invalid port or port range '0'",
        "p.toml:17:1: unknown service 'mysql'",
        "p.toml:24:1: a second test of 10.0.0.3 to the host (p.toml:21:1); remove one of them",
    ] {
        assert!(errors.contains(expected), "{expected}\n{errors}");
    }
}

#[test]
fn tests_are_exported_and_planned() {
    let test = "[[test]]\nsource = \"192.0.2.1\"\nservice = \"postgres\"\nport = 5432\nexpect = \"pass\"\ncomment = \"the office\"\n";
    let state = read(&format!("{POLICIES}{test}")).unwrap();
    let text = file::export(&state);
    assert!(text.ends_with(&format!("\n{test}")), "{text}");
    let again = read(&text).unwrap();
    assert!(plan(&state, &again).is_empty());
    let without = read(POLICIES).unwrap();
    let items = plan(&state, &without);
    assert_eq!(items[0].subject, "test 192.0.2.1 to postgres port 5432");
    assert_eq!(
        plan(&without, &state)[0].details,
        ["expect: pass", "comment: the office"]
    );
}

#[test]
fn unnamed_tests_are_kept_where_others_are_kept() {
    let state = read(&format!(
        "{POLICIES}[[test]]\nsource = \"192.0.2.1\"\nservice = \"postgres\"\nexpect = \"pass\"\n"
    ))
    .unwrap();
    let change = |keep_others| {
        Change::Apply {
        file: SourceText {
            name: "q.toml".into(),
            text: "[[test]]\nsource = \"192.0.2.2\"\nservice = \"postgres\"\nexpect = \"pass\"\n[[service]]\nname = \"postgres\"\nports = [\"5432\"]\n".into(),
        },
        lists: vec![],
        skip_invalid: false,
        allow_empty: false,
        keep_others,
    }
    };
    assert_eq!(
        state.apply(&change(true), &cx()).unwrap().state.tests.len(),
        2
    );
    assert_eq!(
        state
            .apply(&change(false), &cx())
            .unwrap()
            .state
            .tests
            .len(),
        1
    );
}
