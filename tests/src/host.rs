//! A database host: a namespace with one filtered NIC, its clients, and an agent.

mod users;
mod waiting;

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use clap::ValueEnum as _;
use netpolicy_common::Engine;
use nix::sys::signal::Signal;
use serde_json::Value;

pub use crate::command::{Output, run};
use crate::packet::{HOST_V4, HOST_V6};
use crate::process::Process;
use crate::server::EchoServer;
use crate::traffic::{self, ALLOWED_WAIT, DENIED_WAIT, RawSocket};
pub use crate::wiring::NIC;
use crate::wiring::wire;
use crate::{NetNs, Outcome, id, rules};
pub use waiting::{LIMIT, filtered, wait_for};

/// Ports on which the echo server listens.
pub const PORTS: [u16; 5] = [22, 5432, 6432, 7005, 8080];

/// The longest that an agent takes to filter, its programs verified by an emulated processor.
const AGENT_START: Duration = Duration::from_secs(60);

/// How a host is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the agent's configuration file says.
    pub config: String,
    /// Whether the agent is started.
    pub agent: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            config: String::new(),
            agent: true,
        }
    }
}

/// A database host and its clients; all of it goes when dropped.
pub struct DatabaseHost {
    // In the order in which they have to go.
    agent: Option<Process>,
    pins: Pins,
    _server: EchoServer,
    clients: NetNs,
    db: NetNs,
    dir: tempfile::TempDir,
    binary: Option<PathBuf>,
}

/// A configuration with the engine and the hook that tests run against, unless it names them.
fn with_engine_and_hook(config: &str) -> String {
    let mut lines = String::new();
    if !config.contains("engine") {
        let name = Engine::from(rules::engine()).name();
        lines.push_str(&format!("engine = \"{name}\"\n"));
    }
    if !config.contains("hook") {
        let hook = rules::hook().to_possible_value();
        let name = hook.as_ref().map_or("auto", |value| value.get_name());
        lines.push_str(&format!("hook = \"{name}\"\n"));
    }
    lines + config
}

/// The directory of pins, removed when dropped: no pin, no link, no program.
struct Pins(PathBuf);

impl Drop for Pins {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl DatabaseHost {
    /// With an agent that filters [`NIC`] and has no policy yet.
    #[must_use]
    pub fn start() -> Self {
        Self::with(&Options::default())
    }

    /// Without an agent.
    #[must_use]
    pub fn without_agent() -> Self {
        Self::with(&Options {
            agent: false,
            ..Options::default()
        })
    }

    /// As told.
    ///
    /// # Panics
    /// When it cannot be made, with the agent's log.
    #[must_use]
    pub fn with(options: &Options) -> Self {
        let name = id::unique();
        let dir = tempfile::Builder::new()
            .prefix(&format!("{name}-"))
            .tempdir();
        let dir = dir.expect("make a temporary directory");
        fs::write(
            dir.path().join("config.toml"),
            with_engine_and_hook(&options.config),
        )
        .expect("write the configuration");
        let (db, clients) = (NetNs::new(), NetNs::new());
        wire(&db, &clients);
        let mut host = Self {
            agent: None,
            pins: Pins(Path::new(id::BPFFS).join(name)),
            _server: EchoServer::start(&db, &PORTS),
            clients,
            db,
            dir,
            binary: None,
        };
        if options.agent {
            host.start_agent();
        }
        host
    }

    /// Starts the agent and waits until it filters.
    ///
    /// # Panics
    /// When it does not.
    pub fn start_agent(&mut self) {
        self.spawn_agent();
        self.wait_for_agent();
    }

    /// Starts the agent and does not wait.
    pub fn spawn_agent(&mut self) {
        let mut command = self.command();
        command.args(["agent", "--interface", NIC]);
        self.spawn(command);
    }

    /// Starts a command of one's own as the agent and does not wait.
    pub fn spawn(&mut self, command: std::process::Command) {
        self.agent = Some(Process::start(command, &self.file("agent.log")));
    }

