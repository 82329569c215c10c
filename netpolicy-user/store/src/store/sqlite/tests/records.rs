//! Records outside the revisions: the audit log, grants, the unconfirmed change.

use std::time::Duration;

use super::*;
use crate::model::{Grant, Principal, Privilege};

fn entry(action: &str) -> AuditEntry {
    AuditEntry {
        time: time(7),
        uid: 1000,
        actor: "alice".into(),
        from: Some("192.0.2.7".into()),
        action: action.into(),
        outcome: Outcome::Done,
        before: 0,
        after: 0,
        detail: AuditDetail {
            changes: vec!["+ policy office".into(), "    allow \"a\"\n10.0.0.1".into()],
            errors: vec![],
        },
    }
}

fn grant(privilege: Privilege, to: Principal, policy: Option<&str>) -> Grant {
    Grant {
        privilege,
        to,
        policy: policy.map(|name| Name::exact(name).unwrap()),
        granted_by: "root".into(),
        granted: time(3),
    }
}

#[test]
fn the_audit_log_comes_back_as_it_was_written_and_is_not_altered() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    let refused = AuditEntry {
        outcome: Outcome::Refused,
        from: None,
        ..entry("policy drop office")
    };
    store.audit(&entry("first")).unwrap();
    store.audit(&refused).unwrap();
    let extras = Extras {
        audit: Some(entry("apply")),
        ..Extras::default()
    };
    let revision = store
        .commit_with(&blocking([1]), &by("apply"), &extras)
        .unwrap();
    let made = AuditEntry {
        after: revision,
        ..entry("apply")
    };
    for statement in [
        "UPDATE audit SET actor = 'nobody'",
        "DELETE FROM audit",
        "DELETE FROM audit WHERE id = 2",
        "REPLACE INTO audit SELECT id, time, uid, 'x', origin, action, outcome, before, after, detail FROM audit",
        "INSERT OR REPLACE INTO audit SELECT 1, time, uid, 'x', origin, action, outcome, before, after, detail FROM audit WHERE id = 2",
    ] {
        let error = store.conn.execute_batch(statement).unwrap_err();
        assert!(error.to_string().contains("append-only"), "{error}");
    }
    drop(store);
    let store = SqliteStore::open(dir.path()).unwrap();
    let log = audit_log(&store, 10);
    // The newest first.
    let expected = [(3, made.clone()), (2, refused), (1, entry("first"))];
    assert_eq!(log, expected);
    assert_eq!(audit_log(&store, 1), [(3, made)]);
}

#[test]
fn an_entry_s_details_have_a_bound_and_say_what_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    let mut long = entry("apply");
    long.detail.changes = (0..10_000).map(|i| format!("+ block 10.0.{i}")).collect();
    store.audit(&long).unwrap();
    let (_, kept) = audit_log(&store, 1).remove(0);
    let kept = kept.detail.changes;
    let last = kept.last().unwrap();
    assert_eq!(*last, format!("… and {} more", 10_000 - (kept.len() - 1)));
    assert_eq!(kept[..3], long.detail.changes[..3]);
}

#[test]
fn grants_are_kept_once_and_go_with_their_entry() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    let alice = || Principal::User("alice".into());
    let all = grant(Privilege::Attach, alice(), None);
    let one = grant(Privilege::Attach, alice(), Some("Head Office"));
    let group = grant(Privilege::Read, Principal::Group("dba".into()), None);
    for grant in [&all, &one, &group, &one] {
        store
            .put_grants(&[(grant.clone(), entry("grant"))])
            .unwrap();
    }
    drop(store);
    let mut store = SqliteStore::open(dir.path()).unwrap();
    let mut found = store.load().unwrap().grants;
    found.sort_by_key(|grant| (grant.to.to_string(), grant.policy.clone()));
    assert_eq!(found, [group.clone(), all.clone(), one.clone()]);
    let revoked = |grant: &Grant| (grant.clone(), entry("revoke"));
    // One that is not there: neither goes.
    let other = grant(Privilege::Admin, Principal::User("eve".into()), None);
    assert!(
        !store
            .remove_grants(&[revoked(&all), revoked(&other)])
            .unwrap()
    );
    assert!(store.remove_grants(&[revoked(&all)]).unwrap());
    assert!(!store.remove_grants(&[revoked(&all)]).unwrap());
    let left = store.load().unwrap().grants;
    assert!(left.contains(&one) && left.contains(&group) && left.len() == 2);
    let actions = audit_log(&store, 10);
    let revoked = actions.iter().filter(|(_, e)| e.action == "revoke");
    assert_eq!(revoked.count(), 1, "what was not there was not revoked");
}

