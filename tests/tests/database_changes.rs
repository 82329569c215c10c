//! Changes of database users' policies while sessions are open, a helper is slow or an agent dies;
//! and a PgBouncer before the server.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use netpolicy_tests::command::assert_has;
use netpolicy_tests::orders::{HBA, LIMIT, Orders, policy};
use netpolicy_tests::postgres::{self, PORT, as_postgres, psql};
use netpolicy_tests::process::Process;
use nix::sys::signal::Signal;
use serde_json::Value;

/// Where the pooler listens: not one of the echo server's ports.
const POOLER: u16 = 6434;

fn in_force(database: &Value) -> bool {
    database["condition"] == "in-force"
}

/// An orders database whose helper is at work, with a service that allows 10.0.0.0/8.
fn at_work() -> (Orders, String) {
    let mut orders = Orders::start(&postgres::installation(), HBA);
    let office = policy("office", "10.0.0.0/8", "postgres");
    orders.host.ok("grant database --to user:postgres");
    orders.apply(&office);
    orders.start_helper();
    orders.wait("the helper reports", in_force);
    (orders, office)
}

fn session(orders: &Orders, user: &str, source: &str) -> Child {
    let mut psql = psql(&orders.host, source, user);
    psql.args(["-d", "postgres", "-c", "select pg_sleep(30)"]);
    let session = psql.stderr(Stdio::null()).spawn().expect("run psql");
    let count = format!("select count(*) from pg_stat_activity where usename = '{user}'");
    let begun = Instant::now();
    while orders.sql(&count) == "0" {
        assert!(begun.elapsed() < LIMIT, "{user} has no session");
    }
    session
}

#[test]
fn change_says_which_sessions_it_would_end_and_ends_them() {
    let (orders, office) = at_work();
    let mut open = session(&orders, "carol", "10.9.0.1");
    let lab = policy("lab", "10.4.0.0/16", "user:carol@orders");
    let typo = policy("typo", "10.3.0.0/16", "user:Alice@orders");
    let tried = |policies: &str| {
        orders.write(policies);
        let tried = orders
            .host
            .json("apply -f policy.toml --dry-run --existing cut --yes");
        tried["databases"][0].clone()
    };
    let found = tried(&format!("{office}{lab}"));
    let expected = serde_json::json!([{"user": "carol", "source": "10.9.0.1", "count": 1}]);
    assert_eq!(found["sessions"], expected, "{found:#}");
    assert_eq!(found["ended"], Value::Null, "{found:#}");
    let found = tried(&format!("{office}{typo}"));
    let problem = found["problem"].as_str().unwrap_or_default();
    assert_has(problem, &["there is no role \"Alice\""]);
    assert_eq!(orders.hba(), HBA, "a dry run changes nothing");

    orders.write(&format!("{office}{lab}"));
    let said = orders.host.line("apply -f policy.toml --dry-run --yes");
    assert_has(
        said.ok(),
        &[
            "would reject 1 session in database orders",
            "--existing cut",
            "carol from 10.9.0.1",
        ],
    );
    let refused = orders.host.line("apply -f policy.toml --strict --yes");
    assert_has(refused.failed(1), &["would deny", "10.9.0.1"]);
    assert_eq!(orders.hba(), HBA, "a refused change changes nothing");

    let made = orders
        .host
        .json("apply -f policy.toml --existing cut --yes");
    assert_eq!(made["databases"][0]["ended"], 1, "{made:#}");
    assert!(!open.wait().expect("wait for psql").success());
    orders.rejects("carol", "10.9.0.1");

    // Who looks at the host is told, and who asks about an address.
    let report = orders
        .host
        .netpolicy(&["doctor", "--output", "json"])
        .stdout;
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let lines = report["lines"].as_array().expect("lines");
    let line = lines.iter().find(|line| line["check"] == "database orders");
    let line = line.expect("a line for the database");
    assert_eq!(line["health"], "ok", "{line}");
    assert_has(&line["found"].to_string(), &["PostgreSQL 15", "version 16"]);
    let asked = |source: &str| {
        let asked = format!("explain {source} --service postgres --user carol");
        orders.host.json(&asked)["by_database"].clone()
    };
    let outside = asked("203.0.113.5");
    assert_eq!(outside["arrives"], false, "{outside:#}");
    assert_eq!(outside["agrees"], true, "{outside:#}");
    orders
        .host
        .ok("bypass grant 203.0.113.5 --service postgres");
    let bypassed = asked("203.0.113.5");
    assert!(
        bypassed["address_bypassed_until"].is_string(),
        "{bypassed:#}"
    );
    assert_eq!(bypassed["agrees"], true, "{bypassed:#}");
    assert_has(
        &bypassed["sentence"].to_string(),
        &["bypass of the address"],
    );
}

