//! Bans: real connection attempts of banned sources, with and without policies, through the end
//! of a ban, of the agent and of the boot.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use netpolicy_tests::command::{assert_has, run};
use netpolicy_tests::host::NIC;
use netpolicy_tests::{DatabaseHost, Options, Outcome, pins};
use serde_json::Value;

const BANNED: &str = "10.66.0.1";
const BANNED6: &str = "fd00:bad::1";
const NEIGHBOUR: &str = "10.66.0.2";
const ALLOWED: &str = "10.0.0.1";

/// How late a ban may end, and what a command and an attempt take in addition.
const LATE: Duration = Duration::from_millis(1000);
const EXTRA: Duration = Duration::from_millis(800);

fn count(host: &DatabaseHost) -> u64 {
    host.json("bans --count")["count"].as_u64().unwrap_or(0)
}

/// A request of the API; the lines of the answer.
fn request(host: &DatabaseHost, method: &str, query: &str, media: &str, body: &str) -> Vec<Value> {
    let mut curl = host.db().command("curl");
    curl.args([
        "-sS",
        "--fail-with-body",
        "-X",
        method,
        "--data-binary",
        "@-",
    ])
    .args(["-H", &format!("content-type: {media}")])
    .arg("--unix-socket")
    .arg(host.socket())
    .arg(format!("http://localhost/v1/bans{query}"));
    let out = run(curl, &["curl"], body);
    let lines = out.ok().lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn banned_source_is_denied_in_every_scope_but_on_failsafe_ports() {
    let host = DatabaseHost::start();
    host.ok("service add postgres --port 5432 --combine override");
    // No policy at all: bans need none.
    let out = host.line(&format!("ban {BANNED} {BANNED6} --for 4h --reason attack"));
    assert_has(
        out.ok(),
        &["10.66.0.1/32 is banned until ", "fd00:bad::1/128"],
    );
    assert_has(&out.stderr, &["failsafe ports (22)", "stay open"]);
    let denied = [
        (BANNED, 5432),
        (BANNED, 8080),
        (BANNED6, 5432),
        (BANNED6, 8080),
    ];
    host.assert_times_out(&denied);
    host.assert_connects(&[(BANNED, 22), (BANNED6, 22), (NEIGHBOUR, 5432)]);
    assert!(host.counter("host", "banned") >= 2);
    assert!(host.counter("postgres", "banned") >= 2);
    // An allow list of the service, which replaces the host's policies, does not help.
    host.ok(&format!(
        "policy create office --allow {BANNED},{NEIGHBOUR},fd00:bad::/64 --service postgres"
    ));
    host.assert_times_out(&denied);
    host.assert_connects(&[(NEIGHBOUR, 5432)]);
    assert_has(
        &host.ok(&format!("explain {BANNED} --port 5432")),
        &[
            "drop",
            "banned: 10.66.0.1/32 is banned by root until ",
            "UTC: attack",
            "agrees",
        ],
    );
    assert_has(&host.ok("status"), &["2 bans, the next ends "]);
    // A bypass wins over a ban, and ends it nowhere else.
    host.ok(&format!(
        "bypass grant {BANNED} --minutes 5 --service postgres"
    ));
    host.assert_connects(&[(BANNED, 5432)]);
    host.assert_times_out(&[(BANNED, 8080), (BANNED6, 5432)]);
    host.ok(&format!("bypass revoke {BANNED} --service postgres"));
    assert_has(
        &host.ok(&format!("unban {BANNED} {BANNED6}")),
        &["10.66.0.1/32 is no longer banned"],
    );
    host.assert_connects(&[(BANNED, 5432), (BANNED6, 5432), (BANNED, 8080)]);
    let again = host.ok(&format!("unban {BANNED}"));
    assert_has(&again, &["was not banned: nothing to change"]);
}

#[test]
fn ban_of_a_service_denies_there_alone_and_observed_scopes_only_count() {
    let host = DatabaseHost::start();
    host.ok("service add postgres --port 5432");
    host.ok(&format!("ban {BANNED} --service postgres"));
    host.assert_times_out(&[(BANNED, 5432)]);
    host.assert_connects(&[(BANNED, 8080)]);
    host.ok("service alter postgres --mode observe");
    host.assert_connects(&[(BANNED, 5432)]);
    assert!(host.counter("postgres", "observed-banned") >= 1);
    assert_has(
        &host.ok(&format!("explain {BANNED} --port 5432")),
        &[
            "observed-banned",
            "on service postgres by root without end",
            "only observed",
        ],
    );
    host.ok("service alter postgres --mode enforce");
    host.assert_times_out(&[(BANNED, 5432)]);
    host.ok("service remove postgres");
    host.assert_connects(&[(BANNED, 5432)]);
    assert_eq!(count(&host), 0);
}

#[test]
fn ban_of_a_network_covers_and_outlives_bans_inside_it() {
    let host = DatabaseHost::start();
    host.ok(&format!("ban {BANNED}"));
    host.ok("ban 10.66.0.0/16 --for 2s");
    let begun = Instant::now();
    host.assert_times_out(&[(NEIGHBOUR, 8080), (BANNED, 8080)]);
    while host.connect_briefly(NEIGHBOUR, 8080) != Outcome::Connected {
        assert!(begun.elapsed() < Duration::from_secs(10), "it does not end");
    }
    host.assert_times_out(&[(BANNED, 8080)]);
}

#[test]
fn ban_ends_at_its_time_and_at_most_a_second_late() {
    let host = DatabaseHost::start();
    let begun = Instant::now();
    host.ok(&format!("ban {BANNED} --for 3s"));
    let time = Duration::from_secs(3);
    let mut last_denied = Instant::now();
    loop {
        let asked = Instant::now();
        if host.connect_briefly(BANNED, 8080) == Outcome::Connected {
            break;
        }
        last_denied = asked;
        assert!(begun.elapsed() < Duration::from_secs(10), "it does not end");
    }
    assert!(
        last_denied.duration_since(begun) > time - EXTRA,
        "too early"
    );
    assert!(
        begun.elapsed() < time + LATE + EXTRA,
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(count(&host), 0);
}

#[test]
fn bans_stay_without_an_agent_and_the_next_one_ends_what_is_overdue() {
    let mut host = DatabaseHost::start();
    host.ok(&format!("ban {BANNED} --for 2s --by fail2ban"));
    host.ok(&format!("ban {BANNED6} --for 1h"));
    host.kill_agent();
    std::thread::sleep(Duration::from_secs(3));
    // Fail closed: no process is there to end it.
    host.assert_times_out(&[(BANNED, 8080), (BANNED6, 8080)]);
    host.start_agent();
    host.assert_connects(&[(BANNED, 8080)]);
    host.assert_times_out(&[(BANNED6, 8080)]);
    assert_eq!(count(&host), 1);
    host.stop_agent();
    host.start_agent();
    host.assert_times_out(&[(BANNED6, 8080)]);
}

#[test]
fn bans_are_made_while_a_change_waits_and_stay_when_it_is_rolled_back() {
    let host = DatabaseHost::start();
    host.ok("policy create abuse --block 203.0.113.0/24");
    host.ok("policy create more --block 10.67.0.0/16 --confirm-within 60s");
    host.ok(&format!("ban {BANNED}"));
    host.assert_times_out(&[(BANNED, 8080), ("10.67.0.1", 8080)]);
    host.ok("rollback 1");
    host.assert_connects(&[("10.67.0.1", 8080)]);
    host.assert_times_out(&[(BANNED, 8080)]);
    let history = host.json("history");
    assert_eq!(history.as_array().map(Vec::len), Some(3), "{history}");
}

#[test]
fn killed_agent_keeps_every_ban_that_it_acknowledged() {
    let mut host = DatabaseHost::start();
    let mut banned = Vec::new();
    for round in 0..5 {
        for at in 0..10 {
            let source = format!("10.66.{round}.{at}");
            host.ok(&format!("ban {source} --for 1h"));
            banned.push(format!("{source}/32"));
        }
        host.kill_agent();
        host.start_agent();
    }
    let listed = host.json("bans --limit 1000");
    let listed = listed["items"].as_array().expect("items").iter();
    let mut listed: Vec<_> = listed.filter_map(|ban| ban["source"].as_str()).collect();
    listed.sort_unstable();
    banned.sort_unstable();
    assert_eq!(listed, banned);
}

#[test]
fn api_answers_a_line_for_each_line() {
    let host = DatabaseHost::with(&Options {
        config: "[bans]\nnever = [\"10.77.0.0/16\"]\n".to_owned(),
        agent: true,
    });
    let body = format!(
        "{{\"source\":\"{BANNED}\",\"for\":60,\"by\":\"fail2ban\"}}\n\n\
         {{\"source\":\"{BANNED}\",\"for\":120}}\r\n\
         {{\"source\":\"{BANNED}\",\"for\":30,\"reason\":null}}\n\
         {{\"source\":\"10.77.3.4\",\"for\":null}}\n\
         {{\"source\":\"10.66.0.7/24\",\"until\":\"2100-01-01T00:00:00Z\"}}"
    );
    let lines = request(&host, "POST", "", "application/x-ndjson", &body);
    let results: Vec<_> = lines.iter().map(|line| &line["result"]).collect();
    assert_eq!(
        results,
        ["banned", "extended", "unchanged", "refused", "banned"]
    );
    assert_has(
        &lines[3]["detail"].to_string(),
        &["10.77.0.0/16 is never banned"],
    );
    assert_eq!(lines[4]["source"], "10.66.0.0/24");
    assert_eq!(lines[4]["until"], "2100-01-01T00:00:00Z");
    let one = request(
        &host,
        "POST",
        "",
        "application/json",
        "{\n \"source\": \"fd00:bad::/64\" }",
    );
    assert_eq!((one.len(), &one[0]["result"]), (1, &"banned".into()));
    assert!(one[0].get("until").is_none(), "{one:?}");
    let gone = request(
        &host,
        "DELETE",
        "",
        "application/x-ndjson",
        "{\"source\":\"fd00:bad::/64\"}\n{\"source\":\"fd00:bad::/64\"}\n",
    );
    let results: Vec<_> = gone.iter().map(|line| &line["result"]).collect();
    assert_eq!(results, ["unbanned", "absent"]);
    let own = host.json("status");
    let address = netpolicy_tests::packet::HOST_V4;
    assert!(own["agent"]["bans"]["count"] == 2, "{own}");
    let refused = host.line(&format!("ban {address}"));
    assert_has(refused.failed(1), &["is an address of this host"]);
    // The whole set of one origin.
    let put = request(
        &host,
        "PUT",
        "?by=fail2ban",
        "application/x-ndjson",
        "{\"source\":\"10.66.9.9\",\"for\":60}\n",
    );
    assert_eq!(put[0]["result"], "banned");
    let listed = host.json("bans --sort until");
    let sources: Vec<_> = listed["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|ban| ban["source"].as_str().unwrap_or_default())
        .collect();
    // The first one's origin was replaced by the caller, who extended it.
    assert_eq!(sources, ["10.66.9.9/32", "10.66.0.1/32", "10.66.0.0/24"]);
    assert_eq!(host.json("bans --by fail2ban --count")["count"], 1);
    let covering = host.json(&format!("bans --covers {BANNED}"));
    assert_eq!(covering["count"], 2, "{covering}");
    let page = host.json("bans --limit 2");
    assert_eq!(page["items"].as_array().map(Vec::len), Some(2));
    let next = page["next"].as_str().expect("a next page").to_owned();
    let rest = host
        .netpolicy(&["bans", "--after", &next, "-o", "json"])
        .json();
    assert_eq!(rest["items"].as_array().map(Vec::len), Some(1));
}

#[test]
fn malformed_line_stops_before_the_first() {
    let host = DatabaseHost::start();
    let mut curl = host.db().command("curl");
    curl.args(["-sS", "-X", "POST", "--data-binary", "@-", "--unix-socket"])
        .arg(host.socket())
        .args([
            "-H",
            "content-type: application/x-ndjson",
            "-w",
            "%{http_code}",
        ])
        .arg("http://localhost/v1/bans");
    let body = "{\"source\":\"10.66.0.1\"}\n{\"source\":10}\n";
    let out = run(curl, &["curl"], body);
    assert_has(out.ok(), &["400", "line 2: ", "nothing was banned"]);
    assert_eq!(count(&host), 0);
}

#[test]
fn sources_are_read_from_a_file_and_from_standard_input() {
    let host = DatabaseHost::start();
    let text = "# attackers\n10.66.0.1  # the first\n\n10.66.0.0/24\nfd00:bad::1\n10.66.0.300\n";
    let out = host.netpolicy_with_input(&["ban", "--file", "-", "--for", "1h"], text);
    assert_eq!(out.code, Some(1), "one is refused");
    assert_has(
        &out.stdout,
        &["10.66.0.0/24 is banned", "fd00:bad::1/128 is banned"],
    );
    assert_has(
        &out.stderr,
        &["error: 10.66.0.300: ", "300 is more than 255"],
    );
    assert_eq!(count(&host), 3);
    host.assert_times_out(&[(BANNED, 8080), (NEIGHBOUR, 8080), (BANNED6, 8080)]);
    let all: String = (0..2_000)
        .map(|at| format!("10.66.{}.{}\n", at / 250 + 1, at % 250))
        .collect();
    let out = host.netpolicy_with_input(&["ban", "--file", "-"], &all);
    assert_has(out.ok(), &["2000 banned"]);
    let out = host.netpolicy_with_input(&["ban", "--file", "-"], &all);
    assert_has(out.ok(), &["2000 unchanged"]);
    assert_eq!(count(&host), 2_003);
    let audit = host.json("audit");
    assert_has(&audit.to_string(), &["bans: 3 banned, 1 refused"]);
}

#[test]
fn bans_are_in_force_at_boot_before_an_agent_runs() {
    let mut host = DatabaseHost::with(&Options {
        config: format!("engine = \"flat\"\ninterfaces = [\"{NIC}\"]\n"),
        agent: true,
    });
    host.ok("policy create abuse --block 10.67.0.0/16");
    host.ok(&format!("ban {BANNED} --for 1h"));
    host.ok("ban 10.66.0.9 --for 2s");
    let file = host.state_dir().join("early.bans");
    let begun = Instant::now();
    let snapshot = host.state_dir().join("early.snapshot");
    while !(file.exists() && snapshot.exists()) {
        assert!(begun.elapsed() < Duration::from_secs(20), "no file of bans");
        std::thread::sleep(Duration::from_millis(50));
    }
    // Also what changed within the second.
    std::thread::sleep(Duration::from_millis(2500));
    host.kill_agent();
    pins::remove(host.bpffs_dir());
    host.assert_connects(&[(BANNED, 8080)]);
    host.ok("early");
    host.assert_times_out(&[(BANNED, 8080), ("10.67.0.1", 8080)]);
    host.assert_connects(&[("10.66.0.9", 8080), (ALLOWED, 8080)]);
    host.start_agent();
    host.assert_times_out(&[(BANNED, 8080), ("10.67.0.1", 8080)]);
}

#[test]
fn only_a_user_with_the_privilege_bans() {
    let host = DatabaseHost::start();
    let refused = host.line_as("nobody", "nogroup", &format!("ban {BANNED}"));
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    host.ok("grant ban --to user:nobody");
    assert_has(
        host.line_as("nobody", "nogroup", &format!("ban {BANNED}"))
            .ok(),
        &["is banned"],
    );
    host.assert_times_out(&[(BANNED, 8080)]);
    let refused = host.line_as("nobody", "nogroup", "policy create x --block 10.67.0.1");
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert_eq!(host.json("bans")["items"][0]["by"], "nobody");
}

#[test]
fn origins_of_jails_are_listed_together_and_unbanned_alone() {
    let host = DatabaseHost::start();
    let until = jiff::Timestamp::now().as_second() + 3_600;
    host.ok(&format!(
        "ban {BANNED} --until @{until} --by fail2ban/postgres"
    ));
    host.ok(&format!("ban {BANNED6} --for 1h --by fail2ban/sshd"));
    host.ok(&format!("ban {NEIGHBOUR} --for 1h --by crowdsec"));
    let listed = host.json("bans --by fail2ban");
    assert_eq!(listed["count"], 2, "{listed}");
    let end: jiff::Timestamp = listed["items"][0]["until"]
        .as_str()
        .and_then(|text| text.parse().ok())
        .expect("an end");
    assert_eq!(end.as_second(), until);
    // The ban of another origin stays.
    let kept = host.ok(&format!("unban {NEIGHBOUR} --by fail2ban/postgres"));
    assert_has(
        &kept,
        &[
            "is not unbanned: it is banned by crowdsec until ",
            ": that ban stays",
        ],
    );
    // The longer ban of another origin leaves the shorter one.
    host.ok(&format!(
        "ban {NEIGHBOUR} --for 2h --by soc --reason longer"
    ));
    assert_has(&host.ok("bans"), &["soc +1"]);
    let left = host.ok(&format!("unban {NEIGHBOUR} --by soc"));
    assert_has(
        &left,
        &["stays banned, though not by this origin: it is banned by crowdsec until "],
    );
    host.ok("unban --all --by fail2ban/postgres");
    assert_eq!(host.json("bans --by fail2ban")["count"], 1);
    host.assert_connects(&[(BANNED, 5432)]);
    host.assert_times_out(&[(BANNED6, 5432), (NEIGHBOUR, 5432)]);
    let usage = host.line("unban --all");
    assert_has(usage.failed(2), &["--by"]);
    let past = host.line(&format!("ban {BANNED} --until @1"));
    let said = format!("{}{}", past.stdout, past.stderr);
    assert_eq!(past.code, Some(1), "{said}");
    assert_has(&said, &["in the past"]);
}
