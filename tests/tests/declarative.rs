//! The whole state as a file: planned, made so, exported, compared.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use netpolicy_tests::DatabaseHost;
use netpolicy_tests::command::assert_has;
use netpolicy_tests::fixtures::POLICY_FILE;
use serde_json::{Value, json};

fn names(host: &DatabaseHost) -> Vec<String> {
    let list = host.json("policy list");
    let names = list
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["name"].as_str().unwrap().to_owned());
    names.collect()
}

fn revision(host: &DatabaseHost) -> Value {
    host.json("status")["agent"]["revision"].clone()
}

#[test]
fn applying_twice_changes_nothing() {
    let host = DatabaseHost::start();
    host.write("all.toml", POLICY_FILE);
    let first = host.ok("apply -f all.toml");
    assert_has(
        &first,
        &[
            "+ service postgres",
            "+ policy dba",
            "bound to: postgres",
            "+ policy office",
            "revision 1",
        ],
    );
    host.assert_connects(&[("192.168.1.1", 5432), ("10.0.0.1", 8080)]);
    host.assert_times_out(&[("10.0.0.1", 5432), ("192.168.1.99", 8080)]);
    let generation = host.json("status")["enforcement"]["generation"].clone();
    for line in [
        "apply -f all.toml",
        "apply -f all.toml --no-prune",
        "apply -f all.toml --dry-run",
    ] {
        assert_has(&host.ok(line), &["nothing to change: revision 1"]);
    }
    assert_eq!(revision(&host), 1);
    assert_eq!(host.json("status")["enforcement"]["generation"], generation);
    assert_eq!(host.json("history").as_array().unwrap().len(), 1);
}

#[test]
fn plan_lists_the_changes_and_the_affected_sources() {
    let host = DatabaseHost::start();
    host.write("all.toml", POLICY_FILE);
    host.ok("apply -f all.toml");
    host.ok("policy create extra --block 203.0.113.200");
    let _open = [
        host.session("192.168.1.1", 5432),
        host.session("192.168.1.2", 5432),
    ];
    host.write(
        "next.toml",
        POLICY_FILE.replace("192.168.1.7/28\"]", "192.168.1.2\"]\ncomment = \"one\""),
    );
    let plan = host.ok("apply -f next.toml --dry-run");
    assert_has(
        &plan,
        &[
            "~ policy dba",
            "- allow 192.168.1.7/28",
            "+ allow 192.168.1.2",
            "- policy extra",
            "become denied on postgres; 1 connected client\n",
            "would deny 1 of 2 connected clients",
            "192.168.1.1 on postgres, 1 connection",
            "dry run, nothing was changed: revision 2",
        ],
    );
    assert_eq!(names(&host), ["dba", "extra", "office"]);
    let json = host.json("apply -f next.toml --dry-run");
    let actions: Vec<_> = json["plan"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| &i["action"])
        .collect();
    assert_eq!(actions, ["change", "remove"]);
    assert_eq!(json["effects"][0]["becomes"], "denied");
    assert_eq!(json["effects"][0]["scope_name"], "postgres");
    // What the plan of a file says is what is done.
    let done = host.json("apply -f next.toml");
    assert_eq!(
        (&done["plan"], &done["effects"]),
        (&json["plan"], &json["effects"])
    );
    assert_eq!(names(&host), ["dba", "office"]);
}

#[test]
fn no_prune_keeps_what_the_file_does_not_name() {
    let host = DatabaseHost::start();
    host.ok("service add metrics --port 9187");
    host.ok("policy create extra --block 203.0.113.200");
    host.ok("policy create office --block 10.1.1.1");
    host.write("all.toml", POLICY_FILE);
    let out = host.ok("apply -f all.toml --no-prune");
    assert_has(
        &out,
        &[
            "+ service postgres",
            "+ policy dba",
            "~ policy office",
            "- block 10.1.1.1",
        ],
    );
    assert!(
        !out.contains("policy extra") && !out.contains("service metrics"),
        "{out}"
    );
    assert_eq!(names(&host), ["dba", "extra", "office"]);
    host.assert_times_out(&[("203.0.113.200", 8080)]);
    assert_has(
        &host.ok("apply -f all.toml --prune --dry-run"),
        &["- service metrics", "- policy extra"],
    );
    host.ok("apply -f all.toml");
    assert_eq!(names(&host), ["dba", "office"]);
    assert_eq!(host.json("service list").as_array().unwrap().len(), 1);
    let both = host.line("apply -f all.toml --prune --no-prune");
    assert_eq!(both.code, Some(2), "{}", both.stderr);
}

