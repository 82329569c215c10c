use super::*;
use crate::model::Name;
use crate::model::arbitrary::cx;
use crate::model::bypass::parse_source;
use crate::model::change::{Change, SourceText};

const TOML: &str = r#"
[[service]]
name = "pg_"
ports = ["5432"]
combine = "and"

[[policy]]
name = "office"
allow = ["10.0.0.0/8"]
block = ["10.9.0.1/16"]

[[policy]]
name = "database"
allow = ["10.0.0.0/9", "192.0.2.1"]
bind = ["pg_"]
"#;

fn state() -> State {
    let file = SourceText {
        name: "p.toml".into(),
        text: TOML.into(),
    };
    let change = Change::Apply {
        file,
        lists: vec![],
        skip_invalid: false,
        allow_empty: false,
        keep_others: false,
    };
    State::empty().apply(&change, &cx()).unwrap().state
}

fn explained(bypasses: &[Bypass], source: &str, port: Option<u16>) -> (Explanation, String) {
    let state = state();
    let explanation = explain(
        &state,
        bypasses,
        Timestamp::UNIX_EPOCH,
        source.parse().unwrap(),
        port,
    );
    let sentence = explanation.sentence(&state);
    (explanation, sentence)
}

#[test]
fn every_verdict_has_a_sentence_with_its_rule_and_place() {
    for (source, port, scope, reason, sentence) in [
        (
            "8.8.8.8",
            Some(22),
            "host",
            Reason::Failsafe,
            "port 22 is a failsafe port: nothing is judged there",
        ),
        (
            "10.0.0.1",
            None,
            "host",
            Reason::Allowed,
            "10.0.0.1 is on the allow list, by '10.0.0.0/8' of policy 'office' (p.toml:9)",
        ),
        (
            "::ffff:10.9.1.1",
            Some(80),
            "host",
            Reason::Blocked,
            "10.9.1.1 is on the block list, by '10.9.0.1/16' of policy 'office' (p.toml:10)",
        ),
        (
            "8.8.8.8",
            Some(80),
            "host",
            Reason::NotAllowed,
            "8.8.8.8 is not on the allow list of office",
        ),
        (
            "8.8.8.8",
            Some(5432),
            "pg_",
            Reason::NotAllowed,
            "8.8.8.8 is not on the allow list of database",
        ),
        (
            "192.0.2.1",
            Some(5432),
            "pg_",
            Reason::NotAllowed,
            "192.0.2.1 is not on the allow list of office",
        ),
    ] {
        let (explanation, found) = explained(&[], source, port);
        assert_eq!(found, sentence);
        assert_eq!(explanation.reason, reason, "{sentence}");
        assert_eq!(explanation.scope_name, scope, "{sentence}");
    }
}

#[test]
fn only_consulted_policies_are_listed() {
    let names = |source: &str, port| {
        let state = state();
        let (explanation, _) = explained(&[], source, port);
        let policies = explanation
            .consulted
            .iter()
            .map(|&index| state.policies[index].name.to_string());
        policies.collect::<Vec<_>>()
    };
    assert_eq!(names("10.0.0.1", None), ["office"]);
    assert_eq!(names("10.0.0.1", Some(5432)), ["database", "office"]);
    assert_eq!(
        names("8.8.8.8", Some(5432)),
        ["database"],
        "the service's own denied"
    );
    assert!(names("8.8.8.8", Some(22)).is_empty());
}

#[test]
fn bypass_precedes_the_policies_until_it_expires() {
    let mut bypass = Bypass {
        source: parse_source("8.8.8.0/24").unwrap(),
        service: Some(Name::new("pg_").unwrap()),
        granted: Timestamp::UNIX_EPOCH,
        expires: Timestamp::from_second(60).unwrap(),
        granted_by: "root".into(),
    };
    let reason = |bypass: &Bypass, port| {
        explained(std::slice::from_ref(bypass), "8.8.8.8", port)
            .0
            .reason
    };
    assert_eq!(reason(&bypass, Some(5432)), Reason::Bypass);
    assert_eq!(reason(&bypass, Some(80)), Reason::NotAllowed);
    bypass.service = None;
    assert_eq!(reason(&bypass, Some(80)), Reason::Bypass);
    assert_eq!(reason(&bypass, Some(5432)), Reason::Bypass);
    assert_eq!(reason(&bypass, Some(22)), Reason::Failsafe);
    bypass.expires = Timestamp::UNIX_EPOCH;
    assert_eq!(reason(&bypass, Some(80)), Reason::NotAllowed);
}

#[test]
fn exception_is_named_with_the_block_that_it_takes_the_source_out_of() {
    let text = r#"
[[policy]]
name = "abuse"
block = [{ address = "198.51.100.0/24", comment = "scanners" }]
except = ["198.51.100.7"]
[[policy]]
name = "other"
block = ["198.51.100.7"]
active = false
"#;
    let file = SourceText {
        name: "p.toml".into(),
        text: text.into(),
    };
    let state = |file: SourceText| {
        crate::model::file::parse(&file, &[], false, &cx())
            .unwrap()
            .state
    };
    let sentence = |state: &State| {
        let source = "198.51.100.7".parse().unwrap();
        explain(state, &[], Timestamp::UNIX_EPOCH, source, None).sentence(state)
    };
    assert_eq!(
        sentence(&state(file.clone())),
        "198.51.100.7 is not blocked, and no consulted policy has an allow list; \
         '198.51.100.0/24' of policy 'abuse' (p.toml:4: scanners) does not block it, excepted by \
         '198.51.100.7' of policy 'abuse' (p.toml:5)"
    );
    let active = SourceText {
        text: text.replace("active = false", "active = true"),
        ..file
    };
    assert!(sentence(&state(active)).starts_with(
        "198.51.100.7 is on the block list, by '198.51.100.7' of policy 'other' (p.toml:8); "
    ));
}
