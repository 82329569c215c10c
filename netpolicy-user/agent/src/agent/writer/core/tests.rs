//! Changes: the order of their steps, and what remains when a step fails.

use crate::agent::change::{Consent, Proposal};
use crate::agent::testing::{Bench, DRY, PLAIN, ROOT, apply, create};
use crate::api::BypassRequest;
use crate::model::Change;

#[test]
fn a_change_is_filled_then_stored_then_put_into_force() {
    let mut bench = Bench::new();
    let change = create("office", &["10.0.0.0/8"], &[]);
    let changed = bench.writer.change(change, ROOT, PLAIN).unwrap();
    assert_eq!(bench.kernel.journal(), ["prepare", "store", "flip"]);
    assert_eq!(changed.revision, 1);
    assert_eq!(changed.generation, 2);
    assert_eq!(changed.entries, 1);
    assert_eq!(changed.plan.len(), 1);
    let snapshot = bench.snapshot();
    assert_eq!((snapshot.revision, snapshot.generation), (1, 2));
    assert!(snapshot.state.policy("office").is_some());
    let revisions = bench.revisions(10);
    assert_eq!(revisions[0].action, "policy create office");
    assert_eq!(revisions[0].actor, "root");
}

#[test]
fn what_the_kernel_does_not_take_changes_nothing() {
    let mut bench = Bench::new();
    bench.kernel.lock().fail_prepare = true;
    let change = create("office", &["10.0.0.0/8"], &[]);
    let error = bench.writer.change(change, ROOT, PLAIN).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the kernel rejected the new rules: no memory for the map; revision 0 stays in force"
    );
    assert_eq!(error.hint().as_deref(), Some("free some memory"));
    assert_eq!(bench.kernel.journal(), ["prepare"]);
    assert_eq!(bench.snapshot().revision, 0);
    assert!(bench.snapshot().state.policies.is_empty());
    let bench = bench.restart(&["eth7"]);
    assert_eq!(bench.snapshot().revision, 0, "the store has nothing of it");
}

#[test]
fn what_the_store_does_not_take_changes_nothing() {
    let mut bench = Bench::new();
    let office = create("office", &["10.0.0.0/8"], &[]);
    bench.writer.change(office, ROOT, PLAIN).unwrap();
    bench.kernel.journal();
    bench.kernel.lock().fail_commit = true;
    let branch = create("branch", &[], &["10.0.0.1"]);
    let error = bench
        .writer
        .change(branch.clone(), ROOT, PLAIN)
        .unwrap_err();
    assert!(
        error.to_string().ends_with("revision 1 stays in force"),
        "{error}"
    );
    assert_eq!(bench.kernel.journal(), ["prepare", "store"], "no flip");
    assert_eq!(bench.kernel.lock().generation, 2);
    assert!(bench.snapshot().state.policy("branch").is_none());

    bench.kernel.lock().fail_commit = false;
    let changed = bench.writer.change(branch, ROOT, PLAIN).unwrap();
    assert_eq!(
        (changed.revision, changed.generation),
        (2, 3),
        "and goes on"
    );
}

#[test]
fn a_dry_run_says_what_would_change_and_changes_nothing() {
    let mut bench = Bench::new();
    let change = create("office", &["10.0.0.0/8"], &[]);
    let changed = bench.writer.change(change, ROOT, DRY).unwrap();
    assert!(changed.dry_run);
    assert_eq!(changed.plan.len(), 1);
    assert_eq!(changed.revision, 0);
    assert!(bench.kernel.journal().is_empty());
    assert!(bench.snapshot().state.policies.is_empty());
}

#[test]
fn applying_the_same_again_makes_no_revision() {
    let mut bench = Bench::new();
    let file = "[[policy]]\nname = \"office\"\nallow = [\"10.0.0.0/8\"]\n";
    assert_eq!(
        bench
            .writer
            .change(apply(file), ROOT, PLAIN)
            .unwrap()
            .revision,
        1
    );
    bench.kernel.journal();
    let again = bench.writer.change(apply(file), ROOT, PLAIN).unwrap();
    assert!(again.plan.is_empty());
    assert_eq!(again.revision, 1);
    assert!(bench.kernel.journal().is_empty());
}

#[test]
fn a_new_name_is_stored_but_none_of_the_kernels_business() {
    let mut bench = Bench::new();
    let office = create("office", &["10.0.0.0/8"], &[]);
    bench.writer.change(office, ROOT, PLAIN).unwrap();
    bench.kernel.journal();
    let rename = Change::RenamePolicy {
        name: "office".into(),
        to: "branch".into(),
    };
    let changed = bench.writer.change(rename, ROOT, PLAIN).unwrap();
    assert_eq!(bench.kernel.journal(), ["store"]);
    assert_eq!((changed.revision, changed.generation), (2, 2));
    assert!(bench.snapshot().state.policy("branch").is_some());
}

#[test]
fn a_refused_change_says_why_and_changes_nothing() {
    let mut bench = Bench::new();
    let change = create("office", &["10.0.0.300"], &[]);
    let error = bench.writer.change(change, ROOT, PLAIN).unwrap_err();
    assert!(error.errors()[0].contains("10.0.0.300"), "{error}");
    assert!(bench.kernel.journal().is_empty());
    assert_eq!(
        bench.writer.progress().borrow().phase,
        crate::api::Phase::Idle
    );
}

#[test]
fn past_revisions_can_be_read() {
    let mut bench = Bench::new();
    for name in ["office", "branch"] {
        let change = create(name, &["10.0.0.0/8"], &[]);
        bench.writer.change(change, ROOT, PLAIN).unwrap();
    }
    assert_eq!(bench.writer.state_at(1).unwrap().policies.len(), 1);
    let error = bench.writer.state_at(9).unwrap_err();
    assert!(error.to_string().contains("no revision 9"), "{error}");
    assert_eq!(bench.revisions(1).len(), 1);
}

#[test]
fn a_restart_takes_over_what_is_in_force() {
    let mut bench = Bench::new();
    let office = create("office", &["10.0.0.0/8"], &[]);
    bench.writer.change(office, ROOT, PLAIN).unwrap();
    bench.kernel.journal();
    let bench = bench.restart(&["eth7"]);
    let journal = bench.kernel.journal();
    assert_eq!(
        journal,
        ["bypasses 0"],
        "nothing is filled, flipped or attached"
    );
    let snapshot = bench.snapshot();
    assert_eq!((snapshot.revision, snapshot.generation), (1, 2));
    assert_eq!(snapshot.entries, 1);
}

#[test]
fn bypass_follows_a_service_that_a_rollback_renumbers() {
    let mut bench = Bench::new();
    let b = "[[service]]\nname = \"web\"\nports = [2]\n";
    let both = format!("[[service]]\nname = \"dns\"\nports = [1]\n{b}");
    for file in [&both, "", b] {
        bench.writer.change(apply(file), ROOT, PLAIN).unwrap();
    }
    let bypass = BypassRequest {
        source: "10.0.0.1".into(),
        minutes: 30,
        service: Some("web".into()),
    };
    let granted = bench.writer.grant_bypass(&bypass, ROOT, Consent::Any);
    granted.unwrap();
    let scope = |bench: &Bench| bench.kernel.lock().bypasses[0].scope;
    assert_eq!(scope(&bench), 1);
    let rollback = Proposal::Rollback { revision: 1 };
    bench.writer.change(rollback, ROOT, PLAIN).unwrap();
    assert_eq!(scope(&bench), 2);
}
