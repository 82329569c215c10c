//! Which changes require which privilege.

use super::*;
use crate::model::arbitrary::cx;
use crate::model::{Change, ChangeContext, ListEdit, ListInput};

fn grant(privilege: Privilege, to: &str) -> Grant {
    Grant {
        privilege,
        to: to.parse().unwrap(),
        policy: None,
        granted_by: "root".into(),
        granted: Timestamp::UNIX_EPOCH,
    }
}

fn rights(user: &str, groups: &[&str], grants: &[Grant]) -> Rights {
    let groups = groups.iter().map(|&group| group.to_owned()).collect();
    Rights::of(user, groups, false, grants)
}

fn create(name: &str, inactive: bool) -> Change {
    Change::CreatePolicy {
        name: name.into(),
        allow: None,
        block: ListInput {
            items: vec!["10.0.0.1".into()],
            ..ListInput::default()
        },
        comment: None,
        inactive,
        mode: Default::default(),
        services: Vec::new(),
        unbound: false,
        replace: false,
        except: Default::default(),
        compat: Default::default(),
    }
}

fn after(state: &State, actor: &str, change: &Change) -> State {
    let cx = ChangeContext { actor, ..cx() };
    state.apply(change, &cx).unwrap().state
}

fn lacks(rights: &Rights, state: &State, change: &Change) -> Vec<String> {
    rights.lacks(state, &after(state, &rights.user, change))
}

#[test]
fn new_policy_requires_create_and_activation_requires_attach() {
    let state = State::empty();
    let unprivileged = rights("eve", &[], &[]);
    assert_eq!(
        lacks(&unprivileged, &state, &create("office", false)).len(),
        2
    );
    let alice = rights("alice", &[], &[grant(Privilege::Create, "user:alice")]);
    assert!(lacks(&alice, &state, &create("office", true)).is_empty());
    assert_eq!(
        lacks(&alice, &state, &create("office", false)),
        [
            "alice may not put policy 'office' into force: that requires the privilege attach; make it inactive (--inactive)"
        ]
    );
    let of_group = rights("bob", &["dba"], &[grant(Privilege::Attach, "group:dba")]);
    let state = after(&state, "alice", &create("office", true));
    let activate = Change::SetActive {
        name: "office".into(),
        active: true,
    };
    assert!(lacks(&of_group, &state, &activate).is_empty());
    assert_eq!(lacks(&alice, &state, &activate).len(), 1);
    let observe = Change::SetMode {
        policy: "office".into(),
        mode: Mode::Observe,
    };
    assert!(lacks(&of_group, &state, &observe).is_empty());
    assert_eq!(lacks(&alice, &state, &observe).len(), 1);
}

#[test]
fn owner_can_alter_rename_and_drop_own_policies() {
    let state = after(&State::empty(), "alice", &create("office", false));
    let (alice, bob) = (rights("alice", &[], &[]), rights("bob", &[], &[]));
    let changes = [
        Change::DropPolicy {
            name: "office".into(),
        },
        Change::RenamePolicy {
            name: "office".into(),
            to: "branch".into(),
        },
        Change::SetOwner {
            policy: "office".into(),
            owner: "group:dba".into(),
        },
        Change::AlterPolicy {
            name: "office".into(),
            allow: Default::default(),
            block: Default::default(),
            comment: Some("new".into()),
            except: Default::default(),
            compat: Default::default(),
        },
    ];
    for change in &changes {
        assert!(lacks(&alice, &state, change).is_empty(), "{change:?}");
        let lacking = lacks(&bob, &state, change);
        assert_eq!(lacking.len(), 1, "{lacking:?}");
        assert!(lacking[0].ends_with("it belongs to alice"), "{lacking:?}");
    }
    let state = after(&state, "alice", &changes[2]);
    assert_eq!(lacks(&alice, &state, &changes[0]).len(), 1, "given away");
    let dba = rights("carol", &["dba"], &[]);
    assert!(lacks(&dba, &state, &changes[0]).is_empty());
    assert!(dba.may_read(&state) && !bob.may_read(&state));
}

#[test]
fn services_and_host_require_admin_and_root_may_do_everything() {
    let change = Change::AddService {
        name: "pg".into(),
        ports: vec!["5432".into()],
        combine: Default::default(),
        mode: Default::default(),
        on_deny: Default::default(),
        comment: None,
    };
    let all = Privilege::ALL.map(|privilege| grant(privilege, "user:alice"));
    let alice = rights("alice", &[], &all[1..]);
    assert_eq!(lacks(&alice, &State::empty(), &change).len(), 1);
    let admin = rights("alice", &[], &all[..1]);
    assert!(lacks(&admin, &State::empty(), &change).is_empty());
    let root = Rights::of("root", Vec::new(), true, &[]);
    assert!(lacks(&root, &State::empty(), &change).is_empty());
    for (mode, on_deny, ports) in [
        (Some(Mode::Observe), None, None),
        (None, Some(OnDeny::Reset), None),
        (None, None, Some(vec!["2222".into()])),
    ] {
        let host = Change::SetHost {
            mode,
            on_deny,
            failsafe_ports: ports,
        };
        assert_eq!(lacks(&alice, &State::empty(), &host).len(), 1, "{host:?}");
        assert!(lacks(&admin, &State::empty(), &host).is_empty());
    }
}

