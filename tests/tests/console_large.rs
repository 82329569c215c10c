//! The console of an agent with 4,000,000 rules: how long each answer takes that a page requests.
//!
//! `NETPOLICY_TEST_LONG=1` alone runs it; figures are those of a release build:
//! `NETPOLICY_BIN=target/release/netpolicy`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use netpolicy_tests::console::Console;
use netpolicy_tests::{DatabaseHost, binary, debian};
use serde_json::{Value, json};

/// The most that an answer may take on a machine with nothing else to do, release build.
const LONGEST: Duration = Duration::from_millis(200);

const ROUNDS: usize = 5;
const POLICIES: u32 = 20;
const LIST: u32 = 100_000;

/// Policies with both lists full, of which every fourth is of IPv6; and a named list.
fn policies() -> String {
    let mut text = String::from("[[service]]\nname = \"postgres\"\nports = [\"5432\"]\n");
    text.push_str("[[list]]\nname = \"shared\"\nentries = [\"192.0.2.0/24\"]\n");
    for policy in 0..POLICIES {
        let bind = if policy == 0 { "postgres" } else { "host" };
        writeln!(
            text,
            "[[policy]]\nname = \"policy_{policy}\"\nbind = [\"{bind}\"]"
        )
        .unwrap();
        for (list, key) in [(2 * policy, "block"), (2 * policy + 1, "allow")] {
            writeln!(text, "{key} = [").unwrap();
            // With room for what the requests add.
            for i in 0..LIST - 2 * u32::from(list == 14) {
                // Not sorted, and never the same twice: an odd factor.
                let number = (list * LIST + i).wrapping_mul(0x9e37_79b1);
                match list % 4 {
                    3 => {
                        let address = 0x2001_0db8_u128 << 96 | u128::from(number) << 64;
                        writeln!(text, "  \"{}/64\",", Ipv6Addr::from(address)).unwrap();
                    }
                    _ => writeln!(text, "  \"{}\",", Ipv4Addr::from(number | 1 << 31)).unwrap(),
                }
            }
            text.push_str("]\n");
        }
    }
    text
}

/// What pages request: what it is for, method, target and body.
fn requests(latest: u64) -> Vec<(&'static str, &'static str, String, Value)> {
    let get = |page, target: &str| (page, "GET", target.to_owned(), Value::Null);
    let before = latest - 1;
    let edit = |how: Value| {
        let mut change = json!({ "change": "alter-policy", "name": "policy_7" });
        change["block"] = how;
        change
    };
    let add = edit(json!({ "edit": "edit", "add": { "items": ["192.0.2.77"] } }));
    let sql = |dialect: &str, name: &str| {
        let text = format!("SHOW CREATE NETWORK POLICY {name}");
        json!({ "text": text, "dialect": dialect, "name": "console" })
    };
    let try_out =
        |page, change: Value| (page, "POST", "/v1/changes?dry_run=true".to_owned(), change);
    let mut all = vec![
        get("every page", "/v1/status"),
        get("every page", "/v1/caller"),
        get("overview", "/v1/host"),
        get("overview", "/v1/services"),
        get("overview", "/v1/policies"),
        get("overview", "/v1/revisions?limit=6"),
        get("overview", "/v1/rates?step=minute&since=1h"),
        get(
            "overview",
            "/v1/sources?verdict=denied&since=24h&sort=attempts&limit=8",
        ),
        get("policies", "/v1/hits?limit=10000"),
        get("policies, search", "/v1/find?network=203.0.113.7"),
        get("policies, search", "/v1/find?network=128.0.0.0/4"),
        get("policy", "/v1/policies/policy_7/rules?list=block&limit=200"),
        get(
            "policy, scrolled",
            "/v1/policies/policy_7/rules?list=block&limit=200&after=190000",
        ),
        get(
            "policy, filter",
            "/v1/policies/policy_7/rules?list=block&limit=200&text=203.0",
        ),
        get(
            "policy, filter",
            "/v1/policies/policy_7/rules?list=block&limit=200&covers=203.0.113.7",
        ),
        get("policy", "/v1/hits?policy=policy_7&limit=10000"),
        get("policy", "/v1/lint"),
        get(
            "policy, effect",
            "/v1/evaluate?policy=policy_7&since=30d&limit=200",
        ),
        get(
            "policy, history",
            "/v1/revisions?policy=policy_7&changes=true&limit=50",
        ),
        get("create policy", "/v1/recommend"),
        get("explain", "/v1/explain?source=203.0.113.7&port=5432"),
        get(
            "explain",
            &format!("/v1/explain?source=203.0.113.7&port=5432&revision={before}"),
        ),
        get(
            "explain",
            "/v1/explain/network?network=128.0.0.0/12&limit=500",
        ),
        get("live", "/v1/clients?limit=200"),
        get("live", "/v1/bypasses"),
        get("sources", "/v1/sources?since=24h&sort=last&limit=100"),
        get("sources, networks", "/v1/sources?net=24&limit=100"),
        get("checks", "/v1/tests"),
        get("checks, host", "/doctor"),
        get("services", "/v1/services/known"),
        get("lists", "/v1/lists"),
        get("lists", "/v1/feeds"),
        get("list", "/v1/lists/shared/entries?limit=200"),
        get("bans", "/v1/bans?limit=100&sort=since"),
        get("history", "/v1/revisions?limit=100&changes=true"),
        get("history, filter", "/v1/revisions?limit=100&text=office"),
        get(
            "history, revision",
            &format!("/v1/diff?from={before}&to={latest}&limit=262144"),
        ),
        get(
            "history, compare",
            &format!("/v1/diff?from=1&to={latest}&limit=262144"),
        ),
        get("history, first", "/v1/diff?from=0&to=1&limit=262144"),
        get("audit", "/v1/audit?limit=100"),
        get("audit, filter", "/v1/audit?limit=100&text=policy_7"),
        get("grants", "/v1/grants"),
        try_out("change, add", add.clone()),
        try_out(
            "change, remove",
            edit(json!({ "edit": "edit", "remove": { "items": ["192.0.2.66"] } })),
        ),
        try_out(
            "change, observe",
            json!({ "change": "set-mode", "policy": "policy_7", "mode": "observe" }),
        ),
        try_out(
            "change, deactivate",
            json!({ "change": "set-active", "name": "policy_7", "active": false }),
        ),
        try_out(
            "change, rename",
            json!({ "change": "rename-policy", "name": "policy_7", "to": "policy_x" }),
        ),
        try_out(
            "change, drop",
            json!({ "change": "drop-policy", "name": "policy_7" }),
        ),
        ("change, lint", "POST", "/v1/lint".to_owned(), add),
        (
            "change, rollback",
            "POST",
            format!("/v1/rollback/{before}?dry_run=true"),
            Value::Null,
        ),
        (
            "change, rollback, lint",
            "GET",
            format!("/v1/lint?revision={before}"),
            Value::Null,
        ),
    ];
    for (dialect, name) in [("snowflake", "\"policy_7\""), ("lakehouse", "policy_7")] {
        all.push((
            "policy, SQL",
            "POST",
            "/v1/sql?dry_run=true".to_owned(),
            sql(dialect, name),
        ));
    }
    all
}

