//! The memory of sources: what is counted of attempts and rules, and what of it survives.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::cast_precision_loss, reason = "small numbers")]

use std::time::{Duration, Instant};

use aya::programs::{TestRun, TestRunOptions, Xdp};
use aya_obj::programs::XdpAttachType;
use netpolicy_tests::DatabaseHost;
use netpolicy_tests::metrics::{Scraped, promtool_findings};
use netpolicy_tests::packet::Packet;
use serde_json::Value;

const ALLOWED: &str = "10.0.0.1";
const BLOCKED: &str = "10.66.0.1";
const BLOCKED6: &str = "fd00:bad::1";
const UNLISTED: &str = "203.0.113.9";
const OFFICE: &str = "policy create office --allow 10.0.0.0/8 --block 10.66.0.0/16 \
                      --block fd00:bad::/32";

/// Longer than the memory takes to attribute what was reported.
const PATIENCE: Duration = Duration::from_secs(15);

/// Sends so many attempts, as a sender of this rate would.
fn send(host: &DatabaseHost, source: &str, attempts: u32, per_second: u32) {
    let raw = host.raw();
    let frame = Packet::syn(source, 5432).build();
    let begun = Instant::now();
    for sent in 0..attempts {
        raw.send(&frame);
        let due = Duration::from_secs(1) * (sent + 1) / per_second;
        if let Some(early) = due.checked_sub(begun.elapsed()) {
            std::thread::sleep(early);
        }
    }
}

/// Waits until a query of the command line is so.
#[track_caller]
fn wait_for(host: &DatabaseHost, line: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let answer = host.json(line);
        if is_so(&answer) {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "{line}: {answer}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn sum(answer: &Value, rows: &str, of: impl Fn(&Value) -> bool) -> u64 {
    let rows = answer[rows]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| of(row));
    let key = if rows_are_hits(answer) {
        "hits"
    } else {
        "attempts"
    };
    rows.map(|row| row[key].as_u64().unwrap()).sum()
}

fn rows_are_hits(answer: &Value) -> bool {
    answer["rules"].is_array()
}

fn attempts_of(answer: &Value, source: &str) -> u64 {
    sum(answer, "sources", |row| row["source"] == source)
}

#[test]
fn each_attempt_is_remembered_with_its_source_and_rule() {
    let host = DatabaseHost::start();
    host.ok("service add postgres --port 5432");
    host.ok("policy create clients --allow 10.0.0.0/24 --block 10.0.0.66 --service postgres");
    host.ok("policy create abuse --block 192.168.0.0/16");
    host.assert_connects(&[(ALLOWED, 5432), (ALLOWED, 8080)]);
    send(&host, UNLISTED, 7, 1000);
    send(&host, "10.0.0.66", 5, 1000);
    send(&host, BLOCKED6, 3, 1000);
    let all = wait_for(&host, "sources", |all| {
        attempts_of(all, UNLISTED) == 7 && attempts_of(all, BLOCKED6) == 3
    });
    let rows = all["sources"].as_array().unwrap();
    let find = |source: &str, scope: &str| -> Value {
        let row = rows
            .iter()
            .find(|row| row["source"] == source && row["scope"] == scope);
        row.unwrap_or_else(|| panic!("{source} {scope}: {all}"))
            .clone()
    };
    let allowed = find(ALLOWED, "postgres");
    assert_eq!(allowed["verdict"], "allowed");
    assert_eq!(allowed["reason"], "allowed");
    assert_eq!(allowed["policy"], "clients");
    assert_eq!(allowed["list"], "allow");
    assert_eq!(allowed["rule"], "10.0.0.0/24");
    assert_eq!(allowed["attempts"], 1);
    assert_eq!(allowed["sampled"], false);
    let elsewhere = find(ALLOWED, "host");
    assert_eq!(elsewhere["reason"], "not-blocked");
    assert_eq!(elsewhere["policy"], "abuse");
    assert_eq!(elsewhere["rule"], Value::Null);
    let unlisted = find(UNLISTED, "postgres");
    assert_eq!(unlisted["verdict"], "denied");
    assert_eq!(unlisted["reason"], "not-allowed");
    let blocked = find("10.0.0.66", "postgres");
    assert_eq!(blocked["rule"], "10.0.0.66/32");
    assert_eq!(blocked["attempts"], 5);

    let denied = host.json("sources --denied --since 1h --net 24 --service postgres");
    assert_eq!(denied["total"], 3, "{denied}");
    assert_eq!(attempts_of(&denied, "203.0.113.0/24"), 7);
    assert_eq!(attempts_of(&denied, "fd00:bad::/64"), 3);
    assert_eq!(
        host.json("sources --allowed --covers 10.0.0.0/24")["total"],
        2
    );

    let hits = host.json("policy show clients --hits");
    let of = |rule: &str| sum(&hits, "rules", |row| row["rule"] == rule);
    assert_eq!((of("10.0.0.0/24"), of("10.0.0.66")), (1, 5), "{hits}");
    assert_eq!(sum(&hits, "rules", |row| row["unmatched"] == true), 10);
    let unused = host.json("policy show --unused 1m");
    let unused = unused["rules"].as_array().unwrap();
    assert_eq!(unused.len(), 1, "{unused:?}");
    assert_eq!(unused[0]["rule"], "192.168.0.0/16");
    let out = host.line("policy show --unused 30d");
    assert!(
        out.stderr.contains("hits are counted since"),
        "{}",
        out.stderr
    );

    let rates = host.json("rates --step hour");
    for (scope, reason) in [
        ("postgres", "allowed"),
        ("postgres", "not-allowed"),
        ("postgres", "blocked"),
        ("host", "not-blocked"),
    ] {
        let counted = sum(&rates, "buckets", |row| {
            row["scope"] == scope && row["reason"] == reason
        });
        assert_eq!(
            counted,
            host.counter(scope, reason),
            "{scope} {reason}: {rates}"
        );
    }
    let scraped = Scraped::over_socket(&host.socket(), "/metrics", "text/plain");
    assert_eq!(promtool_findings(&scraped.text), "");
    for (scope, policy, verdict, reason) in [
        ("postgres", "clients", "pass", "allowed"),
        ("postgres", "clients", "drop", "not-allowed"),
        ("postgres", "clients", "drop", "blocked"),
        ("host", "abuse", "pass", "not-blocked"),
    ] {
        let labels = [
            ("scope", scope),
            ("policy", policy),
            ("verdict", verdict),
            ("reason", reason),
        ];
        let counted = scraped.value("netpolicy_policy_attempts_total", &labels);
        let expected = Some(host.counter(scope, reason) as f64);
        assert_eq!(counted, expected, "{labels:?}: {}", scraped.text);
    }
    let table = host.ok("sources --denied --sort attempts");
    let first = table.lines().nth(1).unwrap();
    assert!(
        first.starts_with(UNLISTED) && first.contains("clients"),
        "{table}"
    );
}

