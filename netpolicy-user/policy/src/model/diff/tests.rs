//! A diff against the files that it is about: applied to the old one it gives the new one.

use proptest::prelude::*;

use super::*;
use crate::model::file::export;
use crate::model::{Change, ChangeContext, Limits, SourceText};

fn state(text: &str) -> State {
    let cx = ChangeContext {
        now: jiff::Timestamp::UNIX_EPOCH,
        actor: "root",
        limits: Limits::default(),
        force: false,
    };
    let change = Change::Apply {
        file: SourceText {
            name: "policies.toml".to_owned(),
            text: text.to_owned(),
        },
        lists: Vec::new(),
        skip_invalid: false,
        allow_empty: false,
        keep_others: false,
    };
    State::empty().apply(&change, &cx).unwrap().state
}

fn policy(name: &str, rules: &[u32]) -> String {
    let rules = rules.iter().map(|i| {
        let address = std::net::Ipv4Addr::from(0x0a00_0000 + i);
        format!("\"{address}\"")
    });
    let rules: Vec<String> = rules.collect();
    format!(
        "[[policy]]\nname = \"{name}\"\nblock = [{}]\n",
        rules.join(", ")
    )
}

/// The new text, from the old one and its unified diff (POSIX `diff -u`).
fn patch(old: &str, diff: &str) -> String {
    let old: Vec<&str> = old.lines().collect();
    let (mut at, mut new) = (0, Vec::new());
    for line in diff.lines() {
        if let Some(header) = line.strip_prefix("@@ -") {
            let (range, _) = header.split_once(' ').unwrap();
            let (start, count) = range.split_once(',').unwrap_or((range, "1"));
            let start: usize = start.parse().unwrap();
            let start = start - usize::from(count != "0");
            new.extend_from_slice(&old[at..start]);
            at = start;
            continue;
        }
        let (mark, text) = line.split_at(1);
        if mark != "+" {
            assert_eq!(old[at], text, "{diff}");
            at += 1;
        }
        if mark != "-" {
            new.push(text);
        }
    }
    new.extend_from_slice(&old[at..]);
    new.into_iter().map(|line| format!("{line}\n")).collect()
}

fn lines(text: &str, mark: char) -> usize {
    text.lines().filter(|line| line.starts_with(mark)).count()
}

#[test]
fn same_states_have_no_difference() {
    let state = state(&policy("office", &[1, 2, 3, 4, 5]));
    assert_eq!(unified(&state, &state.clone(), 1000), Unified::default());
    assert_eq!(unified(&State::empty(), &State::empty(), 0).text, "");
}

#[test]
fn one_changed_rule_is_shown_with_three_lines_around_it() {
    let old = state(&policy("office", &(1..100).collect::<Vec<_>>()));
    let mut rules: Vec<u32> = (1..100).collect();
    rules[50] = 1000;
    let new = state(&policy("office", &rules));
    let unified = unified(&old, &new, usize::MAX);
    let expected = similar::TextDiff::from_lines(&export(&old), &export(&new))
        .unified_diff()
        .to_string();
    assert_eq!(unified.text, expected);
}

#[test]
fn long_difference_is_cut_and_says_how_much_is_left_out() {
    let old = state(&policy("office", &[]));
    let new = state(&policy("office", &(0..10_000).collect::<Vec<_>>()));
    let whole = unified(&old, &new, usize::MAX);
    let cut = unified(&old, &new, 10_000);
    assert!(cut.text.len() < 10_100, "{}", cut.text.len());
    let left_out = usize::try_from(cut.left_out).unwrap();
    let (all, shown) = (lines(&whole.text, '+'), lines(&cut.text, '+'));
    assert!(
        shown > 100 && shown + left_out == all + lines(&whole.text, '-') - lines(&cut.text, '-')
    );
    assert!(export(&new).starts_with(&export(&old)[..20]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn diff_applied_to_the_old_file_gives_the_new_one(
        old in proptest::collection::vec((0..3_u8, proptest::collection::hash_set(0..40_u32, 0..30)), 0..4),
        moved in proptest::collection::vec((0..4_usize, 0..30_usize, 0..60_u32), 0..12),
        drop in proptest::option::of(0..3_u8),
    ) {
        let name = |i: u8| ["alpha", "beta", "gamma"][usize::from(i)];
        let mut lists: std::collections::BTreeMap<u8, Vec<u32>> = Default::default();
        for (i, rules) in old {
            lists.insert(i, rules.into_iter().collect());
        }
        let text = |lists: &std::collections::BTreeMap<u8, Vec<u32>>| {
            let texts = lists.iter().map(|(i, rules)| policy(name(*i), rules));
            texts.collect::<String>()
        };
        let before = state(&text(&lists));
        for (which, at, rule) in moved {
            let list = lists.entry(u8::try_from(which % 3).unwrap()).or_default();
            list.retain(|other| *other != rule);
            list.insert(at.min(list.len()), rule);
        }
        if let Some(drop) = drop {
            lists.remove(&drop);
        }
        let after = state(&text(&lists));
        let diff = unified(&before, &after, usize::MAX);
        prop_assert_eq!(diff.left_out, 0);
        prop_assert_eq!(patch(&export(&before), &diff.text), export(&after));
        let is_same = export(&before) == export(&after);
        prop_assert_eq!(diff.text.is_empty(), is_same);
    }
}
