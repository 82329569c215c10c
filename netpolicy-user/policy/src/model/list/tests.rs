//! Lists, and edits of lists.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::model::list::chunk::Cutter;

fn list(rules: &[(&str, u16)], sources: &[&str]) -> RuleList {
    let rules = rules.iter().map(|&(net, source)| Rule {
        net: net.parse().unwrap(),
        source,
        line: 0,
        note: None,
    });
    RuleList::from_parts(
        rules.collect(),
        sources.iter().map(|&name| name.into()).collect(),
    )
}

#[test]
fn joined_lists_share_sources_and_drop_unused_ones() {
    let mut joined = list(&[("10.0.0.0/8", 0), ("11.0.0.0/8", 1)], &["a", "b"]);
    let before = joined.clone();
    assert!(joined.append(&list(&[("12.0.0.0/8", 0), ("13.0.0.0/8", 1)], &["b", "c"])));
    assert_eq!(joined.sources().len(), 3);
    let places: Vec<_> = joined
        .iter()
        .map(|rule| joined.place(rule).unwrap().to_string())
        .collect();
    assert_eq!(places, ["a", "b", "b", "c"]);

    joined.retain(|rule| rule.net.to_string() != "10.0.0.0/8");
    assert_eq!(joined.sources().len(), 2);
    let places: Vec<_> = joined
        .iter()
        .map(|rule| joined.place(rule).unwrap().to_string())
        .collect();
    assert_eq!(places, ["b", "b", "c"]);
    assert_eq!(before.len(), 2, "a shared list stays as it was");
}

#[test]
fn too_many_sources_are_refused() {
    let names: Vec<String> = (0..=usize::from(u16::MAX)).map(|i| i.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut full = list(&[], &names);
    assert!(!full.append(&list(&[("10.0.0.0/8", 0)], &["one more"])));
    assert!(full.is_empty());
}

#[test]
fn lists_with_other_places_have_the_same_words() {
    let a = list(&[("10.0.0.0/8", 0)], &["a"]);
    let b = list(&[("10.0.0.0/8", 0)], &["b"]);
    assert!(a.same_words(&b));
    assert_ne!(a, b);
    assert_eq!(a, a.clone());
}

/// Hosts in an order of no meaning.
fn hosts(from: u32, count: u32, source: u16) -> Vec<Rule> {
    let host = |i: u32| std::net::Ipv4Addr::from(i.wrapping_mul(0x9e37_79b9));
    let rules = (from..from + count).map(|i| Rule {
        net: ipnet::Ipv4Net::from(host(i)).into(),
        source,
        line: i,
        note: None,
    });
    rules.collect()
}

fn chunks(list: &RuleList) -> Vec<&[Rule]> {
    list.chunks().iter().map(|chunk| chunk.rules()).collect()
}

/// Chunks of `new` that are not shared with `old`.
fn own(old: &RuleList, new: &RuleList) -> usize {
    let shared = |chunk| old.chunks().iter().any(|other| Arc::ptr_eq(chunk, other));
    new.chunks().iter().filter(|chunk| !shared(chunk)).count()
}

#[test]
fn an_edit_shares_all_chunks_but_those_it_touches() {
    let old = RuleList::from_parts(hosts(0, 50_000, 0), vec!["a".into()]);
    for at in [0, 1, 20_000, 49_998, 49_999] {
        let mut fewer = old.clone();
        let mut rules = hosts(at, 1, 0);
        fewer.retain(|rule| *rule != rules[0]);
        assert_eq!(fewer.len(), old.len() - 1);
        assert!(own(&old, &fewer) <= 1, "removed at {at}");
        rules[0].source = 0;
        let mut more = fewer.clone();
        assert!(more.append(&RuleList::from_parts(rules, vec!["b".into()])));
        assert!(own(&fewer, &more) <= 1, "added what was at {at}");
        assert_eq!(more.sources().len(), 2);
        let (ours, theirs) = fewer.differing_chunks(&more);
        assert!(ours.len() <= 1 && theirs.len() <= 2);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn edited_list_equals_one_built_at_once(
        edits in proptest::collection::vec((0u32..20_000, 0u32..6_000, any::<bool>()), 1..8),
    ) {
        let mut list = RuleList::default();
        let mut model: Vec<Rule> = Vec::new();
        for (step, (from, count, adds)) in (0u16..).zip(edits) {
            if adds {
                let known: BTreeSet<_> = model.iter().map(|rule| rule.net).collect();
                let mut rules = hosts(from, count, 0);
                rules.retain(|rule| !known.contains(&rule.net));
                let more = RuleList::from_parts(rules.clone(), vec![step.to_string().into()]);
                prop_assert!(list.append(&more));
                model.extend(rules.into_iter().map(|rule| Rule { source: step, ..rule }));
            } else {
                let gone: BTreeSet<_> = hosts(from, count, 0).iter().map(|r| r.net).collect();
                list.retain(|rule| !gone.contains(&rule.net));
                model.retain(|rule| !gone.contains(&rule.net));
            }
            prop_assert_eq!(list.len(), model.len());
            let words = list.iter().zip(&model).all(|(a, b)| a.same_words(b) && a.line == b.line);
            prop_assert!(words);
            for (rule, expected) in list.iter().zip(&model) {
                let place = list.place(rule).unwrap().source;
                prop_assert_eq!(&*place, &*expected.source.to_string());
            }
            let fresh = RuleList::from_parts(list.iter().cloned().collect(), list.sources().to_vec());
            prop_assert_eq!(chunks(&list), chunks(&fresh));
            prop_assert_eq!(&list, &fresh);
            prop_assert!(list.same_words(&fresh));
            let mut cutter = Cutter::default();
            for chunk in list.chunks() {
                cutter.share(chunk);
            }
            prop_assert_eq!(own(&list, &RuleList::of(cutter.finish(), Vec::new())), 0);
        }
    }
}
