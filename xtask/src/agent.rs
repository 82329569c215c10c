//! netpolicy's binary as these tasks use it: the agent in the background, and its commands.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::process::{self, Process};
use crate::stop::Stop;

/// How long the agent may take until it answers.
const START: Duration = Duration::from_secs(20);

/// Lines of the agent's log that an error shows.
const LOG_TAIL: usize = 10;

/// The binary and where its agent keeps what.
#[derive(Debug)]
pub(crate) struct Netpolicy {
    /// The binary.
    pub(crate) binary: PathBuf,
    /// The agent's socket.
    pub(crate) socket: PathBuf,
    /// Set for the agent and for commands.
    pub(crate) environment: Vec<(&'static str, OsString)>,
}

/// The agent that listens on the paths of this machine, or on those that the
/// environment names.
pub(crate) fn of_this_machine(binary: PathBuf) -> Netpolicy {
    let socket = env::var_os("NETPOLICY_SOCKET").map(PathBuf::from);
    Netpolicy {
        binary,
        socket: socket.unwrap_or_else(|| "/run/netpolicy/agent.sock".into()),
        environment: Vec::new(),
    }
}

impl Netpolicy {
    /// Starts the agent and waits until it answers. What it logs goes to `log`.
    ///
    /// # Errors
    /// When it does not start: with the end of its log.
    pub(crate) fn start_agent(
        &self,
        interface: &str,
        namespace: Option<&Path>,
        log: &Path,
        stop: &Stop,
    ) -> Result<Process> {
        ensure!(
            UnixStream::connect(&self.socket).is_err(),
            "an agent answers at {} already: give it the policy with `netpolicy apply -f FILE`, \
             or stop it first",
            self.socket.display()
        );
        let file = File::create_new(log).with_context(|| format!("create {}", log.display()))?;
        // What a NIC does, which the veth of a demonstration stands for.
        let mut command = self.command(&["agent", "--interface", interface, "--hook", "native"]);
        command
            .stdout(file.try_clone().context("share the log")?)
            .stderr(file);
        let mut agent = process::start(command, namespace)?;

        let deadline = Instant::now() + START;
        while UnixStream::connect(&self.socket).is_err() {
            if let Some(status) = agent.ended()? {
                bail!("the agent ended by itself ({status}):\n{}", tail(log));
            }
            ensure!(
                Instant::now() < deadline,
                "the agent does not answer at {} within {START:?}:\n{}",
                self.socket.display(),
                tail(log)
            );
            if stop.wait(Duration::from_millis(10)) {
                stop.check()?;
            }
        }
        Ok(agent)
    }

    /// Shows a command as one would type it, runs it, and returns how it ended.
    ///
    /// # Errors
    /// When it cannot be started, or a signal comes before it ends.
    pub(crate) fn try_run(&self, args: &[&str], stop: &Stop) -> Result<ExitStatus> {
        stop.check()?;
        println!("$ netpolicy {}", args.join(" "));
        process::start(self.command(args), None)?.wait(stop)
    }

    /// Shows and runs a command that must succeed.
    ///
    /// # Errors
    /// When it fails.
    pub(crate) fn run(&self, args: &[&str], stop: &Stop) -> Result<()> {
        let status = self.try_run(args, stop)?;
        ensure!(
            status.success(),
            "`netpolicy {}` failed ({status})",
            args.join(" ")
        );
        println!();
        Ok(())
    }

    /// Shows and runs a command whatever signal came meanwhile.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn run_regardless(&self, args: &[&str]) -> Result<ExitStatus> {
        println!("$ netpolicy {}", args.join(" "));
        self.command(args).status().context("start netpolicy")
    }

    /// Whether `netpolicy detach` was used here, since which the agent attaches to nothing.
    pub(crate) fn is_detached(&self) -> bool {
        let state_dir = env::var_os("NETPOLICY_STATE_DIR").map(PathBuf::from);
        state_dir
            .unwrap_or_else(|| "/var/lib/netpolicy".into())
            .join("detached")
            .exists()
    }

    /// Shows and starts a command that runs until it is ended.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn spawn(&self, args: &[&str]) -> Result<Process> {
        println!("$ netpolicy {}", args.join(" "));
        process::start(self.command(args), None)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(args).current_dir(crate::workspace::root());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// The last lines of a log.
pub(crate) fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    let from = lines.len().saturating_sub(LOG_TAIL);
    lines.get(from..).unwrap_or_default().join("\n")
}
