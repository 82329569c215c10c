//! The commands as a user types them: tables, JSON and exit codes.

use netpolicy_common::Engine;
use netpolicy_tests::DatabaseHost;
use netpolicy_tests::command::assert_has;
use netpolicy_tests::fixtures::POLICY_FILE;
use netpolicy_tests::host::NIC;
use serde_json::{Value, json};

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

    host.ok("policy alter office --remove-allow 192.168.1.0/24 --add-block 10.67.0.1 --yes");
    let shown = host.json("policy show office");
    assert_eq!(
        (&shown["allow_count"], &shown["block_count"]),
        (&json!(2), &json!(2))
    );
    host.ok("policy alter office --set-allow 203.0.113.0/24 --clear-block --comment new --yes");
    let shown = host.json("policy show office");
    assert_eq!(
        (&shown["allow_count"], &shown["block_count"]),
        (&json!(1), &json!(0))
    );
    host.ok("policy alter office --any --yes");
    assert_eq!(host.json("policy show office")["allow_count"], Value::Null);

    host.ok("policy rename office branch");
    assert!(host.line("policy show office").failed(1).contains("office"));
    host.ok("policy deactivate branch --yes");
    assert_has(&host.ok("policy list"), &["branch", "inactive"]);
    host.ok("policy activate branch");
    host.ok("unbind branch --yes");
    assert_eq!(host.json("policy show branch")["bindings"], json!([]));
    host.ok("bind branch");

    // What restricts the host is not dropped unasked, and there is no terminal to ask on.
    host.ok("policy alter branch --set-allow 203.0.113.0/24");
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
    host.ok("unbind dba --service metrics --yes");
    host.ok("service remove metrics --yes");
    host.ok("service alter postgres --port 5432 --combine and --yes");
    assert_eq!(host.json("service list")[0]["ports"], "5432");

    assert_has(&host.ok("host show"), &["enforce", "22"]);
    host.ok("host set --mode observe --failsafe-ports 22,2222 --yes");
    let settings = host.json("host show");
    assert_eq!(
        (&settings["mode"], &settings["failsafe_ports"]),
        (&json!("observe"), &json!("22,2222"))
    );
    host.ok("host set --failsafe-ports none");
    assert_eq!(host.json("host show")["failsafe_ports"], "");
}

#[test]
fn lint_tells_of_the_agent_s_policies_and_of_files() {
    let host = DatabaseHost::start();
    assert_has(&host.ok("policy lint"), &["no findings"]);
    assert_eq!(host.json("policy lint"), json!([]));
    host.write("hosts.txt", "10.1.0.0/16\n\n10.1.2.3\n");
    host.write(
        "policy.toml",
        "[[policy]]\nname = \"office\"\nallow = [\"10.1.2.0/24\", \"192.0.2.0/24\"]\n\
         block_file = \"hosts.txt\"\n\
         [[policy]]\nname = \"spare\"\nblock = [\"192.0.2.1\"]\nactive = false\n",
    );
    // Of a file, by itself and against what is in force.
    let expected = [
        "policy office",
        "missing-family",
        "allow-inside-block",
        "allow policy.toml:3",
        "in block 10.1.0.0/16 (hosts.txt:1)",
        "covered-rule",
        "block hosts.txt:3",
        "policy spare",
        "inactive",
        "3 warnings, 1 note",
    ];
    let of_file = host.line("policy lint -f policy.toml");
    assert_eq!(of_file.code, Some(1), "{of_file:?}");
    assert_has(&of_file.stdout, &expected);
    host.ok("apply -f policy.toml --yes");
    let in_force = host.line("policy lint");
    assert_eq!(in_force.code, Some(1), "{in_force:?}");
    assert_eq!(in_force.stdout, of_file.stdout);

    let out = host.line("policy lint OFFICE --output json");
    let findings: Value = serde_json::from_str(&out.stdout).expect("JSON");
    let codes = findings.as_array().expect("findings").iter();
    let codes: Vec<_> = codes.map(|f| f["code"].as_str().expect("a code")).collect();
    assert_eq!(
        codes,
        ["missing-family", "allow-inside-block", "covered-rule"]
    );
    assert_eq!(findings[1]["rule"]["place"], "policy.toml:3");
    assert_eq!(findings[1]["other"]["place"], "hosts.txt:1");

    // Notes alone are no fault.
    assert_has(&host.ok("policy lint spare"), &["inactive", "1 note"]);
    assert!(host.line("policy lint ofice").failed(1).contains("office"));
    host.write("bad.toml", "[[policy]]\nname = 1\n");
    assert!(
        host.line("policy lint -f bad.toml")
            .failed(1)
            .contains("bad.toml:2")
    );
    let alone = DatabaseHost::without_agent();
    alone.write("policy.toml", "[[policy]]\nname = \"all\"\nallow = []\n");
    let out = alone.line("policy lint -f policy.toml");
    assert_eq!(out.code, Some(1), "{out:?}");
    assert_has(&out.stdout, &["error", "denies-all", "1 error"]);
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
    host.ok("host set --mode observe --yes");
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
        netpolicy_tests::rules::attachment()
    );
    let engine = Engine::from(netpolicy_tests::rules::engine());
    assert_eq!(status["enforcement"]["engine"], engine.name());
    assert_eq!(status["agent"]["services"], 1);
    host.assert_connects(&[("10.0.0.1", 5432)]);
    assert_has(
        &host.ok("counters"),
        &["postgres", "no-policy", "pass", "1"],
    );
    assert_eq!(host.counter("postgres", "no-policy"), 1);
}

#[test]
fn changes_at_the_same_time_follow_each_other() {
    let host = DatabaseHost::start();
    std::thread::scope(|scope| {
        for n in 0..8 {
            let host = &host;
            scope.spawn(move || host.ok(&format!("policy create p_{n} --block 10.66.{n}.0/24")));
        }
    });
    let status = host.json("status");
    assert_eq!(
        (&status["agent"]["revision"], &status["agent"]["policies"]),
        (&json!(8), &json!(8))
    );
    assert_eq!(status["enforcement"]["revision"], 8);
    host.assert_times_out(&[("10.66.0.1", 5432), ("10.66.7.1", 5432)]);
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
        "service add billing",
        "service add pg --port 5432 --combine maybe",
        "host set",
        "host set --mode maybe",
        "explain",
        "explain not-an-address",
        "explain 10.0.0.0/33",
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
        "policy lint",
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
