//! Named lists and references to them.

use super::*;
use crate::model::{ListKind, NetworkRule, ReferenceEdit, RuleList};

fn list(name: &str, entries: &[&str]) -> Change {
    Change::CreateList {
        name: name.into(),
        entries: items(entries),
        comment: None,
        replace: false,
        network_rule: None,
    }
}

fn edit_list(name: &str, entries: ListEdit) -> Change {
    Change::AlterList {
        name: name.into(),
        entries,
        comment: None,
        values: None,
    }
}

fn rule(name: &str, kind: &str, entries: &[&str]) -> Change {
    Change::CreateList {
        name: name.into(),
        entries: items(entries),
        comment: None,
        replace: false,
        network_rule: Some(NetworkRule {
            kind: kind.into(),
            mode: "INGRESS".into(),
            ..NetworkRule::default()
        }),
    }
}

fn names(policy: &Policy, kind: ListKind) -> Vec<&str> {
    policy.lists(kind).iter().map(Name::as_str).collect()
}

#[test]
fn one_list_serves_many_policies_on_either_side() {
    let state = after(&[
        list("bad-hosts", &["203.0.113.9", "2001:db8::/64"]),
        list("offices", &["10.0.0.0/8"]),
        create("one", None, &["@bad-hosts", "198.51.100.7"]),
        create("two", Some(&["@OFFICES"]), &["@bad-hosts"]),
    ]);
    let [one, two] = &*state.policies else {
        panic!("{state:?}");
    };
    assert_eq!(names(one, ListKind::Block), ["bad-hosts"]);
    assert_eq!(one.block.len(), 1);
    assert_eq!(one.allow, AllowPart::Any);
    assert_eq!(names(two, ListKind::Allow), ["offices"]);
    assert_eq!(two.allow, AllowPart::Only(RuleList::default()));
    assert_eq!(state.rule_count(), 4, "a list's entries once");

    // An edit of the list leaves the policies as they were.
    let new = state
        .apply(
            &edit_list("bad-hosts", edit(&["192.0.2.1"], &["203.0.113.9"])),
            &cx(),
        )
        .unwrap()
        .state;
    assert_eq!(new.policies, state.policies);
    assert_eq!(new.lists[0].len(), 2);
    let plan = plan(&state, &new);
    assert_eq!(plan.len(), 1);
    assert_eq!(plan[0].subject, "list bad-hosts");
    assert_eq!(
        plan[0].details,
        ["- entry 203.0.113.9", "+ entry 192.0.2.1"]
    );
}

#[test]
fn references_are_added_removed_and_replaced() {
    let state = after(&[
        list("one-list", &["10.0.0.1"]),
        list("two-list", &["10.0.0.2"]),
        create("pol", None, &["@one-list", "10.9.9.9"]),
    ]);
    let changed = |change: &Change| state.apply(change, &cx()).unwrap().state;
    let edited = changed(&alter(
        "pol",
        edit(&["@two-list"], &[]),
        edit(&["@two-list"], &["@one-list"]),
    ));
    let policy = &edited.policies[0];
    assert_eq!(names(policy, ListKind::Allow), ["two-list"]);
    assert_eq!(names(policy, ListKind::Block), ["two-list"]);
    assert_eq!(policy.allow, AllowPart::Only(RuleList::default()));
    assert_eq!(policy.block.len(), 1, "its own rules stay");
    assert_eq!(
        plan(&state, &edited)[0].details,
        [
            "allow: any -> only these",
            "+ allow @two-list",
            "- block @one-list",
            "+ block @two-list"
        ]
    );
    let set = ListEdit::Set {
        list: items(&["10.0.0.7"]),
    };
    let replaced = changed(&alter("pol", ListEdit::Keep, set));
    assert_eq!(names(&replaced.policies[0], ListKind::Block), [""; 0]);
    let emptied = changed(&alter("pol", ListEdit::Keep, ListEdit::Any));
    assert!(emptied.policies[0].block_lists.is_empty() && emptied.policies[0].block.is_empty());
    // By themselves, without the policy's own rules.
    let alone = changed(&Change::AlterReferences {
        policy: "pol".into(),
        list: ListKind::Block,
        edit: ReferenceEdit::Set {
            lists: vec!["@two-list".into()],
        },
    });
    assert_eq!(names(&alone.policies[0], ListKind::Block), ["two-list"]);
    assert_eq!(alone.policies[0].block, state.policies[0].block);
}

