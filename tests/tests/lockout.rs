//! Lockout protection: the operator's own address is judged before a change is made.

use std::process::Command;

use netpolicy_tests::DatabaseHost;
use netpolicy_tests::command::{Output, assert_has, run};
use netpolicy_tests::host::Options;
use serde_json::Value;

/// Where the operator sits.
const OPERATOR: &str = "192.168.7.7";
const OPERATOR6: &str = "fd77::1";

/// Runs a command that the operator must be refused, and fails unless nothing changed.
#[track_caller]
fn refused(host: &DatabaseHost, from: &str, line: &str, words: &[&str]) {
    let before = host.json("status")["agent"]["revision"].clone();
    let out = host.line(&format!("{line} --from {from}"));
    let said = out.failed(1);
    assert_has(said, &["error: the change would lock you out", from]);
    assert_has(said, words);
    assert_has(said, &["hint: ", "--force"]);
    let after = host.json("status")["agent"]["revision"].clone();
    assert_eq!(before, after, "{line}");
}

#[test]
fn a_change_that_denies_the_operator_is_refused_with_scope_policy_rule_and_place() {
    let host = DatabaseHost::start();
    host.write("bad.txt", "203.0.113.9\n# mine\n192.168.0.0/16\n");
    refused(
        &host,
        OPERATOR,
        "policy create abuse --block-file bad.txt",
        &[
            "denied on host",
            "'192.168.0.0/16' of policy 'abuse'",
            "bad.txt",
            "3",
        ],
    );
    refused(
        &host,
        OPERATOR,
        "policy create office --allow 10.0.0.0/8",
        &[
            "denied on host",
            "192.168.7.7 is not on the allow list of office",
        ],
    );
    host.assert_connects(&[(OPERATOR, 8080)]);

    // As IPv6, and as an IPv4 address in an IPv6 socket's words.
    refused(
        &host,
        OPERATOR6,
        "policy create v4only --allow 192.168.0.0/16",
        &["denied on host", "v4only"],
    );
    let mapped = format!("::ffff:{OPERATOR}");
    let out = host.line(&format!(
        "policy create abuse --block {OPERATOR} --from {mapped}"
    ));
    assert_has(out.failed(1), &["lock you out: 192.168.7.7"]);

    // A change that still allows the operator is applied; `--force` applies the others.
    host.ok(&format!(
        "policy create office --allow {OPERATOR} --from {OPERATOR}"
    ));
    let out = host.line(&format!(
        "policy create abuse --block {OPERATOR} --from {OPERATOR} --force"
    ));
    assert_has(out.ok(), &["+ policy abuse"]);
    assert_has(&out.stderr, &["warning: ", "lock you out", "--force"]);
    host.assert_times_out(&[(OPERATOR, 8080)]);

    // An operator who is denied already has nothing to lose: the change is applied.
    host.ok(&format!(
        "policy create worse --block 203.0.113.0/24 --from {OPERATOR}"
    ));
    // Except for the remaining access: a service with its own policy.
    host.ok("service add postgres --port 5432");
    host.ok(&format!(
        "policy create dba --allow {OPERATOR} --service postgres"
    ));
    refused(
        &host,
        OPERATOR,
        "policy alter dba --set-allow 10.0.0.0/8",
        &["denied on postgres", "dba"],
    );

    let refusals = host.json("audit --limit 100");
    let of = |action: &str| {
        let entries = refusals.as_array().unwrap().iter();
        entries
            .filter(|e| e["action"] == action && e["outcome"] == "refused")
            .count()
    };
    assert_eq!(of("policy alter dba"), 1, "{refusals}");
    assert_eq!(of("policy create abuse"), 2, "{refusals}");
}

