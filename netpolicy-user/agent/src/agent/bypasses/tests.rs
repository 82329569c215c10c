//! Bypasses, in the store and in the kernel.

use std::time::Duration;

use jiff::SignedDuration;

use super::*;
use crate::agent::testing::{Bench, PLAIN, ROOT, add_service, apply};

fn request(source: &str, minutes: u32, service: Option<&str>) -> BypassRequest {
    BypassRequest {
        source: source.to_owned(),
        minutes,
        service: service.map(str::to_owned),
    }
}

fn listed(bench: &Bench) -> Vec<String> {
    let snapshot = bench.snapshot();
    snapshot
        .bypasses
        .iter()
        .map(|b| format!("{} {}", b.source, scope_name(b)))
        .collect()
}

#[test]
fn a_bypass_is_granted_until_its_time() {
    let mut bench = Bench::new();
    bench
        .writer
        .change(add_service("pg1", "5432"), ROOT, PLAIN)
        .unwrap();
    let view = bench
        .writer
        .grant_bypass(&request("10.0.0.1/8", 30, Some("PG1")), ROOT, Consent::Any)
        .unwrap();
    assert_eq!(
        (view.source.as_str(), view.scope.as_str()),
        ("10.0.0.0/8", "pg1")
    );
    let minutes = view.expires.duration_since(view.granted).as_mins();
    assert_eq!(minutes, 30);
    let entry = bench.kernel.lock().bypasses[0];
    assert_eq!(entry.scope, 1);
    assert!(entry.remaining > Duration::from_secs(1790));
    assert!(entry.remaining <= Duration::from_secs(1800));
}

#[test]
fn granting_again_replaces_the_time() {
    let mut bench = Bench::new();
    bench
        .writer
        .grant_bypass(&request("10.0.0.1", 30, None), ROOT, Consent::Any)
        .unwrap();
    bench
        .writer
        .grant_bypass(&request("10.0.0.1", 5, None), ROOT, Consent::Any)
        .unwrap();
    assert_eq!(listed(&bench), ["10.0.0.1/32 host"]);
    assert!(bench.kernel.lock().bypasses[0].remaining <= Duration::from_secs(300));
}

#[test]
fn bad_requests_are_refused() {
    let mut bench = Bench::new();
    for bad in [
        request("10.0.0.256", 30, None),
        request("10.0.0.1", 0, None),
        request("10.0.0.1", 10_081, None),
        request("10.0.0.1", 30, Some("nowhere")),
    ] {
        assert!(
            bench.writer.grant_bypass(&bad, ROOT, Consent::Any).is_err(),
            "{bad:?}"
        );
    }
    assert!(bench.kernel.journal().is_empty());
    let error = bench
        .writer
        .revoke_bypass("10.0.0.1", None, ROOT, false)
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("no bypass of 10.0.0.1/32 for the host"),
        "{error}"
    );
}

#[test]
fn what_cannot_be_stored_or_enforced_is_not_granted() {
    let mut bench = Bench::new();
    bench.kernel.lock().fail_commit = true;
    assert!(
        bench
            .writer
            .grant_bypass(&request("10.0.0.1", 30, None), ROOT, Consent::Any)
            .is_err()
    );
    assert!(bench.kernel.lock().bypasses.is_empty(), "rolled back");
    bench.kernel.lock().fail_commit = false;
    bench.kernel.lock().fail_bypasses = true;
    assert!(
        bench
            .writer
            .grant_bypass(&request("10.0.0.1", 30, None), ROOT, Consent::Any)
            .is_err()
    );
    assert!(listed(&bench).is_empty());
    let tries = bench.kernel.journal();
    assert_eq!(
        tries[tries.len() - 2..],
        ["bypasses 1", "bypasses 0"],
        "what the kernel accepted of it is rolled back"
    );
}

