use super::*;

#[test]
fn bind_and_unbind_change_the_bindings() {
    let state = after(&[
        create("one", None, &[]),
        service("pg_", &["5432"]),
        bind("one", Some("PG_")),
        unbind("one", None),
    ]);
    assert_eq!(state.policies[0].bindings.len(), 1);
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
fn policy_tests_of_a_service_are_removed_with_it() {
    let text = "[[test]]\nsource = \"10.0.0.1\"\nservice = \"pg\"\nexpect = \"pass\"\n\
                [[test]]\nsource = \"10.0.0.1\"\nexpect = \"pass\"\n";
    let tests = Change::Apply {
        file: SourceText {
            name: "p.toml".into(),
            text: text.into(),
        },
        lists: vec![],
        skip_invalid: false,
        allow_empty: false,
        keep_others: true,
    };
    let state = after(&[service("pg", &["5432"]), tests]);
    assert_eq!(state.tests.len(), 2);
    let remove = Change::RemoveService { name: "pg".into() };
    let applied = state.apply(&remove, &cx()).unwrap();
    assert_eq!(applied.state.tests.len(), 1);
    let warning = "1 policy test of service 'pg' removed with it";
    assert!(
        applied.warnings.iter().any(|text| text == warning),
        "{:?}",
        applied.warnings
    );
}

#[test]
fn new_service_gets_the_smallest_free_id() {
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
fn port_belongs_to_one_service_or_is_failsafe() {
    let state = after(&[service("pg_", &["5432", "7000-7010"])]);
    let (message, kind) = refused(&state, &service("web", &["7005-7020"]));
    assert!(
        message.contains("port 7005-7010 of service 'web' belongs to service 'pg_'"),
        "{message}"
    );
    assert_eq!(kind, ErrorKind::Conflict);
    // The one that is added claims what the other has, whatever their names.
    let (message, _) = refused(&state, &service("app", &["7005-7020"]));
    assert!(
        message.contains("port 7005-7010 of service 'app' belongs to service 'pg_'"),
        "{message}"
    );
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
        on_deny: None,
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
fn policy_that_governs_nothing_gives_a_warning() {
    let warned = |state: &State, change: &Change| state.apply(change, &cx()).unwrap().warnings;
    let set = |active| Change::SetActive {
        name: "one".into(),
        active,
    };
    let state = after(&[create("one", None, &[]), unbind("one", None)]);
    assert_eq!(warned(&state, &bind("one", None)), [""; 0]);
    let inactive = after(&[create("one", None, &[]), unbind("one", None), set(false)]);
    assert_eq!(
        warned(&inactive, &bind("one", None)),
        ["policy 'one' is inactive and governs nothing until `netpolicy policy activate one`"]
    );
    assert!(warned(&inactive, &set(true))[0].contains("is bound to nothing"));
}

#[test]
fn altered_service_keeps_what_is_not_named() {
    let alter = Change::AlterService {
        name: "PG_".into(),
        ports: None,
        combine: Some(Combine::And),
        mode: None,
        on_deny: None,
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
