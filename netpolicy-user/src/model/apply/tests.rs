use super::*;
use crate::model::arbitrary::cx;
use crate::model::change::{ListEdit, ListInput, SourceText};
use crate::model::error::ErrorKind;
use crate::model::{AllowPart, Combine, Mode, Policy, plan};

fn items(items: &[&str]) -> ListInput {
    ListInput {
        items: items.iter().map(|&item| item.to_owned()).collect(),
        ..ListInput::default()
    }
}

fn create(name: &str, allow: Option<&[&str]>, block: &[&str]) -> Change {
    Change::CreatePolicy {
        name: name.into(),
        allow: allow.map(items),
        block: items(block),
        comment: None,
        inactive: false,
        services: vec![],
    }
}

fn alter(name: &str, allow: ListEdit, block: ListEdit) -> Change {
    Change::AlterPolicy {
        name: name.into(),
        allow,
        block,
        comment: None,
    }
}

fn edit(add: &[&str], remove: &[&str]) -> ListEdit {
    ListEdit::Edit {
        add: items(add),
        remove: items(remove),
    }
}

fn service(name: &str, ports: &[&str]) -> Change {
    Change::AddService {
        name: name.into(),
        ports: ports.iter().map(|&port| port.to_owned()).collect(),
        combine: Combine::Override,
        mode: Mode::Enforce,
        comment: None,
    }
}

fn bind(policy: &str, service: Option<&str>) -> Change {
    Change::Bind {
        policy: policy.into(),
        service: service.map(Into::into),
    }
}

fn unbind(policy: &str, service: Option<&str>) -> Change {
    Change::Unbind {
        policy: policy.into(),
        service: service.map(Into::into),
    }
}

fn after(changes: &[Change]) -> State {
    changes.iter().fold(State::empty(), |state, change| {
        state
            .apply(change, &cx())
            .unwrap_or_else(|errors| panic!("{change:?}: {errors}"))
            .state
    })
}

/// The only error, and its kind.
fn refused(state: &State, change: &Change) -> (String, ErrorKind) {
    let errors = state.apply(change, &cx()).unwrap_err();
    assert_eq!(errors.total(), 1, "{errors}");
    (errors.to_string(), errors.kind())
}

fn allow_texts(policy: &Policy) -> Vec<String> {
    policy
        .allow_list()
        .unwrap()
        .iter()
        .map(|rule| rule.text().into_owned())
        .collect()
}

