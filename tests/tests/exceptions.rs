//! Exceptions and policy tests by real traffic, through command, file and agent.

use netpolicy_tests::DatabaseHost;
use netpolicy_tests::command::assert_has;
use serde_json::{Value, json};

const HOST_PORT: u16 = 8080;
const PG_PORT: u16 = 5432;

/// In a blocked range, and excepted.
const OWN: &str = "10.66.7.7";
const OWN6: &str = "fd00:bad::7";
/// In the same range.
const BAD: &str = "10.66.0.1";
const BAD6: &str = "fd00:bad::1";

#[test]
fn excepted_source_connects_out_of_a_blocked_range_and_others_do_not() {
    let mut host = DatabaseHost::start();
    host.ok("service add postgres --port 5432");
    host.ok("list create our-own 10.66.7.0/24");
    host.ok("policy create abuse --block 10.66.0.0/16,fd00:bad::/32 --except @our-own,fd00:bad::7");
    host.assert_times_out(&[(BAD, HOST_PORT), (BAD6, HOST_PORT), (BAD, PG_PORT)]);
    host.assert_connects(&[(OWN, HOST_PORT), (OWN6, HOST_PORT), (OWN, PG_PORT)]);

    let explained = host.json(&format!("explain {OWN}"));
    assert_eq!(explained["agrees"], json!(true));
    assert_eq!(explained["reason"], json!("not-blocked"));
    let excepted = &explained["excepted"][0];
    assert_eq!(excepted["block"]["rule"]["text"], json!("10.66.0.0/16"));
    assert_eq!(excepted["exception"]["named_list"], json!("our-own"));

    // Another policy's block holds, and the command that adds the exception says so.
    host.ok(&format!("policy create other --block {OWN}"));
    host.assert_times_out(&[(OWN, HOST_PORT), (OWN, PG_PORT)]);
    let said = host.line(&format!("policy alter abuse --add-except {OWN}"));
    let _ = said.ok();
    assert_has(
        &said.stderr,
        &[
            "10.66.7.7 added to the exceptions of policy 'abuse'",
            "stays denied",
            "'10.66.7.7' of policy 'other'",
        ],
    );
    host.ok("policy drop other --yes");
    host.assert_connects(&[(OWN, HOST_PORT), (OWN, PG_PORT)]);

    // A new agent finds them in the store; verify compares what the kernel holds.
    host.kill_agent();
    host.start_agent();
    host.assert_connects(&[(OWN, HOST_PORT), (OWN6, HOST_PORT)]);
    host.assert_times_out(&[(BAD, HOST_PORT), (BAD6, HOST_PORT)]);
    assert_eq!(host.json("verify")["differences"], json!([]));
    let shown = host.json("policy show abuse");
    assert_eq!(shown["except_count"], json!(2));
    assert_eq!(shown["except_lists"], json!(["our-own"]));

    // An edit of the list, and the end of all exceptions.
    host.ok("list add our-own 10.66.0.1 --comment laptop");
    host.assert_connects(&[(BAD, HOST_PORT)]);
    host.ok("policy alter abuse --clear-except");
    host.assert_times_out(&[(BAD, HOST_PORT), (OWN, HOST_PORT), (OWN6, HOST_PORT)]);
}

