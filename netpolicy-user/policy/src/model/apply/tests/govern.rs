//! Which policy governs a scope, its owner, and what stays when it is replaced.

use super::*;

fn govern(policy: Option<&str>, service: Option<&str>) -> Change {
    Change::Govern {
        policy: policy.map(Into::into),
        service: service.map(Into::into),
    }
}

/// "one: active host, pg" of each policy.
fn shape(state: &State) -> Vec<String> {
    let one = |policy: &Policy| {
        let bindings: Vec<_> = policy.bindings.iter().map(ToString::to_string).collect();
        let active = if policy.active { "active" } else { "inactive" };
        format!("{}: {active} {}", policy.name, bindings.join(", "))
    };
    let mut shapes: Vec<_> = state.policies.iter().map(one).collect();
    shapes.sort();
    shapes
}

fn on(state: &State, change: &Change) -> State {
    state
        .apply(change, &cx())
        .unwrap_or_else(|errors| panic!("{change:?}: {errors}"))
        .state
}

#[test]
fn policy_set_for_a_scope_replaces_the_others() {
    let state = after(&[
        service("pg", &["5432"]),
        create("one", None, &[]),
        create("two", None, &[]),
        bind("two", Some("pg")),
        create("three", None, &[]),
        Change::SetActive {
            name: "three".into(),
            active: false,
        },
        bind("three", Some("pg")),
    ]);
    // What was inactive begins to count there and nowhere else.
    let state = on(&state, &govern(Some("THREE"), None));
    assert_eq!(
        shape(&state),
        ["one: inactive ", "three: active host", "two: active pg"]
    );
    assert_eq!(on(&state, &govern(Some("three"), None)), state);
    let state = on(&state, &govern(Some("three"), Some("pg")));
    assert_eq!(
        shape(&state),
        ["one: inactive ", "three: active host, pg", "two: inactive "]
    );
    let state = on(&state, &govern(None, None));
    assert_eq!(
        shape(&state),
        ["one: inactive ", "three: active pg", "two: inactive "]
    );
    let (text, _) = refused(&state, &govern(Some("nope"), None));
    assert!(text.contains("unknown policy 'nope'"), "{text}");
    let (text, _) = refused(&state, &govern(None, Some("nope")));
    assert!(text.contains("unknown service 'nope'"), "{text}");
}

#[test]
fn observed_policy_governs_nothing_until_it_is_enforced() {
    let set = |mode| Change::SetMode {
        policy: "ONE".into(),
        mode,
    };
    let reason = |state: &State| {
        let source = "192.0.2.1".parse().unwrap();
        crate::model::evaluate(state, None, source).reason
    };
    let enforced = after(&[create("one", Some(&["10.0.0.0/8"]), &[])]);
    let observed = on(&enforced, &set(Mode::Observe));
    assert!(observed.policies[0].is_observed() && !observed.policies[0].is_in_force());
    assert_eq!(reason(&enforced), netpolicy_common::Reason::NotAllowed);
    assert_eq!(reason(&observed), netpolicy_common::Reason::NoPolicy);
    assert_eq!(on(&observed, &set(Mode::Enforce)), enforced);
    // What is to govern a scope does so.
    assert_eq!(on(&observed, &govern(Some("one"), None)), enforced);
    let activate = Change::SetActive {
        name: "one".into(),
        active: true,
    };
    let activated = observed.apply(&activate, &cx()).unwrap();
    assert_eq!(activated.state, observed);
    assert!(activated.warnings[0].contains("'one' is only observed"));
}

#[test]
fn replaced_policy_keeps_bindings_and_owner() {
    let state = after(&[
        service("pg", &["5432"]),
        create("one", Some(&["10.0.0.0/8"]), &["10.0.0.9"]),
        bind("one", Some("pg")),
        Change::SetOwner {
            policy: "one".into(),
            owner: "group:dba".into(),
        },
    ]);
    let before = shape(&state);
    let mut replacement = create("ONE", Some(&["192.0.2.1"]), &[]);
    if let Change::CreatePolicy { replace, .. } = &mut replacement {
        *replace = true;
    }
    let state = on(&state, &replacement);
    assert_eq!(shape(&state), before);
    let one = state.policy("one").unwrap();
    assert_eq!(one.owner, "group:dba");
    assert_eq!(allow_texts(one), ["192.0.2.1"]);
    assert!(one.block.is_empty());
}

#[test]
fn quoted_names_are_exact_and_differ_by_more_than_case() {
    let state = after(&[create("\"Head Office\"", None, &[])]);
    let renamed = Change::RenamePolicy {
        name: "\"Head Office\"".into(),
        to: "\"Branch\"".into(),
    };
    assert!(state.policy("\"Head Office\"").is_some());
    assert!(state.policy("\"head office\"").is_none());
    let state = on(&state, &renamed);
    assert!(state.policy("BRANCH").is_some());
    assert!(state.policy("\"branch\"").is_none());
    assert_eq!(
        state.policy("branch").unwrap().name.to_written(),
        "\"Branch\""
    );
    let (text, _) = refused(&state, &create("branch", None, &[]));
    assert!(text.contains("ranch"), "{text}");
}

#[test]
fn file_removes_or_keeps_what_it_does_not_name() {
    let state = after(&[
        service("pg", &["5432"]),
        create("one", None, &["10.0.0.1"]),
        create("two", None, &["10.0.0.2"]),
    ]);
    let file = |keep_others| Change::Apply {
        file: SourceText {
            name: "p.toml".into(),
            text: "[[policy]]\nname = \"two\"\nblock = [\"10.0.0.3\"]\n".into(),
        },
        lists: vec![],
        skip_invalid: false,
        allow_empty: false,
        keep_others,
    };
    let kept = on(&state, &file(true));
    assert!(kept.policy("one").is_some() && kept.service("pg").is_some());
    assert_eq!(kept.policy("two").unwrap().block[0].text(), "10.0.0.3");
    let pruned = on(&state, &file(false));
    assert!(pruned.policy("one").is_none() && pruned.service("pg").is_none());
    assert_eq!(pruned.policy("two"), kept.policy("two"));
    assert_eq!(on(&kept, &file(true)), kept, "twice is once");
}

#[test]
fn new_service_does_not_take_the_id_of_a_kept_one() {
    let state = after(&[service("pg", &["5432"]), service("web", &["443"])]);
    let file = Change::Apply {
        file: SourceText {
            name: "p.toml".into(),
            text: "[[service]]\nname = \"dns\"\nports = [53]\n".into(),
        },
        lists: vec![],
        skip_invalid: false,
        allow_empty: true,
        keep_others: true,
    };
    let kept = on(&state, &file);
    for name in ["pg", "web"] {
        assert_eq!(kept.service(name), state.service(name), "{name}");
    }
    assert_eq!(kept.service("dns").unwrap().id, 3);
}
