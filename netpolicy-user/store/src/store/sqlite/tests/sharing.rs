//! Versions share their common parts, in memory and on disk.

use std::sync::Arc;

use super::*;
use crate::arbitrary::cx;
use crate::model::{Change, ListEdit, ListInput};

#[test]
fn lists_in_common_are_shared_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    let mut state = blocking(0..10);
    state
        .policies
        .push(policy("other", AllowPart::Any, list(5..8)));
    store.commit(&state, &by("a")).unwrap();
    state.policies[1].block = list(5..9);
    store.commit(&state, &by("b")).unwrap();

    let old = store.state_at(1).unwrap();
    assert!(old.policies[0].block.ptr_eq(&state.policies[0].block));
    assert!(!old.policies[1].block.ptr_eq(&state.policies[1].block));

    let mut reopened = SqliteStore::open(dir.path()).unwrap();
    let loaded = reopened.load().unwrap().state;
    let old = reopened.state_at(1).unwrap();
    assert!(old.policies[0].block.ptr_eq(&loaded.policies[0].block));
}

#[test]
fn an_unchanged_list_is_not_even_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    let mut state = blocking(0..10);
    store.commit(&state, &by("a")).unwrap();
    // Were the list written again, its chunk would be back.
    store
        .conn
        .execute("DELETE FROM objects WHERE length(body) = 90", [])
        .unwrap();
    let before = objects(&store);
    state.policies[0].comment = Some("new".into());
    store.commit(&state, &by("b")).unwrap();
    assert_eq!(objects(&store), before + 1);
}

#[test]
fn of_an_edited_list_only_the_edited_chunk_is_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    store.commit(&blocking(0..50_000), &by("a")).unwrap();
    for from_disk in [false, true] {
        if from_disk {
            store = SqliteStore::open(dir.path()).unwrap();
        }
        let state = store.load().unwrap().state;
        let edit = ListEdit::Edit {
            add: ListInput::default(),
            remove: ListInput {
                items: vec![if from_disk { "10.0.0.1" } else { "10.0.0.0" }.into()],
                ..ListInput::default()
            },
        };
        let change = Change::AlterPolicy {
            name: "office".into(),
            allow: ListEdit::Keep,
            block: edit,
            comment: None,
            except: Default::default(),
            compat: Default::default(),
        };
        let edited = state.apply(&change, &cx()).unwrap().state;
        // Were all chunks written again, these would be back.
        let chunks = "SELECT rowid FROM objects WHERE length(body) > 5000";
        let lost =
            format!("CREATE TEMP TABLE lost AS SELECT * FROM objects WHERE rowid IN ({chunks})");
        store.conn.execute_batch(&lost).unwrap();
        let delete = "DELETE FROM objects WHERE hash IN (SELECT hash FROM lost)";
        assert!(store.conn.execute(delete, []).unwrap() > 5);
        let before = objects(&store);
        store.commit(&edited, &by("b")).unwrap();
        assert_eq!(
            objects(&store),
            before + 3,
            "a chunk, the list and the state"
        );
        let restore = "INSERT INTO objects SELECT * FROM lost; DROP TABLE lost";
        store.conn.execute_batch(restore).unwrap();
        assert_eq!(store.load().unwrap().state, edited);
    }
}

#[test]
fn past_version_of_a_list_shares_the_chunks_that_are_still_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    let mut state = blocking(0..50_000);
    store.commit(&state, &by("a")).unwrap();
    let before = state.policies[0].block.clone();
    let edit = ListEdit::Edit {
        add: ListInput::default(),
        remove: ListInput {
            items: vec!["10.0.100.0".into()],
            ..ListInput::default()
        },
    };
    let change = Change::AlterPolicy {
        name: state.policies[0].name.to_string(),
        allow: ListEdit::Keep,
        block: edit,
        comment: None,
        except: Default::default(),
        compat: Default::default(),
    };
    state = state.apply(&change, &cx()).unwrap().state;
    store.commit(&state, &by("b")).unwrap();

    let mut reopened = SqliteStore::open(dir.path()).unwrap();
    let now = reopened.load().unwrap().state;
    let old = reopened.state_at(1).unwrap();
    let (old, now) = (&old.policies[0].block, &now.policies[0].block);
    assert_eq!(*old, before);
    let is_shared = |chunk: &&Arc<_>| now.chunks().iter().any(|other| Arc::ptr_eq(chunk, other));
    let shared = old.chunks().iter().filter(is_shared).count();
    assert_eq!(shared, old.chunks().len() - 1);
}