#[test]
fn revoked_is_revoked_everywhere() {
    let mut bench = Bench::new();
    bench
        .writer
        .grant_bypass(&request("10.0.0.1", 30, None), ROOT, Consent::Any)
        .unwrap();
    bench
        .writer
        .revoke_bypass("10.0.0.1/32", None, ROOT, false)
        .unwrap();
    assert!(bench.kernel.lock().bypasses.is_empty());
    let bench = bench.restart(&["eth7"]);
    assert!(listed(&bench).is_empty());
}

#[test]
fn a_revocation_that_the_kernel_did_not_take_is_said_and_tried_again() {
    let mut bench = Bench::new();
    bench
        .writer
        .grant_bypass(&request("10.0.0.1", 30, None), ROOT, Consent::Any)
        .unwrap();
    bench.kernel.lock().fail_bypasses = true;
    assert!(
        bench
            .writer
            .revoke_bypass("10.0.0.1", None, ROOT, false)
            .is_err()
    );
    assert_eq!(bench.snapshot().faults.len(), 1);
    bench.kernel.lock().fail_bypasses = false;
    bench.writer.reconcile();
    assert!(bench.kernel.lock().bypasses.is_empty());
    assert!(bench.snapshot().faults.is_empty());
}

#[test]
fn a_restart_restores_them_with_the_time_that_is_left() {
    let mut bench = Bench::new();
    bench
        .writer
        .grant_bypass(&request("10.0.0.1", 30, None), ROOT, Consent::Any)
        .unwrap();
    bench.kernel.lock().bypasses.clear();
    let bench = bench.restart(&["eth7"]);
    assert_eq!(listed(&bench), ["10.0.0.1/32 host"]);
    let remaining = bench.kernel.lock().bypasses[0].remaining;
    assert!(remaining <= Duration::from_secs(1800));
}

#[test]
fn expired_bypasses_are_removed() {
    let mut bench = Bench::new();
    bench
        .writer
        .grant_bypass(&request("10.0.0.1", 1, None), ROOT, Consent::Any)
        .unwrap();
    bench
        .writer
        .grant_bypass(&request("10.0.0.0/8", 30, None), ROOT, Consent::Any)
        .unwrap();
    let later = bench.writer.now() + SignedDuration::from_mins(2);
    bench.writer.drop_expired_bypasses(later);
    bench.writer.publish();
    assert_eq!(listed(&bench), ["10.0.0.0/8 host"]);
    let kept: Vec<_> = bench
        .kernel
        .lock()
        .bypasses
        .iter()
        .map(|b| b.source)
        .collect();
    assert_eq!(kept, ["10.0.0.0/8".parse().unwrap()]);
    let bench = bench.restart(&["eth7"]);
    assert_eq!(listed(&bench), ["10.0.0.0/8 host"]);
}

#[test]
fn a_service_takes_its_bypasses_with_it_before_its_scope_is_anothers() {
    let mut bench = Bench::new();
    bench
        .writer
        .change(add_service("pg1", "5432"), ROOT, PLAIN)
        .unwrap();
    bench
        .writer
        .grant_bypass(&request("10.0.0.1", 30, Some("pg1")), ROOT, Consent::Any)
        .unwrap();
    bench.kernel.journal();
    let other = apply("[[service]]\nname = \"mysql\"\nports = [\"3306\"]\n");
    bench.writer.change(other, ROOT, PLAIN).unwrap();
    assert_eq!(
        bench.kernel.journal(),
        ["prepare", "store", "bypasses 0", "flip"]
    );
    assert!(listed(&bench).is_empty());
}

