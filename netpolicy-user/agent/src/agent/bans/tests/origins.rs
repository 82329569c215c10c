//! Bans of one source by several origins.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::agent::banned;
use crate::api::{BanView, BansQuery};

const SOURCE: &str = "10.0.0.1";

fn by(origin: &str, seconds: Option<u64>) -> BanRequest {
    BanRequest {
        by: Some(origin.to_owned()),
        reason: Some(format!("why {origin}")),
        ..request(SOURCE, seconds)
    }
}

fn unban_by(bench: &mut Bench, origin: &str) -> BanOutcome {
    let wanted = UnbanRequest {
        source: SOURCE.to_owned(),
        by: Some(origin.to_owned()),
        ..UnbanRequest::default()
    };
    carry_out(bench, ROOT, BanWork::Unban(vec![wanted.into()])).remove(0)
}

fn listed(bench: &Bench, query: &BansQuery) -> Vec<BanView> {
    let bans = &bench.snapshot().bans;
    banned::page(bans, query, bench.writer.clock())
        .unwrap()
        .items
}

/// The origins of the source's bans, the one in force first.
fn origins(bench: &Bench) -> Vec<String> {
    let ban = listed(bench, &BansQuery::default()).pop();
    let origins = ban.into_iter().flat_map(|ban| {
        let others = ban.also.into_iter().map(|other| (other.by, other.reason));
        let all = std::iter::once((ban.by, ban.reason)).chain(others);
        all.collect::<Vec<_>>()
    });
    let named = origins.map(|(by, reason)| {
        let by = by.unwrap();
        assert_eq!(reason, Some(format!("why {by}")));
        by
    });
    named.collect()
}

fn expire_after(bench: &mut Bench, time: Duration) {
    bench.clock.pass(time);
    bench.writer.expire_bans();
}

#[test]
fn shorter_ban_of_another_origin_is_in_force_again_when_the_longer_one_is_unbanned() {
    use BanResult::{Absent, Banned, Extended, Unbanned, Unchanged};
    let mut bench = Bench::new();
    let bans = [by("fail2ban", Some(3600)), by("soc", Some(7200))];
    assert_eq!(ban(&mut bench, &bans), [Banned, Extended]);
    assert_eq!(ban(&mut bench, &[by("crowdsec", Some(1800))]), [Unchanged]);
    assert_eq!(origins(&bench), ["soc", "fail2ban", "crowdsec"]);
    let query = BansQuery {
        by: Some("crowdsec".to_owned()),
        ..BansQuery::default()
    };
    assert_eq!(listed(&bench, &query).len(), 1);
    // Also after a restart, and a reboot.
    let bench = bench.restart(&["eth7"]);
    bench.clock.reboot(Duration::from_secs(1));
    let mut bench = bench.restart(&["eth7"]);
    let ended = unban_by(&mut bench, "soc");
    assert_eq!(ended.result, Unbanned);
    let why = ended.detail.unwrap();
    assert!(
        why.starts_with("it is banned by fail2ban until 20"),
        "{why}"
    );
    assert!(why.ends_with(": that ban stays"), "{why}");
    assert_eq!(enforced(&bench), ["0 10.0.0.1/32"]);
    assert_eq!(origins(&bench), ["fail2ban", "crowdsec"]);
    assert_eq!(unban_by(&mut bench, "soc").result, Absent);
    let mut bench = bench.restart(&["eth7"]);
    assert_eq!(origins(&bench), ["fail2ban", "crowdsec"]);
    expire_after(&mut bench, HOUR / 2);
    assert_eq!(origins(&bench), ["fail2ban"]);
    expire_after(&mut bench, HOUR / 2 + Duration::from_millis(250));
    assert!(enforced(&bench).is_empty());
    assert!(listed(&bench, &BansQuery::default()).is_empty());
    assert!(listed(&bench, &query).is_empty());
}

#[test]
fn unbanning_without_an_origin_and_replacing_end_the_bans_of_all() {
    use BanResult::{Banned, Extended, Unchanged};
    let mut bench = Bench::new();
    let bans = [by("fail2ban", Some(3600)), by("soc", None)];
    assert_eq!(ban(&mut bench, &bans), [Banned, Extended]);
    assert_eq!(unban(&mut bench, SOURCE), BanResult::Unbanned);
    assert!(enforced(&bench.restart(&["eth7"])).is_empty());
    let mut bench = Bench::new();
    ban(&mut bench, &bans);
    let shorter = BanRequest {
        replace: true,
        ..by("operator", Some(60))
    };
    assert_eq!(ban(&mut bench, std::slice::from_ref(&shorter)), [Extended]);
    assert_eq!(ban(&mut bench, &[shorter]), [Unchanged]);
    assert_eq!(origins(&bench), ["operator"]);
    let mut bench = bench.restart(&["eth7"]);
    expire_after(&mut bench, Duration::from_secs(61));
    assert!(enforced(&bench).is_empty());
}