#[test]
fn every_kind_of_change_is_judged() {
    let host = DatabaseHost::start();
    host.ok("service add postgres --port 5432");
    host.ok("service add metrics --port 9187");
    host.ok("policy create office --allow 10.0.0.0/8");
    host.ok(&format!(
        "policy create mine --allow {OPERATOR} --allow {OPERATOR6}"
    ));
    host.ok("policy create dba --allow 10.0.0.0/8 --service postgres --inactive");
    let last = host.json("status")["agent"]["revision"].as_u64().unwrap();
    for (line, scope) in [
        ("policy drop mine --yes", "host"),
        ("policy deactivate mine", "host"),
        ("unbind mine", "host"),
        ("policy activate dba", "postgres"),
        ("policy alter mine --remove-allow 192.168.7.7", "host"),
        ("rollback 3", "host"),
    ] {
        refused(&host, OPERATOR, line, &["denied on ", scope]);
    }
    host.ok("policy deactivate dba --from none --yes");
    host.ok("policy create trial --block 192.168.7.0/24 --inactive");
    host.ok("bind trial --service metrics");
    refused(
        &host,
        OPERATOR,
        "policy activate trial",
        &["denied on ", "host", "trial"],
    );
    host.ok("unbind trial --yes");
    host.ok("policy activate trial --yes");
    refused(
        &host,
        OPERATOR,
        "bind trial --service postgres",
        &["denied on postgres", "trial"],
    );

    // A port moves from the host to a service that denies the operator: only that one is lost.
    refused(
        &host,
        OPERATOR,
        "service alter metrics --port 9187,5433",
        &["denied on metrics", "trial"],
    );
    // A file.
    host.write(
        "all.toml",
        "[[policy]]\nname = \"office\"\nallow = [\"10.0.0.0/8\"]\nbind = [\"host\"]\n",
    );
    refused(
        &host,
        OPERATOR,
        "apply -f all.toml",
        &["denied on host", "office"],
    );
    // What is only observed drops nothing yet.
    host.ok("service alter postgres --mode observe --yes");
    host.ok(&format!("bind trial --service postgres --from {OPERATOR}"));
    refused(
        &host,
        OPERATOR,
        "service alter postgres --mode enforce",
        &["denied on postgres", "trial"],
    );
    assert!(host.json("status")["agent"]["revision"].as_u64().unwrap() > last);
}

#[test]
fn the_last_way_in_is_not_given_away_with_the_failsafe_ports() {
    let host = DatabaseHost::start();
    host.ok("policy create office --allow 10.0.0.0/8");
    host.assert_connects(&[(OPERATOR, 22)]);
    refused(
        &host,
        OPERATOR,
        "host set --failsafe-ports none",
        &["denied on host (port 22", "office"],
    );
    refused(
        &host,
        OPERATOR,
        "host set --failsafe-ports 2222",
        &["port 22"],
    );
    host.ok(&format!(
        "host set --failsafe-ports 22,2222 --from {OPERATOR} --yes"
    ));
    host.ok("host set --mode observe --yes");
    refused(
        &host,
        OPERATOR,
        "host set --mode enforce",
        &["denied on host", "office"],
    );
    host.ok("host set --failsafe-ports none --from 10.0.0.1");
}

#[test]
fn a_bypass_counts_and_is_not_revoked_under_the_operator_s_feet() {
    let host = DatabaseHost::start();
    host.ok(&format!("bypass grant {OPERATOR} --minutes 5"));
    host.ok(&format!(
        "policy create office --allow 10.0.0.0/8 --from {OPERATOR}"
    ));
    host.assert_connects(&[(OPERATOR, 8080)]);
    let out = host.line(&format!("bypass revoke {OPERATOR} --from {OPERATOR}"));
    assert_has(
        out.failed(1),
        &["lock you out: 192.168.7.7", "denied on host", "office"],
    );
    host.assert_connects(&[(OPERATOR, 8080)]);
    // One that another covers is not missed.
    host.ok("bypass grant 192.168.7.0/24 --minutes 5");
    host.ok(&format!("bypass revoke {OPERATOR} --from {OPERATOR}"));
    host.assert_connects(&[(OPERATOR, 8080)]);
    host.ok(&format!(
        "bypass revoke 192.168.7.0/24 --from {OPERATOR} --force"
    ));
    host.assert_times_out(&[(OPERATOR, 8080)]);
    // The service's bypass goes with the service.
    host.ok("service add lab --port 8080");
    host.ok(&format!(
        "bypass grant {OPERATOR} --minutes 5 --service lab"
    ));
    refused(
        &host,
        OPERATOR,
        "service remove lab",
        &["denied on host", "office"],
    );
}

/// A change that denies [`OPERATOR`], by a command that is to find out by itself.
fn block(mut command: Command) -> Output {
    command.env_remove("NETPOLICY_FROM");
    command.args(["policy", "create", "abuse", "--block", "192.168.0.0/16"]);
    run(command, &["policy create abuse"], "")
}

