//! A fleet in a directory: etcd, an operator, hosts with their processes.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use minisign::KeyPair;
use netpolicy_fleet::{Keyring, Record, open, seal, unsigned};
use serde_json::Value;

use super::agents::Agents;
use super::cluster::{Cluster, Running, Setup};

/// Longer than anything takes here.
const LIMIT: Duration = Duration::from_secs(40);

/// The fleet's name.
pub(crate) const FLEET: &str = "prod";

/// A fleet.
pub(crate) struct Fleet {
    pub(crate) dir: PathBuf,
    pub(crate) hosts: Vec<String>,
    processes: Vec<Option<Running>>,
    pub(crate) agents: Agents,
    pub(crate) etcd: Cluster,
    _temporary: tempfile::TempDir,
}

/// The binary under test: the one that `NETPOLICY_NET_BIN` names, else this build's.
fn binary() -> PathBuf {
    let named = std::env::var_os("NETPOLICY_NET_BIN");
    named.map_or_else(|| env!("CARGO_BIN_EXE_netpolicy-net").into(), PathBuf::from)
}

/// Runs `netpolicy-net fleet` with an operator's settings.
pub(crate) fn command(settings: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.arg("fleet").args(args);
    command.env("NETPOLICY_FLEET_SETTINGS", settings);
    command.env_remove("NETPOLICY_SOCKET");
    command
}

/// What a command printed, both streams.
pub(crate) fn said(out: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&out.stdout) + &text(&out.stderr)
}

/// A policy file that blocks so many hosts in one list, and one more.
pub(crate) fn policy(rules: u32, last: &str) -> String {
    let mut text = String::from("[[policy]]\nname = \"abuse\"\nblock = [\n");
    for i in 0..rules {
        let address = std::net::Ipv4Addr::from(0x0b00_0000 + i * 3);
        writeln!(text, "\"{address}\",").unwrap();
    }
    writeln!(text, "\"{last}\",\n]").unwrap();
    text
}

impl Fleet {
    /// A fleet of so many hosts, made and joined, without a revision.
    pub(crate) fn start(members: usize, hosts: usize) -> Self {
        Self::set_up(members, hosts, Setup::default())
    }