/// One CPU sends, and reports, all of them.
#[test]
fn hits_at_twenty_thousand_attempts_a_second_are_exact() {
    let host = DatabaseHost::start();
    host.ok(OFFICE);
    for source in [BLOCKED, UNLISTED] {
        send(&host, source, 20_000, 20_000);
    }
    let all = wait_for(&host, "sources", |all| {
        attempts_of(all, BLOCKED) >= 20_000 && attempts_of(all, UNLISTED) >= 20_000
    });
    for source in [BLOCKED, UNLISTED] {
        assert_eq!(attempts_of(&all, source), 20_000, "{all}");
    }
    let rows = all["sources"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["sampled"] == false), "{all}");
    let hits = host.json("policy show office --hits");
    assert_eq!(
        sum(&hits, "rules", |row| row["rule"] == "10.66.0.0/16"),
        20_000
    );
    assert_eq!(sum(&hits, "rules", |row| row["unmatched"] == true), 20_000);
}

#[test]
fn numbers_of_a_flood_are_the_kernel_s_and_marked_as_estimated() {
    let host = DatabaseHost::start();
    host.ok(OFFICE);
    let program = Xdp::from_pin(
        host.bpffs_dir().join("live/PROGRAM"),
        XdpAttachType::Interface,
    );
    let program = program.unwrap();
    let frame = Packet::syn(BLOCKED, 5432).build();
    // More than the memory takes of each.
    for _ in 0..4 {
        let options = TestRunOptions {
            data_in: Some(&frame),
            repeat: 500_000,
            ..TestRunOptions::new()
        };
        program.test_run(options).unwrap();
    }
    let all = wait_for(&host, "sources", |all| {
        attempts_of(all, BLOCKED) >= 2_000_000
    });
    assert_eq!(attempts_of(&all, BLOCKED), host.counter("host", "blocked"));
    assert_eq!(all["sources"][0]["sampled"], true, "{all}");
    let table = host.ok("policy show office --hits");
    assert!(table.contains("~2000000"), "{table}");
}

