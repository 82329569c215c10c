use super::*;

#[test]
fn new_policy_is_active_and_bound_to_the_host_by_default() {
    let state = after(&[
        service("pg_", &["5432"]),
        create("Office", Some(&["10.0.0.1/24"]), &["10.0.0.9"]),
        Change::CreatePolicy {
            name: "other".into(),
            allow: None,
            block: ListInput::default(),
            comment: Some("why".into()),
            inactive: true,
            mode: Default::default(),
            services: vec!["PG_".into()],
            unbound: false,
            replace: false,
            except: Default::default(),
            compat: Default::default(),
        },
    ]);
    let office = state.policy("OFFICE").unwrap();
    assert!(office.active && office.owner == "tester");
    assert_eq!(
        office
            .bindings
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["host"]
    );
    assert_eq!(
        office.block.place(&office.block[0]).unwrap().to_string(),
        "--block"
    );
    let other = state.policy("other").unwrap();
    assert!(!other.active && other.allow == AllowPart::Any);
    assert_eq!(
        other
            .bindings
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["pg_"]
    );
    assert_eq!(state.rule_count(), 2);
}

#[test]
fn change_with_errors_reports_all_and_has_no_effect() {
    let state = after(&[create("one", None, &[])]);
    let change = Change::CreatePolicy {
        name: "a+b".into(),
        allow: Some(items(&["10.0.0.0/33", "10.0.0.1", "10.0.0.1/32"])),
        block: items(&["::/0"]),
        comment: Some("x".repeat(5000)),
        inactive: false,
        mode: Default::default(),
        services: vec!["pg_".into()],
        unbound: false,
        replace: false,
        except: Default::default(),
        compat: Default::default(),
    };
    let errors = state.apply(&change, &cx()).unwrap_err();
    let messages = errors.messages();
    for expected in [
        "the name 'a+b' holds '+'",
        "--allow: '10.0.0.0/33' is not an address",
        "--allow: '10.0.0.1/32' is on the list already, as '10.0.0.1' (--allow)",
        "--block: a blocked ::/0 denies every IPv6 source",
        "a comment of 5000 characters",
        "unknown service 'pg_'",
    ] {
        assert!(
            messages.iter().any(|message| message.starts_with(expected)),
            "{messages:#?}"
        );
    }
    assert_eq!(messages.len(), 6);
    assert_eq!(errors.kind(), ErrorKind::Invalid);
}

#[test]
fn names_are_unique_whatever_their_case_and_apart_for_services() {
    let state = after(&[create("one", None, &[]), service("one", &["80"])]);
    let (message, kind) = refused(&state, &create("ONE", None, &[]));
    assert!(
        message.starts_with("policy 'one' exists already"),
        "{message}"
    );
    assert_eq!(kind, ErrorKind::Conflict);
    assert!(
        refused(&state, &service("One", &["81"]))
            .0
            .starts_with("service 'one' exists")
    );
    assert!(
        refused(&state, &service("HOST", &["81"]))
            .0
            .contains("cannot be named 'host'")
    );
}

#[test]
fn unknown_name_is_refused_with_the_closest_one() {
    let state = after(&[create("office", None, &[])]);
    for change in [
        Change::DropPolicy {
            name: "ofice".into(),
        },
        Change::SetActive {
            name: "ofice".into(),
            active: true,
        },
        Change::RenamePolicy {
            name: "ofice".into(),
            to: "new".into(),
        },
        alter("ofice", ListEdit::Keep, ListEdit::Keep),
        bind("ofice", None),
        unbind("ofice", None),
    ] {
        let (message, kind) = refused(&state, &change);
        assert_eq!(message, "unknown policy 'ofice'; did you mean 'office'?");
        assert_eq!(kind, ErrorKind::Unknown);
    }
    assert_eq!(
        refused(&state, &bind("office", Some("pg"))).0,
        "unknown service 'pg'"
    );
    assert_eq!(
        refused(&state, &Change::RemoveService { name: "pg".into() }).1,
        ErrorKind::Unknown
    );
}

#[test]
fn comments_are_replaced_and_removed() {
    let comment = |text: &str| Change::AlterPolicy {
        name: "one".into(),
        allow: ListEdit::Keep,
        block: ListEdit::Keep,
        comment: Some(text.into()),
        except: Default::default(),
        compat: Default::default(),
    };
    let state = after(&[create("one", None, &[]), comment("why")]);
    assert_eq!(state.policies[0].comment.as_deref(), Some("why"));
    let state = state.apply(&comment(""), &cx()).unwrap().state;
    assert_eq!(state.policies[0].comment, None);
}

#[test]
fn policy_cannot_be_renamed_to_an_existing_name() {
    let state = after(&[create("one", None, &[]), create("two", None, &[])]);
    let rename = |to: &str| Change::RenamePolicy {
        name: "one".into(),
        to: to.into(),
    };
    let renamed = state.apply(&rename("zzz"), &cx()).unwrap().state;
    assert_eq!(
        renamed.policies[1].name.as_str(),
        "zzz",
        "policies stay sorted"
    );
    assert_eq!(state.apply(&rename("ONE"), &cx()).unwrap().state, state);
    assert_eq!(refused(&state, &rename("Two")).1, ErrorKind::Conflict);
    assert_eq!(refused(&state, &rename("x")).1, ErrorKind::Invalid);
}

#[test]
fn changes_without_effect_leave_the_state_equal() {
    let state = after(&[create("one", None, &[])]);
    let later = ChangeContext {
        now: Timestamp::MAX,
        ..cx()
    };
    for change in [
        bind("one", None),
        Change::SetActive {
            name: "one".into(),
            active: true,
        },
        Change::SetHost {
            mode: None,
            on_deny: None,
            failsafe_ports: Some(vec!["22".into()]),
        },
    ] {
        assert_eq!(state.apply(&change, &later).unwrap().state, state);
    }
    let off = Change::SetActive {
        name: "one".into(),
        active: false,
    };
    let off = state.apply(&off, &later).unwrap().state;
    assert_eq!(off.policies[0].altered, Timestamp::MAX);
    assert_eq!(off.policies[0].created, state.policies[0].created);
}
