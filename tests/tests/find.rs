//! What holds an address, and what becomes of networks, ports by name and past revisions, on a
//! filtered host.

use netpolicy_tests::DatabaseHost;
use netpolicy_tests::command::assert_has;
use serde_json::{Value, json};

const POLICIES: &str = r#"
[[service]]
name = "postgres"
ports = ["5432", "6432"]

[[list]]
name = "bad-hosts"
entries = ["10.66.0.0/16", "fd00:bad::/48"]

[[policy]]
name = "office"
allow = ["10.0.0.0/16", "fd00::/16"]
block = ["10.0.0.9", "@bad-hosts"]
bind = ["postgres"]

[[policy]]
name = "draft"
block = ["10.0.0.0/30"]
active = false
"#;

fn host() -> DatabaseHost {
    let host = DatabaseHost::start();
    host.write("policy.toml", POLICIES);
    host.ok("apply -f policy.toml --yes");
    host
}

/// Kind, relation, name and network of what was found.
fn told(found: &Value) -> Vec<String> {
    let items = found["items"].as_array().map_or(&[][..], Vec::as_slice);
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    items
        .iter()
        .map(|item| {
            let parts = [&item["kind"], &item["relation"], &item["name"]].map(text);
            format!("{} {}", parts.join(" "), text(&item["rule"]["cidr"]))
        })
        .collect()
}

#[test]
fn policies_lists_bans_and_bypasses_that_hold_an_address_are_found() {
    let host = host();
    host.ok("ban 10.0.0.8/29 --for 1h --by test --reason scans");
    host.ok("bypass grant 10.0.0.1 --service postgres --yes");
    let found = host.json("find 10.0.0.1");
    assert_eq!(
        told(&found),
        [
            "bypass equal - 10.0.0.1/32",
            "policy holds draft 10.0.0.0/30",
            "policy holds office 10.0.0.0/16",
        ]
    );
    assert_eq!(found["items"][1]["scopes"], json!([]), "it is inactive");
    assert_eq!(found["items"][2]["scopes"], json!(["postgres"]));
    assert_eq!(found["total"], 3);
    let within = host.json("find 10.0.0.0/24 --limit 3");
    assert_eq!(
        told(&within),
        [
            "policy holds office 10.0.0.0/16",
            "policy within draft 10.0.0.0/30",
            "bypass within - 10.0.0.1/32",
        ]
    );
    assert_eq!(within["total"], 5);
    let ban = host.ok("find 10.0.0.15");
    assert_has(&ban, &["ban", "10.0.0.8/29", "by test; until ", "scans"]);
    let list = host.ok("find fd00:bad::1");
    assert_has(
        &list,
        &["list @bad-hosts", "used by office (block)", "postgres"],
    );
    let none = host.ok("find 198.51.100.0/24");
    assert_eq!(
        none,
        "no policy, list, feed, ban or bypass holds or overlaps 198.51.100.0/24\n"
    );
    let wrong = host.line("find office");
    assert_has(wrong.failed(1), &["office"]);
}

#[test]
fn forms_of_sources_and_ports_are_understood() {
    let host = host();
    let json = host.json("explain 10.0.0.9:5432");
    assert_eq!(
        (&json["scope"], &json["verdict"]),
        (&json!("postgres"), &json!("drop"))
    );
    assert_eq!(host.json("explain [fd00:bad::1]:6432")["verdict"], "drop");
    assert_eq!(host.json("explain 10.0.0.9 --port postgres")["port"], 5432);
    // Not a service of this host, but known by its name.
    assert_eq!(host.json("explain 10.0.0.9:mysql")["port"], 3306);
    let unknown = host.line("explain 10.0.0.9:postgers");
    assert_has(
        unknown.failed(1),
        &["unknown service 'postgers'", "did you mean postgres?"],
    );
    let twice = host.line("explain 10.0.0.9:5432 --port 80");
    assert_has(
        twice.failed(2),
        &["two ports are named: 5432", "and --port 80"],
    );

    let several = host.json("explain 10.0.0.1 10.0.0.9 10.0.0.8/30 --port 5432");
    let verdicts: Vec<_> = several.as_array().into_iter().flatten().collect();
    assert_eq!(verdicts[0]["verdict"], "pass");
    assert_eq!(verdicts[1]["verdict"], "drop");
    assert_eq!(verdicts[2]["uniform"], false);
    assert_eq!(verdicts[2]["parts"].as_array().map(Vec::len), Some(3));

    // The host's own address comes over loopback, where nothing is filtered.
    let own = host.ok(&format!(
        "explain {}:5432",
        netpolicy_tests::packet::HOST_V4
    ));
    assert_has(
        &own,
        &["Not filtered", "the source is an address of this host"],
    );
}

#[test]
fn network_is_uniform_or_told_part_by_part_as_the_kernel_judges_it() {
    let host = host();
    let uniform = host.ok("explain 10.0.1.0/24 --port postgres");
    assert_has(
        &uniform,
        &[
            "10.0.1.0/24 on port 5432, scope postgres: uniform",
            "'10.0.0.0/16'",
        ],
    );
    let split = host.json("explain 10.0.0.0/28 --port 5432");
    let parts = split["parts"].as_array().cloned().unwrap_or_default();
    let ranges: Vec<_> = parts
        .iter()
        .map(|part| {
            format!("{}-{} {}", part["first"], part["last"], part["verdict"]).replace('"', "")
        })
        .collect();
    assert_eq!(
        ranges,
        [
            "10.0.0.0-10.0.0.8 pass",
            "10.0.0.9-10.0.0.9 drop",
            "10.0.0.10-10.0.0.15 pass",
        ]
    );
    // The loaded program says the same of both ends of each part.
    for part in &parts {
        for end in ["first", "last"] {
            let address = part[end].as_str().unwrap_or_default();
            let kernel = &host.json(&format!("explain {address}:5432"))["kernel"];
            assert_eq!(kernel["verdict"], part["verdict"], "{address}");
        }
    }
    host.assert_times_out(&[("10.66.0.1", 5432)]);
    assert_has(
        &host.ok("explain 10.66.0.0/16:5432"),
        &["uniform", "of list @bad-hosts"],
    );
}

#[test]
fn past_revision_is_explained_and_history_says_what_changed() {
    let host = host();
    host.ok("policy alter office --add-block 10.0.0.1");
    host.ok("policy create other --block 192.0.2.1");
    let then = host.ok("explain 10.0.0.1:5432 --revision 1");
    assert_has(
        &then,
        &["pass", "not queried: revision 1 is not what is in force"],
    );
    let now = host.json("explain 10.0.0.1:5432");
    assert_eq!(now["verdict"], "drop");
    let network = host.ok("explain 10.0.0.0/30:5432 --revision 1");
    assert_has(&network, &["by revision 1: uniform"]);
    let missing = host.line("explain 10.0.0.1 --revision 77");
    assert_has(missing.failed(1), &["77"]);

    let history = host.ok("history --policy office --since 1h");
    assert_has(
        &history,
        &["2  ", "policy alter office", "+ block 10.0.0.1", "1  "],
    );
    assert!(!history.contains("other"), "{history}");
    assert_eq!(host.json("history --user daemon"), json!([]));
    assert_eq!(host.json("history --since 2200-01-01"), json!([]));
    let all = host.json("history");
    assert_eq!(all.as_array().map(Vec::len), Some(3));
    assert_eq!(all[0].get("changes"), None, "only where it was requested");
}