#[test]
fn memory_survives_stop_and_kill_and_says_what_is_missing() {
    let mut host = DatabaseHost::start();
    host.ok(OFFICE);
    send(&host, BLOCKED, 100, 5000);
    wait_for(&host, "sources", |all| attempts_of(all, BLOCKED) == 100);
    assert!(host.stop_agent().success());
    // What comes without an agent waits in the kernel's buffer.
    send(&host, BLOCKED, 11, 5000);
    host.start_agent();
    let all = wait_for(&host, "sources", |all| attempts_of(all, BLOCKED) == 111);
    assert_eq!(all["lost_before"], Value::Null, "{all}");
    assert!(host.stop_agent().success());

    host.start_agent();
    send(&host, BLOCKED, 50, 5000);
    wait_for(&host, "sources", |all| attempts_of(all, BLOCKED) == 161);
    // Before it is written down.
    host.kill_agent();
    host.start_agent();
    let all = wait_for(&host, "sources", |all| {
        attempts_of(all, BLOCKED) == 161 || !all["lost_before"].is_null()
    });
    assert!((111..=161).contains(&attempts_of(&all, BLOCKED)), "{all}");
    let out = host.line("sources");
    if attempts_of(&all, BLOCKED) < 161 {
        assert!(out.stderr.contains("are missing"), "{}", out.stderr);
    }
    let hits = host.json("policy show office --hits");
    assert_eq!(
        sum(&hits, "rules", |row| row["rule"] == "10.66.0.0/16"),
        attempts_of(&all, BLOCKED)
    );
}

/// Attempts a second while the agent is killed again and again.
const STEADY: u64 = 200;

/// The most that a kill may cost.
const MOST_LOST: Duration = Duration::from_secs(10);

/// Half a minute, so in long runs alone; the test before kills once.
#[test]
fn kill_9_loses_ten_seconds_of_the_memory_at_most_and_says_so() {
    if std::env::var_os("NETPOLICY_TEST_LONG").is_none_or(|value| value == "0") {
        return;
    }
    let mut host = DatabaseHost::start();
    host.ok(OFFICE);
    for seconds in [7_u64, 9, 11] {
        let before = attempts_of(&host.json("sources"), BLOCKED);
        let counted = host.counter("host", "blocked");
        let rate = u32::try_from(STEADY).unwrap();
        send(&host, BLOCKED, rate * u32::try_from(seconds).unwrap(), rate);
        let killed = jiff::Timestamp::now();
        host.kill_agent();
        host.start_agent();
        let sent = host.counter("host", "blocked") - counted;
        assert_eq!(sent, STEADY * seconds);
        let whole = before + sent;
        let all = wait_for(&host, "sources", |all| {
            attempts_of(all, BLOCKED) == whole || !all["lost_before"].is_null()
        });
        let kept = attempts_of(&all, BLOCKED);
        let most = STEADY * MOST_LOST.as_secs();
        assert!(kept <= whole && whole - kept <= most, "{kept} of {whole}");
        if kept < whole {
            let from: jiff::Timestamp = all["lost_from"].as_str().unwrap().parse().unwrap();
            let lost = killed.duration_since(from).unsigned_abs();
            assert!(lost <= MOST_LOST, "{lost:?}: {all}");
            let said = host.line("sources").stderr;
            assert!(
                said.contains("are missing: no agent wrote them down"),
                "{said}"
            );
        }
    }
}

#[test]
fn damaged_memory_is_made_again_and_the_state_is_untouched() {
    let mut host = DatabaseHost::start();
    host.ok(OFFICE);
    send(&host, BLOCKED, 5, 1000);
    wait_for(&host, "sources", |all| attempts_of(all, BLOCKED) == 5);
    assert!(host.stop_agent().success());
    let file = host.state_dir().join("observations.db");
    let mut bytes = std::fs::read(&file).unwrap();
    for byte in bytes.iter_mut().skip(20) {
        *byte ^= 0x5a;
    }
    std::fs::write(&file, bytes).unwrap();
    host.start_agent();
    let status = wait_for(&host, "policy list", |policies| {
        policies[0]["name"] == "office"
    });
    assert_eq!(status.as_array().unwrap().len(), 1);
    let begun = Instant::now();
    let fault = loop {
        let faults = host.status()["faults"].to_string();
        if faults.contains("memory of sources") {
            break faults;
        }
        assert!(begun.elapsed() < PATIENCE, "{faults}");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(fault.contains("was damaged"), "{fault}");
    send(&host, BLOCKED, 3, 1000);
    wait_for(&host, "sources", |all| attempts_of(all, BLOCKED) == 3);
    assert!(host.stop_agent().success());
    host.start_agent();
    wait_for(&host, "sources", |all| attempts_of(all, BLOCKED) == 3);
    assert_eq!(host.status()["faults"], serde_json::json!([]));
}
