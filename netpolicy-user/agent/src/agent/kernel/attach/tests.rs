//! Which interfaces are filtered when.

use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::agent::testing::{Bench, ROOT};
use crate::config::DETACHED_MARKER;
use crate::detach_marker::{self, Unrecorded};
use crate::netdev::Device;

fn attached(bench: &Bench) -> Vec<String> {
    bench.kernel.lock().attached.keys().cloned().collect()
}

#[test]
fn configured_interfaces_are_filtered_and_others_no_more() {
    let bench = Bench::new();
    assert_eq!(attached(&bench), ["eth7"]);
    let bench = bench.restart(&["eth8"]);
    assert_eq!(attached(&bench), ["eth8"]);
}

#[test]
fn what_is_configured_no_more_stays_filtered_until_what_is_can_be() {
    // Its interface was renamed, or the configuration has a slip.
    let bench = Bench::new().restart(&["eth9"]);
    assert_eq!(attached(&bench), ["eth7"]);
    bench.kernel.lock().links.insert("eth9".into(), 9);
    let bench = bench.restart(&["eth9"]);
    assert_eq!(attached(&bench), ["eth9"]);
    assert!(
        bench.kernel.journal().ends_with(&["detach eth7".into()]),
        "the new one first"
    );
}

#[test]
fn interfaces_stay_filtered_while_they_cannot_be_listed() {
    let bench = Bench::new().restart(&["eth*"]);
    assert_eq!(attached(&bench), ["eth7", "eth8"]);
    bench.kernel.lock().fail_devices = true;
    let mut bench = bench.restart(&["eth*"]);
    assert_eq!(attached(&bench), ["eth7", "eth8"]);
    assert_eq!(bench.snapshot().interfaces, ["eth7", "eth8"]);
    let faults = &bench.snapshot().faults;
    assert!(
        faults
            .iter()
            .any(|fault| fault.contains("the interfaces cannot be listed")),
        "{faults:?}"
    );
    bench.kernel.lock().fail_devices = false;
    bench.writer.reconcile();
    assert_eq!(attached(&bench), ["eth7", "eth8"]);
    assert!(bench.snapshot().faults.is_empty());
    let detached = bench
        .kernel
        .journal()
        .into_iter()
        .find(|line| line.starts_with("detach"));
    assert_eq!(detached, None);
}

/// Makes `eth7` and `eth8` ports of a bond or a bridge.
fn enslave(bench: &Bench, kind: &str, master: &str) {
    let mut kernel = bench.kernel.lock();
    kernel.links.insert(master.to_owned(), 9);
    let device = |name: &str, kind: Option<&str>, master| Device {
        name: name.to_owned(),
        kind: kind.map(str::to_owned),
        master,
        ..Device::default()
    };
    kernel.devices = vec![
        device(master, Some(kind), None),
        device("eth7", None, Some(9)),
        device("eth8", None, Some(9)),
    ];
}

/// Looks again until the ports are let go; how long that took.
fn until_let_go(bench: &mut Bench, stays: &str) -> Duration {
    let begun = Instant::now();
    while attached(bench) != [stays] {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{:?}",
            attached(bench)
        );
        std::thread::sleep(Duration::from_millis(10));
        bench.writer.reconcile();
    }
    begun.elapsed()
}

#[test]
fn ports_stay_filtered_until_their_bond_was_filtered_for_some_time() {
    let mut bench = Bench::new().restart(&["*"]);
    assert_eq!(attached(&bench), ["eth7", "eth8"]);
    bench.kernel.journal();
    enslave(&bench, "bond", "bond0");
    bench.writer.reconcile();
    assert_eq!(attached(&bench), ["bond0", "eth7", "eth8"]);
    let took = until_let_go(&mut bench, "bond0");
    assert!(took > Duration::from_millis(100), "{took:?}");
    assert!(bench.snapshot().unfiltered.is_empty());
    // Also after a restart: what was filtered meanwhile is let go, and no sooner.
    bench.kernel.lock().attached.insert("eth8".into(), 8);
    let mut bench = bench.restart(&["*"]);
    assert_eq!(attached(&bench), ["bond0", "eth8"]);
    until_let_go(&mut bench, "bond0");
}

#[test]
fn ports_are_filtered_where_their_bond_cannot_be() {
    let mut bench = Bench::new().restart(&["*"]);
    enslave(&bench, "bond", "bond0");
    bench.kernel.lock().refusing.insert("bond0".into());
    bench.writer.reconcile();
    assert_eq!(attached(&bench), ["eth7", "eth8"]);
    // At boot nothing is attached yet.
    bench.kernel.lock().attached.clear();
    let mut bench = bench.restart(&["*"]);
    assert_eq!(attached(&bench), ["eth7", "eth8"]);
    let unfiltered: Vec<_> = bench.snapshot().unfiltered.keys().cloned().collect();
    assert_eq!(unfiltered, ["bond0"]);
    bench.kernel.lock().refusing.clear();
    until_let_go(&mut bench, "bond0");
    assert!(bench.snapshot().unfiltered.is_empty());
    assert!(bench.snapshot().faults.is_empty(), "no drift");
}