    /// The same, with what can be done to etcd.
    pub(crate) fn set_up(members: usize, hosts: usize, setup: Setup) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path().to_owned();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        let etcd = Cluster::set_up(&dir, members, setup);
        let hosts: Vec<_> = (0..hosts).map(|i| format!("h{i}")).collect();
        let urls = quoted(&etcd.client_urls());
        let (keys, key) = (dir.join("keys"), dir.join("operator.key"));
        let operator = format!(
            "fleet = \"{FLEET}\"\nendpoints = [{urls}]\nkeys = {keys:?}\nsecret_key = {key:?}\n"
        );
        fs::write(dir.join("operator.toml"), operator).unwrap();
        let out = command(
            &dir.join("operator.toml"),
            &["init", "--without-password", "--without-roles"],
        )
        .output()
        .unwrap();
        assert!(out.status.success(), "{}", said(&out));
        for host in &hosts {
            let socket = dir.join(format!("{host}.sock"));
            let settings = format!(
                "fleet = \"{FLEET}\"\nhost = \"{host}\"\nendpoints = [{urls}]\nkeys = {keys:?}\nsocket = {socket:?}\n"
            );
            fs::write(dir.join(format!("{host}.toml")), settings).unwrap();
        }
        let mut keyring = Keyring::default();
        let public = fs::read_to_string(keys.join("prod.pub")).unwrap();
        keyring.add("prod.pub", &public).unwrap();
        let agents = Agents::start(&dir, FLEET, &hosts, keyring);
        let fleet = Self {
            dir,
            processes: Vec::new(),
            hosts,
            agents,
            etcd,
            _temporary: temporary,
        };
        let names = fleet.hosts.iter().map(String::as_str);
        let names: Vec<_> = names.collect();
        fleet.ok(&[&["join", "--without-roles"][..], &names[..]].concat());
        fleet
    }

    /// As [`Self::start`], with a process for each host.
    pub(crate) fn running(members: usize, hosts: usize) -> Self {
        let mut fleet = Self::start(members, hosts);
        fleet.run_all();
        fleet
    }

    /// Starts a process for each host.
    pub(crate) fn run_all(&mut self) {
        for host in 0..self.hosts.len() {
            let process = self.process(&[host], &format!("h{host}.log"));
            self.processes.push(Some(process));
        }
    }

    /// A process for these hosts.
    pub(crate) fn process(&self, hosts: &[usize], log: &str) -> Running {
        let settings: Vec<_> = hosts.iter().map(|host| self.settings(*host)).collect();
        run(&settings, &self.dir.join(log))
    }

    /// The settings of a host.
    pub(crate) fn settings(&self, host: usize) -> PathBuf {
        self.dir.join(format!("{}.toml", self.hosts[host]))
    }

    /// Kills the process of a host.
    pub(crate) fn kill(&mut self, host: usize) {
        self.processes[host] = None;
    }

    /// Starts the process of a host again.
    pub(crate) fn restart(&mut self, host: usize) {
        let process = self.process(&[host], &format!("h{host}.log"));
        self.processes[host] = Some(process);
    }

    /// What the process of a host logged.
    pub(crate) fn log(&self, host: usize) -> String {
        fs::read_to_string(self.dir.join(format!("h{host}.log"))).unwrap_or_default()
    }

    /// Runs a command of an operator.
    pub(crate) fn line(&self, args: &[&str]) -> Output {
        command(&self.dir.join("operator.toml"), args)
            .output()
            .unwrap()
    }

    /// Runs a command of an operator, which has to succeed.
    #[track_caller]
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let out = self.line(args);
        let said = said(&out);
        assert!(out.status.success(), "fleet {args:?}: {said}");
        said
    }

    /// Runs a command of an operator, which has to fail; what it says.
    #[track_caller]
    pub(crate) fn refused(&self, args: &[&str]) -> String {
        let out = self.line(args);
        let said = said(&out);
        assert!(!out.status.success(), "fleet {args:?} succeeds: {said}");
        said
    }

    /// Pushes a policy for all hosts at once.
    #[track_caller]
    pub(crate) fn push(&self, text: &str) -> u64 {
        self.push_by(text, &["--at-once"])
    }

    /// Pushes a policy; the revision.
    #[track_caller]
    pub(crate) fn push_by(&self, text: &str, options: &[&str]) -> u64 {
        let file = self.dir.join("policy.toml");
        fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        self.ok(&[&["push", "-f", file][..], options].concat());
        self.newest()
    }

    /// The newest revision.
    pub(crate) fn newest(&self) -> u64 {
        let head = self.json(&["status"]);
        head["head"]["newest"]["revision"].as_u64().unwrap()
    }

    /// What a command says in JSON.
    #[track_caller]
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let text = self.ok(&[args, &["-o", "json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Waits until this is so.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(
                begun.elapsed() < LIMIT,
                "{what}\n{}\n{}",
                self.log(0),
                said(&self.line(&["hosts"]))
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until all hosts have a revision, confirmed.
    #[track_caller]
    pub(crate) fn wait_for(&self, revision: u64) {
        self.wait(&format!("all hosts at revision {revision}"), |fleet| {
            (0..fleet.hosts.len()).all(|host| {
                fleet.agents.at(host) == Some(revision) && fleet.agents.is_confirmed(host)
            })
        });
    }

    /// Waits until a host reports this phase, and this among its faults.
    #[track_caller]
    pub(crate) fn wait_phase(&self, host: usize, phase: &str, fault: &str) {
        self.wait(&format!("{phase} at host {host}: {fault}"), |fleet| {
            let status = &fleet.json(&["hosts"])[host]["status"];
            status["phase"] == phase && status["faults"].to_string().contains(fault)
        });
    }

    /// The key of the fleet below its prefix.
    pub(crate) fn key(&self, of: &str) -> String {
        format!("/netpolicy/v1/{FLEET}/{of}")
    }

    /// Writes a value behind the operators' back.
    pub(crate) fn put(&self, of: &str, value: &str) {
        self.etcd.ok(&["put", "--", &self.key(of), value]);
    }

    /// A signed record as it is in etcd.
    pub(crate) fn record<R: Record>(&self, of: &str) -> R {
        let text = self.etcd.value(&self.key(of));
        let fleet = FLEET.parse().unwrap();
        open(&text, &fleet, &self.keyring()).unwrap().record
    }

    fn keyring(&self) -> Keyring {
        let mut keyring = Keyring::default();
        let public = fs::read_to_string(self.dir.join("keys/prod.pub")).unwrap();
        keyring.add("prod.pub", &public).unwrap();
        keyring
    }

    /// A record signed by a key that no host trusts.
    pub(crate) fn forged(record: &impl Record) -> String {
        let pair = KeyPair::generate_unencrypted_keypair().unwrap();
        signed(record, &pair.sk)
    }

    /// A record signed by the operator.
    pub(crate) fn signed(&self, record: &impl Record) -> String {
        let key = fs::read_to_string(self.dir.join("operator.key")).unwrap();
        let key = minisign::SecretKeyBox::from_string(&key).unwrap();
        signed(record, &key.into_unencrypted_secret_key().unwrap())
    }
}

fn signed(record: &impl Record, key: &minisign::SecretKey) -> String {
    let text = unsigned(record).unwrap();
    let signature = minisign::sign(None, key, text.as_bytes(), None, None).unwrap();
    seal(text, signature.into_string()).unwrap()
}

/// URLs as a TOML list has them.
pub(crate) fn quoted(urls: &[String]) -> String {
    let urls: Vec<_> = urls.iter().map(|url| format!("\"{url}\"")).collect();
    urls.join(", ")
}

/// The process for hosts with these settings, without rights.
pub(crate) fn run(settings: &[PathBuf], log: &Path) -> Running {
    let mut command = match nix::unistd::Uid::effective().is_root() {
        true => {
            let mut command = Command::new("setpriv");
            command.args([
                "--reuid",
                "nobody",
                "--regid",
                "nogroup",
                "--clear-groups",
                "--",
            ]);
            command.arg(binary());
            command
        }
        false => Command::new(binary()),
    };
    command.args(["fleet", "run"]);
    for file in settings {
        command.arg("--settings").arg(file);
    }
    Running::start(command, log)
}