#[test]
fn attach_for_one_policy_permits_no_other() {
    let mut only = grant(Privilege::Attach, "user:alice");
    only.policy = Some(Name::new("office").unwrap());
    let alice = rights("alice", &[], &[only]);
    let state = after(&State::empty(), "root", &create("office", true));
    let state = after(&state, "root", &create("branch", true));
    let activate = |name: &str| Change::SetActive {
        name: name.into(),
        active: true,
    };
    assert!(lacks(&alice, &state, &activate("office")).is_empty());
    assert_eq!(lacks(&alice, &state, &activate("branch")).len(), 1);
    assert!(!alice.has(Privilege::Attach));
}

#[test]
fn principals_and_privileges_read_back_as_written() {
    for text in ["user:alice", "group:dba", "user:svc-x$"] {
        assert_eq!(text.parse::<Principal>().unwrap().to_string(), text);
    }
    for text in [
        "alice",
        "user:",
        "role:x",
        "user:a b",
        "user:a\nb",
        "user:a:b",
    ] {
        assert!(text.parse::<Principal>().is_err(), "{text:?}");
    }
    for privilege in Privilege::ALL {
        assert_eq!(
            privilege.to_string().parse::<Privilege>().unwrap(),
            privilege
        );
    }
    let error = "owner".parse::<Privilege>().unwrap_err().to_string();
    let all = Privilege::ALL.map(|privilege| privilege.to_string());
    assert!(error.contains(&all.join(", ")), "{error}");
}

#[test]
fn list_is_altered_and_dropped_by_its_owner_and_referred_to_by_owners_of_policies() {
    let list = Change::CreateList {
        name: "bad-hosts".into(),
        entries: ListInput {
            items: vec!["10.0.0.1".into()],
            ..ListInput::default()
        },
        comment: None,
        replace: false,
        network_rule: None,
    };
    let unprivileged = rights("eve", &[], &[]);
    assert_eq!(
        lacks(&unprivileged, &State::empty(), &list),
        ["eve may not make list 'bad-hosts': that requires the privilege create"]
    );
    let state = after(&State::empty(), "alice", &list);
    let state = after(&state, "bob", &create("office", true));
    let (alice, bob) = (rights("alice", &[], &[]), rights("bob", &[], &[]));
    assert!(alice.may_read(&state) && !unprivileged.may_read(&state));
    let refer = Change::AlterReferences {
        policy: "office".into(),
        list: ListKind::Block,
        edit: crate::model::ReferenceEdit::Add {
            lists: vec!["bad-hosts".into()],
        },
    };
    assert!(lacks(&bob, &state, &refer).is_empty());
    assert_eq!(
        lacks(&alice, &state, &refer),
        ["alice may not alter policy 'office': it belongs to bob"]
    );
    let state = after(&state, "bob", &refer);
    // What policies refer to is the same list, whoever owns them.
    for (change, what) in [
        (
            Change::AlterList {
                name: "bad-hosts".into(),
                entries: ListEdit::Any,
                comment: None,
                values: None,
            },
            "alter",
        ),
        (
            Change::RenameList {
                name: "bad-hosts".into(),
                to: "worse".into(),
            },
            "alter",
        ),
        (
            Change::SetListOwner {
                list: "bad-hosts".into(),
                owner: "bob".into(),
            },
            "alter",
        ),
    ] {
        assert!(lacks(&alice, &state, &change).is_empty(), "{change:?}");
        assert_eq!(
            lacks(&bob, &state, &change),
            [format!(
                "bob may not {what} list 'bad-hosts': it belongs to alice"
            )],
            "{change:?}"
        );
    }
}

#[test]
fn exceptions_are_the_owner_s_and_policy_tests_the_admin_s() {
    let state = after(&State::empty(), "alice", &create("office", false));
    let (alice, bob) = (rights("alice", &[], &[]), rights("bob", &[], &[]));
    let except = Change::AlterPolicy {
        name: "office".into(),
        allow: Default::default(),
        block: Default::default(),
        except: ListEdit::Set {
            list: ListInput {
                items: vec!["10.0.0.1".into()],
                ..ListInput::default()
            },
        },
        comment: None,
        compat: Default::default(),
    };
    assert!(lacks(&alice, &state, &except).is_empty());
    assert_eq!(
        lacks(&bob, &state, &except),
        ["bob may not alter policy 'office': it belongs to alice"]
    );
    let test = Change::Apply {
        file: crate::model::SourceText {
            name: "p.toml".into(),
            text: "[[test]]\nsource = \"10.0.0.1\"\nexpect = \"pass\"\n".into(),
        },
        lists: vec![],
        skip_invalid: false,
        allow_empty: false,
        keep_others: true,
    };
    assert_eq!(
        lacks(&alice, &state, &test),
        ["alice may not alter policy tests: that requires the privilege admin"]
    );
    let admin = rights("carol", &[], &[grant(Privilege::Admin, "user:carol")]);
    assert!(lacks(&admin, &state, &test).is_empty());
}