#[test]
fn nics_in_an_excluded_bridge_are_a_fault() {
    let mut bench = Bench::new().restart(&["*", "!br*"]);
    enslave(&bench, "bridge", "br0");
    bench.writer.reconcile();
    assert_eq!(attached(&bench), Vec::<String>::new());
    let unfiltered = bench.snapshot().unfiltered.clone();
    assert_eq!(unfiltered.len(), 2);
    let why = &unfiltered["eth7"];
    assert!(
        why.contains("a port of br0, which `interfaces` excludes"),
        "{why}"
    );
    assert!(bench.snapshot().interfaces.contains(&"eth7".to_owned()));
    // Excluded as well, that is what the operator wants.
    let mut bench = bench.restart(&["*", "!br*", "!eth*"]);
    assert_eq!(bench.snapshot().unfiltered.len(), 1, "that nothing matches");
    assert_eq!(bench.snapshot().unfiltered["*"], super::UNMATCHED);
    bench.kernel.lock().devices.clear();
    bench.writer.reconcile();
    let mut bench = bench.restart(&["*", "!br*"]);
    bench.writer.reconcile();
    assert_eq!(attached(&bench), ["eth7", "eth8"]);
    assert!(bench.snapshot().unfiltered.is_empty());
}

#[test]
fn without_configuration_what_is_filtered_stays_so() {
    let bench = Bench::new().restart(&[]);
    assert_eq!(attached(&bench), ["eth7"]);
    assert_eq!(bench.snapshot().interfaces, ["eth7"]);
    assert!(bench.snapshot().faults.is_empty());
}

#[test]
fn no_interface_at_all_is_a_fault() {
    let bench = Bench::new();
    bench.kernel.lock().attached.clear();
    let bench = bench.restart(&[]);
    let faults = &bench.snapshot().faults;
    assert!(
        faults[0].contains("no interface is configured"),
        "{faults:?}"
    );
}

#[test]
fn an_absent_interface_is_a_fault_until_it_appears() {
    let mut bench = Bench::new().restart(&["eth7", "eth9"]);
    let unfiltered = bench.snapshot().unfiltered.clone();
    assert_eq!(unfiltered.len(), 1);
    assert_eq!(unfiltered["eth9"], super::ABSENT);
    bench.kernel.lock().links.insert("eth9".into(), 9);
    bench.writer.reconcile();
    assert_eq!(attached(&bench), ["eth7", "eth9"]);
    assert!(bench.snapshot().unfiltered.is_empty());
}

#[test]
fn an_interface_that_goes_and_comes_back_is_no_drift() {
    let mut bench = Bench::new();
    bench.kernel.lock().links.remove("eth7");
    bench.kernel.lock().attached.clear();
    bench.writer.reconcile();
    assert_eq!(bench.snapshot().unfiltered.len(), 1);
    bench.kernel.lock().links.insert("eth7".into(), 17);
    bench.writer.reconcile();
    assert_eq!(attached(&bench), ["eth7"]);
    assert!(bench.snapshot().unfiltered.is_empty());
    assert!(bench.snapshot().faults.is_empty());
}

#[test]
fn a_program_that_was_taken_away_is_put_back_and_reported() {
    let mut bench = Bench::new();
    bench.kernel.lock().attached.clear();
    bench.writer.reconcile();
    assert_eq!(attached(&bench), ["eth7"]);
    let faults = &bench.snapshot().faults;
    assert!(
        faults[0].contains("eth7 had lost its program"),
        "{faults:?}"
    );
}

#[test]
fn detached_stays_detached_until_attached() {
    let mut bench = Bench::new();
    let marker = bench.dir.path().join(DETACHED_MARKER);
    let detached = super::detach(&marker, &bench.kernel, ROOT.caller).unwrap();
    assert_eq!(detached, ["eth7"]);
    bench.writer.reconcile();
    let mut bench = bench.restart(&["eth7"]);
    assert!(attached(&bench).is_empty(), "also after a restart");
    let detached = bench.snapshot().detached.clone().unwrap();
    assert_eq!(detached.actor.as_deref(), Some("root"));
    assert!(detached.time.is_some());
    assert!(
        bench.snapshot().faults.is_empty(),
        "it is what the operator wants"
    );
    assert_eq!(bench.writer.attach(ROOT).unwrap(), ["eth7"]);
    assert_eq!(attached(&bench), ["eth7"]);
    assert_eq!(bench.snapshot().detached, None);
}

#[test]
fn a_marker_written_without_the_agent_counts() {
    let mut bench = Bench::new();
    std::fs::write(bench.dir.path().join(DETACHED_MARKER), "").unwrap();
    bench.writer.reconcile();
    assert!(attached(&bench).is_empty());
    assert!(bench.snapshot().detached.is_some());
}

#[test]
fn without_a_marker_detaching_says_that_it_will_not_last() {
    let bench = Bench::new();
    let error = super::detach(Path::new("/nonexistent/x"), &bench.kernel, ROOT.caller).unwrap_err();
    assert!(error.to_string().contains("will attach again"), "{error}");
    assert!(attached(&bench).is_empty(), "but it is detached");
}

#[test]
fn actions_without_an_agent_reach_the_audit_log_once_with_their_time() {
    let mut bench = Bench::new();
    let marker = bench.dir.path().join(DETACHED_MARKER);
    for (action, seconds) in [("detach", 60), ("attach", 120)] {
        let action = Unrecorded {
            action: action.into(),
            actor: "alice".into(),
            uid: 1000,
            time: Timestamp::from_second(seconds).unwrap(),
        };
        detach_marker::leave_unrecorded(&marker, &action).unwrap();
    }
    let mut bench = {
        bench.writer.reconcile();
        bench.restart(&["eth7"])
    };
    bench.writer.reconcile();
    let log = bench.audit_log(10);
    let told: Vec<_> = log
        .iter()
        .map(|e| (e.action.as_str(), e.actor.as_str(), e.time.as_second()))
        .collect();
    assert_eq!(told, [("attach", "alice", 120), ("detach", "alice", 60)]);
    assert_eq!(log[0].changes, ["done without an agent"]);
}
