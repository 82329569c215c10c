use super::*;

#[test]
fn lists_are_edited_by_the_meaning_of_rules() {
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
}

#[test]
fn repeated_edit_changes_nothing_and_is_warned_of() {
    let state = after(&[
        create("one", Some(&["10.1.0.0/16"]), &["10.9.9.9"]),
        Change::CreateList {
            name: "bad-hosts".into(),
            entries: items(&["10.0.0.1"]),
            comment: None,
            replace: false,
            network_rule: None,
        },
    ]);
    let list = |edit| Change::AlterList {
        name: "bad-hosts".into(),
        entries: edit,
        comment: None,
        values: None,
    };
    for (change, expected) in [
        (
            alter("one", edit(&["10.1.0.1/16"], &[]), ListEdit::Keep),
            "--add-allow: '10.1.0.1/16' is on the allow list of policy 'one' already (--allow): nothing to add",
        ),
        (
            alter("one", ListEdit::Keep, edit(&[], &["10.1.0.0/16"])),
            "--remove-block: '10.1.0.0/16' is not on the block list of policy 'one': nothing to remove",
        ),
        (
            alter("one", ListEdit::Keep, edit(&[], &["@bad-hosts"])),
            "the block list of policy 'one' does not refer to @bad-hosts: nothing to remove",
        ),
        (
            except("one", edit(&[], &["10.1.0.0/16"])),
            "--remove-except: '10.1.0.0/16' is not on the exception list of policy 'one': nothing to remove",
        ),
        (
            list(edit(&["10.0.0.1/32"], &[])),
            "netpolicy list add: '10.0.0.1/32' is on list 'bad-hosts' already (netpolicy list create): nothing to add",
        ),
        (
            list(edit(&[], &["10.0.0.2"])),
            "netpolicy list remove: '10.0.0.2' is not on list 'bad-hosts': nothing to remove",
        ),
        (
            unbind("one", Some("pg_")),
            "policy 'one' is not bound to service 'pg_': nothing to unbind",
        ),
    ] {
        let state = state
            .apply(&service("pg_", &["5432"]), &cx())
            .unwrap()
            .state;
        let applied = state.apply(&change, &cx()).unwrap();
        assert_eq!(applied.state, state, "{change:?}");
        let warnings = applied.warnings.iter();
        let said = warnings.filter(|warning| !warning.contains("host bits"));
        assert_eq!(said.collect::<Vec<_>>(), [expected]);
    }
    let refer = alter("one", ListEdit::Keep, edit(&["@bad-hosts"], &[]));
    let state = state.apply(&refer, &cx()).unwrap().state;
    let again = state.apply(&refer, &cx()).unwrap();
    assert_eq!(again.state, state);
    assert_eq!(
        again.warnings,
        ["the block list of policy 'one' refers to @bad-hosts already: nothing to add"]
    );
}

#[test]
fn added_rules_get_a_name_and_a_comment_and_so_do_rules_that_are_there() {
    let state = after(&[create("one", None, &["10.0.0.1", "10.0.0.2"])]);
    let add = ListInput {
        name: Some("scanner".into()),
        comment: Some("seen in May".into()),
        ..items(&["10.0.0.2", "10.0.0.3"])
    };
    let change = alter(
        "one",
        ListEdit::Keep,
        ListEdit::Edit {
            add,
            remove: ListInput::default(),
        },
    );
    let applied = state.apply(&change, &cx()).unwrap();
    assert!(applied.warnings.is_empty(), "{:?}", applied.warnings);
    let block = &applied.state.policies[0].block;
    let found: Vec<_> = block
        .iter()
        .map(|rule| (rule.text().into_owned(), rule.name(), rule.comment()))
        .collect();
    let noted = (Some("scanner"), Some("seen in May"));
    assert_eq!(
        found,
        [
            ("10.0.0.1".to_owned(), None, None),
            ("10.0.0.2".to_owned(), noted.0, noted.1),
            ("10.0.0.3".to_owned(), noted.0, noted.1),
        ]
    );
    let again = applied.state.apply(&change, &cx()).unwrap();
    assert_eq!(again.state, applied.state);
    assert_eq!(again.warnings.len(), 2);
    // Comments of a file stand before the one for all.
    let file = SourceText {
        name: "l.txt".into(),
        text: "10.0.0.4 # SBL4\n10.0.0.5\n".into(),
    };
    let add = ListInput {
        files: vec![file],
        comment: Some("from the feed".into()),
        ..ListInput::default()
    };
    let edit = ListEdit::Edit {
        add,
        remove: ListInput::default(),
    };
    let state = state.apply(&alter("one", ListEdit::Keep, edit), &cx());
    let block = &state.unwrap().state.policies[0].block;
    assert_eq!(block[2].comment(), Some("SBL4"));
    assert_eq!(block[3].comment(), Some("from the feed"));
}

#[test]
fn exceptions_are_edited_as_lists_are() {
    let state = after(&[
        Change::CreateList {
            name: "our-own".into(),
            entries: items(&["192.0.2.0/24"]),
            comment: None,
            replace: false,
            network_rule: None,
        },
        create("one", None, &["10.0.0.0/8"]),
        except("one", edit(&["10.1.0.0/16", "@our-own"], &[])),
    ]);
    let policy = &state.policies[0];
    assert_eq!(policy.except[0].text(), "10.1.0.0/16");
    assert_eq!(policy.except_lists, [state.lists[0].name.clone()]);
    let drop = Change::DropList {
        name: "our-own".into(),
    };
    assert!(refused(&state, &drop).0.contains("in use by policy one"));
    let set = ListEdit::Set {
        list: items(&["::1"]),
    };
    let set = state.apply(&except("one", set), &cx()).unwrap().state;
    assert_eq!(set.policies[0].except[0].text(), "::1");
    assert!(set.policies[0].except_lists.is_empty());
    let none = state.apply(&except("one", ListEdit::Any), &cx()).unwrap();
    assert!(!none.state.policies[0].has_exceptions());
    let details = &plan(&none.state, &state)[0].details;
    assert_eq!(*details, ["+ except @our-own", "+ except 10.1.0.0/16"]);
}

#[test]
fn allow_part_becomes_only_by_an_addition_and_any_on_request() {
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
        emptied.policies[0]
            .allow_list()
            .map(crate::model::RuleList::len),
        Some(0),
        "only [] denies every source"
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
fn added_range_adds_only_missing_networks() {
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
    assert!(edited.policies[1].block.ptr_eq(&state.policies[1].block));
    let plan = plan(&state, &edited);
    assert_eq!(plan.len(), 1);
    assert_eq!(plan[0].details, ["+ allow 240.0.0.1"]);
}
