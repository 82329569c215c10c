//! Access control with real OS users: grants, ownership and the audit log.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use netpolicy_tests::DatabaseHost;
use netpolicy_tests::command::{Output, assert_has};
use serde_json::{Value, json};

/// Users and groups that every Debian has (base-passwd), each in a group of their own.
const ALICE: (&str, &str) = ("games", "games");
const BOB: (&str, &str) = ("daemon", "daemon");

fn by(host: &DatabaseHost, (user, group): (&str, &str), line: &str) -> Output {
    host.line_as(user, group, line)
}

fn mode(host: &DatabaseHost) -> u32 {
    host.socket().metadata().unwrap().permissions().mode() & 0o777
}

/// The socket's mode follows a moment after what it depends on.
#[track_caller]
fn wait_for_mode(host: &DatabaseHost, expected: u32) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while mode(host) != expected {
        assert!(Instant::now() < deadline, "it is {:o}", mode(host));
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Grants something to a user as the first thing that is granted.
fn open(host: &DatabaseHost, what: &str, (user, _): (&str, &str)) {
    host.ok(&format!("grant {what} --to user:{user}"));
    wait_for_mode(host, 0o666);
}

/// The newest entry of the audit log.
fn last(host: &DatabaseHost) -> Value {
    host.json("audit --limit 1")[0].clone()
}

#[track_caller]
fn refused(host: &DatabaseHost, who: (&str, &str), line: &str, lacks: &str) {
    let out = by(host, who, line);
    assert_has(out.failed(1), &["error: ", who.0, lacks, "hint: "]);
    let entry = last(host);
    assert_eq!(entry["actor"], who.0, "{line}: {entry}");
    assert_eq!(entry["outcome"], "refused", "{line}: {entry}");
    assert_eq!(
        entry["revision_before"], entry["revision_after"],
        "{line}: {entry}"
    );
    assert!(
        entry["errors"].to_string().contains(lacks),
        "{line}: {entry}"
    );
}

#[test]
fn without_a_grant_the_socket_is_shut() {
    let host = DatabaseHost::start();
    assert_eq!(mode(&host), 0o600);
    for line in [
        "status",
        "policy list",
        "policy create mine --block 10.0.0.1",
        "confirm",
    ] {
        let out = by(&host, ALICE, line);
        if line == "status" && out.code == Some(0) {
            panic!("status answers a stranger: {}", out.stdout);
        }
        assert_has(
            out.failed(1),
            &["error: ", "ermission denied", "hint: ", "root"],
        );
    }
    open(&host, "read", ALICE);
    assert!(by(&host, ALICE, "policy list").ok().contains("no policies"));
    // Access for one user is none for all: others are refused, and their changes are audited.
    let out = by(&host, BOB, "policy list");
    assert_has(
        out.failed(1),
        &["daemon may not use the agent", "hint: ", "grant"],
    );
    let out = by(&host, BOB, "policy create mine --block 10.0.0.1");
    assert_has(out.failed(1), &["daemon may not use the agent"]);
    let entry = last(&host);
    assert_eq!(
        (&entry["actor"], &entry["outcome"]),
        (&json!("daemon"), &json!("refused")),
        "{entry}"
    );
    assert_eq!(entry["action"], "POST /v1/changes");

    host.ok("revoke read --from user:games");
    wait_for_mode(&host, 0o600);
    assert_has(
        by(&host, ALICE, "policy list").failed(1),
        &["ermission denied"],
    );
    assert_has(&host.ok("grants"), &["nothing is granted"]);
}

#[test]
fn who_may_read_sees_all_and_changes_nothing() {
    let host = DatabaseHost::start();
    host.ok("service add postgres --port 5432");
    host.ok("policy create office --allow 10.0.0.0/8 --service postgres");
    open(&host, "read", ALICE);
    host.write("all.toml", host.ok("export"));
    for line in [
        "status",
        "policy list",
        "policy show office",
        "service list",
        "host show",
        "export",
        "history",
        "audit",
        "grants",
        "bypass list",
        "counters",
        "explain 10.0.0.1",
        "diff 0 1",
        "diff -f all.toml",
        "policy alter office --add-allow 192.0.2.1 --dry-run",
    ] {
        assert!(!by(&host, ALICE, line).ok().is_empty(), "{line}");
    }
    let office = "belongs to root";
    for (line, lacks) in [
        (
            "policy create mine --block 10.0.0.1 --inactive",
            "requires the privilege create",
        ),
        ("policy alter office --add-allow 192.0.2.1", office),
        ("policy rename office mine", office),
        ("policy drop office --yes", office),
        ("policy owner office user:games", office),
        ("policy deactivate office", "requires the privilege attach"),
        ("bind office", "requires the privilege attach"),
        (
            "unbind office --service postgres",
            "requires the privilege attach",
        ),
        ("service add other --port 1", "requires the privilege admin"),
        (
            "service alter postgres --port 1",
            "requires the privilege admin",
        ),
        ("host set --mode observe", "requires the privilege admin"),
        (
            "host set --failsafe-ports none",
            "requires the privilege admin",
        ),
        ("rollback 0", "requires the privilege admin"),
        ("bypass grant 10.0.0.1", "requires the privilege bypass"),
        ("bypass revoke 10.0.0.1", "requires the privilege bypass"),
        (
            "grant admin --to user:games",
            "requires the privilege admin",
        ),
        (
            "revoke read --to user:games",
            "requires the privilege admin",
        ),
        ("verify", "requires the privilege admin"),
        ("detach --yes", "requires the privilege admin"),
        ("attach", "requires the privilege admin"),
    ] {
        refused(&host, ALICE, line, lacks);
    }
    assert_eq!(host.json("status")["agent"]["revision"], 2);
    assert_eq!(host.json("status")["enforcement"]["state"], "attached");
}

#[test]
fn create_makes_what_governs_nothing_and_attach_puts_it_into_force() {
    let host = DatabaseHost::start();
    open(&host, "create", ALICE);
    host.ok("grant attach --to user:daemon");
    refused(
        &host,
        ALICE,
        "policy create abuse --block 10.66.0.0/16",
        "requires the privilege attach; make it inactive (--inactive)",
    );
    let made = by(
        &host,
        ALICE,
        "policy create abuse --block 10.66.0.0/16 --inactive",
    );
    assert_has(made.ok(), &["+ policy abuse"]);
    assert_eq!(host.json("policy show abuse")["owner"], "games");
    refused(
        &host,
        ALICE,
        "policy activate abuse",
        "requires the privilege attach",
    );
    refused(
        &host,
        BOB,
        "policy alter abuse --add-block 10.67.0.1",
        "belongs to games",
    );
    refused(&host, BOB, "policy drop abuse --yes", "belongs to games");

    let _ = by(&host, BOB, "policy activate abuse").ok();
    host.assert_times_out(&[("10.66.0.1", 5432)]);
    // The owner alters what is in force.
    let _ = by(&host, ALICE, "policy alter abuse --set-block 10.67.0.0/16").ok();
    host.assert_connects(&[("10.66.0.1", 5432)]);
    host.assert_times_out(&[("10.67.0.1", 5432)]);
    let entry = last(&host);
    assert_eq!(
        (&entry["actor"], &entry["uid"]),
        (&json!("games"), &json!(5)),
        "{entry}"
    );
    assert_has(
        &entry["changes"].to_string(),
        &["10.66.0.0/16", "10.67.0.0/16"],
    );
    let _ = by(&host, BOB, "policy deactivate abuse --yes").ok();

    // For one policy only.
    host.ok("revoke attach --to user:daemon");
    host.ok("policy create office --allow 10.0.0.0/8 --inactive");
    host.ok("grant attach --to user:daemon --policy ABUSE");
    refused(
        &host,
        BOB,
        "policy activate office",
        "requires the privilege attach",
    );
    let _ = by(&host, BOB, "policy activate abuse").ok();
    let _ = by(&host, ALICE, "policy drop abuse --yes").ok();
    assert_eq!(host.json("policy list").as_array().unwrap().len(), 1);
    assert_has(
        host.line("grant read --to user:daemon --policy office")
            .failed(1),
        &["single policies"],
    );
    assert_has(
        host.line("grant attach --to user:daemon --policy nope")
            .failed(1),
        &["unknown policy 'nope'"],
    );
}

#[test]
fn ownership_passes_to_others_and_to_groups() {
    let host = DatabaseHost::start();
    host.ok("policy create office --allow 10.0.0.0/8");
    // The owner of a policy may use the agent without any grant.
    host.ok("policy owner office user:games");
    wait_for_mode(&host, 0o666);
    let _ = by(
        &host,
        ALICE,
        "policy alter office --add-allow 192.168.0.0/16",
    )
    .ok();
    refused(
        &host,
        ALICE,
        "policy create mine --inactive",
        "requires the privilege create",
    );
    // The owner gives it away, and with it the rights of an owner.
    let _ = by(&host, ALICE, "policy owner office group:daemon").ok();
    assert_has(
        by(&host, ALICE, "policy list").failed(1),
        &["games may not use the agent"],
    );
    let _ = by(&host, BOB, "policy alter office --comment ours").ok();
    assert_has(
        by(&host, BOB, "policy list").ok(),
        &["office", "group:daemon", "ours"],
    );
    for unknown in ["user:no-such-user-here", "group:no-such-group-here"] {
        let out = host.line(&format!("policy owner office {unknown}"));
        assert_has(out.failed(1), &["no ", unknown]);
    }
    let _ = by(&host, BOB, "policy drop office --yes").ok();
    wait_for_mode(&host, 0o600);
}

#[test]
fn groups_bypass_and_admin() {
    let host = DatabaseHost::start();
    host.ok("policy create abuse --block 10.66.0.0/16");
    host.ok("grant bypass --to group:games");
    wait_for_mode(&host, 0o666);
    let _ = by(&host, ALICE, "bypass grant 10.66.0.1 --minutes 5").ok();
    host.assert_connects(&[("10.66.0.1", 5432)]);
    let entry = last(&host);
    assert_eq!(
        (&entry["actor"], &entry["action"]),
        (&json!("games"), &json!("bypass grant 10.66.0.1"))
    );
    assert_eq!(host.json("bypass list")[0]["granted_by"], "games");
    let _ = by(&host, ALICE, "bypass revoke 10.66.0.1").ok();
    refused(
        &host,
        ALICE,
        "policy deactivate abuse",
        "requires the privilege attach",
    );
    assert_has(
        by(&host, BOB, "status").failed(1),
        &["daemon may not use the agent"],
    );

    for (line, word) in [
        (
            "grant read --to user:no-such-user-here",
            "no user:no-such-user-here",
        ),
        (
            "grant read --to group:no-such-group-here",
            "no group:no-such-group-here",
        ),
        ("revoke read --to user:games", "was not granted"),
    ] {
        assert_has(host.line(line).failed(1), &["error: ", word, "hint: "]);
        assert_eq!(last(&host)["outcome"], "refused", "{line}");
    }
    for bad in [
        "grant fly --to user:games",
        "grant read --to games",
        "grant read",
    ] {
        assert_eq!(host.line(bad).code, Some(2), "{bad}");
    }

    // An admin may do all, and is named as the one who did it.
    host.ok("grant admin --to user:daemon");
    let _ = by(&host, BOB, "service add postgres --port 5432").ok();
    let _ = by(&host, BOB, "grant read --to user:games").ok();
    assert_has(by(&host, BOB, "grants").ok(), &["games", "read", "daemon"]);
    let _ = by(&host, BOB, "detach --yes").ok();
    host.assert_connects(&[("10.66.0.1", 5432)]);
    let entry = last(&host);
    assert_eq!(
        (&entry["actor"], &entry["action"]),
        (&json!("daemon"), &json!("detach")),
        "{entry}"
    );
    let _ = by(&host, BOB, "attach").ok();
    host.assert_times_out(&[("10.66.0.1", 5432)]);
}

#[test]
fn unconfirmed_change_can_be_confirmed_by_its_author_or_an_admin() {
    let host = DatabaseHost::start();
    host.ok("policy create office --allow 10.0.0.0/8");
    host.ok("policy owner office user:games");
    host.ok("grant read --to user:daemon");
    wait_for_mode(&host, 0o666);
    let alter = "policy alter office --add-allow 192.168.0.0/16 --confirm-within 10m";
    let _ = by(&host, ALICE, alter).ok();
    refused(&host, BOB, "confirm", "requires the privilege admin");
    // Nor by a way round.
    let _ = by(&host, BOB, "rollback 3 --yes").ok();
    refused(&host, BOB, "rollback 2", "belongs to games");
    assert_eq!(host.json("status")["agent"]["pending"]["actor"], "games");
    let _ = by(&host, ALICE, "confirm").ok();
    assert_eq!(host.json("status")["agent"]["pending"], Value::Null);
    let _ = by(&host, ALICE, &alter.replace("add", "remove")).ok();
    host.ok("confirm");
    let entry = last(&host);
    assert_eq!(
        (&entry["actor"], &entry["action"]),
        (&json!("root"), &json!("confirm 4")),
        "{entry}"
    );
}
