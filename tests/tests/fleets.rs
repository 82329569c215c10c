//! A fleet from end to end: etcd, an operator's commands, the fleet process of a host, and its agent,
//! which enforces what was pushed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "fleets/eight.rs"]
mod eight;

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use netpolicy_tests::command::assert_has;
use netpolicy_tests::process::Process;
use netpolicy_tests::{DatabaseHost, binary};
use serde_json::Value;

const PORT: u16 = 5432;
const OFFICE: &str = "10.1.0.1";
const BRANCH: &str = "10.2.0.1";

/// Longer than anything takes here.
const LIMIT: Duration = Duration::from_secs(40);

/// A host in a fleet of its own.
struct FleetHost {
    host: DatabaseHost,
    etcd: Process,
    process: Process,
}

/// A policy file by which a service admits one network alone.
fn admitting(net: &str) -> String {
    format!(
        "[[service]]\nname = \"postgres\"\nports = [\"5432\"]\n\
         [[policy]]\nname = \"office\"\nallow = [\"{net}\"]\nbind = [\"postgres\"]\n"
    )
}

impl FleetHost {
    /// etcd, a fleet with one host, and its process; nothing is pushed yet.
    fn start() -> Self {
        let host = DatabaseHost::without_agent();
        let (etcd, common) = made(&host);
        let (host, process) = joined(host, "db-1", &common);
        Self {
            host,
            etcd,
            process,
        }
    }

    /// Runs a command of an operator; what it prints.
    fn operator(&self, args: &[&str]) -> String {
        run(&self.host.file("operator.toml"), args)
    }

    /// Pushes a policy file, and lets the host take it.
    fn push(&self, policy: &str) {
        self.host.write("policy.toml", policy);
        let file = self.host.file("policy.toml");
        self.operator(&["push", "--at-once", "-f", file.to_str().unwrap()]);
    }