#[test]
fn list_in_use_is_not_dropped_and_its_policies_are_named() {
    let state = after(&[
        list("shared", &["10.0.0.1"]),
        create("one", None, &["@shared"]),
        create("two", Some(&["@shared"]), &[]),
    ]);
    let drop = Change::DropList {
        name: "SHARED".into(),
    };
    let (message, kind) = refused(&state, &drop);
    assert_eq!(
        message,
        "list 'shared' is in use by policies one, two; end their references to it first"
    );
    assert_eq!(kind, ErrorKind::Conflict);
    let free = [
        alter("one", ListEdit::Keep, edit(&[], &["@shared"])),
        alter("two", edit(&[], &["@shared"]), ListEdit::Keep),
        drop,
    ];
    let free = state.apply_all(&free, &cx()).unwrap().state;
    assert!(free.lists.is_empty());
    // Nothing was allowed by anything else: it denies every source, and does not open.
    assert_eq!(free.policies[1].allow, AllowPart::Only(RuleList::default()));
}

#[test]
fn policies_go_on_referring_to_a_list_that_is_renamed_or_replaced() {
    let state = after(&[
        list("before", &["10.0.0.1"]),
        create("one", None, &["@before"]),
        Change::RenameList {
            name: "@before".into(),
            to: "after-it".into(),
        },
    ]);
    assert_eq!(names(&state.policies[0], ListKind::Block), ["after-it"]);
    let replace = Change::CreateList {
        name: "after-it".into(),
        entries: items(&["10.0.0.2"]),
        comment: Some("new".into()),
        replace: true,
        network_rule: None,
    };
    let replaced = state.apply(&replace, &cx()).unwrap().state;
    assert_eq!(replaced.policies, state.policies);
    assert_eq!(replaced.lists[0].entries[0].text(), "10.0.0.2");
}

#[test]
fn what_is_wrong_with_lists_and_references_is_said() {
    let state = after(&[
        list("bad-hosts", &["10.0.0.1"]),
        create("pol", None, &["@bad-hosts"]),
    ]);
    for (change, expected, kind) in [
        (
            create("new", None, &["@bad_hosts"]),
            "--block: unknown list 'bad_hosts'; did you mean 'bad-hosts'?",
            ErrorKind::Unknown,
        ),
        (
            create("new", None, &["@bad-hosts", "@bad-hosts"]),
            "--block: a second reference '@bad-hosts' (--block); remove one of them",
            ErrorKind::Conflict,
        ),
        (
            alter("pol", ListEdit::Keep, edit(&["@bad-hosts"], &[])),
            "the block list of policy 'pol' refers to list 'bad-hosts' already; leave it out",
            ErrorKind::Conflict,
        ),
        (
            alter("pol", edit(&[], &["@bad-hosts"]), ListEdit::Keep),
            "the allow list of policy 'pol' does not refer to list 'bad-hosts'; `netpolicy policy show pol` names the lists to which it refers",
            ErrorKind::Unknown,
        ),
        (
            list("other", &["@bad-hosts"]),
            "netpolicy list create: '@bad-hosts' refers to a list, but lists hold addresses alone; let policies refer to both lists",
            ErrorKind::Invalid,
        ),
        (
            list("BAD-hosts", &[]),
            "list 'bad-hosts' exists already, and names may not differ by case alone; choose another name or alter it",
            ErrorKind::Conflict,
        ),
        (
            edit_list("bad-hosts", edit(&["10.0.0.1/32"], &[])),
            "netpolicy list add: '10.0.0.1/32' is on list 'bad-hosts' already (netpolicy list create); leave it out",
            ErrorKind::Conflict,
        ),
        (
            edit_list("bad-hosts", edit(&[], &["10.0.0.2"])),
            "netpolicy list remove: '10.0.0.2' is not on list 'bad-hosts'; `netpolicy list show bad-hosts` lists its rules",
            ErrorKind::Unknown,
        ),
        (
            edit_list("bad-hosts", edit(&["0.0.0.0/0"], &[])),
            "list @bad-hosts holds 0.0.0.0/0, so policy 'pol' would deny every IPv4 source; take it off the list, or use --force if that is intended",
            ErrorKind::Invalid,
        ),
        (
            rule("ipv4_rule", "IPV4", &["10.0.0.1", "::1"]),
            "netpolicy list create: '::1' does not belong on list 'ipv4_rule', a network rule of type IPV4 and mode INGRESS; make a list of its own for it",
            ErrorKind::Invalid,
        ),
        (
            rule("endpoints", "AWSVPCEID", &["10.0.0.1"]),
            "netpolicy list create: '10.0.0.1' does not belong on list 'endpoints', a network rule of type AWSVPCEID and mode INGRESS; make a list of its own for it",
            ErrorKind::Invalid,
        ),
    ] {
        assert_eq!(refused(&state, &change), (expected.to_owned(), kind));
    }
}