#[test]
fn replacing_with_the_end_of_another_origins_ban_makes_it_ones_own() {
    use BanResult::{Banned, Unchanged};
    let mut bench = Bench::new();
    assert_eq!(ban(&mut bench, &[by("fail2ban", None)]), [Banned]);
    let replace = BanRequest {
        replace: true,
        ..by("soc", None)
    };
    assert_eq!(ban(&mut bench, &[replace]), [Unchanged]);
    assert_eq!(origins(&bench), ["soc"]);
    assert_eq!(unban_by(&mut bench, "fail2ban").result, BanResult::Absent);
    assert_eq!(enforced(&bench.restart(&["eth7"])), ["0 10.0.0.1/32"]);
}

#[test]
fn ban_next_to_a_longer_one_is_in_the_audit_log() {
    let mut bench = Bench::new();
    let shorter = by("fail2ban", Some(3600));
    let bans = [by("soc", None), shorter.clone(), shorter];
    ban(&mut bench, &bans);
    let log = bench.audit_log(1);
    assert_eq!(log[0].action, "bans: 1 banned, 1 extended");
    let change = &log[0].changes[1];
    let start = "10.0.0.1/32 on host: extended, until 20";
    assert!(change.starts_with(start), "{change}");
}

#[test]
fn origin_is_unbanned_with_its_parts_and_on_the_named_scope_alone() {
    use BanResult::{Absent, Unbanned};
    let mut bench = Bench::new();
    let change = add_service("postgres", "5432");
    bench.writer.change(change, ROOT, PLAIN).unwrap();
    let of_service = BanRequest {
        service: Some("postgres".to_owned()),
        ..by("fail2ban/pg", None)
    };
    let bans = [by("soc", None), by("fail2ban/sshd", None), of_service];
    let made = |bench: &mut Bench| ban(bench, &bans);
    made(&mut bench);
    assert_eq!(unban_by(&mut bench, "fail2ba").result, Absent);
    assert_eq!(unban_by(&mut bench, "fail2ban").result, Unbanned);
    assert_eq!(origins_of(&bench, SOURCE), ["soc"]);
    made(&mut bench);
    let mut left = |service: Option<&str>, with_parts| {
        let of = ReplaceBansQuery {
            by: "fail2ban".to_owned(),
            service: service.map(str::to_owned),
            with_parts,
        };
        let work = BanWork::Replace { of, bans: vec![] };
        carry_out(&mut bench, ROOT, work);
        let query = BansQuery {
            by: Some("fail2ban".to_owned()),
            ..BansQuery::default()
        };
        let left = listed(&bench, &query).into_iter();
        left.map(|ban| ban.scope).collect::<Vec<_>>()
    };
    assert_eq!(left(None, false), ["host", "postgres"]);
    assert_eq!(left(Some("host"), true), ["postgres"]);
    assert_eq!(left(Some("postgres"), true), [""; 0]);
}

#[test]
fn whole_set_of_an_origin_changes_its_own_bans_where_others_are_longer() {
    let mut bench = Bench::new();
    let bans = [by("soc", Some(7200)), by("crowdsec", Some(3600))];
    ban(&mut bench, &bans);
    let replace = |seconds: Option<u64>| {
        let wanted = seconds.map(|seconds| by("crowdsec", Some(seconds)).into());
        whole_set("crowdsec", wanted.into_iter().collect())
    };
    let set = carry_out(&mut bench, ROOT, replace(Some(9000)));
    assert_eq!(set[0].result, BanResult::Extended);
    assert_eq!(origins(&bench), ["crowdsec", "soc"]);
    // Shorter again: the other one's is in force, with its end.
    let set = carry_out(&mut bench, ROOT, replace(Some(1800)));
    assert_eq!(set[0].result, BanResult::Extended);
    assert_eq!(origins(&bench), ["soc", "crowdsec"]);
    carry_out(&mut bench, ROOT, replace(None));
    assert_eq!(origins(&bench), ["soc"]);
    assert_eq!(enforced(&bench), ["0 10.0.0.1/32"]);
    let mut bench = bench.restart(&["eth7"]);
    assert_eq!(unban_by(&mut bench, "soc").detail, None);
    assert!(enforced(&bench).is_empty());
}