#[test]
fn every_answer_of_four_million_rules_is_there_soon() {
    if !debian::is_long() {
        println!("skipped: takes minutes; NETPOLICY_TEST_LONG=1 runs it");
        return;
    }
    let host = DatabaseHost::start();
    host.write("all.toml", policies());
    host.ok("apply -f all.toml --yes --force");
    host.ok("policy test set 192.0.2.66 --expect drop");
    host.ok("policy alter policy_7 --add-block 192.0.2.66 --force");
    host.ok("policy alter policy_9 --comment later --force");
    let status = host.json("status");
    let rules = status["agent"]["rules"].as_u64().unwrap();
    assert!(rules + 1 >= u64::from(2 * POLICIES * LIST), "{status}");
    let latest = status["agent"]["revision"].as_u64().unwrap();
    let console = Console::of(&host, None, &[]);
    let secret = console.begin();
    let requests = requests(latest);
    let mut taken = vec![Vec::new(); requests.len()];
    let mut sizes = vec![0; requests.len()];
    for _ in 0..ROUNDS {
        for (at, (_, method, target, body)) in requests.iter().enumerate() {
            let body = if body.is_null() {
                String::new()
            } else {
                body.to_string()
            };
            let start = Instant::now();
            let answer = console.ask(&secret, method, target, &body);
            taken[at].push(start.elapsed());
            assert!(
                [200, 409].contains(&answer.status),
                "{method} {target}: {}",
                answer.text()
            );
            sizes[at] = answer.body.len();
        }
    }
    let mut slow = Vec::new();
    for ((page, method, target, _), (taken, size)) in
        requests.iter().zip(taken.iter_mut().zip(sizes))
    {
        let first = taken[0];
        taken.sort();
        println!(
            "{page:22} {method:4} {target:70} first {:>4} ms, minimum {:>4}, median {:>4}, maximum {:>4}, {:>6} KiB",
            first.as_millis(),
            taken[0].as_millis(),
            taken[ROUNDS / 2].as_millis(),
            taken[ROUNDS - 1].as_millis(),
            size / 1024
        );
        if taken[0] > LONGEST {
            slow.push(format!("{page}: {method} {target}: {:?}", taken[0]));
        }
    }
    let is_release = binary::netpolicy()
        .components()
        .any(|part| part.as_os_str() == "release");
    assert!(slow.is_empty() || !is_release, "{slow:#?}");
}
