//! Whole states as files: apply, export, diff, and the list files that they name.

use netpolicy_tests::DatabaseHost;
use netpolicy_tests::command::assert_has;
use netpolicy_tests::fixtures::POLICY_FILE;
use serde_json::json;

#[test]
fn apply_export_diff() {
    let host = DatabaseHost::start();
    host.write("policy.toml", POLICY_FILE);
    let plan = host.ok("apply -f policy.toml --dry-run");
    assert_has(&plan, &["+ policy dba", "+ policy office", "dry run"]);
    assert_has(&plan, &["+ service postgres"]);
    assert_eq!(host.json("policy list"), json!([]));

    assert_has(
        &host.ok("apply -f policy.toml --yes"),
        &["+ policy office", "revision 1"],
    );
    let out = host.json("apply -f policy.toml --yes");
    assert_eq!(
        (&out["revision"], &out["plan"]),
        (&json!(1), &json!([])),
        "nothing to do: no revision"
    );

    // What is exported is the same state, with rules as they were written.
    let exported = host.ok("export");
    assert_has(&exported, &["192.168.1.7/28"]);
    host.write("exported.toml", &exported);
    assert_eq!(host.json("apply -f exported.toml --yes")["plan"], json!([]));
    assert_eq!(host.ok("export"), exported);
    for file in ["exported.toml", "policy.toml"] {
        let said = host.ok(&format!("diff -f {file} --exit-code"));
        assert_has(&said, &["no difference"]);
    }

    // From standard input; what is no longer said goes.
    let shorter = POLICY_FILE
        .split("[[policy]]\nname = \"dba\"")
        .next()
        .unwrap();
    let shorter = shorter.replace("192.168.1.99", "192.168.1.98");
    let out = host.netpolicy_with_input(&["apply", "-f", "-", "--yes"], &shorter);
    assert_has(out.ok(), &["- policy dba", "~ policy office", "revision 2"]);
    let diff = host.ok("diff 1 2");
    assert_has(&diff, &["192.168.1.99"]);
    assert_has(&diff, &["192.168.1.98"]);
    assert_eq!(host.ok("export --revision 1"), exported);
    assert!(host.line("export --revision 99").failed(1).contains("99"));
    assert!(host.line("diff -f policy.toml --exit-code").code == Some(1));
}

#[test]
fn list_files() {
    let host = DatabaseHost::start();
    let list = "\u{feff}# offices\r\n10.1.0.0/16, 10.2.0.0/16 ; two\r\n\r\n; none\r\n10.3.0.1-10.3.0.4\r\nfd00::/16";
    host.write("offices.txt", list);
    host.write(
        "bad.txt",
        "10.0.0.1\n10.0.0.256\nfd00::/129\n# fine\nlocalhost\n",
    );
    host.ok("policy create office --allow-file offices.txt");
    let view = host.json("policy show office");
    let cidrs: Vec<_> = view["allow"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["cidr"].clone())
        .collect();
    assert!(
        cidrs.contains(&json!("10.2.0.0/16")) && cidrs.contains(&json!("fd00::/16")),
        "{cidrs:?}"
    );
    assert_eq!(host.json("explain 10.3.0.4")["verdict"], "pass");
    assert_eq!(host.json("explain 10.3.0.5")["verdict"], "drop");

    let refused = host.line("policy create bad --block-file bad.txt");
    assert_has(
        refused.failed(1),
        &[
            "bad.txt:2",
            "10.0.0.256",
            "bad.txt:3",
            "fd00::/129",
            "bad.txt:5",
        ],
    );
    let out = host.line("policy create bad --block-file bad.txt --skip-invalid");
    assert_has(&format!("{}{}", out.ok(), out.stderr), &["10.0.0.256"]);
    assert_eq!(host.json("policy show bad")["block_count"], 1);

    let out = host.netpolicy_with_input(
        &["policy", "alter", "bad", "--add-block-file", "-"],
        "10.9.9.9\n",
    );
    assert_has(out.ok(), &["~ policy bad"]);

    // A policy file names list files by paths relative to itself.
    host.write(
        "policy.toml",
        "[[policy]]\nname = \"office\"\nallow_file = \"offices.txt\"\n",
    );
    host.ok("apply -f policy.toml --yes");
    assert_eq!(
        host.json("explain fd00::7")["matched"]["rule"]["place"],
        "offices.txt:6"
    );
}

#[test]
fn policy_tests_are_set_run_and_removed_by_commands() {
    let host = DatabaseHost::start();
    assert!(host.ok("policy test").contains("no policy tests"));
    host.ok("service add postgres --port 5432");
    host.ok("policy create office --allow 203.0.113.0/24 --service postgres");
    host.ok("policy test set 203.0.113.9 --service postgres --expect pass --comment monitoring");
    let shown = host.ok("policy test");
    assert!(
        shown.contains("holds") && shown.contains("1 test, all hold"),
        "{shown}"
    );
    // What would not hold is refused, a test as well as a policy.
    let refused = host.line("policy test set 192.0.2.1 --service postgres --expect pass");
    assert!(refused.failed(1).contains("policy test failed"));
    let refused = host.line("policy alter office --remove-allow 203.0.113.0/24");
    assert!(refused.failed(1).contains("203.0.113.9 to postgres"));
    host.ok("policy test set 192.0.2.1 --service postgres --expect pass --force");
    let run = host.line("policy test");
    assert_eq!(run.code, Some(1), "{}", run.stdout);
    assert!(
        run.stdout.contains("FAILED") && run.stdout.contains("2 tests, 1 failed"),
        "{}",
        run.stdout
    );
    host.ok("policy test remove 192.0.2.1 --service postgres");
    let unknown = host.line("policy test remove 192.0.2.1 --service postgres");
    assert!(unknown.failed(1).contains("unknown policy test"));
    assert!(
        host.line("policy test set 192.0.2.0/24 --expect pass")
            .failed(1)
            .contains("is a network")
    );
    assert_eq!(host.json("policy test")[0]["comment"], "monitoring");
    let audit = host.json("audit --limit 20").to_string();
    assert!(
        audit.contains("policy test remove 192.0.2.1 to postgres"),
        "{audit}"
    );
}
