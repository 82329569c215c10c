//! Verification on demand, and its report.

use std::sync::{Arc, Mutex, mpsc};

use crate::agent::kernel::Inspector;
use crate::agent::testing::{Bench, PLAIN, ROOT, create};
use crate::agent::writer::{Supervisor, Writer};

#[test]
fn all_is_well() {
    let mut bench = Bench::new();
    let office = create("office", &["10.0.0.0/8"], &["10.66.0.0/16"]);
    bench.writer.change(office, ROOT, PLAIN).unwrap();
    bench.kernel.journal();
    let view = bench.writer.verify_all().unwrap();
    assert_eq!(bench.kernel.journal(), ["verify"]);
    assert_eq!((view.revision, view.generation, view.entries), (1, 2, 2));
    assert!(view.differences.is_empty() && !view.repaired, "{view:?}");
    assert!(bench.snapshot().faults.is_empty());
}

#[test]
fn difference_is_reported_and_repaired() {
    let mut bench = Bench::new();
    bench.kernel.lock().differences = vec!["scope 0: the lists differ (IPv4)".into()];
    let view = bench.writer.verify_all().unwrap();
    assert_eq!(
        bench.kernel.journal(),
        ["verify", "distrust", "prepare", "flip"]
    );
    assert_eq!(view.differences, ["scope 0: the lists differ (IPv4)"]);
    assert!(view.repaired && view.generation == 2, "{view:?}");
    assert_eq!(bench.snapshot().generation, 2);
}

#[test]
fn difference_that_cannot_be_repaired_is_reported() {
    let mut bench = Bench::new();
    bench.kernel.lock().differences = vec!["lists are missing".into()];
    bench.kernel.lock().fail_prepare = true;
    let view = bench.writer.verify_all().unwrap();
    assert!(!view.differences.is_empty() && !view.repaired, "{view:?}");
    assert!(bench.snapshot().faults[0].contains("repair failed"));
}

#[test]
fn ruleset_that_differs_from_the_state_is_recompiled() {
    let mut bench = Bench::new();
    let office = create("office", &["10.0.0.0/8"], &[]);
    bench.writer.change(office, ROOT, PLAIN).unwrap();
    let right = bench.writer.in_force.ruleset.clone();
    // As if a change had been compiled wrongly.
    let nothing = crate::compiler::compile(&crate::model::State::empty());
    bench.writer.in_force.ruleset = Arc::new(nothing);
    let view = bench.writer.verify_all().unwrap();
    assert!(view.differences[0].contains("fresh compile"), "{view:?}");
    assert_eq!(bench.writer.in_force.ruleset, right);
    let again = bench.writer.verify_all().unwrap();
    assert!(again.differences.is_empty(), "{again:?}");
}

#[test]
fn lost_pins_are_reported_and_reinstalled() {
    let mut bench = Bench::new();
    bench.kernel.lock().unpinned = true;
    let view = bench.writer.verify_all().unwrap();
    assert!(view.differences[0].contains("pins were gone"), "{view:?}");
    assert!(view.repaired);
    assert_eq!(bench.kernel.journal()[0], "reinstall");
}

#[test]
fn pins_that_cannot_be_reinstalled_are_not_reported_as_repaired() {
    let mut bench = Bench::new();
    bench.kernel.lock().unpinned = true;
    bench.kernel.lock().fail_prepare = true;
    let view = bench.writer.verify_all().unwrap();
    assert!(view.differences[0].contains("pins were gone"), "{view:?}");
    assert!(!view.repaired, "{view:?}");
    let faults = &bench.snapshot().faults;
    assert!(faults[0].contains("reinstalling failed"), "{faults:?}");
}

/// Changes do not wait for a look; a look that a change overtook begins again.
#[tokio::test(flavor = "multi_thread")]
async fn verify_in_progress_does_not_delay_a_change() {
    let bench = Bench::new();
    let (arrived, arrivals) = mpsc::channel();
    let (go, gate) = mpsc::channel();
    bench.kernel.lock().gate = Some((arrived, Arc::new(Mutex::new(gate))));
    let kernel = bench.kernel.clone();
    let inspector: Arc<dyn Inspector> = Arc::new(kernel.clone());
    let (supervisor, _) = Supervisor::start(bench.writer).unwrap();
    let verify = {
        let supervisor = supervisor.clone();
        tokio::spawn(async move { supervisor.verify_all(&inspector).await })
    };
    let arrivals = tokio::task::spawn_blocking(move || {
        arrivals.recv().unwrap();
        arrivals
    });
    let arrivals = arrivals.await.unwrap();
    let office = create("office", &[], &["10.66.0.0/16"]);
    let change = move |writer: &mut Writer| writer.change(office, ROOT, PLAIN);
    let changed = supervisor.run(ROOT.caller, change).await.unwrap();
    assert!(!verify.is_finished(), "it still stands at the gate");
    kernel.journal();
    for _ in 0..2 {
        go.send(()).unwrap();
    }
    let view = verify.await.unwrap().unwrap();
    assert_eq!(view.generation, changed.generation);
    assert!(view.differences.is_empty(), "{view:?}");
    assert_eq!(kernel.journal(), ["look"], "the second look, and no other");
    drop(arrivals);
}

#[tokio::test(flavor = "multi_thread")]
async fn difference_found_outside_the_writer_is_repaired_by_it() {
    let bench = Bench::new();
    bench.kernel.lock().differences = vec!["lists are missing".into()];
    let kernel = bench.kernel.clone();
    let inspector: Arc<dyn Inspector> = Arc::new(kernel.clone());
    let (supervisor, _) = Supervisor::start(bench.writer).unwrap();
    let view = supervisor.verify_all(&inspector).await.unwrap();
    assert_eq!(view.differences, ["lists are missing"]);
    assert!(view.repaired, "{view:?}");
    assert_eq!(
        kernel.journal(),
        ["look", "verify", "distrust", "prepare", "flip"]
    );
}
