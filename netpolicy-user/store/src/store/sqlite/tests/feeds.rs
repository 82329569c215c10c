//! Feeds: their content is in no revision, and goes with the last revision that has the feed.

use super::*;
use crate::model::{Feed, NamedList};

fn name() -> Name {
    Name::new("drop").unwrap()
}

/// A state with a feed that has this content, and a policy that blocks so many hosts.
fn with_feed(content: &RuleList, others: u32) -> State {
    let mut state = blocking(0..others);
    state.lists.push(NamedList {
        name: name(),
        entries: content.clone(),
        every: RuleList::default(),
        rule: None,
        feed: Some(Box::new(Feed::new("https://example.org/list.txt"))),
        max_shrink: None,
        comment: None,
        owner: "root".into(),
        created: time(1),
        altered: time(2),
    });
    state.policies[0].block_lists = vec![name()];
    state
}

fn record(second: i64) -> FeedRecord {
    FeedRecord {
        replaced: None,
        by: Feed::new("https://example.org/list.txt"),
        fetched: time(second),
        checked: time(second),
        format: "plain".into(),
        skipped: 0,
        etag: Some("\"1\"".into()),
        last_modified: None,
    }
}

fn put(store: &mut SqliteStore, content: Option<&RuleList>, second: i64) {
    let (name, record) = (name(), record(second));
    let update = FeedUpdate {
        name: &name,
        content,
        record: &record,
    };
    store.put_feed(update, None).unwrap();
}

#[test]
fn content_of_a_feed_is_in_no_revision_and_in_each_state_that_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    let (nothing, first, second) = (RuleList::default(), list(0..9_000), list(5..9_005));
    store.commit(&with_feed(&nothing, 1), &by("apply")).unwrap();
    put(&mut store, Some(&first), 10);
    assert_eq!(store.state_at(1).unwrap(), with_feed(&first, 1));
    store.commit(&with_feed(&first, 2), &by("apply")).unwrap();
    put(&mut store, Some(&second), 20);
    put(&mut store, None, 30);

    let mut store = SqliteStore::open(dir.path()).unwrap();
    let stored = store.load().unwrap();
    assert_eq!(stored.state, with_feed(&second, 2));
    assert_eq!(stored.feeds, [(name(), record(30))]);
    assert_eq!(store.state_at(1).unwrap(), with_feed(&second, 1));
    let past = store.past().unwrap();
    assert_eq!(past.state_at(1).unwrap(), with_feed(&second, 1));
    assert_eq!(revisions(&store, 10).len(), 2);
}

#[test]
fn feed_that_is_dropped_is_kept_as_long_as_a_revision_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    let content = list(0..9_000);
    store.commit(&with_feed(&content, 1), &by("apply")).unwrap();
    put(&mut store, Some(&content), 10);
    store.commit(&blocking(0..2), &by("apply")).unwrap();
    let keep = |revisions| Keep {
        revisions,
        bytes: u64::MAX,
        at_least: 1,
    };
    store.prune_to(keep(2)).unwrap();
    assert_eq!(store.state_at(1).unwrap(), with_feed(&content, 1));
    let before = objects(&store);
    store.commit(&blocking(0..3), &by("apply")).unwrap();
    store.prune_to(keep(1)).unwrap();
    assert!(objects(&store) < before, "{before}");
    assert_eq!(store.load().unwrap().feeds, []);
}

#[test]
fn replaced_content_is_removed_though_no_revision_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    store
        .commit(&with_feed(&RuleList::default(), 1), &by("apply"))
        .unwrap();
    put(&mut store, Some(&list(0..20_000)), 10);
    put(&mut store, Some(&list(30_000..40_000)), 20);
    let before = objects(&store);
    assert_eq!(store.prune().unwrap(), Pruned::default());
    assert_eq!(objects(&store), before);
    store.replaced = REPLACED + 1;
    let pruned = store.prune().unwrap();
    assert_eq!(pruned.revisions, 0);
    assert!(pruned.objects > 0 && objects(&store) < before);
    let state = store.load().unwrap().state;
    assert_eq!(state, with_feed(&list(30_000..40_000), 1));
}

#[test]
fn damaged_record_of_a_feed_is_found_out() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    let content = list(0..3);
    store.commit(&with_feed(&content, 1), &by("apply")).unwrap();
    put(&mut store, Some(&content), 10);
    drop(store);
    let conn = Connection::open(dir.path().join("state.db")).unwrap();
    conn.execute("UPDATE feeds SET record = '{}'", []).unwrap();
    drop(conn);
    let error = load(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("feed \"drop\""), "{error}");
}