    /// Waits until the agent says this of its fleet.
    fn wait(&mut self, what: &str, is_so: impl Fn(&Value) -> bool) {
        let deadline = Instant::now() + LIMIT;
        loop {
            let status = self.host.status();
            let fleet = &status["agent"]["fleet"];
            if is_so(fleet) {
                return;
            }
            let log = self.process.log();
            assert!(Instant::now() < deadline, "not {what}: {fleet:#}\n{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the operator's status says these words.
    fn wait_for_words(&self, words: &[&str]) {
        let deadline = Instant::now() + LIMIT;
        loop {
            let status = self.operator(&["status"]);
            if words.iter().all(|word| status.contains(word)) {
                return;
            }
            assert!(Instant::now() < deadline, "not {words:?}: {status}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn wait_for_revision(&mut self, revision: u64) {
        self.wait("confirmed", |fleet| {
            fleet["at"]["revision"] == revision && fleet["confirmed"] == true
        });
    }
}

/// etcd and a fleet, with an operator's settings in this host's directory; what settings of all
/// have in common.
fn made(host: &DatabaseHost) -> (Process, String) {
    fs::set_permissions(host.file(""), Permissions::from_mode(0o755)).unwrap();
    let (etcd, url) = etcd(host);
    let (keys, key) = (host.file("keys"), host.file("operator.key"));
    let common = format!("fleet = \"prod\"\nendpoints = [\"{url}\"]\nkeys = {keys:?}\n");
    host.write("operator.toml", format!("{common}secret_key = {key:?}\n"));
    let settings = host.file("operator.toml");
    run(
        &settings,
        &["init", "--without-password", "--without-roles"],
    );
    (etcd, common)
}

/// A host that joined a fleet, with its agent, and the process that follows the fleet.
fn joined(mut host: DatabaseHost, name: &str, common: &str) -> (DatabaseHost, Process) {
    fs::set_permissions(host.file(""), Permissions::from_mode(0o755)).unwrap();
    let socket = host.socket();
    let settings = format!("{common}host = \"{name}\"\nsocket = {socket:?}\n");
    host.write("fleet.toml", settings);
    let config = fs::read_to_string(host.file("config.toml")).unwrap();
    let file = host.file("fleet.toml");
    host.write("config.toml", format!("fleet_file = {file:?}\n{config}"));
    let keys = common.lines().find_map(|line| line.strip_prefix("keys = "));
    let operator = Path::new(keys.unwrap().trim_matches('"')).with_file_name("operator.toml");
    run(&operator, &["join", name, "--without-roles"]);
    host.start_agent();
    host.ok("grant fleet --to user:nobody");
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]);
    command.arg("--").arg(binary::netpolicy_net());
    command.args(["fleet", "run", "--settings"]).arg(&file);
    let process = Process::start(command, &host.file("fleet.log"));
    (host, process)
}

/// A command of `netpolicy-net fleet` with these settings.
fn fleet(settings: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(binary::netpolicy_net());
    command.arg("fleet").args(args);
    command.env("NETPOLICY_FLEET_SETTINGS", settings);
    command.env_remove("NETPOLICY_SOCKET");
    command
}

fn run(settings: &Path, args: &[&str]) -> String {
    let out = fleet(settings, args).output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    let failed = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{args:?}: {said}{failed}");
    said
}

/// One member on loopback, and its URL.
fn etcd(host: &DatabaseHost) -> (Process, String) {
    // A port that was free when it was drawn may be another's by now.
    let mut tries = (0..5).filter_map(|number| member(host, number));
    tries.next().unwrap()
}

/// The same; `None`: another process has one of its ports.
fn member(host: &DatabaseHost, number: u32) -> Option<(Process, String)> {
    // Held until both are drawn, so that none is drawn twice.
    let free = [(); 2].map(|()| TcpListener::bind(("127.0.0.1", 0)).unwrap());
    let urls = free.map(|free| format!("http://{}", free.local_addr().unwrap()));
    let [client, peer] = &urls;
    let mut command = Command::new("etcd");
    command.args(["--name", "m0", "--log-level", "error"]);
    command.args(["--listen-client-urls", client]);
    command.args(["--advertise-client-urls", client]);
    command.args(["--listen-peer-urls", peer]);
    command.args(["--initial-advertise-peer-urls", peer]);
    command.args(["--initial-cluster", &format!("m0={peer}")]);
    let directory = host.file(&format!("etcd-{number}"));
    command.arg("--data-dir").arg(directory);
    let process = Process::start(command, &host.file(&format!("etcd-{number}.log")));
    let address = client.trim_start_matches("http://");
    let deadline = Instant::now() + LIMIT;
    loop {
        let is_there = std::net::TcpStream::connect(address).is_ok();
        let log = process.log();
        if log.contains("address already in use") {
            return None;
        }
        if is_there {
            return Some((process, client.clone()));
        }
        assert!(Instant::now() < deadline, "{log}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn pushed_revision_is_enforced_and_one_that_denies_who_must_be_admitted_is_rolled_back() {
    let mut fleet = FleetHost::start();
    fleet.push(&admitting("10.1.0.0/16"));
    fleet.wait_for_revision(1);
    fleet.host.assert_connects(&[(OFFICE, PORT)]);
    fleet.host.assert_times_out(&[(BRANCH, PORT)]);

    // A roll-out in stages, which ends when the host has it.
    fleet.host.write("policy.toml", admitting("10.0.0.0/8"));
    let file = fleet.host.file("policy.toml");
    fleet.operator(&["push", "-f", file.to_str().unwrap()]);
    fleet.operator(&["rollout", "default", "--stages", "1,100", "--soak", "0s"]);
    fleet.wait_for_revision(2);
    fleet
        .host
        .assert_connects(&[(OFFICE, PORT), (BRANCH, PORT)]);

    // The agent itself refuses a revision that denies who must be admitted.
    let office = format!("{OFFICE}:{PORT}");
    fleet.operator(&["groups", "set", "default", "--must-admit", &office]);
    fleet.push(&admitting("10.2.0.0/16"));
    fleet.wait_for_words(&["db-1", "must admit"]);
    fleet
        .host
        .assert_connects(&[(OFFICE, PORT), (BRANCH, PORT)]);

    // What is right again is taken.
    fleet.push(&admitting("10.1.0.0/16"));
    fleet.wait_for_revision(4);
    fleet.host.assert_times_out(&[(BRANCH, PORT)]);
}

#[test]
fn local_change_lasts_until_the_next_revision_and_enforcement_needs_neither_etcd_nor_process() {
    let mut fleet = FleetHost::start();
    fleet.push(&admitting("10.1.0.0/16"));
    fleet.wait_for_revision(1);
    let alter = "policy alter office --add-allow 10.2.0.0/16 --yes";
    let refused = fleet.host.line(alter);
    assert_has(refused.failed(1), &["fleet prod", "--local-override"]);
    fleet.host.ok(&format!("{alter} --local-override"));
    fleet.host.assert_connects(&[(BRANCH, PORT)]);
    fleet.push(&admitting("10.3.0.0/16"));
    fleet.wait_for_revision(2);
    fleet
        .host
        .assert_times_out(&[(BRANCH, PORT), (OFFICE, PORT)]);

    fleet.process.kill();
    fleet.etcd.kill();
    fleet.host.kill_agent();
    fleet.host.assert_times_out(&[(OFFICE, PORT)]);
    fleet.host.start_agent();
    fleet.wait_for_revision(2);
    fleet.host.assert_times_out(&[(OFFICE, PORT)]);
}

/// A host that has a service only later, which a policy of the fleet is bound to.
#[test]
fn policy_is_bound_once_the_host_has_the_service() {
    if !netpolicy_tests::debian::is_long() {
        return;
    }
    let mut fleet = FleetHost::start();
    fleet.host.write("policy.toml", admitting("10.1.0.0/16"));
    let file = fleet.host.file("policy.toml");
    let file = file.to_str().unwrap();
    fleet.operator(&["push", "--at-once", "--without-services", "-f", file]);
    fleet.wait_for_revision(1);
    fleet.wait_for_words(&["db-1", "not bound to service 'postgres'"]);
    fleet.host.assert_connects(&[(BRANCH, PORT)]);
    fleet.host.ok("service add postgres --port 5432");
    // The next look at the agent, and its confirmation.
    fleet.wait("complete", |fleet| {
        fleet["faults"].as_array().unwrap().is_empty() && fleet["confirmed"] == true
    });
    fleet.host.assert_times_out(&[(BRANCH, PORT)]);
    fleet.host.assert_connects(&[(OFFICE, PORT)]);
}