#[test]
fn a_policy_is_active_and_bound_to_the_host_unless_told_otherwise() {
    let state = after(&[
        service("pg_", &["5432"]),
        create("Office", Some(&["10.0.0.1/24"]), &["10.0.0.9"]),
        Change::CreatePolicy {
            name: "other".into(),
            allow: None,
            block: ListInput::default(),
            comment: Some("why".into()),
            inactive: true,
            services: vec!["PG_".into()],
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
fn all_errors_of_a_change_are_reported_and_nothing_is_done() {
    let state = after(&[create("one", None, &[])]);
    let change = Change::CreatePolicy {
        name: "a-b".into(),
        allow: Some(items(&["10.0.0.0/33", "10.0.0.1", "10.0.0.1/32"])),
        block: items(&["::/0"]),
        comment: Some("x".repeat(5000)),
        inactive: false,
        services: vec!["pg_".into()],
    };
    let errors = state.apply(&change, &cx()).unwrap_err();
    let messages = errors.messages();
    for expected in [
        "the name 'a-b' holds '-'",
        "--allow: '10.0.0.0/33' is no address",
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
fn what_is_not_there_is_unknown_and_a_like_name_suggested() {
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
fn lists_are_edited_by_what_rules_mean() {
    let state = after(&[create(
        "one",
        Some(&["10.0.0.0/24", "::1", "10.1.0.0/16"]),
        &["10.9.9.9"],
    )]);
    let state = state.apply(
        &alter(
            "one",
            edit(&["10.2.0.1"], &["10.0.0.7/24", "0::1"]),
            ListEdit::Any,
        ),
        &cx(),
    );
    let applied = state.unwrap();
    assert!(applied.warnings.is_empty(), "removing masks in silence");
    let policy = &applied.state.policies[0];
    assert_eq!(allow_texts(policy), ["10.1.0.0/16", "10.2.0.1"]);
    let allow = policy.allow_list().unwrap();
    assert_eq!(allow.place(&allow[1]).unwrap().to_string(), "--add-allow");
    assert!(policy.block.is_empty());

    let (message, kind) = refused(
        &applied.state,
        &alter("one", edit(&["10.1.0.1/16"], &[]), ListEdit::Keep),
    );
    assert!(
        message.starts_with(
            "--add-allow: '10.1.0.1/16' is on the allow list of policy 'one' already (--allow)"
        ),
        "{message}"
    );
    assert_eq!(kind, ErrorKind::Conflict);
    let (message, kind) = refused(
        &applied.state,
        &alter("one", ListEdit::Keep, edit(&[], &["10.1.0.0/16"])),
    );
    assert!(
        message
            .starts_with("--remove-block: '10.1.0.0/16' is not on the block list of policy 'one'"),
        "{message}"
    );
    assert_eq!(kind, ErrorKind::Unknown);
}

#[test]
fn an_allow_part_becomes_only_when_something_is_added_and_any_on_request() {
    let state = after(&[create("one", None, &[])]);
    let one = state
        .apply(&alter("one", edit(&[], &[]), ListEdit::Keep), &cx())
        .unwrap()
        .state;
    assert_eq!(one, state, "an empty edit changes nothing");
    let one = state
        .apply(
            &alter("one", edit(&["10.0.0.1"], &[]), ListEdit::Keep),
            &cx(),
        )
        .unwrap()
        .state;
    let emptied = one
        .apply(
            &alter("one", edit(&[], &["10.0.0.1"]), ListEdit::Keep),
            &cx(),
        )
        .unwrap()
        .state;
    assert_eq!(
        emptied.policies[0].allow_list().map(|list| list.len()),
        Some(0),
        "only [] denies everybody"
    );
    let any = one
        .apply(&alter("one", ListEdit::Any, ListEdit::Keep), &cx())
        .unwrap()
        .state;
    assert_eq!(any.policies[0].allow, AllowPart::Any);
    let set = ListEdit::Set {
        list: items(&["::1"]),
    };
    let set = one
        .apply(&alter("one", set, ListEdit::Keep), &cx())
        .unwrap()
        .state;
    assert_eq!(allow_texts(&set.policies[0]), ["::1"]);
}

#[test]
fn a_range_adds_what_is_not_there_yet() {
    let state = after(&[
        create("one", Some(&["10.0.0.1"]), &[]),
        alter("one", edit(&["10.0.0.1-10.0.0.3"], &[]), ListEdit::Keep),
    ]);
    assert_eq!(allow_texts(&state.policies[0]), ["10.0.0.1", "10.0.0.2/31"]);
    let file = SourceText {
        name: "l.txt".into(),
        text: "10.0.0.1\n10.0.0.9\n".into(),
    };
    let add = ListInput {
        files: vec![file],
        skip_invalid: true,
        ..ListInput::default()
    };
    let tolerant = ListEdit::Edit {
        add,
        remove: ListInput::default(),
    };
    let applied = state
        .apply(&alter("one", tolerant, ListEdit::Keep), &cx())
        .unwrap();
    assert_eq!(applied.state.policies[0].rule_count(), 3);
    assert_eq!(applied.warnings.len(), 1);
}

#[test]
fn limits_hold_for_edits_and_policies() {
    let mut cx = cx();
    cx.limits.rules_per_list = 2;
    cx.limits.policies = 1;
    let state = after(&[create("one", Some(&["10.0.0.1", "10.0.0.2"]), &[])]);
    let errors = state
        .apply(&alter("one", edit(&["10.0.0.3"], &[]), ListEdit::Keep), &cx)
        .unwrap_err();
    assert!(
        errors
            .to_string()
            .contains("the allow list has more than 2 rules"),
        "{errors}"
    );
    let swap = alter("one", edit(&["10.0.0.3"], &["10.0.0.1"]), ListEdit::Keep);
    assert!(state.apply(&swap, &cx).is_ok());
    let errors = state.apply(&create("two", None, &[]), &cx).unwrap_err();
    assert!(
        errors
            .to_string()
            .starts_with("2 policies, but the limit is 1"),
        "{errors}"
    );
}

#[test]
fn comments_are_replaced_and_removed() {
    let comment = |text: &str| Change::AlterPolicy {
        name: "one".into(),
        allow: ListEdit::Keep,
        block: ListEdit::Keep,
        comment: Some(text.into()),
    };
    let state = after(&[create("one", None, &[]), comment("why")]);
    assert_eq!(state.policies[0].comment.as_deref(), Some("why"));
    let state = state.apply(&comment(""), &cx()).unwrap().state;
    assert_eq!(state.policies[0].comment, None);
}

#[test]
fn a_policy_may_be_renamed_but_not_to_anothers_name() {
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
fn changes_that_change_nothing_leave_the_state_equal() {
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

#[test]
fn bindings_come_and_go() {
    let state = after(&[
        create("one", None, &[]),
        service("pg_", &["5432"]),
        bind("one", Some("PG_")),
        unbind("one", None),
    ]);
    assert_eq!(state.policies[0].bindings.len(), 1);
    let (message, kind) = refused(&state, &unbind("one", None));
    assert!(
        message.starts_with("policy 'one' is not bound to the host"),
        "{message}"
    );
    assert_eq!(kind, ErrorKind::Unknown);
    let (message, kind) = refused(&state, &Change::RemoveService { name: "pg_".into() });
    assert_eq!(
        message,
        "service 'pg_' is in use by policy one; unbind or drop them first"
    );
    assert_eq!(kind, ErrorKind::Conflict);
    let state = state
        .apply(&unbind("one", Some("pg_")), &cx())
        .unwrap()
        .state;
    assert!(
        state.policies[0].bindings.is_empty(),
        "it governs nothing now"
    );
    assert!(
        state
            .apply(&Change::RemoveService { name: "pg_".into() }, &cx())
            .is_ok()
    );
}

#[test]
fn services_get_the_smallest_free_number() {
    let state = after(&[
        service("aaa", &["1"]),
        service("bbb", &["2"]),
        service("ccc", &["3"]),
        Change::RemoveService { name: "bbb".into() },
        service("ddd", &["4"]),
    ]);
    let ids: Vec<_> = state
        .services
        .iter()
        .map(|service| (service.name.as_str(), service.id))
        .collect();
    assert_eq!(ids, [("aaa", 1), ("ccc", 3), ("ddd", 2)]);

    let many: Vec<_> = (1..=255)
        .map(|i| service(&format!("svc{i}"), &[&(100 + i).to_string()]))
        .collect();
    let full = after(&many);
    assert_eq!(
        full.services.iter().map(|service| service.id).max(),
        Some(255)
    );
    let (message, _) = refused(&full, &service("more", &["9999"]));
    assert!(message.starts_with("more than 255 services"), "{message}");
}

#[test]
fn a_port_has_one_meaning() {
    let state = after(&[service("pg_", &["5432", "7000-7010"])]);
    let (message, kind) = refused(&state, &service("web", &["7005-7020"]));
    assert!(
        message.contains("port 7005-7010 of service 'web' belongs to service 'pg_'"),
        "{message}"
    );
    assert_eq!(kind, ErrorKind::Conflict);
    assert!(
        refused(&state, &service("ssh", &["22"]))
            .0
            .contains("is a failsafe port")
    );
    assert!(
        refused(&state, &service("bad", &["0"]))
            .0
            .contains("ports are 1 to 65535")
    );
    assert!(
        refused(&state, &service("bad", &["70000"]))
            .0
            .contains("ports are 1 to 65535")
    );
    assert!(
        refused(&state, &service("bad", &[]))
            .0
            .contains("has no ports")
    );
    let host = |ports: &[&str]| Change::SetHost {
        mode: None,
        failsafe_ports: Some(ports.iter().map(|&port| port.to_owned()).collect()),
    };
    assert!(
        refused(&state, &host(&["5432"]))
            .0
            .contains("port 5432 of service 'pg_' is a failsafe port")
    );
    let open = state.apply(&host(&[]), &cx()).unwrap().state;
    assert!(open.apply(&service("ssh", &["22"]), &cx()).is_ok());
}

#[test]
fn services_are_altered_in_part() {
    let alter = Change::AlterService {
        name: "PG_".into(),
        ports: None,
        combine: Some(Combine::And),
        mode: None,
        comment: Some("why".into()),
    };
    let before = after(&[service("pg_", &["5432"])]);
    let state = before.apply(&alter, &cx()).unwrap().state;
    let found = &state.services[0];
    assert_eq!(
        (found.ports.to_string().as_str(), found.id, found.combine),
        ("5432", 1, Combine::And)
    );
    let details: Vec<_> = plan(&before, &state)
        .into_iter()
        .flat_map(|item| item.details)
        .collect();
    assert_eq!(details, ["combine: override -> and", "comment: why"]);
}

#[test]
fn an_edit_of_one_rule_in_a_long_list_keeps_the_other_policies_lists_shared() {
    let long: Vec<String> = (0..50_000_u32)
        .map(|i| std::net::Ipv4Addr::from(i * 7).to_string())
        .collect();
    let long: Vec<&str> = long.iter().map(String::as_str).collect();
    let state = after(&[create("one", Some(&long), &[]), create("two", None, &long)]);
    let edited = state
        .apply(
            &alter("one", edit(&["240.0.0.1"], &[]), ListEdit::Keep),
            &cx(),
        )
        .unwrap()
        .state;
    assert!(std::ptr::eq(
        edited.policies[1].block.rules(),
        state.policies[1].block.rules()
    ));
    let plan = plan(&state, &edited);
    assert_eq!(plan.len(), 1);
    assert_eq!(plan[0].details, ["+ allow 240.0.0.1"]);
}
