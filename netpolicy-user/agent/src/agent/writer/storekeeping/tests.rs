//! A store that is lost under the writer, and one that is older than what is in force.

use std::fs;
use std::time::Duration;

use super::*;
use crate::agent::change::ChangeOptions;
use crate::agent::change::Consent;
use crate::agent::testing::{Bench, PLAIN, ROOT, create};
use crate::api::BypassRequest;

fn bypass(source: &str) -> BypassRequest {
    BypassRequest {
        source: source.to_owned(),
        minutes: 30,
        service: None,
    }
}

#[test]
fn lost_store_refuses_changes_until_it_is_rescued() {
    let mut bench = Bench::new();
    let first = create("first", &[], &["203.0.113.0/24"]);
    bench.writer.change(first, ROOT, PLAIN).unwrap();
    bench
        .writer
        .grant_bypass(&bypass("10.0.0.1"), ROOT, Consent::Any)
        .unwrap();
    assert!(matches!(
        bench.writer.rescue(ROOT),
        Err(AgentError::NothingLost)
    ));
    fs::remove_file(bench.dir.path().join("state.db")).unwrap();
    let generation = bench.snapshot().generation;

    let second = || create("second", &[], &["198.51.100.0/24"]);
    let error = bench.writer.change(second(), ROOT, PLAIN).unwrap_err();
    assert!(error.to_string().contains("is lost"), "{error}");
    assert!(error.hint().unwrap().contains("store rescue"));
    let refused = bench
        .writer
        .grant_bypass(&bypass("10.0.0.2"), ROOT, Consent::Any);
    assert!(refused.is_err());
    let snapshot = bench.snapshot();
    assert_eq!((snapshot.revision, snapshot.generation), (1, generation));
    bench.writer.reconcile();
    let faults = bench.snapshot().faults.join("\n");
    assert!(faults.contains("state.db was deleted or moved"), "{faults}");

    let rescued = bench.writer.rescue(ROOT).unwrap();
    assert_eq!((rescued.revision, rescued.history), (1, true));
    assert_eq!(bench.snapshot().faults, Vec::<String>::new());
    assert_eq!(
        bench.writer.change(second(), ROOT, PLAIN).unwrap().revision,
        2
    );
    let bench = bench.restart(&["eth7"]);
    let snapshot = bench.snapshot();
    assert_eq!((snapshot.revision, snapshot.state.policies.len()), (2, 2));
    assert_eq!(snapshot.live_bypasses().count(), 1);
}

#[test]
fn unconfirmed_change_rolls_back_and_is_rescued_though_the_store_is_lost() {
    let mut bench = Bench::new();
    let options = ChangeOptions {
        confirm_within: Some(Duration::from_secs(60)),
        ..PLAIN
    };
    let first = create("first", &[], &["203.0.113.0/24"]);
    bench.writer.change(first, ROOT, PLAIN).unwrap();
    let second = create("second", &[], &["198.51.100.0/24"]);
    bench.writer.change(second, ROOT, options).unwrap();
    // Nothing of it can be read any more, the base least of all.
    fs::write(bench.dir.path().join("state.db"), "").unwrap();
    fs::remove_file(bench.dir.path().join("state.db-wal")).unwrap();
    // What waits is rescued with what it goes back to.
    bench.writer.rescue(ROOT).unwrap();
    let mut bench = bench.restart(&["eth7"]);
    assert_eq!(bench.snapshot().pending.as_ref().unwrap().base, 1);
    fs::remove_file(bench.dir.path().join("state.db")).unwrap();
    bench.clock.pass(Duration::from_secs(60));
    bench.writer.reconcile();
    let snapshot = bench.snapshot();
    assert_eq!((snapshot.revision, snapshot.state.policies.len()), (3, 1));
    assert!(snapshot.pending.is_none());
    bench.writer.rescue(ROOT).unwrap();
    let bench = bench.restart(&["eth7"]);
    let snapshot = bench.snapshot();
    assert_eq!((snapshot.revision, snapshot.state.policies.len()), (3, 1));
    assert!(snapshot.pending.is_none());
}

#[test]
fn caller_without_admin_can_neither_back_up_nor_rescue_nor_acknowledge() {
    let mut bench = Bench::new();
    fs::remove_file(bench.dir.path().join("state.db")).unwrap();
    let mut requester = ROOT;
    requester.caller.uid = 65_534;
    requester.caller.gid = 65_534;
    for refused in [
        bench.writer.archivist(requester).err(),
        bench.writer.rescue(requester).err(),
        bench
            .writer
            .acknowledge(requester, Consent::Any, false)
            .err(),
        bench
            .writer
            .acknowledge(requester, Consent::Any, true)
            .err(),
    ] {
        let refused = refused.unwrap();
        assert!(
            matches!(refused, AgentError::NotAllowed { .. }),
            "{refused}"
        );
    }
}