    /// Waits until the agent answers and filters.
    ///
    /// # Panics
    /// When it ended, or takes too long.
    pub fn wait_for_agent(&mut self) {
        let deadline = Instant::now() + AGENT_START;
        loop {
            let agent = self.agent.as_mut().expect("an agent was started");
            if let Some(status) = agent.ended() {
                panic!("the agent ended with {status}:\n{}", agent.log());
            }
            let pid = agent.pid();
            let status = self.status();
            if status["agent"]["pid"] == pid && status["enforcement"]["state"] == "attached" {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "the agent does not filter: {status}\n{}",
                self.agent().log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// `netpolicy status`, whatever its exit code; null when there is none.
    #[must_use]
    pub fn status(&self) -> Value {
        let out = self.line("status --output json");
        serde_json::from_str(&out.stdout).unwrap_or_default()
    }

    /// Waits until the agent says that the state of enforcement is this, and what is
    /// wrong if anything must be; returns the status.
    ///
    /// # Panics
    /// When it takes too long.
    #[track_caller]
    #[must_use]
    pub fn wait_for_state(&self, state: &str) -> Value {
        let is_faulty = ["partial", "not-attached"].contains(&state);
        let deadline = Instant::now() + AGENT_START;
        loop {
            let status = self.status();
            // The kernel is asked at once, what is wrong is noticed a moment later.
            let has_fault = status["faults"].as_array().is_some_and(|f| !f.is_empty());
            let is_there = status["enforcement"]["state"] == state && !status["agent"].is_null();
            if is_there && (has_fault || !is_faulty) {
                return status;
            }
            assert!(Instant::now() < deadline, "not {state}: {status}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The running agent.
    ///
    /// # Panics
    /// When there is none.
    pub fn agent(&mut self) -> &mut Process {
        self.agent.as_mut().expect("an agent was started")
    }

    /// Kills the agent with SIGKILL.
    pub fn kill_agent(&mut self) {
        self.agent().kill();
        self.agent = None;
    }

    /// Ends the agent with SIGTERM.
    pub fn stop_agent(&mut self) -> ExitStatus {
        self.agent().signal(Signal::SIGTERM);
        let status = self.agent().wait(Duration::from_secs(10));
        self.agent = None;
        status
    }

    /// A `netpolicy` command in the host's namespace, with its paths in the environment.
    #[must_use]
    pub fn command(&self) -> std::process::Command {
        self.command_in(&self.db)
    }

    /// The same in another namespace.
    #[must_use]
    pub fn command_in(&self, ns: &NetNs) -> std::process::Command {
        let mut command = ns.command(&self.binary().display().to_string());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("NETPOLICY_") || text == "SSH_CONNECTION" {
                command.env_remove(name);
            }
        }
        command
            .env("NETPOLICY_SOCKET", self.socket())
            .env("NETPOLICY_STATE_DIR", self.state_dir())
            .env("NETPOLICY_BPFFS_DIR", self.bpffs_dir())
            .env("NETPOLICY_CONFIG", self.file("config.toml"))
            .env("NETPOLICY_FROM", "none")
            .env("NO_COLOR", "1")
            .current_dir(self.dir.path());
        // Who runs the tests over SSH is none of the hosts' operators: the nearest
        // SSH_CONNECTION counts, and loopback is never judged.
        if netpolicy_user::agent::access::operator::address_of(std::process::id()).is_some() {
            command.env("SSH_CONNECTION", "127.0.0.1 1 127.0.0.1 22");
        }
        command
    }

    /// Runs `netpolicy` with these arguments, in the host's directory, as a user types it.
    #[must_use]
    pub fn netpolicy(&self, args: &[&str]) -> Output {
        self.netpolicy_with_input(args, "")
    }

    /// The same, with something on standard input.
    #[must_use]
    pub fn netpolicy_with_input(&self, args: &[&str], input: &str) -> Output {
        let mut command = self.command();
        command.args(args);
        run(command, args, input)
    }

    /// Runs `netpolicy` as a line of words, which must succeed; returns what it prints.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn ok(&self, line: &str) -> String {
        self.line(line).ok().to_owned()
    }

    /// Runs `netpolicy` as a line of words.
    #[must_use]
    pub fn line(&self, line: &str) -> Output {
        self.netpolicy(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs `netpolicy` as a line of words, and `--output json`.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    #[must_use]
    pub fn json(&self, line: &str) -> Value {
        self.line(&format!("{line} --output json")).json()
    }

    /// Packets counted in a scope for a reason, by their names.
    ///
    /// # Panics
    /// When the counters cannot be read.
    #[track_caller]
    #[must_use]
    pub fn counter(&self, scope: &str, reason: &str) -> u64 {
        let counters = self.json("counters");
        let rows = counters["rows"].as_array().expect("rows").iter();
        rows.filter(|r| r["scope"] == scope && r["reason"] == reason)
            .map(|r| r["packets"].as_u64().expect("a number"))
            .sum()
    }

    /// Attempts a connection that is expected to succeed.
    #[must_use]
    pub fn connect(&self, source: &str, port: u16) -> Outcome {
        self.attempt(source, port, ALLOWED_WAIT)
    }

    /// Attempts a connection that is expected to time out.
    #[must_use]
    pub fn connect_briefly(&self, source: &str, port: u16) -> Outcome {
        self.attempt(source, port, DENIED_WAIT)
    }

    fn attempt(&self, source: &str, port: u16, wait: Duration) -> Outcome {
        let source: IpAddr = source.parse().expect("an address");
        traffic::attempt(&self.clients, source, Self::address(source, port), wait)
    }

    /// Fails unless each of these sources gets through to its port.
    ///
    /// # Panics
    /// When one does not.
    #[track_caller]
    pub fn assert_connects(&self, attempts: &[(&str, u16)]) {
        for (source, port) in attempts {
            let outcome = self.connect(source, *port);
            assert_eq!(outcome, Outcome::Connected, "{source} to port {port}");
        }
    }

    /// Fails unless each of these sources gets no answer from its port.
    ///
    /// # Panics
    /// When one does.
    #[track_caller]
    pub fn assert_times_out(&self, attempts: &[(&str, u16)]) {
        // Waiting is all that it takes, so wait for all of them at once.
        std::thread::scope(|scope| {
            let threads = attempts.iter().map(|(source, port)| {
                (
                    source,
                    port,
                    scope.spawn(|| self.connect_briefly(source, *port)),
                )
            });
            for (source, port, thread) in threads.collect::<Vec<_>>() {
                let outcome = thread.join().expect("an attempt");
                assert_eq!(outcome, Outcome::TimedOut, "{source} to port {port}");
            }
        });
    }

    /// An open connection.
    ///
    /// # Panics
    /// When it cannot be opened.
    #[must_use]
    pub fn session(&self, source: &str, port: u16) -> TcpStream {
        let source: IpAddr = source.parse().expect("an address");
        let to = Self::address(source, port);
        let stream = traffic::open(&self.clients, source, to, ALLOWED_WAIT);
        let stream = stream.unwrap_or_else(|e| panic!("{source} to {to}: {e}"));
        stream
            .set_read_timeout(Some(ALLOWED_WAIT))
            .expect("set a timeout");
        stream
    }

    /// A raw socket behind the filtered interface.
    #[must_use]
    pub fn raw(&self) -> RawSocket {
        RawSocket::new(&self.clients, NIC)
    }

    fn address(source: IpAddr, port: u16) -> SocketAddr {
        let host = if source.is_ipv4() { HOST_V4 } else { HOST_V6 };
        SocketAddr::new(host.parse().expect("an address"), port)
    }

    /// The host's namespace.
    #[must_use]
    pub fn db(&self) -> &NetNs {
        &self.db
    }

    /// The clients' namespace.
    #[must_use]
    pub fn clients(&self) -> &NetNs {
        &self.clients
    }

    /// The agent's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.file("agent.sock")
    }

    /// The agent's store.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.file("state")
    }

    /// The pins.
    #[must_use]
    pub fn bpffs_dir(&self) -> &Path {
        &self.pins.0
    }

    /// A path in the host's own directory, in which commands run.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file in the host's own directory.
    ///
    /// # Panics
    /// When it cannot.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.file(name), content).expect("write a file");
    }

    /// Takes the filtered interface away, as when a NIC is pulled out.
    pub fn remove_nic(&self) {
        self.db.ip(&["link", "del", NIC]);
    }

    /// Puts it back.
    pub fn restore_nic(&self) {
        wire(&self.db, &self.clients);
    }
}
