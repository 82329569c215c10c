//! Policies of database users, with a real PostgreSQL, its helper and log-ins from namespaces.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use netpolicy_tests::command::assert_has;
use netpolicy_tests::debian;
use netpolicy_tests::orders::{HBA, LIMIT, Orders, policy};
use netpolicy_tests::postgres::{self, psql};
use netpolicy_tests::process::Process;

#[test]
fn policies_of_users_and_roles_narrow_what_the_service_allows() {
    let mut orders = Orders::start(&postgres::installation(), HBA);
    let office = policy("office", "10.0.0.0/8", "postgres");
    let desk = policy("desk", "10.1.0.0/16", "user:alice@orders");
    let ops = policy("ops", "10.2.0.0/16", "role:staff@orders");
    let all = format!("{office}{desk}{ops}");

    // Without the process that carries lines in, nothing changes.
    let refused = orders.refused(&all);
    assert_has(
        &refused,
        &["no helper runs for database 'orders'", "netpolicy-db@"],
    );
    assert!(
        orders
            .host
            .json("service list")
            .as_array()
            .is_some_and(Vec::is_empty)
    );

    orders.apply(&office);
    orders.start_helper();
    let begun = Instant::now();
    let log = |orders: &Orders| orders.helper.as_ref().map(Process::log).unwrap_or_default();
    while !log(&orders).contains("netpolicy grant database") {
        assert!(begun.elapsed() < LIMIT, "{}", log(&orders));
        std::thread::sleep(Duration::from_millis(50));
    }
    orders.host.ok("grant database --to user:postgres");
    orders.wait("the helper reports", |database| {
        database["condition"] == "in-force"
    });
    assert_eq!(
        orders.hba(),
        HBA,
        "a database without policies keeps its file"
    );

    orders.apply(&all);
    orders.admits("alice", "10.1.0.1");
    orders.rejects("alice", "10.9.0.1");
    orders.admits("carol", "10.9.0.1");
    orders.admits("bob", "10.2.0.1");
    orders.rejects("bob", "10.1.0.1");
    orders.drops("carol", "192.168.7.7");
    let hba = orders.hba();
    assert!(
        hba.starts_with("# netpolicy: begin") && hba.ends_with(HBA),
        "{hba}"
    );

    // What the database does not take changes nothing.
    let before = orders.hba();
    let typo = policy("typo", "10.3.0.0/16", "user:Alice@orders");
    let refused = orders.refused(&format!("{all}{typo}"));
    assert_has(&refused, &["there is no role \"Alice\"", "know case"]);
    let wide = policy("vpn", "192.168.7.0/24", "user:carol@orders");
    let refused = orders.refused(&format!("{all}{wide}"));
    assert_has(&refused, &["policy 'vpn'", "version 16"]);
    assert_eq!(orders.hba(), before);

    // A file that another process changed is put right.
    orders.wait("the lines before are ordered again", |database| {
        database["condition"] == "in-force"
    });
    fs::write(orders.host.file("pgdata/pg_hba.conf"), HBA).expect("write a file");
    orders.wait("the file is repaired", |_| orders.hba() == before);
    let faults = |orders: &Orders| orders.host.status()["faults"].to_string();
    let begun = Instant::now();
    while !faults(&orders).contains("drift of database 'orders'") {
        assert!(begun.elapsed() < LIMIT, "{}", faults(&orders));
        std::thread::sleep(Duration::from_millis(50));
    }

    // A bypass takes the lines of one user out.
    orders.host.ok("db bypass user:alice@orders --minutes 5");
    orders.wait("the bypass is in force", |_| {
        !orders.hba().contains("alice")
    });
    orders.admits("alice", "10.9.0.1");
    orders.rejects("bob", "10.1.0.1");
    orders.host.ok("db bypass user:alice@orders --minutes 0");
    orders.rejects("alice", "10.9.0.1");

    // A server that is down: refused, or deferred where nothing opens.
    orders.stop_server();
    let narrower = format!("{all}{}", policy("lab", "10.4.0.0/16", "user:carol@orders"));
    let refused = orders.refused(&narrower);
    assert_has(&refused, &["does not answer", "--defer"]);
    let said = orders.host.line("apply -f policy.toml --yes --defer");
    assert!(!said.ok().is_empty());
    assert_has(
        &format!("{}{}", said.stdout, said.stderr),
        &["hold as soon as it is told"],
    );
    orders.start_server();
    orders.wait("what was deferred is in force", |database| {
        database["condition"] == "in-force"
    });
    orders.rejects("carol", "10.9.0.1");
    orders.admits("carol", "10.4.0.1");

    orders.apply(&office);
    orders.wait("the lines are gone", |_| orders.hba() == HBA);
    orders.admits("alice", "10.9.0.1");
}

