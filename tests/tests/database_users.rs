//! Policies of database users, with a real PostgreSQL, its helper and log-ins from namespaces.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use netpolicy_tests::DatabaseHost;
use netpolicy_tests::command::assert_has;
use netpolicy_tests::debian;
use netpolicy_tests::postgres::{self, PORT, as_postgres, psql};
use netpolicy_tests::process::Process;
use nix::sys::signal::Signal;

const HBA: &str = "local all all peer\nhost all all 0.0.0.0/0 trust\nhost all all ::/0 trust\n";
const ROLES: &str = "create role alice login; create role bob login; create role carol login; \
                     create role staff; grant staff to bob";
/// How long a helper may take for anything.
const LIMIT: Duration = Duration::from_secs(10);

/// A host with PostgreSQL, its helper, a service and a database.
struct Orders {
    host: DatabaseHost,
    bin: PathBuf,
    server: Option<Process>,
    helper: Option<Process>,
}

impl Orders {
    fn start(bin: &Path, hba: &str) -> Self {
        let host = DatabaseHost::start();
        postgres::make(bin, &host, hba);
        // A server does not start without a directory that its file includes.
        let included = host.file("pgdata/netpolicy.d");
        let mut made = as_postgres(&host, Path::new("mkdir"));
        let made = made.arg(included).status().expect("run mkdir");
        assert!(made.success());
        let mut orders = Self {
            host,
            bin: bin.to_owned(),
            server: None,
            helper: None,
        };
        orders.start_server();
        orders.sql(ROLES);
        orders
    }

    fn start_server(&mut self) {
        let sockets = format!(
            "unix_socket_directories={}",
            self.host.file("pgdata").display()
        );
        let _ = fs::remove_file(self.host.file(postgres::LOG));
        self.server = Some(postgres::run(&self.bin, &self.host, &[&sockets]));
    }

    fn stop_server(&mut self) {
        let mut server = self.server.take().expect("as the test makes it");
        server.signal(Signal::SIGINT);
        server.wait(LIMIT);
    }

    fn start_helper(&mut self) {
        let mut command = self.host.command_as("postgres", "postgres");
        command.args(["db", "run", "orders", "--check-every", "1s"]);
        self.helper = Some(Process::start(command, &self.host.file("helper.log")));
    }

    /// Runs SQL on the server itself.
    fn sql(&self, text: &str) -> String {
        let mut command = as_postgres(&self.host, Path::new("psql"));
        command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"]);
        command.arg("-h").arg(self.host.file("pgdata"));
        command.args(["-p", &PORT.to_string(), "-d", "postgres", "-c", text]);
        let out = command.output().expect("run psql");
        let error = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{error}");
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }

    fn log_in(&self, user: &str, source: &str) -> Output {
        psql(&self.host, source, user)
            .args(["-d", "postgres", "-c", "select 1"])
            .output()
            .expect("run psql")
    }

    #[track_caller]
    fn admits(&self, user: &str, source: &str) {
        let out = self.log_in(user, source);
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{user} from {source}: {said}");
    }

    #[track_caller]
    fn rejects(&self, user: &str, source: &str) {
        let out = self.log_in(user, source);
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(
            !out.status.success() && said.contains("pg_hba.conf rejects connection"),
            "{user} from {source}: {said}"
        );
    }

    #[track_caller]
    fn rejects_or_drops(&self, user: &str, source: &str) {
        let out = self.log_in(user, source);
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(!out.status.success(), "{user} from {source}: {said}");
    }

    /// The packet filter drops it.
    #[track_caller]
    fn drops(&self, user: &str, source: &str) {
        let out = self.log_in(user, source);
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(
            !out.status.success() && said.contains("timeout expired"),
            "{user} from {source}: {said}"
        );
    }

    fn apply(&self, policies: &str) {
        self.write(policies);
        self.host.ok("apply -f policy.toml --yes");
    }

    #[track_caller]
    fn refused(&self, policies: &str) -> String {
        self.write(policies);
        let out = self.host.line("apply -f policy.toml --yes");
        out.failed(1).to_owned()
    }

    fn write(&self, policies: &str) {
        let socket = self.host.file("pgdata");
        let text = format!(
            "[[service]]\nname = \"postgres\"\nports = [\"{PORT}\"]\n\n[[database]]\nname = \
             \"orders\"\nkind = \"postgresql\"\nservice = \"postgres\"\nsocket = \"{}\"\n{policies}",
            socket.display()
        );
        self.host.write("policy.toml", text);
    }

    #[track_caller]
    fn wait(&self, what: &str, is_so: impl Fn(&serde_json::Value) -> bool) {
        let begun = Instant::now();
        loop {
            let database = self.host.json("db list")[0].clone();
            if is_so(&database) {
                return;
            }
            let log = self.helper.as_ref().map(Process::log);
            assert!(begun.elapsed() < LIMIT, "{what}: {database:#}\n{log:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn hba(&self) -> String {
        fs::read_to_string(self.host.file("pgdata/pg_hba.conf")).expect("read a file")
    }
}

impl Drop for Orders {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            server.signal(Signal::SIGQUIT);
            server.wait(LIMIT);
        }
    }
}

fn policy(name: &str, allow: &str, bind: &str) -> String {
    format!("\n[[policy]]\nname = \"{name}\"\nallow = [\"{allow}\"]\nbind = [\"{bind}\"]\n")
}

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

    // Where the port would be open to all users, nothing is deferred.
    orders.stop_server();
    let out = orders
        .host
        .line("policy alter vpn_only --add-allow 192.168.9.0/24 --defer --yes");
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
            "192.168.9.0/24",
            "--yes",
        ]);
        let change = command.stderr(std::process::Stdio::null()).spawn();
        let mut change = change.expect("run a command");
        std::thread::sleep(Duration::from_millis(pause));
        orders.host.kill_agent();
        let _ = change.wait();
        orders.rejects_or_drops("carol", "192.168.9.9");
        orders.host.start_agent();
        orders.rejects_or_drops("carol", "192.168.9.9");
        orders.rejects("carol", "192.168.7.7");
        orders.wait("the helper is back", |database| {
            database["condition"] == "in-force"
        });
        let undo = "policy alter vpn_only --remove-allow 192.168.9.0/24 --yes";
        let _ = orders.host.line(undo);
    }
}
