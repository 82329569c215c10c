use super::*;
use crate::model::Expectation;

fn set(source: &str, service: Option<&str>, port: Option<u16>, expect: Expectation) -> Change {
    Change::SetTest {
        source: source.into(),
        service: service.map(Into::into),
        port,
        expect,
        comment: None,
    }
}

fn remove(source: &str, service: Option<&str>, port: Option<u16>) -> Change {
    Change::RemoveTest {
        source: source.into(),
        service: service.map(Into::into),
        port,
    }
}

fn tests(state: &State) -> Vec<String> {
    state.tests.iter().map(ToString::to_string).collect()
}

#[test]
fn test_is_added_altered_and_removed_by_its_attempt() {
    let state = after(&[
        service("pg", &["5432"]),
        set("203.0.113.9", Some("PG"), None, Expectation::Pass),
        set("::ffff:192.0.2.1", None, Some(22), Expectation::Drop),
        set("192.0.2.1", None, None, Expectation::Drop),
        set("203.0.113.9", Some("pg"), None, Expectation::Drop),
    ]);
    assert_eq!(
        tests(&state),
        [
            "192.0.2.1 to the host is expected to drop",
            "192.0.2.1 to port 22 is expected to drop",
            "203.0.113.9 to pg is expected to drop",
        ]
    );
    let mut sorted = state.tests.clone();
    sorted.sort_by(|a, b| a.attempt.cmp(&b.attempt));
    assert_eq!(sorted, state.tests);
    let fewer = state
        .apply(&remove("192.0.2.1/32", None, Some(22)), &cx())
        .unwrap()
        .state;
    assert_eq!(fewer.tests.len(), 2);
    let (message, kind) = refused(&fewer, &remove("192.0.2.1", None, Some(22)));
    assert_eq!(message, "unknown policy test '192.0.2.1 to port 22'");
    assert_eq!(kind, ErrorKind::Unknown);
    for change in [
        set("192.0.2.1", None, Some(0), Expectation::Drop),
        remove("192.0.2.1", None, Some(0)),
    ] {
        let (message, kind) = refused(&state, &change);
        let expected = "invalid port or port range '0': ports are 1 to 65535";
        assert_eq!((message.as_str(), kind), (expected, ErrorKind::Invalid));
    }
}

#[test]
fn test_that_says_the_same_changes_nothing_and_keeps_its_place() {
    let text = "[[test]]\nsource = \"192.0.2.1\"\nexpect = \"pass\"\n";
    let file = Change::Apply {
        file: SourceText {
            name: "p.toml".into(),
            text: text.into(),
        },
        lists: vec![],
        skip_invalid: false,
        allow_empty: false,
        keep_others: true,
    };
    let state = after(&[file]);
    assert!(state.tests[0].place.is_some());
    let same = set("192.0.2.1", None, None, Expectation::Pass);
    assert_eq!(state.apply(&same, &cx()).unwrap().state, state);
}

#[test]
fn test_of_a_network_or_of_no_service_is_refused() {
    let state = State::empty();
    let network = set("192.0.2.0/24", None, None, Expectation::Pass);
    assert_eq!(
        refused(&state, &network).0,
        "'192.0.2.0/24' is a network; give one address"
    );
    let nowhere = set("192.0.2.1", Some("nowhere"), None, Expectation::Pass);
    assert_eq!(refused(&state, &nowhere).1, ErrorKind::Unknown);
    let malformed = set("192.0.2", None, None, Expectation::Pass);
    assert_eq!(refused(&state, &malformed).1, ErrorKind::Invalid);
}
