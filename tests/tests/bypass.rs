//! Exemptions for a time: of a service and of the host, with and without an agent to end them.

use std::time::{Duration, Instant};

use netpolicy_common::HOST_SCOPE;
use netpolicy_tests::DatabaseHost;
use netpolicy_tests::command::assert_has;
use netpolicy_tests::rules::{self, Loaded};
use netpolicy_user::datapath::BypassEntry;
use netpolicy_user::model::{Combine, Mode};
use serde_json::json;

const HOSTS: &str = "10.66.0.1";
const SERVICES: &str = "10.66.0.2";
const SERVICES6: &str = "fd00:bad::2";
const NOT_EXEMPT: &str = "10.66.0.3";

fn guarded() -> DatabaseHost {
    let host = DatabaseHost::start();
    host.ok("service add postgres --port 5432");
    host.ok("policy create abuse --block 10.66.0.0/16,fd00:bad::/32");
    host.ok("policy create dba --allow 10.0.0.1 --service postgres");
    host
}

#[test]
fn a_service_s_bypass_exempts_there_and_the_host_s_everywhere() {
    let host = guarded();
    let out = host.ok(&format!("bypass grant {HOSTS}"));
    assert_has(&out, &[HOSTS, "host"]);
    host.ok(&format!(
        "bypass grant {SERVICES} --minutes 5 --service postgres"
    ));
    host.ok("bypass grant fd00:bad::/64 --minutes 5 --service POSTGRES");
    host.assert_connects(&[
        (HOSTS, 5432),
        (HOSTS, 8080),
        (SERVICES, 5432),
        (SERVICES6, 5432),
    ]);
    host.assert_times_out(&[(SERVICES, 8080), (SERVICES6, 8080), (NOT_EXEMPT, 5432)]);
    assert_eq!(host.counter("postgres", "bypass"), 3);
    assert_eq!(host.counter("host", "bypass"), 1);

    let list = host.json("bypass list");
    let scopes: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|b| &b["scope"])
        .collect();
    assert_eq!(scopes, ["host", "postgres", "postgres"]);
    assert_has(
        &host.ok("bypass list"),
        &[HOSTS, "host", SERVICES, "postgres", "root"],
    );
    // Half an hour unless told otherwise.
    let time = |name: &str| {
        list[0][name]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .unwrap()
    };
    assert_eq!(
        time("expires").duration_since(time("granted")).as_secs(),
        1800
    );
    assert_has(
        &host.ok(&format!("explain {SERVICES} --port 5432")),
        &["bypass"],
    );

    // Of another scope it is another bypass.
    let wrong = host.line(&format!("bypass revoke {SERVICES}"));
    assert_has(
        wrong.failed(1),
        &[
            "no bypass of 10.66.0.2/32 for the host",
            "hint: ",
            "bypass list",
        ],
    );
    host.ok(&format!("bypass revoke {SERVICES} --service postgres"));
    host.assert_times_out(&[(SERVICES, 5432)]);
    host.ok(&format!("bypass revoke {HOSTS}"));
    host.assert_times_out(&[(HOSTS, 5432), (HOSTS, 8080)]);
    host.assert_connects(&[(SERVICES6, 5432)]);
    for bad in ["--minutes 0", "--minutes 10081", "--minutes soon"] {
        let out = host.line(&format!("bypass grant {HOSTS} {bad}"));
        assert_eq!(out.code, Some(2), "{bad}: {}", out.stderr);
    }
    let unknown = host.line(&format!("bypass grant {HOSTS} --service nope"));
    assert_has(
        unknown.failed(1),
        &["unknown service 'nope'", "service list"],
    );

    let audit = host.json("audit");
    let of = |action: &str| {
        let entries = audit.as_array().unwrap().iter();
        entries
            .filter(|e| e["action"] == action)
            .cloned()
            .collect::<Vec<_>>()
    };
    let granted = of("bypass grant 10.66.0.2 on postgres");
    assert_eq!(
        (granted.len(), &granted[0]["outcome"]),
        (1, &json!("done")),
        "{audit}"
    );
    assert_has(
        &granted[0]["changes"].to_string(),
        &["bypass of 10.66.0.2/32 on postgres: none -> until "],
    );
    assert_eq!(of("bypass revoke 10.66.0.2")[0]["outcome"], "refused");
    let revoked = of("bypass revoke 10.66.0.2 on postgres");
    assert_has(&revoked[0]["changes"].to_string(), &["until ", "-> none"]);
}