#[test]
fn what_waits_is_kept_with_its_revision_and_ends_with_its_entry() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    let base = store.commit(&blocking([1]), &by("apply")).unwrap();
    let waits = Pending {
        revision: 0,
        base,
        made: time(100),
        within: Duration::from_millis(90_500),
        actor: "alice".into(),
    };
    let extras = Extras {
        pending: PendingEdit::Set(waits.clone()),
        ..Extras::default()
    };
    let revision = store
        .commit_with(&blocking([2]), &by("apply"), &extras)
        .unwrap();
    drop(store);
    let mut store = SqliteStore::open(dir.path()).unwrap();
    let waits = Pending { revision, ..waits };
    assert_eq!(store.load().unwrap().pending, Some(waits.clone()));
    // A plain commit leaves it, its end leaves the state.
    store.commit(&blocking([3]), &by("apply")).unwrap();
    assert_eq!(store.load().unwrap().pending, Some(waits));
    store.clear_pending(&entry("confirm 2"), None).unwrap();
    let stored = store.load().unwrap();
    assert_eq!((stored.pending, stored.revision), (None, 3));
    assert_eq!(audit_log(&store, 1)[0].1.action, "confirm 2");
}

#[test]
fn a_clock_that_is_set_back_gives_no_more_time() {
    let waits = Pending {
        revision: 2,
        base: 1,
        made: time(1_000),
        within: Duration::from_secs(60),
        actor: "alice".into(),
    };
    let left = |now| waits.remaining(time(now)).as_secs();
    assert_eq!((left(1_000), left(1_059), left(1_060)), (60, 1, 0));
    assert_eq!((left(2_000), left(0)), (0, 60));
}

#[test]
fn lists_are_read_in_parts_and_searched() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    for n in 1..=5_u32 {
        let action = if n % 2 == 0 {
            "policy alter Web"
        } else {
            "policy create db_50%"
        };
        store.commit(&blocking(0..n), &by(action)).unwrap();
    }
    let past = store.past().unwrap();
    let read = |limit, after, text: Option<&str>| {
        let text = text.map(str::to_owned);
        let listed = past.revisions(&Window { limit, after, text }).unwrap();
        let numbers: Vec<_> = listed
            .items
            .iter()
            .map(|revision| revision.revision)
            .collect();
        (numbers, listed.total)
    };
    assert_eq!(read(2, None, None), (vec![5, 4], 5));
    assert_eq!(read(2, Some(4), None), (vec![3, 2], 5));
    assert_eq!(read(9, Some(2), None), (vec![1], 5));
    assert_eq!(read(9, Some(1), None), (vec![], 5));
    assert_eq!(read(9, Some(u64::MAX), None), (vec![5, 4, 3, 2, 1], 5));
    assert_eq!(read(9, None, Some("WEB")), (vec![4, 2], 2));
    assert_eq!(read(1, Some(4), Some("web")), (vec![2], 2));
    // Nothing in a text is a pattern.
    assert_eq!(read(9, None, Some("50%")), (vec![5, 3, 1], 3));
    assert_eq!(read(9, None, Some("db_")), (vec![5, 3, 1], 3));
    assert_eq!(read(9, None, Some("dbx")), (vec![], 0));
    assert_eq!(read(9, None, Some("alice")), (vec![5, 4, 3, 2, 1], 5));
}
