//! The commands as a user types them: tables, JSON and exit codes.

use netpolicy_tests::DatabaseHost;
use netpolicy_tests::host::NIC;
use serde_json::{Value, json};

/// Fails unless a text has each of these words, in this order.
#[track_caller]
fn assert_has(text: &str, words: &[&str]) {
    let mut rest = text;
    for word in words {
        let at = rest
            .find(word)
            .unwrap_or_else(|| panic!("no {word:?} (in order) in:\n{text}"));
        rest = &rest[at + word.len()..];
    }
}

#[test]
fn a_policy_s_life() {
    let host = DatabaseHost::start();
    assert_has(&host.ok("policy list"), &["no policies"]);
    assert_eq!(host.json("policy list"), json!([]));

    let out = host.netpolicy(&[
        "policy",
        "create",
        "Office",
        "--allow",
        "10.0.0.0/8,192.168.1.7/24",
        "--allow",
        "fd00::/8",
        "--block",
        "10.66.0.0-10.66.255.255",
        "--comment",
        "head office",
    ]);
    assert_has(out.ok(), &["+ policy office", "revision 1", NIC]);
    // Host bits are masked, and that is said.
    assert_has(
        &format!("{}{}", out.stdout, out.stderr),
        &["192.168.1.7/24", "192.168.1.0/24"],
    );

    let table = host.ok("policy list");
    assert_has(&table, &["NAME", "STATUS", "ALLOW", "BLOCK"]);
    assert_has(
        &table,
        &["office", "active", "host", "3", "1", "root", "head office"],
    );
    let list = host.json("policy list");
    assert_eq!(list[0]["name"], "office");
    assert_eq!(list[0]["active"], true);
    assert_eq!(list[0]["bindings"], json!(["host"]));
    assert_eq!(
        (&list[0]["allow_count"], &list[0]["block_count"]),
        (&json!(3), &json!(1))
    );
    assert_eq!(list[0]["comment"], "head office");

    // What was written is shown, and what it means.
    assert_has(
        &host.ok("policy show OFFICE"),
        &["office", "allow", "192.168.1.7/24", "192.168.1.0/24"],
    );
    let shown = host.json("policy show office");
    assert_eq!(shown["allow"][1]["text"], "192.168.1.7/24");
    assert_eq!(shown["allow"][1]["cidr"], "192.168.1.0/24");
    assert_eq!(shown["block"][0]["cidr"], "10.66.0.0/16");

    host.ok("policy alter office --remove-allow 192.168.1.0/24 --add-block 10.67.0.1");
    let shown = host.json("policy show office");
    assert_eq!(
        (&shown["allow_count"], &shown["block_count"]),
        (&json!(2), &json!(2))
    );
    host.ok("policy alter office --set-allow 203.0.113.0/24 --clear-block --comment new");
    let shown = host.json("policy show office");
    assert_eq!(
        (&shown["allow_count"], &shown["block_count"]),
        (&json!(1), &json!(0))
    );
    host.ok("policy alter office --any");
    assert_eq!(host.json("policy show office")["allow_count"], Value::Null);

    host.ok("policy rename office branch");
    assert!(host.line("policy show office").failed(1).contains("office"));
    host.ok("policy deactivate branch");
    assert_has(&host.ok("policy list"), &["branch", "inactive"]);
    host.ok("policy activate branch");
    host.ok("unbind branch");
    assert_eq!(host.json("policy show branch")["bindings"], json!([]));
    host.ok("bind branch");

    // What governs is not dropped unasked, and there is nobody to ask here.
    assert!(host.line("policy drop branch").failed(1).contains("--yes"));
    host.ok("policy drop branch --yes");
    assert_eq!(host.json("policy list"), json!([]));
    let status = host.json("status");
    assert_eq!(
        status["agent"]["revision"],
        status["enforcement"]["revision"]
    );
    assert_eq!(status["agent"]["policies"], 0);
}

