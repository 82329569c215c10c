//! States and lists over objects in memory: what is made of them does not depend on what keeps
//! them.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use super::list::{self, Known, KnownChunks};
use super::objects::memory::Memory;
use super::objects::{self, ObjectId, ObjectKind};
use super::*;
use crate::arbitrary::state;
use crate::model::list::CHUNK_BYTES;
use crate::model::{AllowPart, MAX_COMMENT, Note, Rule, RuleList};

/// Rules for the hosts of these numbers, with a comment of so many characters.
fn hosts(numbers: impl IntoIterator<Item = u32>, comment: usize) -> Vec<Rule> {
    let note = Note {
        comment: (comment > 0).then(|| "ü".repeat(comment).into()),
        ..Note::default()
    };
    let note = note.share();
    let rules = numbers.into_iter().map(|i| {
        let address = std::net::Ipv4Addr::from(i.wrapping_mul(0x9e37_79b9));
        Rule {
            net: ipnet::Ipv4Net::from(address).into(),
            source: 0,
            line: i,
            note: note.clone(),
        }
    });
    rules.collect()
}

fn list(rules: Vec<Rule>) -> RuleList {
    RuleList::from_parts(rules, vec!["list.txt".into()])
}

/// Stores a list, sharing with the known ones; which objects are new.
fn put(objects: &Memory, list: &RuleList, known: &[Known]) -> (Known, usize) {
    let before = objects.0.borrow().len();
    let put = list::put(objects, list, &KnownChunks::of(known)).unwrap();
    (put, objects.0.borrow().len() - before)
}

/// The list, read without knowledge of any other.
fn read(objects: &Memory, id: &ObjectId) -> RuleList {
    list::get(objects, id, &[]).unwrap().list
}

fn sizes(list: &RuleList) -> Vec<usize> {
    list.chunks().iter().map(|c| c.rules().len()).collect()
}

fn is_bounded(objects: &Memory) -> bool {
    let bodies = objects.0.borrow();
    bodies.values().all(|body| body.len() <= CHUNK_BYTES)
}

