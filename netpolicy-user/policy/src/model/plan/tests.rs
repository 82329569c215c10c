use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::model::arbitrary::{cx, state};
use crate::model::change::{Change, SourceText};

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

#[test]
fn plan_lists_additions_changes_and_removals() {
    let old = state_of(
        "[[service]]\nname = \"pg_\"\nports = [5432]\n[[policy]]\nname = \"one\"\nallow = [\"10.0.0.1\", \"10.0.0.2\"]\ncomment = \"a\"\n",
    );
    let new = state_of(
        "[host]\nmode = \"observe\"\nfailsafe_ports = []\n[[policy]]\nname = \"one\"\nallow = [\"10.0.0.1\", \"10.0.0.3/32\"]\nactive = false\n[[policy]]\nname = \"two\"\nbind = []\nblock = [{ address = \"::1\", comment = \"me\" }]\n",
    );
    let item = |action, subject: &str, details: &[&str]| PlanItem {
        action,
        subject: subject.into(),
        details: details.iter().map(|&detail| detail.into()).collect(),
    };
    let expected = [
        item(
            PlanAction::Change,
            "host",
            &["mode: enforce -> observe", "failsafe ports: 22 -> none"],
        ),
        item(PlanAction::Remove, "service pg_", &[]),
        item(
            PlanAction::Change,
            "policy one",
            &[
                "status: active -> inactive",
                "comment: a -> none",
                "- allow 10.0.0.2",
                "+ allow 10.0.0.3/32",
            ],
        ),
        item(
            PlanAction::Add,
            "policy two",
            &[
                "status: active",
                "bound to: none",
                "allow: any",
                "+ block ::1 (comment: me)",
            ],
        ),
    ];
    assert_eq!(plan(&old, &new), expected);
    assert_eq!(plan(&new, &new), []);
}

#[test]
fn rename_is_not_planned_as_a_removal() {
    let old = state_of("[[policy]]\nname = \"one\"\nallow = [\"10.0.0.1\"]\n");
    let rename = Change::RenamePolicy {
        name: "one".into(),
        to: "two".into(),
    };
    let new = old.apply(&rename, &cx()).unwrap().state;
    let expected = PlanItem {
        action: PlanAction::Change,
        subject: "policy one".into(),
        details: vec!["name: one -> two".into()],
    };
    assert_eq!(plan(&old, &new), [expected]);
    // With other rules as well, it is reported as what it is.
    let other = state_of("[[policy]]\nname = \"two\"\nallow = [\"10.0.0.2\"]\n");
    assert_eq!(plan(&old, &other).len(), 2);
}

#[test]
fn plan_truncates_long_lists_and_reports_reordering() {
    let list = |hosts: &mut dyn Iterator<Item = u32>| {
        let rules: Vec<_> = hosts.map(|host| format!("\"10.0.0.{host}\"")).collect();
        state_of(&format!(
            "[[policy]]\nname = \"one\"\nallow = [{}]\n",
            rules.join(",")
        ))
    };
    let old = list(&mut (0..10));
    let details = |new: &State| {
        plan(&old, new)
            .into_iter()
            .flat_map(|item| item.details)
            .collect::<Vec<_>>()
    };
    let longer = details(&list(&mut (0..50)));
    assert_eq!(longer.len(), 21);
    assert_eq!(longer[0], "+ allow 10.0.0.10");
    assert_eq!(longer[20], "+ allow: 20 more");
    assert_eq!(
        details(&list(&mut (0..10).rev())),
        ["allow: rules in another order"]
    );
}

proptest! {
    #[test]
    fn planned_differences_are_those_of_the_sets(old in state(), new in state()) {
        let lists = |state: &State| -> Vec<RuleList> {
            state.policies.iter().map(|policy| policy.block.clone()).collect()
        };
        for (old, new) in lists(&old).iter().zip(lists(&new)) {
            let (removed, added) = difference(old, &new);
            let mut counts: BTreeMap<_, i32> = BTreeMap::new();
            for rule in old.iter().chain(&added.iter().map(|&r| r.clone()).collect::<Vec<_>>()) {
                *counts.entry(format!("{:?} {:?}", rule.net, rule.note)).or_default() += 1;
            }
            for rule in new.iter().chain(&removed.iter().map(|&r| r.clone()).collect::<Vec<_>>()) {
                *counts.entry(format!("{:?} {:?}", rule.net, rule.note)).or_default() -= 1;
            }
            prop_assert!(counts.values().all(|count| *count == 0));
            prop_assert!(removed.iter().all(|a| added.iter().all(|b| !a.same_words(b))));
        }
        prop_assert_eq!(plan(&old, &old), vec![]);
    }
}

#[test]
fn dropped_default_policy_of_materialize_is_a_difference() {
    let old = State::empty();
    let new = old.apply(&Change::DropDefault, &cx()).unwrap().state;
    let [item] = &plan(&old, &new)[..] else {
        panic!("one item");
    };
    assert_eq!(item.subject, "host");
    assert_eq!(
        item.details,
        ["Materialize's policy default: there -> dropped"]
    );
}
