use super::*;
use crate::model::arbitrary::cx;
use crate::model::change::{Change, SourceText};

/// Reads a state whose service is on port 5432; `and` and modes come with the text.
fn state_of(toml: &str) -> State {
    let file = SourceText {
        name: "p.toml".into(),
        text: toml.into(),
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

fn host(toml: &str, source: &str) -> Reason {
    evaluate(&state_of(toml), None, source.parse().unwrap()).reason
}

fn service(toml: &str, source: &str) -> Reason {
    let state = state_of(toml);
    evaluate(&state, state.services.first(), source.parse().unwrap()).reason
}

#[test]
fn host_is_open_until_an_active_policy_governs_it() {
    assert_eq!(host("", "10.0.0.1"), Reason::NoPolicy);
    for idle in ["active = false", "bind = []"] {
        let toml = format!("[[policy]]\nname = \"one\"\nallow = []\n{idle}\n");
        assert_eq!(host(&toml, "10.0.0.1"), Reason::NoPolicy);
    }
}

#[test]
fn block_wins_over_any_allow_and_lists_are_merged() {
    let toml = r#"
        [[policy]]
        name = "one"
        allow = ["10.0.0.0/8"]
        block = ["10.1.0.0/16"]
        [[policy]]
        name = "two"
        allow = ["10.1.2.3", "2001:db8::/32"]
        [[policy]]
        name = "three"
        block = ["192.0.2.0/24"]
    "#;
    assert_eq!(host(toml, "10.0.0.1"), Reason::Allowed);
    assert_eq!(
        host(toml, "10.1.2.3"),
        Reason::Blocked,
        "however specific the allow"
    );
    assert_eq!(host(toml, "2001:db8::1"), Reason::Allowed);
    assert_eq!(host(toml, "192.0.2.1"), Reason::Blocked);
    assert_eq!(host(toml, "198.51.100.1"), Reason::NotAllowed);
}

#[test]
fn allow_list_denies_a_family_without_entries_and_empty_list_every_source() {
    let v4 = "[[policy]]\nname = \"one\"\nallow = [\"0.0.0.0/0\"]\n";
    assert_eq!(host(v4, "10.0.0.1"), Reason::Allowed);
    assert_eq!(host(v4, "::1"), Reason::NotAllowed);
    let none = "[[policy]]\nname = \"one\"\nallow = []\n";
    assert_eq!(host(none, "10.0.0.1"), Reason::NotAllowed);
    let block = "[[policy]]\nname = \"one\"\nblock = [\"10.0.0.0/8\"]\n";
    assert_eq!(host(block, "11.0.0.0"), Reason::NotBlocked);
}

#[test]
fn service_policies_replace_the_host_s_or_add_to_them() {
    let toml = |combine: &str, bind: &str| {
        format!(
            r#"
            [[service]]
            name = "pg_"
            ports = ["5432"]
            combine = "{combine}"
            [[policy]]
            name = "host_wide"
            block = ["10.0.0.0/8"]
            [[policy]]
            name = "own"
            allow = ["10.0.0.0/8", "11.0.0.0/8"]
            bind = ["{bind}"]
            "#
        )
    };
    let own = toml("override", "pg_");
    assert_eq!(service(&own, "10.0.0.1"), Reason::Allowed);
    assert_eq!(service(&own, "12.0.0.1"), Reason::NotAllowed);
    assert_eq!(
        host(&own, "12.0.0.1"),
        Reason::NotBlocked,
        "the host keeps its own"
    );
    let both = toml("and", "pg_");
    assert_eq!(service(&both, "10.0.0.1"), Reason::Blocked);
    assert_eq!(service(&both, "11.0.0.1"), Reason::Allowed);
    assert_eq!(service(&both, "12.0.0.1"), Reason::NotAllowed);
    let none = toml("override", "host");
    assert_eq!(
        service(&none, "10.0.0.1"),
        Reason::Blocked,
        "without own policies the host's"
    );
    assert_eq!(service(&none, "11.0.0.1"), Reason::Allowed);
}

#[test]
fn denial_drops_only_if_every_scope_involved_enforces() {
    let toml = |host: &str, own: &str| {
        format!(
            r#"
            [host]
            mode = "{host}"
            [[service]]
            name = "pg_"
            ports = ["5432"]
            combine = "and"
            mode = "{own}"
            [[policy]]
            name = "own"
            block = ["10.0.0.0/8"]
            bind = ["pg_"]
            [[policy]]
            name = "host_wide"
            allow = ["10.0.0.0/8"]
            "#
        )
    };
    use Reason::{Blocked, NotAllowed, ObservedBlocked, ObservedNotAllowed};
    for (host_mode, own_mode, by_own, by_host, on_host) in [
        ("enforce", "enforce", Blocked, NotAllowed, NotAllowed),
        (
            "observe",
            "enforce",
            Blocked,
            ObservedNotAllowed,
            ObservedNotAllowed,
        ),
        (
            "enforce",
            "observe",
            ObservedBlocked,
            ObservedNotAllowed,
            NotAllowed,
        ),
        (
            "observe",
            "observe",
            ObservedBlocked,
            ObservedNotAllowed,
            ObservedNotAllowed,
        ),
    ] {
        let toml = toml(host_mode, own_mode);
        assert_eq!(service(&toml, "10.0.0.1"), by_own, "{host_mode} {own_mode}");
        assert_eq!(
            service(&toml, "11.0.0.1"),
            by_host,
            "{host_mode} {own_mode}"
        );
        assert_eq!(host(&toml, "11.0.0.1"), on_host, "{host_mode} {own_mode}");
    }
}

#[test]
fn unclassified_packet_is_judged_by_the_strictest_scope() {
    let toml = |mode: &str| {
        format!(
            r#"
            [[service]]
            name = "pg_"
            ports = ["5432"]
            mode = "{mode}"
            [[service]]
            name = "lab"
            ports = ["8080"]
            mode = "observe"
            [[policy]]
            name = "host_wide"
            block = ["203.0.113.7"]
            [[policy]]
            name = "own"
            allow = ["10.0.0.0/8"]
            bind = ["pg_"]
            [[policy]]
            name = "trial"
            block = ["10.0.0.0/24"]
            bind = ["lab"]
            "#
        )
    };
    use Reason::{ObservedUnclassified, UnclassifiedDropped, UnclassifiedPassed};
    for (mode, source, scope, reason) in [
        ("enforce", "203.0.113.7", None, UnclassifiedDropped),
        ("enforce", "198.51.100.1", Some("pg_"), UnclassifiedDropped),
        ("enforce", "10.0.0.1", Some("lab"), ObservedUnclassified),
        ("enforce", "10.0.1.1", None, UnclassifiedPassed),
        ("observe", "203.0.113.7", None, UnclassifiedDropped),
        ("observe", "198.51.100.1", Some("pg_"), ObservedUnclassified),
    ] {
        let state = state_of(&toml(mode));
        let (by, said) = evaluate_unclassified(&state, source.parse().unwrap());
        let by = by.map(|service| service.name.as_str());
        assert_eq!((by, said), (scope, reason), "{mode} {source}");
    }
}

#[test]
fn explanation_names_the_most_specific_rule() {
    let state = state_of(
        r#"
        [[policy]]
        name = "one"
        block = ["10.0.0.0/8", "10.1.0.0/16"]
        [[policy]]
        name = "two"
        block = ["10.1.2.0/24", "10.1.0.0/16"]
        "#,
    );
    let text = |source: &str| {
        let verdict = evaluate(&state, None, source.parse().unwrap());
        let found = verdict.rule.unwrap().resolve(&state).unwrap();
        format!("{} {}", found.policy.name, found.rule.text())
    };
    assert_eq!(text("10.9.9.9"), "one 10.0.0.0/8");
    assert_eq!(text("10.1.9.9"), "one 10.1.0.0/16");
    assert_eq!(text("10.1.2.9"), "two 10.1.2.0/24");
    let elsewhere = RuleRef {
        policy: 0,
        list: ListKind::Allow,
        named: None,
        rule: 0,
    };
    assert_eq!(elsewhere.resolve(&state), None);
}

#[test]
fn exception_takes_a_source_out_of_its_own_policy_s_blocks() {
    let toml = r#"
        [[list]]
        name = "our-own"
        entries = ["10.9.0.0/16", "192.0.2.7"]
        [[list]]
        name = "bad-hosts"
        entries = ["192.0.2.0/24"]
        [[policy]]
        name = "one"
        block = ["10.0.0.0/8", "@bad-hosts"]
        except = ["10.1.0.0/16", "@our-own"]
        [[policy]]
        name = "two"
        block = ["10.1.2.3"]
    "#;
    for (source, reason) in [
        ("10.0.0.1", Reason::Blocked),
        ("10.1.0.1", Reason::NotBlocked),
        ("10.9.0.1", Reason::NotBlocked),
        ("192.0.2.7", Reason::NotBlocked),
        ("192.0.2.8", Reason::Blocked),
        ("10.1.2.3", Reason::Blocked),
    ] {
        assert_eq!(host(toml, source), reason, "{source}");
    }
    let state = state_of(toml);
    let rule = |source: &str| {
        let verdict = evaluate(&state, None, source.parse().unwrap());
        verdict.rule.unwrap().resolve(&state).unwrap().in_words()
    };
    assert_eq!(rule("10.1.2.3"), "'10.1.2.3' of policy 'two' (p.toml:14)");
}

#[test]
fn exception_does_not_allow() {
    let toml = r#"
        [[policy]]
        name = "one"
        allow = ["10.0.0.0/8"]
        block = ["10.1.0.0/16", "192.0.2.1"]
        except = ["10.1.2.0/24", "192.0.2.1"]
    "#;
    assert_eq!(host(toml, "10.1.2.3"), Reason::Allowed);
    assert_eq!(host(toml, "10.1.3.3"), Reason::Blocked);
    assert_eq!(host(toml, "192.0.2.1"), Reason::NotAllowed);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(300))]

    #[test]
    fn many_sources_are_judged_as_each_alone(
        state in crate::model::arbitrary::state(),
        more in proptest::collection::vec(proptest::prelude::any::<IpAddr>(), 8),
    ) {
        let mut sources: Vec<_> = crate::model::arbitrary::boundaries(&state).into_iter().collect();
        sources.extend(more);
        // In no order, and some twice.
        let third = sources.len() / 3;
        sources.rotate_left(third);
        sources.extend(sources.first().copied());
        let scopes = std::iter::once(None).chain(state.services.iter().map(Some));
        for service in scopes {
            let verdicts = evaluate_all(&state, service, &sources);
            for (source, verdict) in sources.iter().zip(verdicts) {
                proptest::prop_assert_eq!(verdict, evaluate(&state, service, *source), "{}", source);
            }
        }
    }
}