#[test]
fn a_bypass_whose_service_went_with_a_killed_agent_does_not_return_with_it() {
    let mut bench = Bench::new();
    let now = bench.writer.now();
    let orphan = Bypass {
        source: "10.0.0.1/32".parse().unwrap(),
        service: Some(Name::new("pg1").unwrap()),
        granted: now,
        expires: Bypass::expiry(now, 30).unwrap(),
        granted_by: "root".to_owned(),
    };
    bench.writer.store().put_bypass(&orphan, None).unwrap();
    let mut bench = bench.restart(&["eth7"]);
    bench
        .writer
        .change(add_service("pg1", "5432"), ROOT, PLAIN)
        .unwrap();
    let bench = bench.restart(&["eth7"]);
    assert!(listed(&bench).is_empty());
    assert!(bench.kernel.lock().bypasses.is_empty());
}

#[test]
fn a_clock_that_was_set_back_prolongs_nothing() {
    let granted = Timestamp::now();
    let bypass = Bypass {
        source: "10.0.0.1/32".parse().unwrap(),
        service: None,
        granted,
        expires: Bypass::expiry(granted, 30).unwrap(),
        granted_by: "root".to_owned(),
    };
    let entries = entries(&State::empty(), &[bypass], Timestamp::UNIX_EPOCH);
    assert_eq!(entries[0].remaining, Duration::from_secs(1800));
}

/// Sources that are listed, and seconds that the kernel still honours them.
fn held(bench: &Bench) -> Vec<(String, u64)> {
    let kernel = bench.kernel.lock();
    let entries = kernel.bypasses.iter();
    entries
        .map(|b| (b.source.to_string(), b.remaining.as_secs()))
        .collect()
}

fn live(bench: &Bench) -> usize {
    bench.snapshot().live_bypasses().count()
}

#[test]
fn wall_clock_that_is_set_neither_ends_nor_prolongs_a_bypass() {
    for step in [86_400, -86_400] {
        let mut bench = Bench::new();
        let request = request("10.0.0.1", 30, None);
        bench
            .writer
            .grant_bypass(&request, ROOT, Consent::Any)
            .unwrap();
        bench.clock.pass(Duration::from_secs(600));
        bench.clock.set_wall(step);
        bench.writer.reconcile();
        assert_eq!(live(&bench), 1, "{step}");
        let snapshot = bench.snapshot();
        let shown = view(&snapshot.bypasses[0], &snapshot.clock);
        let left = shown.expires.duration_since(snapshot.clock.wall());
        assert_eq!(left.as_secs(), 1200, "{step}");

        let mut bench = bench.restart(&["eth7"]);
        assert_eq!(held(&bench), [("10.0.0.1/32".to_owned(), 1200)], "{step}");
        assert_eq!(live(&bench), 1, "{step}");
        bench.clock.pass(Duration::from_secs(1199));
        assert_eq!(live(&bench), 1, "{step}");
        bench.clock.pass(Duration::from_secs(1));
        assert_eq!(live(&bench), 0, "{step}");
        bench.writer.reconcile();
        assert!(held(&bench).is_empty(), "{step}");
    }
}

#[test]
fn reboot_leaves_a_bypass_the_smaller_of_wall_clock_and_whole_time() {
    // Off for ten minutes; and with a battery that is empty, a day before.
    for (step, left) in [(0, 1190), (-86_400, 1800), (86_400, 0)] {
        let mut bench = Bench::new();
        let request = request("10.0.0.1", 30, None);
        bench
            .writer
            .grant_bypass(&request, ROOT, Consent::Any)
            .unwrap();
        bench.kernel.lock().bypasses.clear();
        bench.clock.reboot(Duration::from_secs(600));
        bench.clock.set_wall(step);
        let bench = bench.restart(&["eth7"]);
        let kernel: u64 = held(&bench).iter().map(|(_, left)| left).sum();
        assert_eq!(kernel, left, "{step}");
        // What is set after that does not count, also for the next agent.
        bench.clock.set_wall(-7200);
        bench.clock.pass(Duration::from_secs(60));
        let bench = bench.restart(&["eth7"]);
        let kernel: u64 = held(&bench).iter().map(|(_, left)| left).sum();
        assert_eq!(kernel, left.saturating_sub(60), "{step}");
    }
}