#[test]
fn change_that_waits_for_a_database_keeps_no_other_request_waiting() {
    let (mut orders, office) = at_work();
    let helper = |orders: &Orders, signal| {
        orders.helper.as_ref().expect("a helper").signal(signal);
    };
    let lab = policy("lab", "10.4.0.0/16", "user:carol@orders");
    orders.write(&format!("{office}{lab}"));
    helper(&orders, Signal::SIGSTOP);
    let mut command = orders.host.command();
    command
        .args(["apply", "-f"])
        .arg(orders.host.file("policy.toml"));
    command.arg("--yes").stdout(Stdio::null());
    let mut waiting = command.spawn().expect("run a command");
    // The change is in hand once its lines are ordered.
    let begun = Instant::now();
    while orders.host.json("db list")[0]["condition"] != "waiting" {
        assert!(begun.elapsed() < LIMIT, "nothing is ordered");
    }
    let begun = Instant::now();
    orders.host.ok("ban 203.0.113.66");
    orders
        .host
        .ok("policy create other --block 203.0.113.0/24 --inactive");
    let _ = orders.host.json("explain 10.4.0.1 --service postgres");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(3), "others waited {took:?}");
    let ended = waiting.try_wait().expect("look at a command");
    assert!(ended.is_none(), "the change waits");
    assert!(orders.hba() == HBA, "nothing is carried in");
    helper(&orders, Signal::SIGCONT);
    assert!(waiting.wait().expect("wait for a command").success());
    orders.rejects("carol", "10.9.0.1");

    // Killed when the lines are in the file and the packet filter is not wider yet, or just is.
    let wider = office.replace("[\"10.0.0.0/8\"]", "[\"10.0.0.0/8\", \"192.168.7.0/24\"]");
    orders.write(&format!("{wider}{lab}"));
    let before = orders.hba();
    let mut command = orders.host.command();
    command
        .args(["apply", "-f"])
        .arg(orders.host.file("policy.toml"));
    command
        .arg("--yes")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut change = command.spawn().expect("run a command");
    let begun = Instant::now();
    while orders.hba() == before {
        assert!(begun.elapsed() < LIMIT, "no line is carried in");
    }
    orders.host.kill_agent();
    let _ = change.wait();
    orders.rejects_or_drops("carol", "192.168.7.7");
    orders.host.start_agent();
    orders.wait("the helper is back", in_force);
    orders.rejects_or_drops("carol", "192.168.7.7");
    orders.rejects("carol", "10.9.0.1");
}