#[test]
fn services_and_the_host() {
    let host = DatabaseHost::start();
    host.ok("service add postgres --port 6432,5432 --port 7000-7010");
    host.ok("service add metrics --port 9187 --combine and --mode observe");
    host.ok("policy create dba --allow 10.0.0.0/8 --service postgres");
    assert_has(
        &host.ok("service list"),
        &["metrics", "9187", "postgres", "5432,6432,7000-7010", "dba"],
    );
    let services = host.json("service list");
    assert_eq!(services[0]["combine"], "and");
    assert_eq!(services[0]["mode"], "observe");
    assert_eq!(services[1]["ports"], "5432,6432,7000-7010");
    assert_eq!(services[1]["policies"], json!(["dba"]));

    host.ok("bind dba --service metrics");
    assert!(
        host.line("service remove metrics --yes")
            .failed(1)
            .contains("dba")
    );
    host.ok("unbind dba --service metrics");
    host.ok("service remove metrics --yes");
    host.ok("service alter postgres --port 5432 --combine and");
    assert_eq!(host.json("service list")[0]["ports"], "5432");

    assert_has(&host.ok("host show"), &["enforce", "22"]);
    host.ok("host set --mode observe --failsafe-ports 22,2222");
    let settings = host.json("host show");
    assert_eq!(
        (&settings["mode"], &settings["failsafe_ports"]),
        (&json!("observe"), &json!("22,2222"))
    );
    host.ok("host set --failsafe-ports none");
    assert_eq!(host.json("host show")["failsafe_ports"], "");
}

const POLICY_FILE: &str = r#"# The whole state.
[[service]]
name = "postgres"
ports = ["5432", "6432"]

[[policy]]
name = "office"
allow = ["10.0.0.0/8", "192.168.1.0/24"]
block = ["192.168.1.99"]
comment = "head office"
bind = ["host"]

[[policy]]
name = "dba"
allow = ["192.168.1.7/28"]
bind = ["postgres"]
"#;

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

    // A policy file names list files by paths beside itself.
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
fn explain_names_the_rule_and_asks_the_kernel() {
    let host = DatabaseHost::start();
    host.write("policy.toml", POLICY_FILE);
    host.ok("apply -f policy.toml --yes");

    let table = host.ok("explain 192.168.1.99");
    assert_has(
        &table,
        &[
            "192.168.1.99",
            "host",
            "drop",
            "blocked",
            "office",
            "block",
            "policy.toml:9",
            "agrees",
        ],
    );
    let view = host.json("explain 192.168.1.99");
    assert_eq!(
        (&view["verdict"], &view["reason"]),
        (&json!("drop"), &json!("blocked"))
    );
    assert_eq!(view["matched"]["policy"], "office");
    assert_eq!(view["matched"]["list"], "block");
    assert_eq!(view["matched"]["rule"]["text"], "192.168.1.99");
    assert_eq!(view["matched"]["rule"]["place"], "policy.toml:9");
    assert_eq!(
        view["kernel"],
        json!({"verdict": "drop", "reason": "blocked"})
    );
    assert_eq!(view["agrees"], true);

    // The service replaces the host: its own list, as masked.
    let view = host.json("explain 192.168.1.2 --port 6432");
    assert_eq!(
        (&view["scope"], &view["reason"]),
        (&json!("postgres"), &json!("allowed"))
    );
    assert_eq!(view["matched"]["rule"]["text"], "192.168.1.7/28");
    assert_eq!(view["matched"]["rule"]["cidr"], "192.168.1.0/28");
    for (asked, scope, verdict, reason) in [
        ("10.0.0.1", "host", "pass", "allowed"),
        ("10.0.0.1 --port 5432", "postgres", "drop", "not-allowed"),
        ("8.8.8.8", "host", "drop", "not-allowed"),
        ("8.8.8.8 --port 22", "host", "pass", "failsafe"),
        ("::ffff:10.0.0.1", "host", "pass", "allowed"),
        ("fd00::1", "host", "drop", "not-allowed"),
    ] {
        let view = host.json(&format!("explain {asked}"));
        let said = (&view["scope"], &view["verdict"], &view["reason"]);
        assert_eq!(
            said,
            (&json!(scope), &json!(verdict), &json!(reason)),
            "{asked}"
        );
        assert_eq!(view["agrees"], true, "{asked}");
    }
    host.ok("bypass grant 8.8.8.0/24 --minutes 1");
    assert_eq!(host.json("explain 8.8.8.8")["reason"], "bypass");
    assert_eq!(host.json("explain 8.8.8.8")["agrees"], true);
    host.ok("host set --mode observe");
    let view = host.json("explain fd00::1");
    assert_eq!(
        (&view["verdict"], &view["reason"]),
        (&json!("pass"), &json!("observed-not-allowed"))
    );
}

