//! Bans, in the store and in the kernel.

mod around_changes;
mod origins;

use std::time::Duration;

use super::*;
use crate::agent::access::{Caller, OperatorOrigin};
use crate::agent::change::ChangeOptions;
use crate::agent::testing::{Bench, PLAIN, ROOT, add_service, apply};
use crate::api::{BanOutcome, BanRequest, BanResult, ReplaceBansQuery, UnbanRequest};
use crate::model::Name;

fn request(source: &str, seconds: Option<u64>) -> BanRequest {
    BanRequest {
        source: source.to_owned(),
        seconds,
        ..BanRequest::default()
    }
}

fn carry_out(bench: &mut Bench, requester: Requester, work: BanWork) -> Vec<BanOutcome> {
    try_carry_out(bench, requester, work).unwrap()
}

fn try_carry_out(
    bench: &mut Bench,
    requester: Requester,
    work: BanWork,
) -> Result<Vec<BanOutcome>, AgentError> {
    let (job, mut answer) = BanJob::new(requester, work, Box::new(()));
    bench.writer.bans_now(vec![job]);
    let judged = answer.try_recv().unwrap()?;
    Ok(judged.iter().map(BanOutcome::from).collect())
}

fn ban(bench: &mut Bench, requests: &[BanRequest]) -> Vec<BanResult> {
    let wanted = requests.iter().cloned().map(WantedBan::from).collect();
    let outcomes = carry_out(bench, ROOT, BanWork::Ban(wanted));
    outcomes.iter().map(|outcome| outcome.result).collect()
}

/// The whole set of bans of an origin.
fn whole_set(by: &str, bans: Vec<WantedBan>) -> BanWork {
    let of = ReplaceBansQuery {
        by: by.to_owned(),
        ..ReplaceBansQuery::default()
    };
    BanWork::Replace { of, bans }
}

fn unban(bench: &mut Bench, source: &str) -> BanResult {
    let wanted = UnbanRequest {
        source: source.to_owned(),
        ..UnbanRequest::default()
    };
    carry_out(bench, ROOT, BanWork::Unban(vec![wanted.into()]))[0].result
}

