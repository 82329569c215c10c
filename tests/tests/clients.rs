//! Who is connected, what happened lately, and whether the host is protected.

use std::time::{Duration, Instant};

use netpolicy_tests::DatabaseHost;
use netpolicy_tests::command::assert_has;
use serde_json::{Value, json};

const ALLOWED: &str = "10.0.0.1";
const BLOCKED: &str = "10.66.0.1";
const BLOCKED6: &str = "fd00:bad::1";

fn items(value: &Value) -> &[Value] {
    value["items"].as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn connected_clients_are_listed_with_their_rule_and_since_when() {
    let host = DatabaseHost::start();
    host.ok("service add postgres --port 5432");
    let _before = host.session(BLOCKED, 5432);
    assert_eq!(
        host.json("clients")["total"],
        0,
        "no policy governs any port"
    );
    host.ok("policy create office --allow 10.0.0.0/16,192.168.0.0/16 --service postgres");
    let _open = [
        host.session(ALLOWED, 5432),
        host.session(ALLOWED, 5432),
        // No policy governs these ports.
        host.session(ALLOWED, 8080),
        host.session(BLOCKED6, 22),
    ];
    let clients = host.json("clients");
    assert_eq!(clients["total"], 2, "{clients}");
    let [allowed, blocked] = items(&clients) else {
        panic!("{clients}");
    };
    assert_eq!(allowed["source"], ALLOWED);
    assert_eq!(
        (&allowed["connections"], &allowed["ports"]),
        (&json!(2), &json!([5432]))
    );
    assert_eq!(
        (&allowed["verdict"], &allowed["scope"]),
        (&json!("pass"), &json!("postgres"))
    );
    assert_eq!(allowed["matched"]["rule"]["cidr"], "10.0.0.0/16");
    assert!(allowed["since"].is_string(), "{allowed}");
    let idle = allowed["idle_ms"].as_u64();
    assert!(idle.is_some_and(|idle| idle < 60_000), "{allowed}");
    // It got in before the policy was made.
    assert_eq!(
        (&blocked["source"], &blocked["verdict"]),
        (&json!(BLOCKED), &json!("drop"))
    );
    assert_eq!(blocked["reason"], "not-allowed");

    let denied = host.json("clients --denied");
    assert_eq!(items(&denied).len(), 1);
    assert_eq!(items(&host.json("clients --source 10.0.0.0/16")).len(), 1);
    assert_eq!(items(&host.json("clients --service host")).len(), 0);
    let text = host.ok("clients");
    assert_has(
        &text,
        &[
            "A NEW ATTEMPT",
            "office allow 10.0.0.0/16",
            "2 clients, 3 connections",
        ],
    );
}

#[test]
fn attempts_of_late_are_shown_filtered_and_the_monitor_ends_in_time() {
    let host = DatabaseHost::start();
    host.ok("service add postgres --port 5432");
    host.ok("policy create abuse --block 10.66.0.0/16,fd00:bad::/32");
    host.ok("policy create office --allow 10.0.0.0/16 --service postgres");
    host.assert_times_out(&[(BLOCKED, 8080), (BLOCKED6, 8080), ("192.168.1.1", 5432)]);
    // No listener was there then.
    let past = |filter: &str| {
        let out = host.ok(&format!(
            "monitor --since 1m --no-follow --output json {filter}"
        ));
        let lines = out.lines().map(serde_json::from_str::<Value>);
        let lines = lines.map(|line| line.unwrap_or_else(|e| panic!("{e}: {out}")));
        let mut sources: Vec<_> = lines
            .filter(|line| line["event"] == "denied")
            .map(|line| line["source"].as_str().unwrap_or_default().to_owned())
            .collect();
        sources.sort();
        sources.dedup();
        sources
    };
    assert_eq!(past(""), [BLOCKED, "192.168.1.1", BLOCKED6]);
    assert_eq!(past("--source 10.0.0.0/8"), [BLOCKED]);
    assert_eq!(past("--service postgres"), ["192.168.1.1"]);
    assert_eq!(past("--policy office"), ["192.168.1.1"]);
    assert_eq!(past("--reason blocked --policy abuse"), [BLOCKED, BLOCKED6]);
    assert_eq!(past("--reason banned"), Vec::<String>::new());
    let text = host.ok("monitor --since 1d --no-follow --source 10.66.0.1");
    assert_has(
        &text,
        &["-- attempts before ", "blocked", "abuse block 10.66.0.0/16"],
    );

    let started = Instant::now();
    host.ok("monitor --for 1s");
    let took = started.elapsed();
    assert!((1..15).contains(&took.as_secs()), "{took:?}");
    let wrong = host.line("monitor --reason nonsense");
    assert_has(wrong.failed(2), &["expected one of", "not-allowed"]);
}

#[test]
fn past_and_present_are_told_once_each() {
    let host = DatabaseHost::start();
    host.ok("policy create abuse --block 10.66.0.0/16");
    let seen = std::thread::scope(|scope| {
        host.assert_times_out(&[(BLOCKED, 8080)]);
        let watch =
            scope.spawn(|| host.ok("monitor --since 1m --for 3s --output json --source 10.66.0.1"));
        std::thread::sleep(Duration::from_secs(1));
        host.assert_times_out(&[(BLOCKED, 5432)]);
        watch.join().expect("the monitor ends")
    });
    let times: Vec<_> = seen
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .filter(|line| line["event"] == "denied")
        .map(|line| {
            (
                line["destination_port"].clone(),
                line["source_port"].clone(),
                line["time"].clone(),
            )
        })
        .collect();
    let of = |port: u16| times.iter().filter(|time| time.0 == port).count();
    assert!(of(8080) >= 1 && of(5432) >= 1, "{seen}");
    let dropped = host.counter("host", "blocked");
    assert!(
        times.len() as u64 <= dropped,
        "{} told, {dropped} dropped: {seen}",
        times.len()
    );
}

#[test]
fn status_says_whether_the_host_is_protected() {
    let host = DatabaseHost::start();
    host.ok("service add postgres --port 5432");
    let open = host.ok("status");
    assert_has(
        &open,
        &[
            "host: open: no policy governs it",
            "postgres (5432): open: no policy governs it",
            "5432 (postgres), 6432, 7005, 8080: no policy governs them",
            "22: failsafe: nothing is judged on it",
        ],
    );
    host.ok("policy create office --allow 10.0.0.0/16,192.0.2.1 --service postgres");
    host.ok("policy alter office --comment offices");
    host.ok("policy create draft --block 192.0.2.7 --inactive");
    let status = host.json("status");
    let agent = &status["agent"];
    assert_eq!(agent["without_effect"], 2, "{agent}");
    assert_eq!(
        agent["scopes"][1],
        json!({
            "scope": "postgres", "ports": "5432", "rule": "allow-only", "mode": "enforce",
            "sentence": "only sources that office allows", "policies": ["office"],
            "entries": 2, "dropped_last_minute": null,
        })
    );
    let ports: Vec<_> = agent["open_ports"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|port| port["port"].as_u64().unwrap_or_default())
        .collect();
    assert_eq!(ports, [22, 6432, 7005, 8080]);
    let text = host.ok("status");
    assert_has(&text, &["(2 revisions since 2 without effect on packets)"]);
}

/// Keys of JSON that monitoring systems read: those that are there stay.
#[test]
fn status_keeps_its_keys() {
    let host = DatabaseHost::start();
    let status = host.json("status");
    let keys = |value: &Value| {
        let object = value.as_object().expect("an object");
        object.keys().cloned().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(keys(&status), "agent enforcement faults");
    assert_eq!(
        keys(&status["agent"]),
        "active_policies bans bypasses memory_bytes observing open_ports pid policies revision \
         rules scopes services started version without_effect"
    );
    assert_eq!(
        keys(&status["enforcement"]),
        "abi digest engine entries generation interfaces others revision state"
    );
    assert_eq!(
        keys(&status["agent"]["scopes"][0]),
        "dropped_last_minute entries mode policies ports rule scope sentence"
    );
    assert_eq!(
        keys(&status["agent"]["open_ports"][0]),
        "addresses failsafe port"
    );
}

#[test]
fn counters_of_a_removed_service_keep_its_name_and_say_since_when_they_count() {
    let mut host = DatabaseHost::start();
    host.assert_connects(&[(ALLOWED, 8080)]);
    host.ok("service add postgres --port 5432");
    host.ok("policy create office --allow 10.0.0.0/16 --service postgres");
    host.assert_times_out(&[(BLOCKED, 5432)]);
    let since = |host: &DatabaseHost, scope: &str| {
        let counters = host.json("counters");
        let rows = counters["rows"].as_array().cloned().unwrap_or_default();
        let row = rows.into_iter().find(|row| row["scope"] == scope);
        row.unwrap_or_else(|| panic!("{scope}: {counters}"))["since"].clone()
    };
    let counted = since(&host, "postgres");
    assert!(counted.is_string(), "{counted}");
    assert!(
        since(&host, "host").as_str() < counted.as_str(),
        "the service came later"
    );
    host.ok("unbind office --service postgres --yes");
    host.ok("service remove postgres");
    assert_eq!(since(&host, "postgres (removed)"), counted);
    host.stop_agent();
    host.start_agent();
    assert_eq!(
        since(&host, "postgres (removed)"),
        counted,
        "also after a restart"
    );
    assert!(host.counter("postgres (removed)", "not-allowed") >= 1);
}