#[test]
fn bypasses_outlive_the_agent_and_its_restart() {
    let mut host = guarded();
    host.ok(&format!("bypass grant {HOSTS} --minutes 5"));
    host.ok(&format!(
        "bypass grant {SERVICES} --minutes 5 --service postgres"
    ));
    host.kill_agent();
    let check = |host: &DatabaseHost| {
        host.assert_connects(&[(HOSTS, 5432), (HOSTS, 8080), (SERVICES, 5432)]);
        host.assert_times_out(&[(SERVICES, 8080), (NOT_EXEMPT, 8080)]);
    };
    check(&host);
    host.start_agent();
    check(&host);
    assert_eq!(host.json("bypass list").as_array().unwrap().len(), 2);
    // A change of policies is none of theirs.
    host.ok("policy alter abuse --add-block 203.0.113.0/24");
    check(&host);
}

#[test]
fn kernel_expires_both_kinds_of_bypass_without_an_agent() {
    // With less than the minute that is the least that the agent grants.
    let host = DatabaseHost::without_agent();
    let ruleset = rules::ruleset(&[
        rules::service("postgres", &["5432"], Combine::Override, Mode::Enforce),
        rules::policy("abuse", None, &["10.66.0.0/16", "fd00:bad::/32"], &[]),
        rules::policy("dba", Some(&["10.0.0.1"]), &[], &["postgres"]),
    ]);
    let mut loaded = Loaded::new(&ruleset);
    let service = ruleset.scopes.iter().find(|scope| scope.name == "postgres");
    let expires = Instant::now() + Duration::from_millis(2000);
    let entry = |scope, source: &str| BypassEntry {
        scope,
        source: source.parse().unwrap(),
        remaining: Duration::from_millis(2000),
    };
    let service = service.unwrap().id;
    let entries = [
        entry(HOST_SCOPE, "10.66.0.1/32"),
        entry(service, "10.66.0.2/32"),
        entry(service, "fd00:bad::/64"),
    ];
    host.db().run(|| {
        loaded
            .datapath()
            .attach(netpolicy_tests::host::NIC)
            .unwrap();
        loaded.datapath().set_bypasses(&entries).unwrap();
    });
    // Only the pins hold the program from here on.
    let pins = loaded.abandon();
    host.assert_connects(&[
        (HOSTS, 5432),
        (HOSTS, 8080),
        (SERVICES, 5432),
        (SERVICES6, 5432),
    ]);
    host.assert_times_out(&[(SERVICES, 8080), (NOT_EXEMPT, 5432)]);
    std::thread::sleep(expires.saturating_duration_since(Instant::now()));
    std::thread::sleep(Duration::from_millis(50));
    host.assert_times_out(&[
        (HOSTS, 5432),
        (HOSTS, 8080),
        (SERVICES, 5432),
        (SERVICES6, 5432),
    ]);
    drop(pins);
}

#[test]
fn bypass_of_a_minute_expires_although_the_agent_was_killed() {
    let mut host = guarded();
    host.ok(&format!("bypass grant {HOSTS} --minutes 1"));
    host.ok(&format!(
        "bypass grant {SERVICES} --minutes 1 --service postgres"
    ));
    let granted = Instant::now();
    host.kill_agent();
    std::thread::sleep(Duration::from_secs(50).saturating_sub(granted.elapsed()));
    host.assert_connects(&[(HOSTS, 8080), (SERVICES, 5432)]);
    std::thread::sleep(Duration::from_millis(60_100).saturating_sub(granted.elapsed()));
    host.assert_times_out(&[(HOSTS, 5432), (HOSTS, 8080), (SERVICES, 5432)]);
    host.start_agent();
    assert_eq!(host.json("bypass list"), json!([]));
    host.assert_times_out(&[(HOSTS, 5432), (SERVICES, 5432)]);
}