#[test]
fn export_of_exceptions_and_tests_reads_back_as_the_same() {
    let host = DatabaseHost::start();
    host.write("bad.txt", "10.66.0.0/16 # scanners\n");
    let file = "[[service]]
name = \"post-gres\"
ports = [\"5432\"]

[[policy]]
name = \"abuse-list\"
bind = [\"post-gres\"]
block_file = \"bad.txt\"
except = [\"10.66.7.7\"]

[[test]]
source = \"10.66.7.7\"
service = \"post-gres\"
expect = \"pass\"

[[test]]
source = \"10.66.0.1\"
port = 5432
expect = \"drop\"
comment = \"a scanner\"
";
    host.write("policy.toml", file);
    host.ok("apply -f policy.toml");
    let exported = host.ok("export");
    assert_has(
        &exported,
        &[
            "{ address = \"10.66.0.0/16\", comment = \"scanners\" }",
            "except = [\"10.66.7.7\"]",
            "port = 5432",
        ],
    );
    host.write("again.toml", &exported);
    let again = host.json("apply -f again.toml");
    assert_eq!(again["changed"], json!(false));
    let explained = host.json("explain 10.66.0.1 --port 5432");
    assert_eq!(explained["matched"]["rule"]["comment"], json!("scanners"));
}

#[test]
fn change_by_which_a_policy_test_fails_is_refused_and_names_the_rule() {
    let host = DatabaseHost::start();
    let tests = "[[test]]\nsource = \"10.1.0.1\"\nexpect = \"pass\"\n";
    let policy = |block: &str| format!("[[policy]]\nname = \"abuse\"\nblock = [{block}]\n{tests}");
    host.write("bad.toml", policy("\"10.0.0.0/8\""));
    for line in [
        "apply -f bad.toml",
        "apply -f bad.toml --dry-run",
        "policy lint -f bad.toml",
    ] {
        let out = host.line(line);
        assert_eq!(out.code, Some(1), "{line}");
        let said = format!("{}{}", out.stdout, out.stderr);
        assert_has(
            &said,
            &[
                "bad.toml:4:1: policy test failed: 10.1.0.1 to the host is expected to pass, but it is dropped",
                "by '10.0.0.0/8' of policy 'abuse' (bad.toml:3)",
            ],
        );
    }
    host.assert_connects(&[("10.1.0.1", HOST_PORT)]);
    let out = host.line("apply -f bad.toml --output json");
    let _ = out.failed(1);
    let error: Value = serde_json::from_str(&out.stderr).expect("JSON");
    assert_eq!(error["error"]["code"], json!("test-failed"));
    assert_eq!(error["error"]["places"][0]["line"], json!(4));

    host.write("good.toml", policy("\"10.2.0.0/16\""));
    host.ok("apply -f good.toml");
    // Every later change is judged too, however it comes.
    for line in [
        "policy alter abuse --add-block 10.1.0.0/16",
        "policy create more --allow 192.0.2.0/24",
    ] {
        let out = host.line(line);
        assert_has(out.failed(1), &["policy test failed", "hint: ", "--force"]);
    }
    let sql = host.netpolicy(&[
        "sql",
        "--dialect",
        "lakehouse",
        "-e",
        "CREATE NETWORK POLICY sqlone BLOCKED_IP_LIST = ('10.1.0.1')",
    ]);
    assert_has(sql.failed(1), &["policy test failed"]);
    host.assert_connects(&[("10.1.0.1", HOST_PORT)]);
    let forced = host.line("policy alter abuse --add-block 10.1.0.0/16 --force");
    let _ = forced.ok();
    assert_has(&forced.stderr, &["policy test failed", "applied anyway"]);
    host.assert_times_out(&[("10.1.0.1", HOST_PORT)]);
    // What failed before does not keep other changes from being made.
    let other = host.line("policy alter abuse --add-block 192.0.2.1");
    let _ = other.ok();
    assert_has(&other.stderr, &["warning: ", "policy test failed"]);
}

#[test]
fn repeated_edits_change_nothing_and_succeed() {
    let host = DatabaseHost::start();
    host.ok("policy create abuse --block 10.66.0.1");
    host.ok("list create bad-hosts 10.77.0.1");
    let revision = host.json("status")["agent"]["revision"].clone();
    for line in [
        "policy alter abuse --add-block 10.66.0.1",
        "policy alter abuse --remove-block 10.66.0.2",
        "policy alter abuse --remove-block @bad-hosts",
        "policy alter abuse --remove-except 10.66.0.1",
        "list add bad-hosts 10.77.0.1",
        "list remove bad-hosts 10.77.0.2",
        "bind abuse",
    ] {
        let out = host.line(line);
        assert_has(out.ok(), &["nothing to change"]);
        let changed = host.json(line);
        assert_eq!(changed["changed"], json!(false), "{line}");
    }
    assert_eq!(host.json("status")["agent"]["revision"], revision);
    let changed = host.json("policy alter abuse --add-block 10.66.0.1 --rule-comment scanner");
    assert_eq!(changed["changed"], json!(true));
}

#[test]
fn every_error_is_json_where_json_is_requested() {
    let host = DatabaseHost::start();
    for (line, code, exit) in [
        ("policy show nothing", "not-found", 1),
        ("policy create x --allow 10.0.0.0/33", "invalid-input", 1),
        ("policy alter abuse --addblock 10.0.0.1", "usage", 2),
        ("policy list --socket /nowhere", "no-agent", 3),
        ("apply -f /nowhere.toml", "failed", 1),
        ("sql --dialect snowflake -e SELEC", "invalid-sql", 1),
    ] {
        let out = host.line(&format!("{line} --output json"));
        let error: Value = serde_json::from_str(out.failed(exit)).expect(line);
        let error = &error["error"];
        assert_eq!(error["code"], json!(code), "{line}: {error}");
        assert_eq!(error["exit_code"], json!(exit), "{line}");
        assert!(error["message"].is_string() && error["errors"].is_array());
    }
}
