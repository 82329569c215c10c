//! Named lists by real traffic: one list, many policies, by command, file and SQL.

use netpolicy_tests::DatabaseHost;
use netpolicy_tests::command::assert_has;
use serde_json::json;

const HOST_PORT: u16 = 8080;
const PG_PORT: u16 = 5432;

/// On the list from the start.
const BAD: &str = "10.66.0.1";
const BAD6: &str = "fd00:bad::1";
/// Put on it later.
const NEXT: &str = "10.77.0.1";
const OTHER: &str = "192.168.7.7";

#[test]
fn edit_of_a_list_changes_every_policy_that_refers_to_it_at_once() {
    let mut host = DatabaseHost::start();
    host.ok("service add postgres --port 5432");
    host.ok("list create bad-hosts 10.66.0.0/16,fd00:bad::/32 --comment feed");
    host.ok("policy create abuse --block @bad-hosts");
    host.ok("policy create dba --allow 10.0.0.0/8,fd00::/16 --block @BAD-HOSTS --service postgres");
    host.assert_times_out(&[
        (BAD, HOST_PORT),
        (BAD, PG_PORT),
        (BAD6, HOST_PORT),
        (BAD6, PG_PORT),
        (OTHER, PG_PORT),
    ]);
    host.assert_connects(&[(NEXT, HOST_PORT), (NEXT, PG_PORT), (OTHER, HOST_PORT)]);

    // One command, one revision and one generation: both policies follow.
    let before = host.json("status");
    let said = host.ok("list add bad-hosts 10.77.0.1 --dry-run");
    assert_has(
        &said,
        &[
            "list bad-hosts",
            "+ entry 10.77.0.1",
            "denied",
            "host",
            "postgres",
        ],
    );
    host.assert_connects(&[(NEXT, HOST_PORT)]);
    host.ok("list add bad-hosts 10.77.0.1");
    host.assert_times_out(&[(NEXT, HOST_PORT), (NEXT, PG_PORT)]);
    let after = host.json("status");
    let count = |status: &serde_json::Value| status["agent"]["revision"].as_u64();
    assert_eq!(count(&after), count(&before).map(|revision| revision + 1));

    let explained = host.json("explain 10.77.0.1 --port 5432");
    assert_eq!(explained["matched"]["policy"], json!("dba"));
    assert_eq!(explained["matched"]["named_list"], json!("bad-hosts"));
    assert_eq!(explained["agrees"], json!(true));
    assert_has(
        explained["sentence"].as_str().unwrap_or_default(),
        &["'10.77.0.1' of list @bad-hosts in policy 'dba' (netpolicy list add)"],
    );

    // An entry cannot lock the operator out unnoticed.
    let refused = host.line("list add bad-hosts 10.88.0.1 --from 10.88.0.1");
    assert_has(
        refused.failed(1),
        &["lock you out", "'10.88.0.1' of list @bad-hosts"],
    );

    // In use, it is not dropped, and what uses it is named.
    let refused = host.line("list drop bad-hosts");
    assert_has(refused.failed(1), &["in use by policies abuse, dba"]);

    // A new agent finds all of it in the store.
    host.kill_agent();
    host.start_agent();
    host.assert_times_out(&[(NEXT, HOST_PORT), (NEXT, PG_PORT)]);
    let list = host.json("list show bad-hosts");
    assert_eq!(list["policies"], json!(["abuse", "dba"]));
    assert_eq!(list["entry_count"], json!(3));
    host.ok("list remove bad-hosts 10.66.0.0/16 --yes");
    host.assert_connects(&[(BAD, HOST_PORT), (BAD, PG_PORT)]);
    let shown = host.ok("list show bad-hosts --covers 10.77.0.1");
    assert!(
        shown.contains("10.77.0.1") && !shown.contains("fd00:bad"),
        "{shown}"
    );
}

