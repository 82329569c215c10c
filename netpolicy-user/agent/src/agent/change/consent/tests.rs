//! Consent, over a fake kernel and a real store.

mod shrinks;

use super::*;
use crate::agent::access::{OperatorOrigin, Requester};
use crate::agent::change::Consent;
use crate::agent::testing::{Bench, PLAIN, ROOT, add_service, apply, create, run_sql};
use crate::api::{BypassRequest, SqlRequest};
use crate::model::change::{ListEdit, ListInput, SourceText};
use crate::model::{Change, Mode};
use crate::sql::Dialect;

/// A change to which nothing was agreed.
const UNASKED: ChangeOptions = ChangeOptions {
    consent: Consent::Nothing,
    ..PLAIN
};

fn bench(policies: &[Change]) -> Bench {
    let mut bench = Bench::new();
    bench.sockets();
    for change in policies {
        bench.writer.change(change.clone(), ROOT, PLAIN).unwrap();
    }
    bench
}

fn office() -> Change {
    create("office", &["10.0.0.0/8"], &[])
}

fn drop_of(name: &str) -> Change {
    Change::DropPolicy {
        name: name.to_owned(),
    }
}

fn host(mode: Option<Mode>, ports: Option<&[&str]>) -> Change {
    Change::SetHost {
        mode,
        on_deny: None,
        failsafe_ports: ports.map(|ports| ports.iter().map(|&port| port.to_owned()).collect()),
    }
}

