//! The action and the filter for fail2ban: a real fail2ban reads the log of a real PostgreSQL, and
//! attempts of those that it bans are dropped, through restarts of fail2ban and of the agent.
//!
//! `NETPOLICY_TEST_LONG=1` alone: it downloads Debian's fail2ban.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use netpolicy_tests::process::Process;
use netpolicy_tests::{DatabaseHost, Outcome, binary, debian, postgres};
use nix::sys::signal::Signal;
use serde_json::Value;

const PORT: u16 = postgres::PORT;
const ATTACKER: &str = "10.66.0.1";
const ATTACKER6: &str = "fd00:bad::1";
const FORGER: &str = "10.66.0.2";
const LATER: &str = "10.66.0.3";
const NEIGHBOUR: &str = "10.0.0.1";

/// Longer than fail2ban looks away.
const LIMIT: Duration = Duration::from_secs(30);

/// What the guide tells to set.
const PREFIX: &str = "log_line_prefix=%m [%p] %h ";

/// A host with PostgreSQL and fail2ban.
struct Guarded {
    fail2ban: Option<Process>,
    _server: Process,
    tree: PathBuf,
    host: DatabaseHost,
}

impl Guarded {
    fn new() -> Self {
        let host = DatabaseHost::start();
        let settings = [PREFIX, "lc_messages=C", "log_timezone=Europe/Berlin"];
        let server = postgres::start(&host, "scram-sha-256", &settings);
        host.ok(&format!("service add postgres --port {PORT}"));
        let mut guarded = Self {
            fail2ban: None,
            _server: server,
            tree: debian::unpacked("fail2ban"),
            host,
        };
        guarded.configure();
        guarded.start();
        guarded
    }

    /// Debian's configuration, with our files in it and a jail.
    fn configure(&self) {
        let host = &self.host;
        let config = host.file("fail2ban");
        debian::ok(
            Command::new("cp")
                .arg("-a")
                .arg(self.tree.join("etc/fail2ban"))
                .arg(&config),
        );
        fs::remove_file(config.join("jail.d/defaults-debian.conf")).unwrap();
        let contrib = binary::workspace().join("contrib/fail2ban");
        for file in [
            "action.d/netpolicy.conf",
            "filter.d/postgresql-netpolicy.conf",
        ] {
            fs::copy(contrib.join(file), config.join(file)).unwrap();
        }
        // As it is shown, with the paths and the times of this test.
        let example = fs::read_to_string(contrib.join("jail.d/netpolicy.conf.example")).unwrap();
        let log = host.file(postgres::LOG).display().to_string();
        let netpolicy = binary::netpolicy().display().to_string();
        let mut jail = example.replace("/var/log/postgresql/postgresql-*-main.log", &log);
        for (from, to) in [
            ("maxretry = 5", "maxretry = 2"),
            (
                "action = netpolicy\n",
                &format!("action = netpolicy[service=postgres, netpolicy=\"{netpolicy}\"]\n"),
            ),
        ] {
            assert!(jail.contains(from), "{from} is in the example");
            jail = jail.replacen(from, to, 1);
        }
        fs::write(config.join("jail.d/netpolicy.conf"), jail).unwrap();
        let own = |name: &str| host.file(name).display().to_string();
        let local = format!(
            "[Definition]\nlogtarget = {}\nsocket = {}\npidfile = {}\ndbfile = {}\n",
            own("fail2ban.log"),
            own("fail2ban.sock"),
            own("fail2ban.pid"),
            own("fail2ban.sqlite3")
        );
        fs::write(config.join("fail2ban.local"), local).unwrap();
    }

    /// A program of fail2ban's, with the environment by which netpolicy finds the agent.
    fn program(&self, name: &str) -> Command {
        let mut command = self.host.db().command("/usr/bin/python3");
        for (name, value) in self.host.command().get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
            .arg(self.tree.join("usr/bin").join(name))
            .arg("-c")
            .arg(self.host.file("fail2ban"))
            .env(
                "PYTHONPATH",
                self.tree.join("usr/lib/python3/dist-packages"),
            );
        command
    }

    fn start(&mut self) {
        let mut command = self.program("fail2ban-server");
        command.args(["-f", "-x"]);
        let server = Process::start(command, &self.host.file("fail2ban.out"));
        self.fail2ban = Some(server);
        self.wait("fail2ban answers", |guarded| {
            let ping = guarded.program("fail2ban-client").arg("ping").output();
            ping.unwrap().status.success()
        });
    }