#[test]
fn an_export_makes_the_same_of_an_empty_host() {
    let host = DatabaseHost::start();
    host.ok("host set --failsafe-ports 22,2222 --mode observe --yes");
    host.ok("service add postgres --port 5432,7000-7010 --comment main");
    host.ok("service add pg --port 6432 --combine and --mode observe");
    let line = |args: &[&str]| {
        let out = host.netpolicy(args);
        assert!(!out.ok().is_empty(), "{args:?}");
    };
    line(&[
        "policy",
        "create",
        "office",
        "--allow",
        "10.0.0.0/8,192.168.1.7/24,fd00::/8",
        "--comment",
        "say \"hi\"\nhere",
    ]);
    line(&[
        "policy",
        "create",
        "\"Head Office\"",
        "--only",
        "--service",
        "postgres,pg",
    ]);
    line(&[
        "policy",
        "create",
        "later",
        "--block",
        "10.66.0.0/16",
        "--inactive",
    ]);
    line(&[
        "policy",
        "create",
        "loose",
        "--block",
        "10.67.0.0-10.67.0.9",
    ]);
    line(&["unbind", "loose"]);
    host.write("named.toml", host.ok("export") + NAMED);
    host.ok("apply -f named.toml");

    let exported = host.ok("export");
    let other = DatabaseHost::start();
    other.write("all.toml", &exported);
    other.ok("apply -f all.toml");
    assert_eq!(other.ok("export"), exported);
    assert_has(&other.ok("apply -f all.toml"), &["nothing to change"]);
    for what in ["service list", "host show"] {
        assert_eq!(other.json(what), host.json(what), "{what}");
    }
    for name in [
        "office",
        "\"Head Office\"",
        "later",
        "loose",
        "materialized",
    ] {
        let shown = |host: &DatabaseHost| {
            let mut shown = host
                .netpolicy(&["policy", "show", name, "-o", "json"])
                .json();
            for list in ["allow", "block"] {
                for rule in shown[list].as_array_mut().into_iter().flatten() {
                    // Where it was written differs.
                    rule["place"] = Value::Null;
                }
            }
            shown["created"] = Value::Null;
            shown["altered"] = Value::Null;
            shown
        };
        assert_eq!(shown(&other), shown(&host), "{name}");
    }
}

/// Rules with names and comments, and a rest that is shown.
const NAMED: &str = r#"
[[policy]]
name = "materialized"
allow = [{ address = "10.1.0.0/16", name = "Branch 1", comment = "the first" }, "10.2.0.1"]
blocked_rest = "0.0.0.0/0"
bind = []
active = false
"#;

#[test]
fn a_file_and_the_state_differ_in_words_or_not_at_all() {
    let host = DatabaseHost::start();
    host.write("all.toml", POLICY_FILE);
    let new = host.ok("diff -f all.toml");
    assert_has(&new, &["--- now", "all.toml", "+name = \"office\""]);
    assert_eq!(host.line("diff -f all.toml --exit-code").code, Some(1));
    assert_eq!(revision(&host), 0);
    host.ok("apply -f all.toml");
    let same = host.json("diff -f all.toml");
    assert_eq!(
        (&same["differs"], &same["diff"]),
        (&json!(false), &json!("")),
        "{same}"
    );
    assert_eq!(host.line("diff -f all.toml --exit-code").code, Some(0));
    host.ok("policy alter office --add-block 10.9.9.9");
    assert_has(
        &host.ok("diff -f all.toml"),
        &["-block", "10.9.9.9", "+block"],
    );
    assert_has(&host.ok("diff"), &["--- revision 1", "+++ now", "10.9.9.9"]);
    host.write(
        "bad.toml",
        POLICY_FILE.replace("192.168.1.99", "192.168.1.999"),
    );
    for line in ["diff -f bad.toml", "apply -f bad.toml"] {
        assert_has(host.line(line).failed(1), &["bad.toml", "192.168.1.999"]);
    }
    assert_eq!(revision(&host), 2);
}

#[test]
fn export_into_a_directory_reads_back_as_the_same() {
    let host = DatabaseHost::start();
    let hosts = |from: u32| {
        let lines = (from..from + 40).map(|i| format!("10.77.0.{i} # host {i}\n"));
        lines.collect::<String>()
    };
    host.write("bad.txt", hosts(1));
    host.write("own.txt", hosts(100));
    host.ok("list create bad-hosts --file bad.txt");
    host.ok("policy create abuse --block @bad-hosts --block-file own.txt");
    host.ok("policy create office --block 192.168.9.9 --inactive");
    host.ok("export --dir out");
    let policy = std::fs::read_to_string(host.file("out/policy.toml")).unwrap();
    assert_has(
        &policy,
        &[
            "file = \"list-bad-hosts.txt\"",
            "block_file = \"policy-abuse-block.txt\"",
            "block = [\"192.168.9.9\"]",
        ],
    );
    assert!(!policy.contains("10.77.0.1"), "{policy}");
    let list = std::fs::read_to_string(host.file("out/list-bad-hosts.txt")).unwrap();
    assert!(list.starts_with("10.77.0.1  # host 1\n"), "{list}");
    host.ok("diff -f out/policy.toml --exit-code");
    assert_has(&host.ok("apply -f out/policy.toml"), &["nothing to change"]);
    let out = host.line("export --dir out");
    assert_has(out.failed(1), &["This replaces files in out", "--yes"]);
    host.ok("export --dir out --yes");
    assert_eq!(host.ok("export --inline"), host.ok("export"));
}
