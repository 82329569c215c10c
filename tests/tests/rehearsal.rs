//! Candidates judged over the sources that came, lists recommended by them, and policies that are
//! only observed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use netpolicy_tests::DatabaseHost;
use netpolicy_tests::command::assert_has;
use netpolicy_tests::packet::Packet;
use serde_json::{Value, json};

const CLIENT: &str = "10.0.0.1";
const OTHER: &str = "10.66.0.1";
const STRANGER: &str = "203.0.113.9";

/// Longer than the memory takes to attribute what was reported.
const PATIENCE: Duration = Duration::from_secs(15);

/// Sends so many attempts to a port.
fn send(host: &DatabaseHost, source: &str, port: u16, attempts: u32) {
    let raw = host.raw();
    let frame = Packet::syn(source, port).build();
    for _ in 0..attempts {
        raw.send(&frame);
        std::thread::sleep(Duration::from_millis(2));
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

/// Waits until so many sources are remembered with so many attempts in all.
#[track_caller]
fn wait_for_attempts(host: &DatabaseHost, attempts: u64) {
    wait_for(host, "sources", |all| {
        let rows = all["sources"].as_array().unwrap().iter();
        rows.map(|row| row["attempts"].as_u64().unwrap())
            .sum::<u64>()
            == attempts
    });
}

/// Becomes, source, scope and attempts of each listed source.
fn listed(answer: &Value) -> Vec<(String, String, String, u64)> {
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    let rows = answer["sources"].as_array().unwrap().iter();
    rows.map(|row| {
        let attempts = row["attempts"].as_u64().unwrap();
        (
            text(row, "becomes"),
            text(row, "source"),
            text(row, "scope"),
            attempts,
        )
    })
    .collect()
}

fn row(becomes: &str, source: &str, scope: &str, n: u64) -> (String, String, String, u64) {
    (becomes.into(), source.into(), scope.into(), n)
}

#[test]
fn candidates_are_judged_over_sources_that_came() {
    let host = DatabaseHost::start();
    host.ok("service add postgres --port 5432");
    send(&host, CLIENT, 5432, 5);
    send(&host, OTHER, 5432, 3);
    send(&host, STRANGER, 8080, 2);
    wait_for_attempts(&host, 10);

    host.ok("policy create office --allow 10.0.0.0/16 --service postgres --inactive");
    let answer = host.json("policy evaluate office");
    assert_eq!(listed(&answer), [row("denied", OTHER, "postgres", 3)]);
    assert_eq!(
        (&answer["judged"], &answer["denied"]),
        (&json!(3), &json!(1))
    );
    assert_eq!(answer["sources"][0]["sampled"], false);
    let table = host.ok("policy evaluate office");
    assert_has(
        &table,
        &[
            "judged 3 sources seen since ",
            "would be denied, and got in:       1\n",
            "10.66.0.1 is not on the allow list of office",
        ],
    );
    // Nothing of it is in force.
    assert_eq!(host.json("policy list")[0]["active"], false);
    host.assert_connects(&[(OTHER, 5432)]);
    wait_for_attempts(&host, 11);

    // Every dry run says it.
    let dry = host.ok("policy create abuse --block 203.0.113.0/24 --dry-run");
    assert_has(
        &dry,
        &[
            "1 source seen since ",
            " would be denied:\n    203.0.113.9 on host, 2 attempts, last ",
        ],
    );
    let dry = host.ok("policy create abuse --block 198.51.100.0/24 --dry-run");
    assert_has(&dry, &["no source seen since ", "(3 judged)"]);

    // What is denied now was let in before: that is no news of a candidate, and what it opens is.
    host.ok("policy activate office");
    send(&host, OTHER, 5432, 4);
    wait_for_attempts(&host, 15);
    let again = host.json("policy evaluate office");
    assert_eq!(listed(&again), []);
    assert_eq!(again["denied_already"], 1, "{again}");
    host.write(
        "open.toml",
        "[[service]]\nname = \"postgres\"\nports = [\"5432\"]\n\
         [[policy]]\nname = \"office\"\nallow = [\"10.0.0.0/8\"]\nbind = [\"postgres\"]\n",
    );
    let file = host.file("open.toml");
    let line = format!("policy evaluate -f {}", file.display());
    let answer = host.json(&line);
    assert_eq!(listed(&answer), [row("allowed", OTHER, "postgres", 4)]);
    assert_has(
        answer["sources"][0]["sentence"].as_str().unwrap(),
        &["10.66.0.1 is on the allow list, by '10.0.0.0/8' of policy 'office'"],
    );
}

#[test]
fn what_cannot_be_evaluated_is_refused_with_what_was_expected() {
    let host = DatabaseHost::start();
    host.ok("policy create office --allow 10.0.0.0/8 --inactive");
    let unknown = host.line("policy evaluate ofice");
    assert_has(
        unknown.failed(1),
        &["unknown policy 'ofice'", "did you mean 'office'"],
    );
    let service = host.line("policy evaluate office --service postgres");
    assert_has(service.failed(1), &["unknown service 'postgres'"]);
    let since = host.line("policy evaluate office --since yesterday");
    assert_has(since.failed(1), &["'yesterday'", "as in"]);
    assert_has(
        host.line("policy evaluate").failed(2),
        &["<NAME|--file <FILE>>"],
    );
    let alter = host.line("policy alter office --mode observe --add-block 10.0.0.1");
    assert_has(alter.failed(2), &["--mode", "cannot be used with"]);
}

#[test]
fn recommended_list_covers_who_came_and_applies_as_it_is_printed() {
    let host = DatabaseHost::start();
    host.ok("service add postgres --port 5432");
    for last in [5, 6, 9] {
        send(&host, &format!("10.0.0.{last}"), 5432, 2);
    }
    send(&host, CLIENT, 5432, 1);
    send(&host, STRANGER, 8080, 2);
    wait_for_attempts(&host, 9);

    let line = "policy recommend --service postgres --stayed 0s --aggregate 24";
    let answer = host.json(line);
    assert_eq!(answer["entries"].as_array().unwrap().len(), 1, "{answer}");
    assert_eq!(answer["entries"][0]["cidr"], "10.0.0.0/28");
    assert_eq!(
        (&answer["covered"], &answer["not_covered"]),
        (&json!(4), &json!([]))
    );
    let exact = host.json("policy recommend --service postgres --stayed 0s");
    assert_eq!(exact["entries"].as_array().unwrap().len(), 4, "{exact}");

    // None of them has come for an hour.
    let file = host.ok("policy recommend --service postgres");
    assert_has(
        &file,
        &["# Nothing is to be covered", "#   10.0.0.5: 2 attempts, "],
    );

    let file = host.ok(line);
    assert_has(&file, &["\"10.0.0.0/28\", # 4 sources, 7 attempts, last "]);
    host.write("recommended.toml", &file);
    let path = host.file("recommended.toml").display().to_string();
    let judged = host.json(&format!("policy evaluate -f {path} --no-prune"));
    assert_eq!(
        (&judged["denied"], &judged["judged"]),
        (&json!(0), &json!(5))
    );
    host.ok(&format!("apply -f {path} --no-prune --yes"));
    host.assert_connects(&[(CLIENT, 5432), (OTHER, 8080)]);
    host.assert_times_out(&[(OTHER, 5432)]);
}

#[test]
fn observed_policy_denies_nothing_and_counts_what_it_would_deny() {
    let host = DatabaseHost::start();
    host.ok("policy create abuse --block 203.0.113.0/24");
    let before = host.status()["enforcement"]["generation"].clone();
    host.ok("policy create next --block 10.66.0.0/16,203.0.113.0/24 --mode observe");
    assert_eq!(host.status()["enforcement"]["generation"], before);
    let shown = host.ok("policy list");
    assert_has(&shown, &["observed"]);
    let export = host.ok("export");
    assert_has(
        &export,
        &["name = \"next\"\nbind = [\"host\"]\nmode = \"observe\"\n"],
    );
    host.assert_connects(&[(OTHER, 5432), (CLIENT, 5432)]);
    send(&host, OTHER, 5432, 4);
    // What another policy denies it would deny as well.
    send(&host, STRANGER, 5432, 3);
    let hits = |rule: &str, hits: u64| {
        wait_for(&host, "policy show next --hits", |answer| {
            let rules = answer["rules"].as_array().unwrap();
            let found = rules.iter().find(|row| row["rule"] == rule);
            found.is_some_and(|row| row["hits"] == hits)
        });
    };
    hits("10.66.0.0/16", 5);
    hits("203.0.113.0/24", 3);

    // The file says the same, and a restart changes nothing of it.
    host.write("state.toml", &export);
    let path = host.file("state.toml").display().to_string();
    assert_has(&host.ok(&format!("diff -f {path}")), &["no difference"]);

    let warned = host.line("policy activate next");
    assert_has(
        &warned.stderr,
        &["'next' is only observed", "--mode enforce"],
    );
    let enforced = host.ok("policy alter next --mode enforce");
    assert_has(
        &enforced,
        &[
            "status: observed: denies nothing -> active",
            "10.66.0.0/16 becomes denied on the host",
        ],
    );
    host.assert_times_out(&[(OTHER, 5432)]);
    host.ok("policy alter next --mode observe --yes");
    host.assert_connects(&[(OTHER, 5432)]);
}

#[test]
fn observed_policy_stays_observed_over_a_restart() {
    let mut host = DatabaseHost::start();
    host.ok("policy create next --allow 10.0.0.0/16 --mode observe");
    host.stop_agent();
    host.start_agent();
    assert_eq!(host.json("policy list")[0]["mode"], "observe");
    host.assert_connects(&[(OTHER, 5432)]);
}
