//! Every change is a revision, and every revision can be restored.

use netpolicy_tests::DatabaseHost;
use netpolicy_tests::command::assert_has;
use serde_json::json;

const BLOCKED: &str = "10.66.0.1";
const UNLISTED: &str = "203.0.113.7";

/// Revisions 1 to 5: made, altered, dropped, and something else.
fn history(host: &DatabaseHost) {
    host.ok("policy create office --allow 10.0.0.0/8 --comment first");
    host.ok("policy alter office --add-block 10.66.0.0/16");
    host.ok("service add postgres --port 5432");
    host.ok("policy drop office --yes");
    host.ok("service remove postgres");
}

#[test]
fn any_revision_comes_back_drops_included() {
    let host = DatabaseHost::start();
    history(&host);
    host.assert_connects(&[(BLOCKED, 5432), (UNLISTED, 5432)]);

    let out = host.ok("rollback 2");
    assert_has(&out, &["+ policy office", "becomes denied", "revision 6"]);
    host.assert_times_out(&[(BLOCKED, 5432), (UNLISTED, 5432)]);
    let shown = host.json("policy show office");
    assert_eq!(
        (&shown["comment"], &shown["owner"]),
        (&json!("first"), &json!("root"))
    );

    assert_has(
        &host.ok("rollback 1 --dry-run"),
        &["- block 10.66.0.0/16", "dry run"],
    );
    host.ok("rollback 1 --yes");
    host.assert_connects(&[(BLOCKED, 5432)]);
    host.assert_times_out(&[(UNLISTED, 5432)]);

    // A service comes back with its ports, and so do later revisions than the one in force.
    host.ok("rollback 3 --yes");
    assert_eq!(host.json("service list")[0]["ports"], "5432");
    host.ok("rollback 0 --yes");
    host.assert_connects(&[(UNLISTED, 5432)]);
    assert_eq!(host.json("service list"), json!([]));
    assert_has(&host.ok("rollback 0"), &["nothing to change"]);
    host.ok("rollback 6");
    host.assert_times_out(&[(BLOCKED, 5432)]);

    let actions: Vec<_> = host
        .json("history")
        .as_array()
        .map_or_else(Vec::new, |all| {
            all.iter()
                .map(|r| r["action"].as_str().unwrap_or("").to_owned())
                .collect()
        });
    assert_eq!(
        actions[..5],
        [
            "rollback 6",
            "rollback 0",
            "rollback 3",
            "rollback 1",
            "rollback 2"
        ]
    );
    let audit = host.json("audit");
    let last = audit
        .as_array()
        .and_then(|all| all.last())
        .cloned()
        .unwrap_or_default();
    assert_eq!(last["action"], "rollback 6", "{audit}");
    assert_eq!(
        (&last["revision_before"], &last["revision_after"]),
        (&json!(9), &json!(10))
    );
    assert_has(
        &last["changes"].to_string(),
        &["+ policy office", "block 10.66.0.0/16"],
    );
}

#[test]
fn an_unknown_revision_is_refused_and_audited() {
    let host = DatabaseHost::start();
    let none = host.line("rollback 7");
    assert_has(none.failed(1), &["error: ", "7"]);
    history(&host);
    let unknown = host.line("rollback 77");
    assert_has(unknown.failed(1), &["error: ", "77", "1", "5"]);
    let huge = host.line("rollback 18446744073709551615");
    assert_has(huge.failed(1), &["18446744073709551615"]);
    for bad in ["-1", "last", "1.5", ""] {
        let out = host.netpolicy(&["rollback", bad]);
        assert_eq!(out.code, Some(2), "{bad}: {}", out.stderr);
    }
    assert_eq!(host.json("status")["agent"]["revision"], 5);
    let audit = host.json("audit");
    let refused = audit.as_array().into_iter().flatten();
    let refused: Vec<_> = refused.filter(|e| e["outcome"] == "refused").collect();
    assert_eq!(refused.len(), 3, "{audit}");
    assert_eq!(refused[1]["action"], "rollback 77");
    assert_has(&refused[1]["errors"].to_string(), &["77"]);
}

#[test]
fn revisions_differ_in_words() {
    let host = DatabaseHost::start();
    history(&host);
    let diff = host.ok("diff 1 2");
    assert_has(
        &diff,
        &["--- revision 1", "+++ revision 2", "+block", "10.66.0.0/16"],
    );
    assert_has(&host.ok("diff 3 4"), &["-[[policy]]", "-name = \"office\""]);
    assert_has(
        &host.ok("diff 2"),
        &["--- revision 2", "+++ now", "-name = \"office\""],
    );
    assert_has(&host.ok("diff"), &["--- revision 4", "+++ now", "postgres"]);
    assert_has(&host.ok("diff 0 1"), &["+name = \"office\""]);
    assert_eq!(host.json("diff 2 2")["differs"], json!(false));
    assert_eq!(host.line("diff 2 2 --exit-code").code, Some(0));
    assert_eq!(host.line("diff 1 2 --exit-code").code, Some(1));
    assert_has(host.line("diff 1 99").failed(1), &["99"]);
}

#[test]
fn history_survives_the_agent() {
    let mut host = DatabaseHost::start();
    history(&host);
    let before = (host.json("history"), host.json("audit"));
    host.kill_agent();
    host.start_agent();
    assert_eq!((host.json("history"), host.json("audit")), before);
    host.ok("rollback 2");
    host.assert_times_out(&[(BLOCKED, 5432)]);
}
