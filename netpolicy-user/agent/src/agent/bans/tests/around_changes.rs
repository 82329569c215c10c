//! Bans, and changes that concern their services.

use super::*;

/// A service with a ban, and a host with another.
fn bench_with_service_ban() -> Bench {
    let mut bench = Bench::new();
    let pg = add_service("pg", "5432");
    bench.writer.change(pg, ROOT, PLAIN).unwrap();
    let on_service = BanRequest {
        service: Some("pg".into()),
        ..request("10.0.0.1", None)
    };
    ban(&mut bench, &[on_service, request("10.0.0.2", None)]);
    bench
}

#[test]
fn unconfirmed_removal_of_a_service_forgets_its_bans_only_when_confirmed() {
    let unconfirmed = ChangeOptions {
        confirm_within: Some(Duration::from_secs(60)),
        ..PLAIN
    };
    let mut bench = bench_with_service_ban();
    bench.writer.change(apply(""), ROOT, unconfirmed).unwrap();
    assert_eq!(enforced(&bench), ["0 10.0.0.2/32"]);
    let mut bench = bench.restart(&["eth7"]);
    bench.clock.pass(Duration::from_secs(61));
    bench.writer.roll_back_unconfirmed();
    assert_eq!(enforced(&bench), ["0 10.0.0.2/32", "1 10.0.0.1/32"]);
    bench.writer.change(apply(""), ROOT, unconfirmed).unwrap();
    bench.writer.confirm(ROOT).unwrap();
    assert_eq!(read(&bench.snapshot().bans).len(), 1);
}

#[test]
fn repair_puts_the_latest_bans_in_force_where_the_kernel_failed() {
    let mut bench = bench_with_service_ban();
    bench.kernel.lock().fail_bans = true;
    bench.writer.change(apply(""), ROOT, PLAIN).unwrap();
    assert_eq!(enforced(&bench).len(), 2);
    bench.kernel.lock().fail_bans = false;
    bench.writer.reconcile();
    assert_eq!(enforced(&bench), ["0 10.0.0.2/32"]);
}

#[test]
fn bans_follow_a_change_before_the_store_is_written() {
    let mut bench = bench_with_service_ban();
    bench.kernel.journal();
    bench.writer.change(apply(""), ROOT, PLAIN).unwrap();
    let journal = bench.kernel.journal();
    let at = |what: &str| journal.iter().position(|note| note == what);
    assert!(
        at("bans").unwrap() < at("store bans").unwrap(),
        "{journal:?}"
    );
}