proptest! {
    #[test]
    fn any_state_is_read_back_as_it_was(state in state()) {
        let objects = Memory::default();
        let (id, known) = state::put(&objects, &[], &state).unwrap();
        let (read, _) = state::get(&objects, &[], &id).unwrap();
        prop_assert_eq!(&read, &state);
        let stored = objects.0.borrow().len();
        prop_assert_eq!(state::put(&objects, &[], &read).unwrap().0, id);
        prop_assert_eq!(state::put(&objects, &known, &state).unwrap().0, id);
        prop_assert_eq!(objects.0.borrow().len(), stored);

        // All of it is reachable, and checked.
        let mut marked = HashSet::new();
        state::mark(&objects, id, |id| marked.insert(id)).unwrap();
        prop_assert_eq!(marked.len(), stored);
        let policies = state::check(&objects, &id, &mut HashSet::new()).unwrap();
        prop_assert_eq!(policies, state.policies.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn versions_of_a_list_are_read_back_and_share_what_they_have_in_common(
        comments in vec(prop_oneof![Just(0_usize), 1..60_usize, Just(700)], 1..4),
        edits in vec((0..4_000_u32, 1..20_u32), 1..5),
    ) {
        let objects = Memory::default();
        let rules = (0_u32..).step_by(1_200).zip(&comments);
        let rules = rules.flat_map(|(from, comment)| hosts(from..from + 1_200, *comment));
        let mut version = list(rules.collect());
        let (mut known, _) = put(&objects, &version, &[]);
        let mut versions = vec![known.clone()];
        for (from, count) in edits {
            let gone: BTreeSet<_> = hosts(from..from + count, 0).iter().map(|r| r.net).collect();
            version = RuleList::from_parts(
                version.iter().filter(|rule| !gone.contains(&rule.net)).cloned().collect(),
                version.sources().to_vec(),
            );
            let (next, _) = put(&objects, &version, std::slice::from_ref(&known));
            known = next;
            versions.push(known.clone());
        }
        prop_assert!(is_bounded(&objects));
        for (index, version) in versions.iter().enumerate() {
            prop_assert_eq!(&read(&objects, &version.id), &version.list);
            // With a known version, with the same chunks in memory.
            let other = &versions[(index + 1) % versions.len()];
            let shared = list::get(&objects, &version.id, std::slice::from_ref(other)).unwrap();
            prop_assert_eq!(&shared.list, &version.list);
            prop_assert_eq!(sizes(&shared.list), sizes(&version.list));
        }
    }
}

#[test]
fn edit_of_a_list_writes_few_objects_however_long_its_rules_are() {
    for (count, comment) in [
        (20_000, 0),
        (20_000, 20),
        (5_000, 500),
        (1_000, MAX_COMMENT),
    ] {
        let objects = Memory::default();
        let rules = hosts(0..count, comment);
        let whole = list(rules.clone());
        let (mut known, written) = put(&objects, &whole, &[]);
        assert!(written > 3 && is_bounded(&objects), "{comment}: {written}");
        for at in [0, 1, 432, rules.len() - 1] {
            let mut fewer = rules.clone();
            fewer.remove(at);
            let fewer = list(fewer);
            let (_, written) = put(&objects, &fewer, std::slice::from_ref(&known));
            assert!((2..=3).contains(&written), "{comment} at {at}: {written}");
            // The same objects, without knowing the stored ones.
            assert_eq!(put(&objects, &fewer, &[]).1, 0, "{comment} at {at}");
        }
        // Read back, its chunks are known, and those of a known version are shared.
        let read = list::get(&objects, &known.id, &[]).unwrap();
        let again = list::get(&objects, &known.id, std::slice::from_ref(&read)).unwrap();
        let chunks = |list: &RuleList| list.chunks().iter().map(Arc::as_ptr).collect::<Vec<_>>();
        assert_eq!(chunks(&again.list), chunks(&read.list), "{comment}");
        known = read;
        let (_, written) = put(&Memory::default(), &known.list.clone(), &[known.clone()]);
        assert_eq!(written, 1, "the list alone: its chunks are known");
    }
}

/// As before chunks were bounded in bytes: of 8,192 rules at the most, and in other places.
#[test]
fn list_of_larger_chunks_is_read_and_divided_again() {
    let objects = Memory::default();
    let rules: Vec<Rule> = (0..2)
        .flat_map(|n| hosts(n * 2_000..n * 2_000 + 2_000, 300))
        .chain(hosts(5_000..5_100, 0))
        .collect();
    let cuts = [&rules[..2_000], &rules[2_000..4_000], &rules[4_000..]];
    let old = list::put_cut(&objects, &["list.txt"], &cuts).unwrap();
    assert!(!is_bounded(&objects));

    let known = list::get(&objects, &old, &[]).unwrap();
    assert_eq!(known.list, list(rules.clone()));
    let new = list(rules);
    assert_eq!(sizes(&known.list), sizes(&new));
    assert!(known.list.chunks().len() > 10);

    // An unchanged list stays what it is; a changed one is stored in chunks of today's size.
    let policy = |block: &RuleList| {
        let mut state = State::empty();
        state.policies.push(crate::model::Policy {
            allow_lists: vec![],
            block_lists: vec![],
            except_lists: vec![],
            except: RuleList::default(),
            name: Name::new("office").unwrap(),
            allow: AllowPart::Any,
            block: block.clone(),
            compat: Default::default(),
            bindings: Default::default(),
            comment: None,
            owner: "root".into(),
            created: Timestamp::UNIX_EPOCH,
            altered: Timestamp::UNIX_EPOCH,
            active: true,
            mode: Default::default(),
        });
        state
    };
    let before = objects.0.borrow().len();
    let state = policy(&known.list);
    let (id, lists) = state::put(&objects, &[known], &state).unwrap();
    assert_eq!((lists[0].id, objects.0.borrow().len()), (old, before + 1));
    let (again, _) = state::get(&objects, &[], &id).unwrap();
    assert_eq!(again, state);

    let fewer: Vec<Rule> = state.policies[0].block.iter().skip(1).cloned().collect();
    let edited = policy(&list(fewer));
    let written = Memory(objects.0.clone());
    let (id, _) = state::put(&written, &lists, &edited).unwrap();
    assert_eq!(state::get(&written, &lists, &id).unwrap().0, edited);
    let is_old = |id: &ObjectId| objects.0.borrow().contains_key(id);
    let bodies = written.0.borrow();
    let mut fresh = bodies.iter().filter(|(id, _)| !is_old(id));
    assert!(fresh.all(|(_, body)| body.len() <= CHUNK_BYTES));
}

#[test]
fn damaged_list_is_refused_with_its_name() {
    let objects = Memory::default();
    let (known, _) = put(&objects, &list(hosts(0..10, 0)), &[]);
    let chunk = list::chunks(&objects, &known.id).unwrap()[0];
    objects.0.borrow_mut().remove(&chunk);
    let error = list::get(&objects, &known.id, &[]).err().unwrap();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    assert!(
        error
            .to_string()
            .ends_with(&format!("chunk {chunk}: it is missing")),
        "{error}"
    );
    let error = list::chunks(&objects, &chunk).unwrap_err().to_string();
    assert!(
        error.ends_with(&format!("list {chunk}: it is missing")),
        "{error}"
    );
    let stranger = objects::put(&objects, ObjectKind::List, b"\xff").unwrap();
    assert!(list::get(&objects, &stranger, &[]).is_err());
}