fn edit(allow: ListEdit, block: ListEdit) -> Change {
    Change::AlterPolicy {
        name: "office".to_owned(),
        allow,
        block,
        comment: None,
        except: Default::default(),
        compat: Default::default(),
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, AgentError>) -> Opens {
    match result {
        Err(AgentError::Opens { opens, .. }) => opens,
        other => panic!("{other:?}"),
    }
}

#[test]
fn whatever_opens_the_host_is_refused_without_consent() {
    let set = |items: &[&str]| ListEdit::Set {
        list: ListInput {
            items: items.iter().map(|&item| item.to_owned()).collect(),
            ..Default::default()
        },
    };
    let changes = [
        drop_of("office"),
        Change::SetActive {
            name: "office".to_owned(),
            active: false,
        },
        Change::Unbind {
            policy: "office".to_owned(),
            service: None,
        },
        Change::Govern {
            policy: None,
            service: None,
        },
        host(Some(Mode::Observe), None),
        edit(ListEdit::Any, ListEdit::Keep),
        edit(set(&["0.0.0.0/0"]), ListEdit::Keep),
        edit(set(&["0.0.0.0/1", "128.0.0.0/1"]), ListEdit::Keep),
        apply(""),
    ];
    for change in changes {
        let mut bench = bench(&[office()]);
        let opens = refused(bench.writer.change(change.clone(), ROOT, UNASKED));
        assert!(
            opens.sentence().starts_with("opens the host to "),
            "{opens:?}"
        );
        assert_eq!(bench.snapshot().revision, 1, "{change:?}");

        // Another key is no consent; a dry run says that it asks, and gives the key.
        let other = ChangeOptions {
            consent: Consent::To(1),
            ..UNASKED
        };
        refused(bench.writer.change(change.clone(), ROOT, other));
        let dry = ChangeOptions {
            dry_run: true,
            ..UNASKED
        };
        let tried = bench.writer.change(change.clone(), ROOT, dry).unwrap();
        assert_eq!(tried.opens.as_ref(), Some(&opens));
        let asks = tried.warnings.iter().any(|w| w.contains("requires --yes"));
        assert!(asks, "{tried:?}");

        let consent = Consent::of(Some(&opens.key)).unwrap();
        let done = bench
            .writer
            .change(change, ROOT, ChangeOptions { consent, ..UNASKED });
        assert_eq!(done.unwrap().revision, 2);
        let log = bench.audit_log(3);
        let agreed = log[0]
            .changes
            .iter()
            .any(|line| line.contains("(with consent)"));
        assert!(agreed, "{log:?}");
        assert!(log[1].errors[0].contains("opens the host"), "{log:?}");
    }
}

#[test]
fn what_opens_nothing_is_not_asked_about() {
    let two = create("branch", &["10.0.0.0/8", "192.0.2.0/24"], &[]);
    let mut bench = bench(&[office(), two]);
    let inactive = Change::SetActive {
        name: "office".to_owned(),
        active: false,
    };
    let denies = create("abuse", &[], &["203.0.113.0/24"]);
    let changes = [
        denies,
        inactive,
        drop_of("office"),
        host(None, Some(&[])),
        Change::RenamePolicy {
            name: "branch".to_owned(),
            to: "site".to_owned(),
        },
        drop_of("abuse"),
    ];
    for change in changes {
        let done = bench.writer.change(change.clone(), ROOT, UNASKED);
        assert_eq!(done.unwrap().opens, None, "{change:?}");
    }
    // Observed already: nothing is opened by dropping what drops nothing.
    bench
        .writer
        .change(host(Some(Mode::Observe), None), ROOT, PLAIN)
        .unwrap();
    bench.writer.change(drop_of("site"), ROOT, UNASKED).unwrap();
}

#[test]
fn force_is_no_consent_and_a_lockout_is_reported_first() {
    let mut bench = bench(&[office(), create("abuse", &[], &["203.0.113.0/24"])]);
    let forced = ChangeOptions {
        force: true,
        ..UNASKED
    };
    refused(bench.writer.change(apply(""), ROOT, forced));
    let operator = Requester {
        origin: OperatorOrigin::Said("10.0.0.1".parse().unwrap()),
        ..ROOT
    };
    let text = "[[policy]]\nname = \"abuse\"\nblock = [\"10.0.0.0/9\"]\n";
    let error = bench
        .writer
        .change(apply(text), operator, UNASKED)
        .unwrap_err();
    assert!(matches!(error, AgentError::Lockout { .. }), "{error:?}");
}

#[test]
fn failsafe_ports_and_services_are_opened_by_their_ports() {
    let mut bench = bench(&[office(), add_service("postgres", "5432")]);
    let opens = refused(
        bench
            .writer
            .change(host(None, Some(&["22", "80"])), ROOT, UNASKED),
    );
    assert_eq!(opens.sentence(), "opens the host (port 80) to every source");
    let mut open = create("open", &[], &["203.0.113.1"]);
    let Change::CreatePolicy { services, .. } = &mut open else {
        unreachable!()
    };
    services.push("postgres".to_owned());
    let opens = refused(bench.writer.change(open, ROOT, UNASKED));
    assert_eq!(
        opens.sentence(),
        "opens service postgres to every IPv6 source, service postgres to 99 % of all IPv4 sources"
    );
    let opens = refused(bench.writer.change(
        crate::agent::change::Proposal::Rollback { revision: 0 },
        ROOT,
        UNASKED,
    ));
    assert!(opens.sentence().contains("the host"), "{opens:?}");
}

#[test]
fn an_automatic_rollback_needs_no_consent() {
    let mut bench = bench(&[]);
    let within = ChangeOptions {
        confirm_within: Some(std::time::Duration::from_secs(1)),
        ..UNASKED
    };
    bench.writer.change(office(), ROOT, within).unwrap();
    bench.clock.pass(std::time::Duration::from_secs(5));
    bench.writer.roll_back_unconfirmed();
    assert!(bench.snapshot().state.policies.is_empty());
}

fn bypass(source: &str, minutes: u32) -> BypassRequest {
    BypassRequest {
        source: source.to_owned(),
        minutes,
        service: None,
    }
}

#[test]
fn bypasses_that_cover_a_family_together_need_consent() {
    let mut bench = bench(&[office()]);
    let mut grant = |source: &str, minutes, consent| {
        bench
            .writer
            .grant_bypass(&bypass(source, minutes), ROOT, consent)
    };
    let nothing = Consent::Nothing;
    for source in ["0.0.0.0/0", "::/0", "0.0.0.0/1"] {
        refused(grant(source, 30, nothing));
    }
    for eighth in 0..7 {
        grant(&format!("{}.0.0.0/3", eighth * 32), 30, nothing).unwrap();
    }
    grant("203.0.113.9", 30, nothing).unwrap();
    let opens = refused(grant("224.0.0.0/3", 30, nothing));
    assert_eq!(opens.sentence(), "opens the host to every IPv4 source");
    // For longer is another consent.
    let consent = Consent::of(Some(&opens.key)).unwrap();
    refused(grant("224.0.0.0/3", 31, consent));
    grant("224.0.0.0/3", 30, consent).unwrap();
    // It is open already; but not for so long.
    refused(grant("0.0.0.0/0", 60, nothing));
    grant("0.0.0.0/0", 60, Consent::Any).unwrap();
    grant("0.0.0.0/0", 5, nothing).unwrap();
}

#[test]
fn a_bypass_of_everyone_does_not_hide_that_the_rules_go() {
    let mut bench = bench(&[office()]);
    for source in ["0.0.0.0/0", "::/0"] {
        bench
            .writer
            .grant_bypass(&bypass(source, 5), ROOT, Consent::Any)
            .unwrap();
    }
    refused(bench.writer.change(drop_of("office"), ROOT, UNASKED));
    // Where nothing is denied nothing is opened.
    bench.writer.change(drop_of("office"), ROOT, PLAIN).unwrap();
    bench
        .writer
        .grant_bypass(&bypass("0.0.0.0/0", 60), ROOT, Consent::Nothing)
        .unwrap();
}

#[test]
fn statements_that_open_stop_the_script_and_name_what_they_open() {
    let cases = [
        (Dialect::Snowflake, "ALTER ACCOUNT UNSET NETWORK_POLICY"),
        (
            Dialect::Snowflake,
            "ALTER NETWORK POLICY office SET ALLOWED_IP_LIST=('0.0.0.0/0')",
        ),
        (Dialect::Materialize, "ALTER SYSTEM RESET network_policy"),
        (Dialect::Lakehouse, "ALTER NETWORK POLICY office INACTIVATE"),
        (
            Dialect::Lakehouse,
            "ALTER NETWORK POLICY office SET BLOCKED_IP_LIST=('203.0.113.9')",
        ),
        (Dialect::Lakehouse, "DROP NETWORK POLICY office"),
    ];
    for (dialect, text) in cases {
        for atomic in [false, true] {
            let mut bench = bench(&[office()]);
            let request = SqlRequest {
                text: text.to_owned(),
                name: "-e".to_owned(),
                dialect: Some(dialect),
                atomic,
            };
            let response = run_sql(&mut bench, &request, ROOT, UNASKED);
            let failure = response.error.unwrap_or_else(|| panic!("{text}"));
            assert_eq!(failure.status, 409, "{text}: {failure:?}");
            let opens = failure
                .opens
                .unwrap_or_else(|| panic!("{text}: {:?}", failure.errors));
            assert_eq!(bench.snapshot().revision, 1, "{text}");
            let dry = run_sql(
                &mut bench,
                &request,
                ROOT,
                ChangeOptions {
                    dry_run: true,
                    ..UNASKED
                },
            );
            assert_eq!(dry.error, None, "{text}");
            let warned = dry
                .results
                .iter()
                .any(|r| r.warnings.iter().any(|w| w.contains("requires --yes")));
            assert!(warned, "{dry:?}");
            let consent = Consent::of(Some(&opens.key)).unwrap();
            let done = run_sql(
                &mut bench,
                &request,
                ROOT,
                ChangeOptions { consent, ..UNASKED },
            );
            assert_eq!(done.error, None, "{text}");
        }
    }
}

#[test]
fn a_user_s_minutes_of_bypass_are_one_question_for_both_families() {
    let mut bench = bench(&[office(), add_service("postgres", "5432")]);
    let request = SqlRequest {
        text: "ALTER USER postgres SET MINS_TO_BYPASS_NETWORK_POLICY = 5".to_owned(),
        name: "-e".to_owned(),
        dialect: Some(Dialect::Snowflake),
        atomic: false,
    };
    let failure = run_sql(&mut bench, &request, ROOT, UNASKED).error.unwrap();
    let opens = failure.opens.unwrap();
    assert_eq!(opens.sentence(), "opens service postgres to every source");
    let consent = Consent::of(Some(&opens.key)).unwrap();
    let done = run_sql(
        &mut bench,
        &request,
        ROOT,
        ChangeOptions { consent, ..UNASKED },
    );
    assert_eq!(done.error, None);
    assert_eq!(bench.snapshot().bypasses.len(), 2);
}

#[test]
fn consent_is_any_or_a_key() {
    assert_eq!(Consent::of(None).unwrap(), Consent::Nothing);
    assert_eq!(Consent::of(Some("any")).unwrap(), Consent::Any);
    assert_eq!(
        Consent::of(Some("00000000000000fF")).unwrap(),
        Consent::To(255)
    );
    for bad in ["", "yes", "ff", "+00000000000000f", "00000000000000000ff"] {
        let error = Consent::of(Some(bad)).unwrap_err().to_string();
        assert!(error.contains("expected any"), "{bad}: {error}");
    }
}