#[test]
fn policy_file_defines_lists_and_export_writes_them_back() {
    let host = DatabaseHost::start();
    host.write("bad.txt", "10.66.0.0/16\nfd00:bad::/32 # scanner\n");
    let file = "[[list]]
name = \"bad-hosts\"
comment = \"from the feed\"
file = \"bad.txt\"

[[list]]
name = \"offices\"
entries = [\"10.0.0.0/8\", { address = \"fd00::/16\", comment = \"all sites\" }]

[[policy]]
name = \"office\"
allow = [\"@offices\"]
block = [\"@bad-hosts\", \"10.77.0.1\"]
";
    host.write("policy.toml", file);
    host.ok("apply -f policy.toml");
    host.assert_times_out(&[
        (BAD, HOST_PORT),
        (BAD6, HOST_PORT),
        (NEXT, HOST_PORT),
        (OTHER, HOST_PORT),
    ]);
    host.assert_connects(&[("10.1.0.1", HOST_PORT), ("fd00::1", HOST_PORT)]);

    let exported = host.ok("export");
    assert_has(
        &exported,
        &[
            "[[list]]",
            "allow = [\"@offices\"]",
            "block = [\"@bad-hosts\", \"10.77.0.1\"]",
        ],
    );
    host.write("exported.toml", &exported);
    let _ = host.line("diff -f exported.toml --exit-code").ok();
    // A reference to what there is not is said with its place.
    host.write(
        "wrong.toml",
        file.replace("\"@bad-hosts\"", "\"@bad-host\""),
    );
    let said = host.line("apply -f wrong.toml");
    assert_has(
        said.failed(1),
        &[
            "wrong.toml:13:",
            "unknown list 'bad-host'; did you mean 'bad-hosts'?",
        ],
    );
    host.write("policy.toml", file.replace("10.77.0.1", "10.78.0.1"));
    let said = host.ok("apply -f policy.toml --yes");
    assert_has(&said, &["- block 10.77.0.1", "+ block 10.78.0.1"]);
    host.assert_connects(&[(NEXT, HOST_PORT)]);
    host.assert_times_out(&[(BAD, HOST_PORT)]);
}

#[test]
fn policies_by_network_rules_deny_and_admit() {
    let host = DatabaseHost::start();
    host.ok("service add postgres --port 5432");
    let script = "
        CREATE OR REPLACE NETWORK RULE sec.net.office TYPE = IPV4 MODE = INGRESS VALUE_LIST = ('10.0.0.0/8');
        CREATE NETWORK RULE sec.net.office6 TYPE = IPV6 MODE = INGRESS VALUE_LIST = ('fd00::/16');
        CREATE NETWORK RULE stolen TYPE = IPV4 MODE = INGRESS VALUE_LIST = ('10.66.0.1');
        CREATE NETWORK RULE vpce TYPE = AWSVPCEID MODE = INGRESS VALUE_LIST = ('vpce-0fa383eb170331202');
        CREATE NETWORK POLICY corp ALLOWED_NETWORK_RULE_LIST = ('sec.net.office', 'OFFICE6', 'vpce')
          BLOCKED_NETWORK_RULE_LIST = ('stolen');
        CREATE NETWORK POLICY dba ALLOWED_IP_LIST = ('10.66.0.0/16', '10.77.0.1')
          BLOCKED_NETWORK_RULE_LIST = ('stolen');
        ALTER ACCOUNT SET NETWORK_POLICY = corp;
        ALTER USER postgres SET NETWORK_POLICY = dba;";
    host.write("office.sql", script);
    host.ok("sql --dialect snowflake -f office.sql --yes");
    host.assert_connects(&[
        (NEXT, HOST_PORT),
        ("fd00::1", HOST_PORT),
        (NEXT, PG_PORT),
        ("10.66.0.2", PG_PORT),
    ]);
    host.assert_times_out(&[
        (BAD, HOST_PORT),
        (BAD, PG_PORT),
        (OTHER, HOST_PORT),
        ("fd77::1", HOST_PORT),
    ]);

    // An edit of the rule changes both policies; the native command sees the same list.
    let edit = "ALTER NETWORK RULE stolen SET VALUE_LIST = ('10.77.0.1', '10.66.0.2')";
    let sql = ["sql", "--dialect", "snowflake", "-e", edit, "--yes"];
    let _ = host.netpolicy(&sql).ok();
    host.assert_times_out(&[(NEXT, HOST_PORT), (NEXT, PG_PORT), ("10.66.0.2", PG_PORT)]);
    host.assert_connects(&[(BAD, HOST_PORT), (BAD, PG_PORT)]);
    host.ok("list add stolen 10.66.0.1");
    host.assert_times_out(&[(BAD, HOST_PORT), (BAD, PG_PORT)]);

    let lists = host.ok("list list");
    let words = [
        "IPV4 INGRESS",
        "CORP, DBA",
        "AWSVPCEID INGRESS: governs nothing here",
    ];
    assert_has(&lists, &words);
    // An export carries types and qualified names.
    let exported = host.ok("export");
    assert_has(
        &exported,
        &[
            "network_rule = { type = \"AWSVPCEID\", mode = \"INGRESS\", values = [\"vpce-0fa383eb170331202\"] }",
        ],
    );
    host.write("exported.toml", &exported);
    let _ = host.line("diff -f exported.toml --exit-code").ok();
}