#[test]
fn bypasses_status_and_counters() {
    let host = DatabaseHost::start();
    host.ok("service add postgres --port 5432");
    assert_eq!(host.json("bypass list"), json!([]));
    assert_has(
        &host.ok("bypass grant 10.66.0.9/24 --minutes 5"),
        &["10.66.0.0/24"],
    );
    host.ok("bypass grant fd00::1 --service postgres");
    let list = host.json("bypass list");
    assert_eq!(list.as_array().unwrap().len(), 2, "{list}");
    assert_has(&host.ok("bypass list"), &["10.66.0.0/24", "host"]);
    assert_has(&host.ok("bypass list"), &["fd00::1", "postgres"]);
    assert!(
        host.line("bypass revoke 10.99.0.1")
            .failed(1)
            .contains("10.99.0.1")
    );
    host.ok("bypass revoke 10.66.0.0/24");
    host.ok("bypass revoke fd00::1 --service postgres");
    assert_eq!(host.json("bypass list"), json!([]));

    let table = host.ok("status");
    assert_has(&table, &["attached", NIC, "none"]);
    let status = host.json("status");
    assert_eq!(status["enforcement"]["state"], "attached");
    assert_eq!(status["enforcement"]["interfaces"][0]["name"], NIC);
    assert_eq!(
        status["enforcement"]["interfaces"][0]["attachment"],
        "native"
    );
    assert_eq!(status["enforcement"]["engine"], "lpm");
    assert_eq!(status["agent"]["services"], 1);
    host.assert_connects(&[("10.0.0.1", 5432)]);
    assert_has(
        &host.ok("counters"),
        &["postgres", "no-policy", "pass", "1"],
    );
    assert_eq!(host.counter("postgres", "no-policy"), 1);
}

#[test]
fn exit_codes() {
    let host = DatabaseHost::without_agent();
    for line in [
        "--help",
        "--version",
        "help",
        "policy --help",
        "policy create --help",
        "completions bash",
    ] {
        assert!(!host.ok(line).is_empty(), "{line}");
    }
    for line in [
        "",
        "frobnicate",
        "--frobnicate",
        "policy",
        "policy create",
        "policy create office --frobnicate",
        "policy alter office",
        "policy list --output yaml",
        "service add pg",
        "service add pg --port 5432 --combine maybe",
        "host set",
        "host set --mode maybe",
        "explain",
        "explain not-an-address",
        "explain 10.0.0.0/8",
        "explain 10.0.0.1 --port 0",
        "explain 10.0.0.1 --port 70000",
        "bypass grant 10.0.0.1 --minutes 0",
        "bypass grant 10.0.0.1 --minutes 100000",
        "apply",
        "diff 1 2 3",
    ] {
        assert!(!host.line(line).failed(2).is_empty(), "{line}");
    }
    host.write("policy.toml", POLICY_FILE);
    for line in [
        "status",
        "policy list",
        "policy create office --block 10.0.0.1",
        "policy drop office --yes",
        "service add pg1 --port 1",
        "host show",
        "bind office",
        "apply -f policy.toml --yes",
        "export",
        "diff -f policy.toml",
        "explain 10.0.0.1",
        "counters",
        "monitor",
        "bypass list",
        "attach",
    ] {
        let out = host.line(line);
        let said = out.failed(3);
        assert!(
            said.contains("no agent") && said.contains("netpolicy agent"),
            "{line}: {said}"
        );
        assert_eq!(out.stdout, "", "{line}");
    }
}