#[test]
fn pooler_keeps_users_out_by_its_own_file() {
    let mut orders = Orders::start(&postgres::installation(), HBA);
    let host = &orders.host;
    let dir = host.file("pgdata");
    let hba = dir.join("pooler_hba.conf");
    const OPEN: &str = "host all all 0.0.0.0/0 trust\nhost all all ::/0 trust\n";
    let put = |name: &str, text: &str| {
        let path = dir.join(name);
        fs::write(&path, text).expect("write a file");
        let mut owned = std::process::Command::new("chown");
        let owned = owned.arg("postgres:postgres").arg(&path).status();
        assert!(owned.expect("run chown").success());
    };
    let shown = dir.display();
    let settings = |method: &str| {
        format!(
            "[databases]\npostgres = host=127.0.0.1 port={PORT}\n[pgbouncer]\nlisten_addr = *\n\
             listen_port = {POOLER}\nunix_socket_dir = {shown}\nauth_type = {method}\n\
             auth_hba_file = {shown}/pooler_hba.conf\nauth_file = {shown}/users.txt\n\
             ignore_startup_parameters = extra_float_digits\n"
        )
    };
    put("pooler_hba.conf", OPEN);
    put("users.txt", "\"alice\" \"\"\n\"carol\" \"\"\n");
    put("pooler.ini", &settings("hba"));
    let mut pooler = as_postgres(host, Path::new("pgbouncer"));
    pooler.arg(dir.join("pooler.ini"));
    let pooler = Process::start(pooler, &host.file("pooler.log"));
    let begun = Instant::now();
    while !pooler.log().contains("process up") {
        assert!(begun.elapsed() < LIMIT, "{}", pooler.log());
        std::thread::sleep(Duration::from_millis(20));
    }

    let file = |policies: &str| {
        let text = format!(
            "[[service]]\nname = \"pooler\"\nports = [\"{POOLER}\"]\n\n[[database]]\nname = \
             \"pool\"\nkind = \"pgbouncer\"\nservice = \"pooler\"\nsocket = \"{shown}\"\n{policies}"
        );
        host.write("policy.toml", text);
    };
    let office = policy("office", "10.0.0.0/8", "pooler");
    host.ok("grant database --to user:postgres");
    file(&office);
    host.ok("apply -f policy.toml --yes");
    let mut helper = host.command_as("postgres", "postgres");
    helper.args(["db", "run", "pool", "--check-every", "1s"]);
    let helper = Process::start(helper, &host.file("helper.log"));
    let begun = Instant::now();
    while !in_force(&host.json("db list")[0]) {
        assert!(begun.elapsed() < LIMIT, "{}", helper.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    let log_in = |user: &str, source: &str| {
        let mut psql = psql(host, source, user);
        psql.args(["-p", &POOLER.to_string(), "-d", "postgres"]);
        psql.args(["-c", "select host(inet_client_addr())"]);
        psql.output().expect("run psql")
    };
    let read = || fs::read_to_string(&hba).expect("read a file");
    let seen = log_in("alice", "10.9.0.1");
    assert_eq!(
        seen.stdout, b"127.0.0.1\n",
        "the client that the server sees: {seen:?}"
    );

    let desk = policy("desk", "10.1.0.0/16", "user:alice@pool");
    file(&format!("{office}{desk}"));
    host.ok("apply -f policy.toml --yes");
    assert!(log_in("alice", "10.1.0.1").status.success());
    let kept_out = log_in("alice", "10.9.0.1");
    let said = String::from_utf8_lossy(&kept_out.stderr).into_owned();
    assert!(
        !kept_out.status.success() && !said.contains("timeout"),
        "{said}"
    );
    assert!(log_in("carol", "10.9.0.1").status.success());
    let log = pooler.log();
    assert!(!log.contains("could not parse hba config"), "{log}");
    let file_now = read();
    assert!(file_now.ends_with(OPEN), "{file_now}");
    assert!(!file_now.contains("replication"), "{file_now}");

    // What its file cannot say.
    let refused = |more: &str| {
        file(&format!("{office}{desk}{more}"));
        host.line("apply -f policy.toml --yes").failed(1).to_owned()
    };
    let role = refused(&policy("ops", "10.2.0.0/16", "role:staff@pool"));
    assert_has(&role, &["has no roles"]);
    let wide = refused(&policy("vpn", "192.168.7.0/24", "user:carol@pool"));
    assert_has(&wide, &["policy 'vpn'", "PgBouncer", "all but"]);
    assert_eq!(read(), file_now);

    // A pooler that does not read the file takes nothing, and a changed file is put right.
    fs::write(&hba, OPEN).expect("write a file");
    let begun = Instant::now();
    while read() != file_now {
        assert!(begun.elapsed() < LIMIT, "{}", helper.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    put("pooler.ini", &settings("trust"));
    let told = refused(&policy("lab", "10.4.0.0/16", "user:carol@pool"));
    assert_has(&told, &["auth_type is \"trust\"", "auth_hba_file"]);
    drop(helper);
    drop(pooler);
    orders.stop_server();
}