/// What the kernel holds.
fn enforced(bench: &Bench) -> Vec<String> {
    let bans = bench.kernel.lock().bans.clone();
    let nets = bans.scopes().flat_map(|(id, set)| {
        let nets: Vec<_> = set.nets().map(move |net| format!("{id} {net}")).collect();
        nets
    });
    nets.collect()
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn ban_is_extended_and_never_shortened_unless_replaced() {
    use BanResult::{Banned, Extended, Unchanged};
    let mut bench = Bench::new();
    let hour = request("203.0.113.9", Some(3600));
    let two = request("203.0.113.9", Some(7200));
    assert_eq!(ban(&mut bench, std::slice::from_ref(&hour)), [Banned]);
    assert_eq!(ban(&mut bench, &[hour.clone(), two]), [Unchanged, Extended]);
    assert_eq!(ban(&mut bench, std::slice::from_ref(&hour)), [Unchanged]);
    let shorter = BanRequest {
        replace: true,
        ..hour
    };
    assert_eq!(ban(&mut bench, &[shorter]), [Extended]);
    bench.clock.pass(HOUR);
    bench.writer.expire_bans();
    assert_eq!(enforced(&bench), ["0 203.0.113.9/32"]);
    bench.clock.pass(Duration::from_millis(250));
    bench.writer.expire_bans();
    assert!(enforced(&bench).is_empty());
    // Without end is later than any.
    assert_eq!(ban(&mut bench, &[request("10.0.0.1", None)]), [Banned]);
    let again = [request("10.0.0.1", Some(5)), request("10.0.0.1", None)];
    assert_eq!(ban(&mut bench, &again), [Unchanged, Unchanged]);
}

#[test]
fn bans_are_stored_before_they_are_in_force_and_requests_share_both() {
    let mut bench = Bench::new();
    let (jobs, mut answers): (Vec<_>, Vec<_>) = (0..20)
        .map(|at| {
            let wanted = request(&format!("203.0.113.{at}"), Some(60)).into();
            BanJob::new(ROOT, BanWork::Ban(vec![wanted]), Box::new(()))
        })
        .unzip();
    bench.writer.bans_now(jobs);
    assert_eq!(bench.kernel.journal(), ["ready 20", "store bans", "bans"]);
    for answer in &mut answers {
        let outcomes = answer.try_recv().unwrap().unwrap();
        assert_eq!(outcomes[0].result, BanResult::Banned);
    }
    assert_eq!(enforced(&bench).len(), 20);
}

/// Readers wait for nothing, and see what the kernel holds.
#[test]
fn bans_are_listed_once_they_are_in_force_and_as_long_as_they_are() {
    let mut bench = Bench::new();
    let bans = Arc::clone(&bench.snapshot().bans);
    let kernel = bench.kernel.clone();
    let listed = || {
        let table = read(&bans);
        let sources = table.rows().map(|row| row.source.to_string());
        sources.collect::<Vec<_>>()
    };
    ban(&mut bench, &[request("10.0.0.1", None)]);
    let held = kernel.lock();
    let writer = std::thread::spawn(move || {
        ban(&mut bench, &[request("10.0.0.2", None)]);
        unban(&mut bench, "10.0.0.1");
        bench
    });
    // As far as it comes without the kernel.
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(listed(), ["10.0.0.1/32"]);
    drop(held);
    let bench = writer.join().unwrap();
    assert_eq!(listed(), ["10.0.0.2/32"]);
    assert_eq!(enforced(&bench), ["0 10.0.0.2/32"]);
}

#[test]
fn ended_bans_stay_ended_where_the_wall_clock_is_behind_after_a_reboot() {
    let mut bench = Bench::new();
    let bans = [
        request("10.0.0.1", Some(3600)),
        request("10.0.0.2", Some(3 * 3600)),
    ];
    ban(&mut bench, &bans);
    bench.clock.pass(HOUR + Duration::from_secs(1));
    bench.writer.expire_bans();
    bench.writer.reconcile();
    let notes = bench.kernel.journal();
    let is_note = |note: &&String| *note == "note time of bans";
    assert_eq!(notes.iter().filter(is_note).count(), 1);
    bench.clock.reboot(Duration::from_secs(60));
    bench.clock.set_wall(-30 * 86_400);
    let mut bench = bench.restart(&["eth7"]);
    let moment = Duration::from_millis(250);
    bench.clock.pass(moment);
    bench.writer.expire_bans();
    assert_eq!(enforced(&bench), ["0 10.0.0.2/32"]);
    bench.clock.pass(HOUR * 2);
    bench.writer.expire_bans();
    assert!(enforced(&bench).is_empty());
}

#[test]
fn what_store_or_kernel_do_not_take_changes_nothing() {
    let mut bench = Bench::new();
    ban(&mut bench, &[request("10.0.0.1", Some(60))]);
    let wanted = || BanWork::Ban(vec![request("10.0.0.2", None).into()]);
    bench.kernel.lock().fail_commit = true;
    let error = try_carry_out(&mut bench, ROOT, wanted()).unwrap_err();
    assert!(error.to_string().contains("could not be stored"), "{error}");
    bench.kernel.lock().fail_commit = false;
    assert_eq!(enforced(&bench), ["0 10.0.0.1/32"]);
    bench.kernel.lock().fail_bans = true;
    let error = try_carry_out(&mut bench, ROOT, wanted()).unwrap_err();
    assert!(error.to_string().contains("rejected the bans"), "{error}");
    bench.kernel.lock().fail_bans = false;
    assert_eq!(read(&bench.snapshot().bans).len(), 1);
    bench.writer.reconcile();
    assert_eq!(bench.snapshot().faults, [] as [String; 0]);
    let mut bench = bench.restart(&["eth7"]);
    assert_eq!(enforced(&bench), ["0 10.0.0.1/32"]);
    assert_eq!(
        ban(&mut bench, &[request("10.0.0.2", None)]),
        [BanResult::Banned]
    );
}

#[test]
fn bans_survive_restart_and_reboot_and_overdue_ones_end_then() {
    let mut bench = Bench::new();
    bench
        .writer
        .change(add_service("postgres", "5432"), ROOT, PLAIN)
        .unwrap();
    let on_service = BanRequest {
        service: Some("POSTGRES".into()),
        reason: Some("5 failed log-ins".into()),
        by: Some("fail2ban".into()),
        ..request("2001:db8::/48", Some(7200))
    };
    ban(
        &mut bench,
        &[
            request("203.0.113.9", Some(3600)),
            request("203.0.113.10", None),
            on_service,
        ],
    );
    assert_eq!(unban(&mut bench, "203.0.113.10"), BanResult::Unbanned);
    assert_eq!(unban(&mut bench, "203.0.113.10"), BanResult::Absent);
    let bench = bench.restart(&["eth7"]);
    let all = ["0 203.0.113.9/32", "1 2001:db8::/48"];
    assert_eq!(enforced(&bench), all);
    bench.clock.reboot(HOUR / 2);
    let bench = bench.restart(&["eth7"]);
    assert_eq!(enforced(&bench), all);
    // A wall clock that is set back does not prolong them at each start.
    bench.clock.set_wall(-3600);
    let bench = bench.restart(&["eth7"]);
    bench.clock.pass(HOUR / 2);
    let bench = bench.restart(&["eth7"]);
    assert_eq!(enforced(&bench), ["1 2001:db8::/48"]);
    let ban = crate::agent::banned::ban_of(
        &bench.snapshot().bans,
        "2001:db8::7".parse().unwrap(),
        Some(&Name::new("postgres").unwrap()),
        bench.writer.clock(),
    )
    .unwrap();
    assert_eq!(ban.by.as_deref(), Some("fail2ban"));
    assert_eq!(ban.reason.as_deref(), Some("5 failed log-ins"));
}

#[test]
fn whole_set_of_an_origin_is_replaced_and_others_stay() {
    let mut bench = Bench::new();
    let by = |source: &str, by: &str| BanRequest {
        by: Some(by.into()),
        ..request(source, None)
    };
    ban(
        &mut bench,
        &[
            by("10.0.0.1", "crowdsec"),
            by("10.0.0.2", "crowdsec"),
            by("10.0.0.3", "fail2ban"),
        ],
    );
    let bans = ["10.0.0.2", "10.0.0.4"];
    let bans = bans.map(|source| request(source, None).into()).into();
    let outcomes = carry_out(&mut bench, ROOT, whole_set("crowdsec", bans));
    let results: Vec<_> = outcomes.iter().map(|outcome| outcome.result).collect();
    assert_eq!(results, [BanResult::Unchanged, BanResult::Banned]);
    assert_eq!(
        enforced(&bench),
        ["0 10.0.0.2/32", "0 10.0.0.3/32", "0 10.0.0.4/32"]
    );
    let mut bench = bench.restart(&["eth7"]);
    assert_eq!(enforced(&bench).len(), 3);
    // A line about an unknown service keeps no ban of the host, and the log says what ended.
    let unknown = BanRequest {
        service: Some("nope".into()),
        ..request("10.0.0.2", None)
    };
    carry_out(
        &mut bench,
        ROOT,
        whole_set("crowdsec", vec![unknown.into()]),
    );
    assert_eq!(enforced(&bench), ["0 10.0.0.3/32"]);
    assert_eq!(bench.audit_log(1)[0].action, "bans: 1 refused, 2 unbanned");
}

#[test]
fn whole_set_sets_the_ends_of_its_own_bans_and_shortens_no_others() {
    use BanResult::{Extended, Unchanged};
    let mut bench = Bench::new();
    let by = |source: &str, by: &str| BanRequest {
        by: Some(by.into()),
        ..request(source, Some(7_200))
    };
    let bans = [by("10.0.0.1", "crowdsec"), by("10.0.0.2", "fail2ban/pg")];
    ban(&mut bench, &bans);
    let shorter = |by: &str| {
        let bans = ["10.0.0.1", "10.0.0.2"];
        let bans = bans.map(|source| request(source, Some(3_600)).into());
        whole_set(by, bans.into())
    };
    let outcomes = carry_out(&mut bench, ROOT, shorter("crowdsec"));
    let results: Vec<_> = outcomes.iter().map(|outcome| outcome.result).collect();
    assert_eq!(results, [Extended, Unchanged]);
    bench.clock.pass(HOUR + Duration::from_secs(1));
    bench.writer.expire_bans();
    assert_eq!(enforced(&bench), ["0 10.0.0.2/32"]);
}

#[test]
fn unbanning_by_an_origin_leaves_the_bans_of_others() {
    use BanResult::{Absent, Unbanned};
    let mut bench = Bench::new();
    let mut other = request("10.0.0.1", None);
    other.by = Some("crowdsec".into());
    ban(&mut bench, &[other, request("10.0.0.2", None)]);
    let unban = |source: &str, by: &str| {
        let wanted = UnbanRequest {
            source: source.to_owned(),
            service: None,
            by: Some(by.to_owned()),
        };
        BanWork::Unban(vec![wanted.into()])
    };
    let kept = carry_out(&mut bench, ROOT, unban("10.0.0.1", "fail2ban/pg"));
    assert_eq!(kept[0].result, Absent);
    let detail = kept[0].detail.as_deref();
    let expected = "it is banned by crowdsec, without end: that ban stays";
    assert_eq!(detail, Some(expected));
    let gone = carry_out(&mut bench, ROOT, unban("10.0.0.1", "crowdsec"));
    assert_eq!((gone[0].result, &gone[0].detail), (Unbanned, &None));
    let absent = carry_out(&mut bench, ROOT, unban("10.0.0.1", "crowdsec"));
    assert_eq!((absent[0].result, &absent[0].detail), (Absent, &None));
}

#[test]
fn service_takes_its_bans_with_it() {
    let mut bench = Bench::new();
    let file = "[[service]]\nname = \"pg\"\nports = [5432]\n";
    bench.writer.change(apply(file), ROOT, PLAIN).unwrap();
    let on_service = BanRequest {
        service: Some("pg".into()),
        ..request("10.0.0.1", None)
    };
    ban(&mut bench, &[on_service, request("10.0.0.2", None)]);
    assert_eq!(enforced(&bench), ["0 10.0.0.2/32", "1 10.0.0.1/32"]);
    bench.writer.change(apply(""), ROOT, PLAIN).unwrap();
    assert_eq!(enforced(&bench), ["0 10.0.0.2/32"]);
    bench.writer.change(apply(file), ROOT, PLAIN).unwrap();
    let bench = bench.restart(&["eth7"]);
    assert_eq!(enforced(&bench), ["0 10.0.0.2/32"]);
}

#[test]
fn lines_are_refused_one_by_one() {
    let mut bench = Bench::new();
    let operator = Requester {
        origin: OperatorOrigin::Said("198.51.100.7".parse().unwrap()),
        ..ROOT
    };
    let sources = ["198.51.100.0/24", "10.0.0.256", "10.0.0.1"];
    let mut wanted: Vec<WantedBan> = sources.map(|s| request(s, Some(60)).into()).into();
    let nowhere = BanRequest {
        service: Some("nowhere".into()),
        ..request("10.0.0.2", None)
    };
    let past = BanRequest {
        until: Some("2000-01-01T00:00:00Z".parse().unwrap()),
        ..request("10.0.0.3", None)
    };
    wanted.extend([nowhere.into(), past.into()]);
    let outcomes = carry_out(&mut bench, operator, BanWork::Ban(wanted));
    let details: Vec<_> = outcomes
        .iter()
        .map(|outcome| outcome.detail.clone().unwrap_or_default())
        .collect();
    assert!(details[0].contains("your own address"), "{details:?}");
    assert!(details[1].contains("10.0.0.256"), "{details:?}");
    assert_eq!(outcomes[2].result, BanResult::Banned);
    assert!(
        details[3].contains("unknown service 'nowhere'"),
        "{details:?}"
    );
    assert!(details[4].contains("past"), "{details:?}");
    assert_eq!(enforced(&bench), ["0 10.0.0.1/32"]);
    let log = bench.audit_log(1);
    assert_eq!(log[0].action, "bans: 1 banned, 4 refused");
}

#[test]
fn banning_requires_the_privilege() {
    let mut bench = Bench::new();
    let stranger = Requester {
        caller: Caller {
            uid: 65_534,
            gid: 65_534,
            pid: None,
            person: None,
        },
        ..ROOT
    };
    let wanted = BanWork::Ban(vec![request("10.0.0.1", None).into()]);
    let error = try_carry_out(&mut bench, stranger, wanted).unwrap_err();
    assert!(
        error.to_string().contains("requires the privilege ban"),
        "{error}"
    );
    assert!(enforced(&bench).is_empty());
}

#[test]
fn log_in_the_store_stays_short_and_says_the_same() {
    let mut bench = Bench::new();
    for round in 0..40_u64 {
        let requests: Vec<_> = (0..2_000_u32)
            .map(|at| {
                let address = std::net::Ipv4Addr::from(0x0a00_0000 + at);
                request(&address.to_string(), Some(3600 + round))
            })
            .collect();
        ban(&mut bench, &requests);
        bench.writer.reconcile();
    }
    let log = bench.writer.store().bans(&mut |_| ()).unwrap();
    let bytes: u64 = log.batches.iter().map(|batch| batch.bytes).sum();
    assert!(bytes < 2_000_000, "{bytes}");
    let bench = bench.restart(&["eth7"]);
    assert_eq!(enforced(&bench).len(), 2_000);
    bench.clock.pass(HOUR + Duration::from_secs(38));
    let bench = bench.restart(&["eth7"]);
    assert_eq!(enforced(&bench).len(), 2_000, "the last end counts");
    bench.clock.pass(Duration::from_secs(2));
    assert!(enforced(&bench.restart(&["eth7"])).is_empty());
}