    fn stop(&mut self) {
        let mut server = self.fail2ban.take().unwrap();
        server.signal(Signal::SIGTERM);
        server.wait(LIMIT);
    }

    fn client(&self, args: &[&str]) -> String {
        debian::ok(self.program("fail2ban-client").args(args))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.host.file("fail2ban.log")).unwrap_or_default()
    }

    /// Log-ins that fail: with the second of a source the jail is to ban it.
    fn fail(&self, source: &str, users: [&str; 2]) {
        for user in users {
            let mut psql = postgres::psql(&self.host, source, user);
            psql.env("PGPASSWORD", "wrong")
                .args(["-d", "postgres", "-c", "select 1"]);
            let output = psql.output().unwrap();
            let said = debian::text(&output);
            assert!(said.contains("authentication failed"), "{said}");
        }
    }

    #[track_caller]
    fn wait(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(begun.elapsed() < LIMIT, "{what}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The bans of a source.
    fn bans(&self, source: &str) -> Vec<Value> {
        let page = self.host.json(&format!("bans --covers {source}"));
        page["items"].as_array().cloned().unwrap_or_default()
    }

    #[track_caller]
    fn wait_for_ban(&self, source: &str) -> Value {
        self.wait(source, |guarded| !guarded.bans(source).is_empty());
        // It is listed a moment before it is in force.
        self.wait(source, |guarded| {
            guarded.host.connect_briefly(source, PORT) == Outcome::TimedOut
        });
        self.bans(source)[0].clone()
    }
}

#[test]
fn failed_log_ins_are_banned_through_restarts_of_fail2ban_and_of_the_agent() {
    if !debian::is_long() {
        println!("skipped: downloads fail2ban; NETPOLICY_TEST_LONG=1 runs it");
        return;
    }
    let mut guarded = Guarded::new();
    let all = [(ATTACKER, PORT), (ATTACKER6, PORT)];
    guarded.host.assert_connects(&all);
    let begun = jiff::Timestamp::now();
    for source in [ATTACKER, ATTACKER6] {
        guarded.fail(source, ["postgres"; 2]);
    }
    let banned = [ATTACKER, ATTACKER6].map(|source| guarded.wait_for_ban(source));
    guarded.host.assert_times_out(&all);
    // On the service alone.
    guarded
        .host
        .assert_connects(&[(ATTACKER, 8080), (NEIGHBOUR, PORT)]);
    for ban in &banned {
        assert_eq!(ban["by"], "fail2ban/postgresql-netpolicy", "{ban}");
        assert_eq!(ban["scope"], "postgres", "{ban}");
        let until: jiff::Timestamp = ban["until"].as_str().unwrap().parse().unwrap();
        let lasts = until.as_second() - begun.as_second();
        // Four hours from the failure, whatever the log's time zone.
        assert!((14_390..=14_460).contains(&lasts), "{lasts} s: {ban}");
    }

    // A client whose user name is a line of the log, about another one's address.
    let zone = "2026-11-30 16:30:00.000 UTC [77]";
    let forged = format!("x\n{zone} {NEIGHBOUR} FATAL:  ");
    let other = format!("x\n{zone} {NEIGHBOUR} x");
    guarded.fail(FORGER, [&forged, &other]);
    guarded.wait_for_ban(FORGER);
    assert_eq!(guarded.bans(NEIGHBOUR), Vec::<Value>::new());

    // fail2ban unbans when it stops, and bans again when it starts: until then, and no longer.
    guarded.stop();
    let count = guarded.host.json("bans --by fail2ban --count");
    assert_eq!(count["count"], 0, "{}", guarded.log());
    guarded.host.assert_connects(&all);
    std::thread::sleep(Duration::from_secs(3));
    guarded.start();
    for (source, before) in [ATTACKER, ATTACKER6].iter().zip(&banned) {
        let again = guarded.wait_for_ban(source);
        assert_eq!(again["until"], before["until"], "{again}");
    }
    guarded.host.assert_times_out(&all);

    // A ban while there is no agent is made when there is one.
    guarded.host.kill_agent();
    guarded.host.assert_times_out(&all);
    guarded.fail(LATER, ["postgres"; 2]);
    let ban = format!("Ban {LATER}");
    guarded.wait("fail2ban bans", |guarded| guarded.log().contains(&ban));
    std::thread::sleep(Duration::from_secs(2));
    guarded.host.start_agent();
    guarded.wait_for_ban(LATER);
    guarded
        .host
        .assert_times_out(&[(LATER, PORT), all[0], all[1]]);

    // Unbanning ends fail2ban's own ban, and none that another made of it.
    guarded.host.ok(&format!(
        "ban {ATTACKER6} --service postgres --for 7d --by analyst"
    ));
    let jail = "postgresql-netpolicy";
    for source in [ATTACKER, ATTACKER6] {
        guarded.client(&["set", jail, "unbanip", source]);
    }
    guarded.wait("it is unbanned", |guarded| {
        guarded.bans(ATTACKER).is_empty()
    });
    guarded.host.assert_connects(&[(ATTACKER, PORT)]);
    guarded.host.assert_times_out(&[(ATTACKER6, PORT)]);
    guarded.client(&["unban", "--all"]);
    guarded
        .host
        .assert_connects(&[(LATER, PORT), (FORGER, PORT)]);
    assert_eq!(guarded.bans(ATTACKER6)[0]["by"], "analyst");
}

#[test]
fn filter_reads_what_postgresql_refuses_and_nothing_that_a_client_writes() {
    if !debian::is_long() {
        println!("skipped: downloads fail2ban; NETPOLICY_TEST_LONG=1 runs it");
        return;
    }
    let tree = debian::unpacked("fail2ban");
    let contrib = binary::workspace().join("contrib/fail2ban");
    let dir = tempfile::tempdir().unwrap();
    let matched = |lines: &str| {
        let log = dir.path().join("postgresql.log");
        fs::write(&log, lines).unwrap();
        matches(
            &tree,
            &log,
            &contrib.join("filter.d/postgresql-netpolicy.conf"),
        )
    };
    for (at, said) in [
        (
            "UTC",
            "password authentication failed for user \"postgres\"",
        ),
        (
            "+08",
            "no pg_hba.conf entry for host \"203.0.113.5\", user \"x\", database \"y\", no encryption",
        ),
        (
            "CET",
            "no pg_hba.conf entry for replication connection from host \"203.0.113.5\", user \"x\", SSL off",
        ),
        (
            "UTC",
            "pg_hba.conf rejects connection for host \"203.0.113.5\", user \"x\", database \"y\", SSL on",
        ),
        ("UTC", "authentication failed for user \"x\": host rejected"),
        ("UTC", "connection requires a valid client certificate"),
        ("UTC", "role \"bob\" does not exist"),
    ] {
        for source in ["203.0.113.5", "2001:db8::5"] {
            let line = format!("2026-11-30 16:16:48.296 {at} [97] {source} FATAL:  {said}\n");
            assert_eq!(matched(&line), 1, "{line}");
        }
    }
    for line in [
        // The user name's second line, as PostgreSQL indents it.
        "\t2026-11-30 16:30:00.000 UTC [77] 203.0.113.1 FATAL:  password authentication failed for user \"x\"",
        "2026-11-30 16:30:00.000 UTC [77] 203.0.113.1 x@y FATAL:  password authentication failed for user \"x\"",
        "2026-11-30 16:30:00.000 UTC [77] [local] FATAL:  role \"bob\" does not exist",
        "2026-11-30 16:30:00.000 UTC [77] 203.0.113.1 FATAL:  database \"x\" does not exist",
        "2026-11-30 16:30:00.000 UTC [77] 203.0.113.1 ERROR:  relation \"x\" does not exist",
    ] {
        assert_eq!(matched(&format!("{line}\n")), 0, "{line}");
    }
}

/// How many lines of a log `fail2ban-regex` matches.
fn matches(tree: &Path, log: &Path, filter: &Path) -> u64 {
    let mut command = Command::new("/usr/bin/python3");
    command
        .arg(tree.join("usr/bin/fail2ban-regex"))
        .arg(log)
        .arg(filter)
        .env("PYTHONPATH", tree.join("usr/lib/python3/dist-packages"));
    let said = debian::text(&command.output().unwrap());
    let rest = said
        .split("ignored, ")
        .nth(1)
        .unwrap_or_else(|| panic!("{said}"));
    rest.split(' ').next().unwrap().parse().unwrap()
}