#[test]
fn requests_of_one_batch_see_the_origins_before_them() {
    let mut bench = Bench::new();
    let unban = |origin: &str| UnbanRequest {
        source: SOURCE.to_owned(),
        by: Some(origin.to_owned()),
        ..UnbanRequest::default()
    };
    let works = [
        BanWork::Ban(vec![by("soc", Some(7200)).into()]),
        BanWork::Ban(vec![by("fail2ban", Some(3600)).into()]),
        BanWork::Unban(vec![unban("soc").into()]),
        BanWork::Ban(vec![by("crowdsec", Some(60)).into()]),
        BanWork::Unban(vec![unban("nobody").into()]),
    ];
    let (jobs, answers): (Vec<_>, Vec<_>) = works
        .into_iter()
        .map(|work| BanJob::new(ROOT, work, Box::new(())))
        .unzip();
    bench.writer.bans_now(jobs);
    drop(answers);
    assert_eq!(origins(&bench), ["fail2ban", "crowdsec"]);
    let bench = bench.restart(&["eth7"]);
    assert_eq!(origins(&bench), ["fail2ban", "crowdsec"]);
}

#[test]
fn log_that_is_shortened_keeps_the_bans_of_all_origins() {
    let mut bench = Bench::new();
    ban(&mut bench, &[by("soc", None), by("fail2ban", Some(3600))]);
    for round in 0..60_u64 {
        let requests: Vec<_> = (0..2_000_u32)
            .map(|at| {
                let address = std::net::Ipv4Addr::from(0x0b00_0000 + at);
                request(&address.to_string(), Some(3600 + round))
            })
            .collect();
        ban(&mut bench, &requests);
        bench.writer.reconcile();
    }
    let log = bench.writer.store().bans(&mut |_| ()).unwrap();
    assert!(
        log.batches[0].number > 1,
        "the first batch was written again"
    );
    let bench = bench.restart(&["eth7"]);
    assert_eq!(origins_of(&bench, SOURCE), ["soc", "fail2ban"]);
}

fn origins_of(bench: &Bench, source: &str) -> Vec<String> {
    let query = BansQuery {
        covers: Some(source.to_owned()),
        ..BansQuery::default()
    };
    let ban = listed(bench, &query).remove(0);
    let others = ban.also.into_iter().map(|other| other.by.unwrap());
    std::iter::once(ban.by.unwrap()).chain(others).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Against a map of origins to ends, in which nothing is in front of anything.
    #[test]
    fn source_is_banned_as_long_as_an_origin_bans_it(
        steps in prop::collection::vec((0..5_u8, 0..4_usize, 1..4_000_u64, 0..900_u64), 1..40),
        restart in 0..40_usize,
    ) {
        const ORIGINS: [&str; 4] = ["soc", "fail2ban", "crowdsec", "operator"];
        let mut bench = Bench::new();
        // Milliseconds.
        let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
        let mut now = 0;
        for (at, (kind, origin, seconds, passed)) in steps.into_iter().enumerate() {
            let origin = ORIGINS[origin];
            let end = now + seconds * 1000;
            match kind {
                0..=2 => {
                    ban(&mut bench, &[by(origin, Some(seconds))]);
                    let before = expected.entry(origin).or_default();
                    *before = end.max(*before);
                }
                3 => {
                    unban_by(&mut bench, origin);
                    expected.remove(origin);
                }
                _ => {
                    let bans = vec![by(origin, Some(seconds)).into()];
                    carry_out(&mut bench, ROOT, whole_set(origin, bans));
                    expected.insert(origin, end);
                }
            }
            now += passed * 1000;
            expire_after(&mut bench, Duration::from_secs(passed));
            if at == restart {
                bench = bench.restart(&["eth7"]);
            }
            let may_be_late = |end: &u64| (now.saturating_sub(500)..=now).contains(end);
            if expected.values().any(may_be_late) {
                continue;
            }
            expected.retain(|_, end| *end > now);
            let mut found = origins(&bench);
            found.sort();
            let all: Vec<_> = expected.keys().copied().collect();
            prop_assert_eq!(&found, &all);
            prop_assert_eq!(enforced(&bench).is_empty(), all.is_empty());
            let Some(first) = listed(&bench, &BansQuery::default()).pop() else {
                continue;
            };
            let clock = bench.writer.clock();
            let shown = clock.shown(clock.now()).as_millisecond();
            let left = first.until.unwrap().as_millisecond() - shown;
            let last = expected.values().max().unwrap() - now;
            prop_assert_eq!(left, i64::try_from(last).unwrap());
        }
    }
}