#[test]
fn whole_family_of_a_network_rule_stands_for_what_is_not_allowed() {
    use crate::model::evaluate;
    let state = after(&[
        rule("office", "IPV4", &["192.0.2.0/24"]),
        rule("the_rest", "IPV4", &["0.0.0.0/0", "192.0.2.66"]),
        create("one", Some(&["@office"]), &["@the_rest"]),
        create("two", None, &["@the_rest"]),
    ]);
    let [_, rest] = &*state.lists else {
        panic!("{state:?}");
    };
    assert_eq!((rest.entries.len(), rest.every.len()), (1, 1));
    let with = |name: &str| {
        let change = Change::SetActive {
            name: name.into(),
            active: false,
        };
        state.apply(&change, &cx()).unwrap().state
    };
    let denies = |state: &State, source: &str| {
        evaluate(state, None, source.parse().unwrap())
            .reason
            .is_denial()
    };
    let one = with("two");
    assert!(!denies(&one, "192.0.2.1"), "on the allow list");
    assert!(denies(&one, "192.0.2.66") && denies(&one, "198.51.100.1"));
    // Where the policy allows any, it denies the family.
    let two = with("one");
    assert!(denies(&two, "192.0.2.1") && !denies(&two, "::1"));
}

#[test]
fn whole_family_is_refused_where_a_reference_or_the_entry_is_new() {
    let mut forced = cx();
    forced.force = true;
    let state = after(&[
        list("every", &["0.0.0.0/0"]),
        list("some", &["192.0.2.1"]),
        create("one", None, &["@some"]),
        create("two", None, &["@some"]),
    ]);
    let refer = |policy: &str| Change::AlterReferences {
        policy: policy.into(),
        list: ListKind::Block,
        edit: ReferenceEdit::Add {
            lists: vec!["every".into()],
        },
    };
    let state = state.apply(&refer("one"), &forced).unwrap().state;
    // What was accepted stays, whatever else becomes of the list and the policy.
    let edited = edit_list("every", edit(&["198.51.100.7"], &[]));
    let state = state.apply(&edited, &cx()).unwrap().state;
    // The reference is new, or the family.
    let (message, kind) = refused(&state, &refer("two"));
    assert!(
        message.contains("policy 'two' would deny every IPv4"),
        "{message}"
    );
    assert_eq!(kind, ErrorKind::Invalid);
    let (message, _) = refused(&state, &edit_list("every", edit(&["::/0"], &[])));
    assert!(
        message.contains("policy 'one' would deny every IPv6"),
        "{message}"
    );
}