#[test]
fn operator_address_is_read_from_ssh_connection() {
    let host = DatabaseHost::start();
    let ssh = format!("{OPERATOR} 50022 198.51.100.1 22");
    let mut own = host.command();
    own.env("SSH_CONNECTION", &ssh);
    assert_has(block(own).failed(1), &["lock you out: 192.168.7.7"]);

    // As under sudo: the command has lost it, its parent has not.
    let args = "policy create abuse --block 192.168.0.0/16";
    let mut sudo = host.db().command("sh");
    let script = format!("env -u SSH_CONNECTION \"$NETPOLICY\" {args}; exit $?");
    sudo.args(["-c", &script]).env("SSH_CONNECTION", &ssh);
    sudo.env("NETPOLICY", netpolicy_tests::binary::netpolicy());
    sudo.env("NETPOLICY_SOCKET", host.socket())
        .env_remove("NETPOLICY_FROM");
    let out = run(sudo, &[args], "");
    assert_has(out.failed(1), &["lock you out: 192.168.7.7"]);

    // And by who asks for it in HTTP, whatever program that is.
    let mut shell = host.db().command("sh");
    shell
        .env("SSH_CONNECTION", &ssh)
        .env("SOCKET", host.socket());
    let script = r#"env -i PATH="$PATH" curl -sS --unix-socket "$SOCKET" \
        -H 'content-type: application/json' -d "$0" http://localhost/v1/changes; exit $?"#;
    let change =
        r#"{"change":"create-policy","name":"abuse","block":{"items":["192.168.0.0/16"]}}"#;
    let out = shell.args(["-c", script, change]).output().unwrap();
    let body = String::from_utf8_lossy(&out.stdout).into_owned();
    assert_has(&body, &["lock you out: 192.168.7.7", "abuse"]);

    // A tunnel that ends here comes over loopback, which nothing filters.
    let mut tunnel = host.command();
    tunnel.env("SSH_CONNECTION", "127.0.0.1 50022 127.0.0.1 22");
    tunnel.env_remove("NETPOLICY_FROM");
    tunnel.args(["policy", "create", "loop", "--block", "127.0.0.0/8"]);
    assert_has(
        run(tunnel, &["policy create loop"], "").ok(),
        &["+ policy loop"],
    );
    assert_eq!(host.json("policy list").as_array().unwrap().len(), 1);
}

#[test]
fn from_adds_an_address_to_the_ssh_connection_and_removes_none() {
    let host = DatabaseHost::start();
    let ssh = format!("{OPERATOR} 50022 198.51.100.1 22");
    let change = "policy create abuse --block 192.168.0.0/16";
    let run_from = |from: &str, line: &str| {
        let mut command = host.command();
        command.env("SSH_CONNECTION", &ssh);
        command.env("NETPOLICY_FROM", from);
        command.args(line.split(' '));
        run(command, &[line], "")
    };
    for from in ["10.0.0.1", "none", OPERATOR, "127.0.0.1"] {
        let out = run_from(from, change);
        assert_has(out.failed(1), &["lock you out: 192.168.7.7", "--force"]);
    }
    // The address that was given is judged, too.
    let out = run_from("10.0.0.1", "policy create abuse --block 10.0.0.0/8");
    assert_has(out.failed(1), &["lock you out: 10.0.0.1"]);
    let audit = host.json("audit --limit 5");
    let from: Vec<&str> = audit
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|e| e["from"].as_str())
        .collect();
    let both = format!("10.0.0.1, {OPERATOR}");
    assert_eq!(
        from,
        [&both, OPERATOR, OPERATOR, "127.0.0.1, 192.168.7.7", &both]
    );

    let out = run_from("10.0.0.1", &format!("{change} --force -o json"));
    let json = out.json();
    assert_eq!(json["operator"]["address"], "10.0.0.1");
    assert_eq!(json["operator"]["also"], OPERATOR);
    // A bypass is not revoked under either.
    host.ok(&format!("bypass grant {OPERATOR} --minutes 5"));
    let out = run_from("10.0.0.1", &format!("bypass revoke {OPERATOR}"));
    assert_has(out.failed(1), &["lock you out: 192.168.7.7"]);
}

#[test]
fn a_console_has_no_address_and_that_is_said() {
    let host = DatabaseHost::with(&Options::default());
    let mut command = host.command();
    command.env_remove("NETPOLICY_FROM");
    command.args([
        "policy",
        "create",
        "abuse",
        "--block",
        "192.168.0.0/16",
        "-o",
        "json",
    ]);
    let dry = run(command, &["policy create"], "").json();
    // If this test runs over SSH, its parents have the operator's address.
    let operator = &dry["operator"];
    assert!(operator["known_by"].is_string(), "{dry}");
    assert!(
        operator["address"].is_null() == (operator["known_by"] == "a local console"),
        "{dry}"
    );

    let out = host.ok("policy create more --block 203.0.113.0/24");
    assert_has(&out, &["not checked against your own address: --from none"]);
    let json = host.json("policy create most --block 10.9.0.0/16");
    assert_eq!(json["operator"]["address"], Value::Null);
    assert_eq!(json["operator"]["known_by"], "--from none");
    let json = host.json(&format!(
        "policy create last --block 10.8.0.0/16 --from {OPERATOR}"
    ));
    assert_eq!(json["operator"]["address"], OPERATOR);
    // The warning does not appear where no source becomes denied.
    assert!(!host.ok("policy drop most --yes").contains("not checked"));
    for bad in ["somewhere", "10.0.0.0/8", ""] {
        let out = host.netpolicy(&["policy", "drop", "last", "--yes", "--from", bad]);
        assert_has(out.failed(1), &["expected one IP address"]);
    }
}
