//! Claims of findings about verdicts, checked with the oracle.

use std::collections::BTreeSet;
use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::model::arbitrary::{boundaries, state};
use crate::model::{AllowPart, Name, NamedList, Rule, evaluate};

/// A list without one of its rules.
fn without(list: &RuleList, text: &str) -> RuleList {
    let rules: Vec<Rule> = list.iter().filter(|r| r.text() != text).cloned().collect();
    RuleList::from_parts(rules, list.sources().to_vec())
}

fn verdicts(state: &State, sources: &BTreeSet<IpAddr>) -> Vec<bool> {
    let scopes = std::iter::once(None).chain(state.services.iter().map(Some));
    let verdicts = scopes.flat_map(|service| {
        let of = |source: &IpAddr| evaluate(state, service, *source).reason.is_denial();
        sources.iter().map(of).collect::<Vec<_>>()
    });
    verdicts.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn rules_reported_as_without_effect_can_be_removed(
        state in state(),
        more in prop::collection::vec(any::<IpAddr>(), 8),
    ) {
        let mut sources = boundaries(&state);
        sources.extend(more);
        let before = verdicts(&state, &sources);
        for finding in lint(&state) {
            if !matches!(
                finding.code,
                Code::AllowInsideBlock | Code::CoveredRule | Code::CoveredByPolicy
            ) {
                continue;
            }
            let rule = finding.rule.unwrap();
            let mut fewer = state.clone();
            let policy = fewer.policies.iter_mut().find(|p| *p.name.as_str() == *rule.policy);
            let policy = policy.unwrap();
            if let Some(reference) = &rule.named {
                // Other policies may need it: this one refers to a copy without it.
                let kind = if rule.list == "block" { ListKind::Block } else { ListKind::Allow };
                let is_meant = |list: &&NamedList| list.reference() == *reference;
                let mut copy = state.lists.iter().find(is_meant).unwrap().clone();
                let names = policy.lists_mut(kind).iter_mut();
                let copied = Name::new("copy_of_it").unwrap();
                names.filter(|name| **name == copy.name).for_each(|name| name.clone_from(&copied));
                copy.name = copied;
                copy.set_entries(without(&copy.whole(), &rule.text));
                fewer.lists.push(copy);
                prop_assert_eq!(verdicts(&fewer, &sources), before.clone(), "{:?}", rule);
                continue;
            }
            if rule.list == "block" {
                policy.block = without(&policy.block, &rule.text);
            } else if let AllowPart::Only(list) = &policy.allow {
                policy.allow = AllowPart::Only(without(list, &rule.text));
            }
            prop_assert!(fewer.rule_count() < state.rule_count());
            prop_assert_eq!(verdicts(&fewer, &sources), before.clone(), "{:?}", rule);
        }
    }

    #[test]
    fn sources_reported_as_denied_are_denied(state in state(), more in prop::collection::vec(any::<IpAddr>(), 8)) {
        let mut sources = boundaries(&state);
        sources.extend(more);
        for finding in lint(&state) {
            let Some(scope) = finding.scope.filter(|_| finding.code == Code::DeniesAll) else {
                continue;
            };
            let service = state.service(&scope);
            for source in &sources {
                prop_assert!(evaluate(&state, service, *source).reason.is_denial(), "{}", source);
            }
        }
    }
}

#[test]
fn allow_list_that_ends_as_a_whole_is_noted_with_its_end() {
    let ends = |address: &str, hour: u32| {
        format!("{{ address = \"{address}\", expires = \"2030-01-31T{hour}:00:00Z\" }}")
    };
    let list = format!(
        "[[list]]\nname = \"guests\"\nentries = [{}]\n",
        ends("2001:db8::/64", 14)
    );
    let allow = format!("allow = [\"@guests\", {}]", ends("192.0.2.0/24", 12));
    let found = reported(&format!("{list}{}", policy("office", &allow)));
    assert_eq!(
        found,
        [
            "note allow-list-ends: every rule of its allow list ends, the last at \
             2030-01-31T14:00:00Z: it allows no source then"
        ]
    );
    let stays = format!(
        "allow = [\"@guests\", \"192.0.2.1\", {}]",
        ends("198.51.100.0/24", 12)
    );
    assert_eq!(
        reported(&format!("{list}{}", policy("office", &stays))),
        [""; 0]
    );
}
