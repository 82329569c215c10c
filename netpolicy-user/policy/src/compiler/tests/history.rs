//! Incremental compilation, compared with compilation from scratch.

use std::collections::BTreeSet;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::compiler::{Compilation, PrefixSet, Prefixes, Ruleset, compile};
use crate::model::arbitrary::{cx, state};
use crate::model::{
    AllowPart, Binding, Change, ListEdit, ListInput, ListKind, Mode, Name, Policy, ReferenceEdit,
    RuleList, State,
};

/// One step of a history.
#[derive(Clone, Debug)]
enum Step {
    /// Adds networks to, and removes rules from, a list of a policy.
    Edit {
        policy: Index,
        kind: ListKind,
        add: BTreeSet<IpNet>,
        remove: Vec<Index>,
    },
    /// Adds networks to, and removes entries from, a named list.
    EditList {
        list: Index,
        add: BTreeSet<IpNet>,
        remove: Vec<Index>,
    },
    /// Lets a policy refer to a named list, or no longer.
    Refer {
        policy: Index,
        list: Index,
        kind: ListKind,
    },
    SetActive(Index, bool),
    Bind(Index, Index, bool),
    Rename(Index),
    Any(Index),
    Observe(bool),
    /// Quite another state.
    Replace(State),
}

/// A network of a small neighbourhood: they nest and touch all the time.
fn near() -> impl Strategy<Value = IpNet> {
    let v4 = (0_u32..64, 26_u8..=32).prop_map(|(host, length)| {
        let address = 0x0a00_0000_u32 + host;
        IpNet::V4(Ipv4Net::new_assert(address.into(), length).trunc())
    });
    let v6 = (0_u128..64, 122_u8..=128).prop_map(|(host, length)| {
        let address = (0x2001_0db8_u128 << 96) + host;
        IpNet::V6(Ipv6Net::new_assert(address.into(), length).trunc())
    });
    let edge = prop_oneof![
        Just("0.0.0.0/1"),
        Just("128.0.0.0/1"),
        Just("255.255.255.255/32")
    ];
    let edge6 = prop_oneof![Just("::/1"), Just("8000::/1"), Just("::/128")];
    prop_oneof![
        4 => v4,
        4 => v6,
        1 => prop_oneof![edge, edge6].prop_map(|text| text.parse().unwrap()),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let kind = || {
        prop_oneof![
            Just(ListKind::Allow),
            Just(ListKind::Block),
            Just(ListKind::Except)
        ]
    };
    let edit = (
        any::<Index>(),
        kind(),
        proptest::collection::btree_set(near(), 0..4),
        proptest::collection::vec(any::<Index>(), 0..3),
    );
    let edit = edit.prop_map(|(policy, kind, add, remove)| Step::Edit {
        policy,
        kind,
        add,
        remove,
    });
    let edit_list = (
        any::<Index>(),
        proptest::collection::btree_set(near(), 0..4),
        proptest::collection::vec(any::<Index>(), 0..3),
    );
    let edit_list = edit_list.prop_map(|(list, add, remove)| Step::EditList { list, add, remove });
    let three = any::<(Index, Index, bool)>();
    let refer = (any::<Index>(), any::<Index>(), kind());
    let refer = refer.prop_map(|(policy, list, kind)| Step::Refer { policy, list, kind });
    prop_oneof![
        12 => edit,
        8 => edit_list,
        4 => refer,
        2 => any::<(Index, bool)>().prop_map(|(policy, active)| Step::SetActive(policy, active)),
        2 => three.prop_map(|(policy, scope, bind)| Step::Bind(policy, scope, bind)),
        1 => any::<Index>().prop_map(Step::Rename),
        1 => any::<Index>().prop_map(Step::Any),
        1 => any::<bool>().prop_map(Step::Observe),
        1 => state().prop_map(Step::Replace),
    ]
}

fn list(nets: impl Iterator<Item = IpNet>) -> ListInput {
    ListInput {
        items: nets.map(|net| net.to_string()).collect(),
        ..ListInput::default()
    }
}

/// The state after a step; as it was if the step makes no sense.
fn after(state: &State, step: Step) -> State {
    let policy = |index: Index| -> Option<&Policy> {
        (!state.policies.is_empty()).then(|| index.get(&state.policies))
    };
    let name = |index| policy(index).map(|policy| policy.name.to_string());
    let mut next = state.clone();
    match step {
        Step::Edit {
            policy: at,
            kind,
            add,
            remove,
        } => {
            let Some(policy) = policy(at) else {
                return next;
            };
            let nothing = RuleList::default();
            let rules = policy.rules(kind).unwrap_or(&nothing);
            let known: Vec<_> = rules.iter().map(|rule| rule.net).collect();
            let remove: BTreeSet<_> = match known[..] {
                [] => BTreeSet::new(),
                _ => remove.iter().map(|index| *index.get(&known)).collect(),
            };
            let add = add.into_iter().filter(|net| !known.contains(net));
            let edit = ListEdit::Edit {
                add: list(add),
                remove: list(remove.into_iter()),
            };
            let of = |side| match side == kind {
                true => edit.clone(),
                false => ListEdit::Keep,
            };
            let change = Change::AlterPolicy {
                name: policy.name.to_string(),
                allow: of(ListKind::Allow),
                block: of(ListKind::Block),
                except: of(ListKind::Except),
                comment: None,
                compat: Default::default(),
            };
            return state.apply(&change, &cx()).unwrap().state;
        }
        Step::EditList {
            list: at,
            add,
            remove,
        } => {
            if state.lists.is_empty() {
                return next;
            }
            let edited = at.get(&state.lists);
            let known: Vec<_> = edited.iter().map(|(_, rule)| rule.net).collect();
            let remove: BTreeSet<_> = match known[..] {
                [] => BTreeSet::new(),
                _ => remove.iter().map(|index| *index.get(&known)).collect(),
            };
            let is_of_type = |net: &IpNet| edited.rule.as_ref().is_none_or(|rule| rule.takes(net));
            let add = add
                .into_iter()
                .filter(|net| !known.contains(net) && is_of_type(net));
            let change = Change::AlterList {
                name: format!("\"{}\"", edited.name),
                entries: ListEdit::Edit {
                    add: list(add),
                    remove: list(remove.into_iter()),
                },
                comment: None,
                values: None,
            };
            return state.apply(&change, &cx()).unwrap().state;
        }
        Step::Refer {
            policy: at,
            list,
            kind,
        } => {
            if let Some(policy) = policy(at)
                && !state.lists.is_empty()
            {
                let referred = &list.get(&state.lists).name;
                let lists = vec![referred.to_string()];
                let change = Change::AlterReferences {
                    policy: policy.name.to_string(),
                    list: kind,
                    edit: match policy.lists(kind).contains(referred) {
                        true => ReferenceEdit::Remove { lists },
                        false => ReferenceEdit::Add { lists },
                    },
                };
                return state.apply(&change, &cx()).unwrap().state;
            }
        }
        Step::SetActive(at, active) => {
            if let Some(name) = name(at) {
                let change = Change::SetActive { name, active };
                return state.apply(&change, &cx()).unwrap().state;
            }
        }
        Step::Bind(at, scope, bind) => {
            let mut scopes = vec![Binding::Host];
            let services = state.services.iter();
            scopes.extend(services.map(|service| Binding::Service(service.name.clone())));
            if policy(at).is_some() {
                let bindings = &mut next.policies[at.index(state.policies.len())].bindings;
                match bind {
                    true => drop(bindings.insert(scope.get(&scopes).clone())),
                    false => drop(bindings.remove(scope.get(&scopes))),
                }
            }
        }
        Step::Rename(at) => {
            if policy(at).is_some() {
                next.policies[at.index(state.policies.len())].name = Name::new("renamed").unwrap();
                next.policies.sort_by(|a, b| a.name.cmp(&b.name));
                next.policies.dedup_by(|a, b| a.name == b.name);
            }
        }
        Step::Any(at) => {
            if policy(at).is_some() {
                let policy = &mut next.policies[at.index(state.policies.len())];
                policy.allow = AllowPart::Any;
                policy.allow_lists.clear();
            }
        }
        Step::Observe(observe) => {
            next.host.mode = if observe {
                Mode::Observe
            } else {
                Mode::Enforce
            };
        }
        Step::Replace(state) => return state,
    }
    next
}

/// Lists of which large parts never change, so that there are several chunks.
fn long_lists() -> State {
    let hosts = |from: u32| {
        list((0..4_000).map(|i| {
            let address = 0x0b00_0000_u32 + (from + i) * 3;
            IpNet::V4(Ipv4Net::new_assert(address.into(), 32))
        }))
    };
    let create = |name: &str, allow, block| Change::CreatePolicy {
        name: name.into(),
        allow: Some(hosts(allow)),
        block: hosts(block),
        comment: None,
        inactive: false,
        mode: Default::default(),
        services: vec![],
        unbound: false,
        replace: false,
        except: Default::default(),
        compat: Default::default(),
    };
    let one = State::empty()
        .apply(&create("one", 0, 1_000), &cx())
        .unwrap()
        .state;
    let two = one
        .apply(&create("two", 3_000, 6_000), &cx())
        .unwrap()
        .state;
    let shared = Change::CreateList {
        name: "shared".into(),
        entries: hosts(9_000),
        comment: None,
        replace: false,
        network_rule: None,
    };
    let refer = |policy: &str| Change::AlterReferences {
        policy: policy.into(),
        list: ListKind::Block,
        edit: ReferenceEdit::Add {
            lists: vec!["shared".into()],
        },
    };
    let changes = [shared, refer("one"), refer("two")];
    two.apply_all(&changes, &cx()).unwrap().state
}

fn same(found: &Ruleset, fresh: &Ruleset) -> Result<(), TestCaseError> {
    prop_assert_eq!(found, fresh);
    prop_assert_eq!(found.digest(), fresh.digest());
    fn chunks<P: crate::compiler::Prefix>(of: &Prefixes<P>) -> Vec<[u8; 32]> {
        of.chunks().map(|chunk| *chunk.hash()).collect()
    }
    let all = |set: &PrefixSet| (chunks(&set.v4), chunks(&set.v6));
    for (found, fresh) in found.scopes.iter().zip(&fresh.scopes) {
        prop_assert_eq!(all(&found.block), all(&fresh.block));
        prop_assert_eq!(all(&found.allow), all(&fresh.allow));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn incremental_compilation_equals_compilation_at_once(
        first in prop_oneof![4 => state(), 1 => Just(long_lists())],
        steps in proptest::collection::vec(step(), 1..12),
        limit in prop_oneof![2 => Just(usize::MAX), 1 => Just(3_usize), 1 => Just(0)],
    ) {
        let is_worth: fn(usize, usize, usize) -> bool = match limit {
            0 => |_, _, _| false,
            3 => |changed, _, _| changed <= 3,
            _ => |_, _, _| true,
        };
        let mut state = first;
        let mut compiled = Compilation::new(&state);
        for step in steps {
            state = after(&state, step);
            compiled = compiled.next_where(&state, &mut |_, _| {}, is_worth);
            same(compiled.ruleset(), &compile(&state))?;
        }
    }
}

#[test]
fn unchanged_lists_are_shared() {
    let state = long_lists();
    let before = Compilation::new(&state);
    let change = Change::AlterPolicy {
        name: "one".into(),
        allow: ListEdit::Keep,
        block: ListEdit::Edit {
            add: list(["10.0.0.1/32".parse().unwrap()].into_iter()),
            remove: ListInput::default(),
        },
        comment: Some("new".into()),
        except: Default::default(),
        compat: Default::default(),
    };
    let state = state.apply(&change, &cx()).unwrap().state;
    let after = before.next(&state, &mut |_, _| {});
    let [old, new] = [&before, &after].map(|compiled| &compiled.ruleset().scopes[0]);
    assert!(std::sync::Arc::ptr_eq(
        &before.ruleset().ports,
        &after.ruleset().ports
    ));
    assert!(old.block.v6.ptr_eq(&new.block.v6));
    let own = new.block.v4.chunks().filter(|chunk| {
        let mut olds = old.block.v4.chunks();
        !olds.any(|old| std::sync::Arc::ptr_eq(old, chunk))
    });
    assert_eq!(own.count(), 1);
    assert!(new.block.v4.chunks().len() > 3);
    assert_eq!(old.allow, new.allow);
    same(after.ruleset(), &compile(&state)).unwrap();
}

#[test]
fn list_of_two_policies_is_indexed_once_and_an_edit_shares_the_rest() {
    let state = long_lists();
    let before = Compilation::new(&state);
    let change = Change::AlterList {
        name: "shared".into(),
        entries: ListEdit::Edit {
            add: list(["10.0.0.1/32".parse().unwrap()].into_iter()),
            remove: ListInput::default(),
        },
        comment: None,
        values: None,
    };
    let state = state.apply(&change, &cx()).unwrap().state;
    let after = before.next(&state, &mut |_, _| {});
    assert_eq!(
        after.indexed_lists(),
        5,
        "two of each policy, and the shared one"
    );
    let [old, new] = [&before, &after].map(|compiled| &compiled.ruleset().scopes[0]);
    let own = new.block.v4.chunks().filter(|chunk| {
        let mut olds = old.block.v4.chunks();
        !olds.any(|old| std::sync::Arc::ptr_eq(old, chunk))
    });
    assert_eq!(own.count(), 1);
    same(after.ruleset(), &compile(&state)).unwrap();
}

#[test]
fn edit_of_an_exception_shares_what_it_does_not_touch() {
    let mut state = long_lists();
    state.lists[0].name = Name::new("shared").unwrap();
    let except = |items: &[&str]| Change::AlterPolicy {
        name: "one".into(),
        allow: ListEdit::Keep,
        block: ListEdit::Keep,
        except: ListEdit::Edit {
            add: list(items.iter().map(|net| net.parse().unwrap())),
            remove: ListInput::default(),
        },
        comment: None,
        compat: Default::default(),
    };
    let state = state
        .apply(&except(&["11.0.20.0/24"]), &cx())
        .unwrap()
        .state;
    let before = Compilation::new(&state);
    assert_eq!(
        before.ruleset().scopes[0].block.v4.covering(0x0b00_1401),
        None
    );
    let state = state
        .apply(&except(&["11.0.40.3/32"]), &cx())
        .unwrap()
        .state;
    let after = before.next(&state, &mut |_, _| {});
    let [old, new] = [&before, &after].map(|compiled| &compiled.ruleset().scopes[0]);
    let own = new.block.v4.chunks().filter(|chunk| {
        let mut olds = old.block.v4.chunks();
        !olds.any(|old| std::sync::Arc::ptr_eq(old, chunk))
    });
    assert!(own.count() <= 1);
    same(after.ruleset(), &compile(&state)).unwrap();
}
