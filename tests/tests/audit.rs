//! Actions and refusals: in a log that cannot be altered.

use netpolicy_tests::DatabaseHost;
use netpolicy_tests::command::assert_has;
use serde_json::json;

#[test]
fn the_audit_log_is_only_appended_to_and_survives() {
    let mut host = DatabaseHost::start();
    host.ok("policy create office --allow 10.0.0.0/8 --from 10.0.0.1");
    host.ok("policy alter office --add-block 10.66.0.0/16 --comment work");
    let _ = host.line("policy create office --block 10.0.0.1").failed(1);
    let _ = host.line("policy drop office --yes --from 10.66.0.1").ok();
    // Dry runs change nothing and are not in it.
    host.ok("policy create more --block 10.0.0.1 --dry-run");
    let log = host.json("audit");
    let entries = log.as_array().unwrap();
    assert_eq!(entries.len(), 4, "{log}");
    let first = &entries[0];
    for (name, value) in [
        ("actor", json!("root")),
        ("uid", json!(0)),
        ("from", json!("10.0.0.1")),
        ("action", json!("policy create office")),
        ("outcome", json!("done")),
        ("revision_before", json!(0)),
        ("revision_after", json!(1)),
    ] {
        assert_eq!(first[name], value, "{name}: {first}");
    }
    let time: jiff::Timestamp = first["time"].as_str().unwrap().parse().unwrap();
    assert!(jiff::Timestamp::now().duration_since(time).as_secs() < 60);
    assert_has(
        &entries[1]["changes"].to_string(),
        &["~ policy office", "comment: work", "+ block 10.66.0.0/16"],
    );
    assert_eq!(entries[2]["outcome"], "refused");
    assert_has(&entries[2]["errors"].to_string(), &["office"]);
    let table = host.ok("audit");
    assert_has(
        &table,
        &[
            "done",
            "root from 10.0.0.1: policy create office",
            "(revision 0 -> 1)",
            "REFUSED",
            "root: policy create office  (revision 2)",
        ],
    );
    assert_has(&host.ok("audit --limit 1"), &["policy drop office"]);

    host.kill_agent();
    // A process with access to the file cannot alter its entries.
    let sql = |statement: &str| {
        let path = host.state_dir().join("state.db");
        let python = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\nc.execute(sys.argv[2])\nc.commit()";
        let out = std::process::Command::new("python3")
            .args(["-c", python])
            .arg(path)
            .arg(statement)
            .output()
            .unwrap();
        (
            out.status.success(),
            String::from_utf8_lossy(&out.stderr).into_owned(),
        )
    };
    for statement in [
        "UPDATE audit SET actor = 'nobody'",
        "UPDATE audit SET outcome = 'done' WHERE outcome = 'refused'",
        "DELETE FROM audit",
        "DELETE FROM audit WHERE id = 1",
        "REPLACE INTO audit SELECT id, time, uid, 'nobody', origin, action, outcome, before, after, detail FROM audit",
    ] {
        let (done, said) = sql(statement);
        assert!(
            !done && said.contains("append-only"),
            "{statement}: {done} {said}"
        );
    }
    host.start_agent();
    assert_eq!(host.json("audit"), log);
}
