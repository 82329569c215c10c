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
