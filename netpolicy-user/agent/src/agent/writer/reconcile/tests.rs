//! Drift is found, repaired and reported.

use crate::agent::testing::{Bench, PLAIN, ROOT, create};

#[test]
fn all_is_well() {
    let mut bench = Bench::new();
    bench.writer.reconcile();
    assert_eq!(bench.kernel.journal(), ["verify"]);
    bench.writer.reconcile();
    assert!(
        bench.kernel.journal().is_empty(),
        "verified only now and then"
    );
    assert!(bench.snapshot().faults.is_empty());
}

#[test]
fn lists_that_differ_are_refilled() {
    let mut bench = Bench::new();
    bench.kernel.lock().differences = vec!["block list, IPv4: 1 entry is missing".into()];
    bench.writer.reconcile();
    assert_eq!(
        bench.kernel.journal(),
        ["verify", "distrust", "prepare", "flip"]
    );
    let snapshot = bench.snapshot();
    assert_eq!(snapshot.generation, 2);
    assert_eq!(snapshot.faults.len(), 1);
    assert!(
        snapshot.faults[0].contains("1 entry is missing"),
        "{:?}",
        snapshot.faults
    );
    assert!(snapshot.faults[0].contains("repaired as generation 2"));
    bench.writer.reconcile();
    assert_eq!(bench.kernel.journal(), ["verify"], "the repair is checked");
}

#[test]
fn after_all_lists_samples_of_them_are_read_back() {
    let mut bench = Bench::new();
    for expected in ["verify", "verify sample 0", "verify sample 1"] {
        bench.writer.kernel.verify_now();
        bench.writer.reconcile();
        assert_eq!(bench.kernel.journal(), [expected]);
    }
    bench.kernel.lock().differences = vec!["lists are missing".into()];
    bench.writer.kernel.verify_now();
    bench.writer.reconcile();
    bench.writer.reconcile();
    let journal = bench.kernel.journal();
    assert_eq!(
        journal[..5],
        ["verify sample 2", "distrust", "prepare", "flip", "verify"],
        "after a repair all is read back"
    );
}

#[test]
fn another_generation_is_drift() {
    let mut bench = Bench::new();
    let office = create("office", &["10.0.0.0/8"], &[]);
    bench.writer.change(office, ROOT, PLAIN).unwrap();
    bench.kernel.lock().generation = 1;
    bench.kernel.journal();
    bench.writer.reconcile();
    assert_eq!(bench.kernel.journal(), ["distrust", "prepare", "flip"]);
    let faults = &bench.snapshot().faults;
    assert!(
        faults[0].contains("generation 1 is in force, not 2"),
        "{faults:?}"
    );
}

#[test]
fn drift_that_cannot_be_repaired_is_reported_and_tried_again() {
    let mut bench = Bench::new();
    bench.kernel.lock().differences = vec!["lists are missing".into()];
    bench.kernel.lock().fail_prepare = true;
    bench.writer.reconcile();
    let faults = bench.snapshot().faults.clone();
    assert!(faults[0].contains("lists are missing"), "{faults:?}");
    assert!(faults[0].contains("repair failed"), "{faults:?}");
    bench.kernel.lock().fail_prepare = false;
    bench.kernel.journal();
    bench.writer.reconcile();
    assert_eq!(
        bench.kernel.journal(),
        ["verify", "distrust", "prepare", "flip"]
    );
    assert!(bench.snapshot().faults[0].contains("repaired"));
}

#[test]
fn lost_pins_are_reinstalled_and_attached() {
    let mut bench = Bench::new();
    bench.kernel.lock().unpinned = true;
    bench.writer.reconcile();
    let journal = bench.kernel.journal();
    assert_eq!(
        journal,
        ["reinstall", "attach eth7", "bypasses 0", "verify"]
    );
    assert!(bench.snapshot().faults[0].contains("reinstalled"));
}

#[test]
fn pins_that_cannot_be_reinstalled_stay_a_fault() {
    let mut bench = Bench::new();
    bench.kernel.lock().unpinned = true;
    bench.kernel.lock().fail_prepare = true;
    bench.writer.reconcile();
    let faults = bench.snapshot().faults.clone();
    assert!(faults[0].contains("reinstalling failed"), "{faults:?}");
}