/// From PostgreSQL 16 on, of which Debian 12 has none.
#[test]
fn wider_policy_of_a_user_lets_that_user_alone_in() {
    if !debian::is_long() {
        return;
    }
    let scratch = tempfile::tempdir().expect("make a directory");
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(scratch.path(), open).expect("open a directory");
    let bin = postgres::newer(scratch.path());
    let hba = format!("include_dir netpolicy.d\n{HBA}");
    let mut orders = Orders::start(&bin, &hba);
    orders.host.ok("grant database --to user:postgres");
    orders.start_helper();
    let sql = |text: &str| {
        let out = orders
            .host
            .netpolicy(&["sql", "--dialect", "snowflake", "--yes", "-e", text]);
        out.ok().to_owned()
    };
    orders.apply("");
    orders.wait("the helper reports", |database| {
        database["condition"] == "in-force"
    });
    sql("CREATE NETWORK POLICY corp ALLOWED_IP_LIST=('10.0.0.0/8');
         CREATE NETWORK POLICY vpn_only ALLOWED_IP_LIST=('192.168.7.0/24');
         ALTER ACCOUNT SET NETWORK_POLICY = corp");
    sql("ALTER USER alice SET NETWORK_POLICY = vpn_only");
    orders.admits("alice", "192.168.7.7");
    orders.rejects("alice", "10.1.0.1");
    orders.rejects("carol", "192.168.7.7");
    orders.admits("carol", "10.1.0.1");
    orders.drops("carol", "192.168.9.9");
    assert!(orders.hba() == hba, "the lines are in a file of their own");

    // Both are asked: the loaded program, and the rules that the server was seen to have.
    let explain = |user: &str| {
        let asked = format!("explain 192.168.7.7 --service postgres --user {user}");
        orders.host.json(&asked)
    };
    let (alice, carol) = (explain("alice"), explain("carol"));
    for verdict in [&alice, &carol] {
        assert_eq!(verdict["agrees"], true, "{verdict:#}");
        assert_eq!(verdict["by_database"]["agrees"], true, "{verdict:#}");
    }
    assert_eq!(alice["by_database"]["line"], serde_json::Value::Null);
    let line = carol["by_database"]["line"].as_str().unwrap_or_default();
    assert!(line.contains("(?!(?:alice)$)"), "{carol:#}");

    // A session that a statement of Snowflake's denies is ended.
    let session = psql(&orders.host, "10.1.0.1", "carol")
        .args(["-d", "postgres", "-c", "select pg_sleep(20)"])
        .spawn();
    let mut session = session.expect("run psql");
    let count = "select count(*) from pg_stat_activity where usename = 'carol'";
    let begun = Instant::now();
    while orders.sql(count) != "1" {
        assert!(begun.elapsed() < LIMIT, "carol has a session");
    }
    sql("CREATE NETWORK POLICY lab ALLOWED_IP_LIST=('10.4.0.0/16');
         ALTER USER carol SET NETWORK_POLICY = lab");
    let begun = Instant::now();
    while orders.sql(count) != "0" {
        assert!(begun.elapsed() < LIMIT, "carol's session lives on");
    }
    let ended = session.wait().expect("wait for psql");
    assert!(!ended.success());

    // Where the port would be open to all users, nothing is deferred:
    // the lines that there are do not reach so far.
    orders.stop_server();
    let out = orders
        .host
        .line("policy alter vpn_only --add-allow 100.64.0.0/10 --defer --yes");
    assert_has(out.failed(1), &["does not answer"]);
    orders.start_server();
    orders.wait("the database answers", |database| {
        database["condition"] == "in-force"
    });

    // An agent that is killed while a change waits for the database leaves the stricter side.
    for pause in [0, 5, 20, 60] {
        let mut command = orders.host.command();
        command.args([
            "policy",
            "alter",
            "vpn_only",
            "--add-allow",
            "100.64.0.0/10",
            "--yes",
        ]);
        let change = command.stderr(std::process::Stdio::null()).spawn();
        let mut change = change.expect("run a command");
        std::thread::sleep(Duration::from_millis(pause));
        orders.host.kill_agent();
        let _ = change.wait();
        orders.rejects_or_drops("carol", "100.64.9.9");
        orders.host.start_agent();
        orders.rejects_or_drops("carol", "100.64.9.9");
        orders.rejects("carol", "192.168.7.7");
        orders.wait("the helper is back", |database| {
            database["condition"] == "in-force"
        });
        let undo = "policy alter vpn_only --remove-allow 100.64.0.0/10 --yes";
        let _ = orders.host.line(undo);
    }
}

/// The helper has a clock of its own.
#[test]
fn bypass_of_a_user_ends_although_the_agent_was_killed() {
    if !debian::is_long() {
        return;
    }
    let mut orders = Orders::start(&postgres::installation(), HBA);
    orders.host.ok("grant database --to user:postgres");
    let office = policy("office", "10.0.0.0/8", "postgres");
    let desk = policy("desk", "10.1.0.0/16", "user:alice@orders");
    orders.apply(&office);
    orders.start_helper();
    orders.wait("the helper reports", |database| {
        database["condition"] == "in-force"
    });
    orders.apply(&format!("{office}{desk}"));
    let before = orders.hba();
    orders.host.ok("db bypass user:alice@orders --minutes 1");
    let begun = Instant::now();
    orders.wait("the bypass is in force", |_| orders.hba() == HBA);
    orders.host.kill_agent();
    orders.admits("alice", "10.9.0.1");
    while orders.hba() != before {
        assert!(
            begun.elapsed() < Duration::from_secs(75),
            "{}",
            orders.hba()
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(begun.elapsed() > Duration::from_secs(55));
    orders.rejects("alice", "10.9.0.1");
    orders.host.start_agent();
    orders.wait("the helper is back", |database| {
        database["condition"] == "in-force"
    });
    let faults = orders.host.status()["faults"].to_string();
    assert!(!faults.contains("drift"), "{faults}");
}
